package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Stream is a connection to the stream of one run. The trainer has one from [Open], which it may
// share with workers in its process; workers elsewhere have theirs from [Join]. Safe for
// concurrent use.
type Stream struct {
	cfg   Config
	names names
	srv   *embedded // nil with an external server
	nc    *nats.Conn
	js    jetstream.JetStream
	tasks jetstream.Consumer

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	held    *held
	collect collector // trainer only
}

// Open makes the stream of a run, or takes up an existing one with everything that was not
// acknowledged, and starts the embedded server where c names no URL. One process may have a run
// open.
func Open(ctx context.Context, c Config) (*Stream, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var srv *embedded
	if c.URL == "" {
		var err error
		if srv, err = startServer(&c); err != nil {
			return nil, err
		}
	}
	s, err := dial(ctx, c, srv)
	if err != nil {
		if srv != nil {
			err = errors.Join(err, srv.stop())
		}
		return nil, err
	}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Join connects a worker to a run that a trainer has opened, on the server that c.URL names. See
// [Runs] for what is there.
func Join(ctx context.Context, c Config) (*Stream, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.URL == "" {
		return nil, failf(ErrConfig, nil, "a worker needs the url of the trainer's server")
	}
	s, err := dial(ctx, c, nil)
	if err != nil {
		return nil, err
	}
	s.tasks, err = s.js.Consumer(ctx, s.names.tasks, workersConsumer)
	if err := s.jsError(err, "looking for the task queue"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func dial(ctx context.Context, c Config, srv *embedded) (*Stream, error) {
	nc, err := connect(&c, srv)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(publishWindow))
	if err != nil {
		nc.Close()
		return nil, failf(ErrConfig, err, "JetStream client")
	}
	s := &Stream{cfg: c, names: namesOf(c.Run), srv: srv, nc: nc, js: js}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.held = newHeld(c.AckWait, c.Log)
	s.collect.init()
	s.wg.Go(func() { s.held.beat(s.ctx) })
	if err := s.probe(ctx); err != nil {
		s.cancel()
		s.wg.Wait()
		nc.Close()
		return nil, err
	}
	return s, nil
}

// probe asks for JetStream, which a plain NATS server does not answer at all.
func (s *Stream) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Connect)
	defer cancel()
	_, err := s.js.AccountInfo(ctx)
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return failf(ErrNoJetStream, nil, "%s; start it with JetStream (nats-server -js) or use another", s.where())
	}
	return s.jsError(err, "asking for JetStream")
}

// create makes what the run needs on the server.
func (s *Stream) create(ctx context.Context) error {
	n := s.names
	queue := jetstream.StreamConfig{Storage: jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy, Duplicates: s.cfg.Dedup}
	tasks, outcomes := queue, queue
	tasks.Name, tasks.Subjects = n.tasks, []string{n.task}
	tasks.Metadata = map[string]string{metaRun: s.cfg.Run}
	outcomes.Name, outcomes.Subjects = n.outcomes, []string{n.trace, n.deadTask, n.deadTrace}
	policies := jetstream.StreamConfig{
		Name: n.policies, Subjects: []string{n.policy}, Storage: jetstream.FileStorage,
		MaxMsgs: int64(s.cfg.KeepPolicies), Discard: jetstream.DiscardOld, Duplicates: s.cfg.Dedup,
	}
	for _, sc := range []jetstream.StreamConfig{tasks, outcomes, policies} {
		if _, err := s.js.CreateOrUpdateStream(ctx, sc); err != nil {
			return s.jsError(err, "making "+sc.Name)
		}
	}
	// What a dead trainer held comes at once to a new consumer, not after AckWait. The same goes for
	// tasks where no worker outside this process, which is new, can hold one.
	if err := s.dropConsumer(ctx, n.outcomes, trainerConsumer); err != nil {
		return err
	}
	if s.srv != nil && s.cfg.Listen == "" {
		if err := s.dropConsumer(ctx, n.tasks, workersConsumer); err != nil {
			return err
		}
	}
	cc := jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.cfg.AckWait, MaxDeliver: -1}
	cc.Durable, cc.MaxAckPending = workersConsumer, -1
	var err error
	if s.tasks, err = s.js.CreateOrUpdateConsumer(ctx, n.tasks, cc); err != nil {
		return s.jsError(err, "making the task queue")
	}
	cc.Durable, cc.MaxAckPending = trainerConsumer, s.cfg.MaxHeld
	if s.collect.consumer, err = s.js.CreateOrUpdateConsumer(ctx, n.outcomes, cc); err != nil {
		return s.jsError(err, "making the queue of outcomes")
	}
	return nil
}

func (s *Stream) dropConsumer(ctx context.Context, stream, name string) error {
	err := s.js.DeleteConsumer(ctx, stream, name)
	if err == nil || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil
	}
	return s.jsError(err, "renewing the consumer of "+stream)
}

// URL is where workers of other processes reach an embedded server that listens; "" otherwise. It
// carries no credentials.
func (s *Stream) URL() string {
	if s.srv == nil {
		return ""
	}
	return s.srv.url()
}

// where names the server in messages.
func (s *Stream) where() string {
	if s.srv != nil {
		return "the embedded server"
	}
	return redact(s.cfg.URL)
}

// Close returns what is held to the queues, ends every wait with [ErrClosed] and stops the
// embedded server. It does not acknowledge anything.
func (s *Stream) Close() error {
	s.cancel()
	s.wg.Wait()
	s.held.release()
	s.nc.FlushTimeout(time.Second) //nolint:errcheck // what does not arrive is delivered again
	s.nc.Close()
	if s.srv == nil {
		return nil
	}
	if err := s.srv.stop(); err != nil {
		return failf(ErrStore, err, "closing the store")
	}
	return nil
}

// join gives a context that ends with ctx or with the stream, and says which it was.
func (s *Stream) join(ctx context.Context) (joined context.Context, stop func()) {
	joined, cancel := context.WithCancel(ctx)
	undo := context.AfterFunc(s.ctx, cancel)
	return joined, func() { undo(); cancel() }
}

// ended wraps the end of a wait with what was waited for.
func (s *Stream) ended(ctx context.Context, waiting string, args ...any) error {
	if s.ctx.Err() != nil {
		return failf(ErrClosed, nil, waiting, args...)
	}
	return fmt.Errorf("stream: %s: %w", fmt.Sprintf(waiting, args...), context.Cause(ctx))
}

// retry calls f until it succeeds, fails for good, or the server has been away for too long.
func (s *Stream) retry(ctx context.Context, doing string, f func(context.Context) error) error {
	ctx, stop := s.join(ctx)
	defer stop()
	began := time.Now()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := f(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil, s.ctx.Err() != nil:
			return s.ended(ctx, "%s", doing)
		case !passing(err):
			return s.jsError(err, doing)
		case s.srv != nil && !s.srv.srv.JetStreamEnabled():
			return failf(ErrStoreFull, err, "the embedded server gave up its store %s, while %s; free disk space and resume", s.cfg.StoreDir, doing)
		case time.Since(began) > s.cfg.Unavailable:
			return failf(ErrUnreachable, err, "%s for %v, while %s; check that the NATS server runs", s.where(), s.cfg.Unavailable, doing)
		}
		if wait > time.Second && s.cfg.Log != nil {
			s.cfg.Log.Warn("stream: waiting for the server", "doing", doing, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

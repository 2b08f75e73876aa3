package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pith/configs"
	"pith/rollout/stream"
)

// ErrOver says that a sweep is no longer on the server.
var ErrOver = errors.New("the sweep is over")

// TakeOptions say how a host takes runs.
type TakeOptions struct {
	Sweep    string // its name
	Dir      string // where runs are made if the sweep's own directory is not seen here
	Parallel int    // runs at a time
	Threads  int    // of each
	Host     string // how results are signed; "" = the host's name
	Note     func(text string)
}

// Take takes offered runs from the server that c.URL names and makes them, until the context ends or
// the sweep is over. A host that sees the sweep's directory works in it; another sends the finished
// run directory through the object store.
func Take(ctx context.Context, c stream.Config, r Runner, o TakeOptions) error {
	b, err := newBoard(c, o.Sweep)
	if err != nil {
		return err
	}
	defer b.nc.Close()
	consumer, err := b.js.Consumer(ctx, b.offers(), takers)
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("sweep %s is not offered on %s: start it there with pith sweep FILE --nats URL", o.Sweep, b.nc.ConnectedUrlRedacted())
	}
	if err != nil {
		return b.fail("looking for it", err)
	}
	if o.Host == "" {
		if o.Host, err = os.Hostname(); err != nil {
			o.Host = "unknown"
		}
	}
	t := &taker{board: b, runner: r, options: o}
	errs := make([]error, max(1, o.Parallel))
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = t.lane(ctx, consumer) })
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, err := range errs {
		if !errors.Is(err, ErrOver) {
			return err
		}
	}
	return nil
}

type taker struct {
	board   *board
	runner  Runner
	options TakeOptions
}

// lane takes one run after the other.
func (t *taker) lane(ctx context.Context, consumer jetstream.Consumer) error {
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(1, jetstream.FetchMaxWait(2*time.Second))
		if err != nil {
			if err := t.trouble(ctx, consumer, err); err != nil {
				return err
			}
			continue
		}
		for m := range batch.Messages() {
			if err := t.make(ctx, m); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			if err := t.trouble(ctx, consumer, err); err != nil {
				return err
			}
		} else if _, err := consumer.Info(ctx); gone(err) {
			return ErrOver
		}
	}
	return context.Cause(ctx)
}

func gone(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted)
}

// trouble says whether to go on after an error: the server may come back.
func (t *taker) trouble(ctx context.Context, consumer jetstream.Consumer, err error) error {
	if gone(err) || errors.Is(err, nats.ErrConnectionClosed) {
		return ErrOver
	}
	// A fetch from a queue that was taken down meanwhile finds nobody who would say so; asking does.
	asking, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := consumer.Info(asking); gone(err) {
		return ErrOver
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(500 * time.Millisecond):
		return nil
	}
}

// make makes the run of one offer and sends its result, then lets go of the offer.
func (t *taker) make(ctx context.Context, m jetstream.Msg) error {
	var o offer
	if err := json.Unmarshal(m.Data(), &o); err != nil {
		return m.Term()
	}
	stop := keepAlive(ctx, m)
	defer stop()
	r := result{Run: o.Run, Until: o.Until, Host: t.options.Host}
	if meta, err := m.Metadata(); err == nil && meta.NumDelivered > mostHosts {
		r.Error = fmt.Sprintf("%d hosts took it and fell silent; given up", mostHosts)
	} else {
		t.note("%s: taken", o.Run)
		err := t.train(ctx, &o, &r)
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), m.Nak()) // another host may have it at once
		}
		if err != nil {
			r.Error = err.Error()
		}
	}
	// The queue may be gone: then nobody waits for this result.
	if err := send(ctx, t.board.js, t.board.resultSubject(o.Run), r); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return errors.Join(ErrOver, t.board.fail("sending the result of "+o.Run, err))
	}
	if r.Error != "" {
		t.note("%s: FAILED: %s", o.Run, r.Error)
	} else {
		t.note("%s: done", o.Run)
	}
	return m.DoubleAck(ctx)
}

func (t *taker) note(format string, args ...any) {
	if t.options.Note != nil {
		t.options.Note(fmt.Sprintf(format, args...))
	}
}

// train makes the run in the sweep's directory where it is seen, else in this host's own.
func (t *taker) train(ctx context.Context, o *offer, r *result) error {
	tmp, err := os.CreateTemp("", "pith-sweep-*.yaml")
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(o.Config)
	if err := errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	c, err := configs.Load(configs.Sources{Files: []string{tmp.Name()}})
	if err != nil {
		return err
	}
	root := t.options.Dir
	shared := o.sees()
	if shared {
		root = o.Dir
	}
	j := Job{
		Run: Run{Name: o.Run, Config: c, Hash: o.Hash, Seed: c.Run.Seed}, Dir: filepath.Join(root, RunsDir, o.Run), Until: o.Until, Threads: t.options.Threads,
		File: filepath.Join(root, ConfigsDir, o.Run+".yaml"), Log: filepath.Join(root, LogsDir, o.Run+".log"),
	}
	if !shared && !present(j.Dir) {
		// What another host has begun goes on here. Where there is nothing, it begins.
		if err := t.board.fetch(ctx, o.Run, j.Dir); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			return err
		}
	}
	err = t.runner.Run(ctx, j, func(step int64) {
		if text, err := json.Marshal(beat{o.Run, step}); err == nil {
			_ = t.board.nc.Publish(t.board.beatSubject(), text) // a lost one is made up for by the next
		}
	})
	if err != nil || shared {
		return err
	}
	r.Archive = true
	return t.board.put(ctx, o.Run, j.Dir)
}

// keepAlive tells the server that a run is being made, until stop is called.
func keepAlive(ctx context.Context, m jetstream.Msg) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(silence / 3)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = m.InProgress() // without it the run goes to another host, which is what silence means
			}
		}
	}()
	return func() { cancel(); <-done }
}

package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"pith/rollout/stream"
)

// Queue hands runs to other hosts: a [Runner] that puts each on a NATS queue and waits for its
// result. Hosts take them with [Take]. A run whose host falls silent is given to another; a killed
// sweep that is started again finds the runs that are being made where it left them.
type Queue struct {
	board  *board
	dir    string // absolute, of the sweep
	secret string
	runs   int
	play   jetstream.ConsumeContext
	beats  *nats.Subscription
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	waiting map[string]*waiter
	hosts   map[string]string
}

type waiter struct {
	until    int
	progress func(int64)
	result   chan result
}

// NewQueue makes the queues of a sweep on the server that c.URL names, or takes up those that are
// there. dir is the sweep's directory; runs is how many may be offered at once.
func NewQueue(ctx context.Context, c stream.Config, name, dir string, runs int) (*Queue, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("sweep: %w", err)
	}
	b, err := newBoard(c, name)
	if err != nil {
		return nil, err
	}
	q := &Queue{board: b, dir: absolute, runs: runs, waiting: map[string]*waiter{}, hosts: map[string]string{}}
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := q.open(ctx); err != nil {
		q.cancel()
		b.nc.Close()
		return nil, err
	}
	return q, nil
}

func (q *Queue) open(ctx context.Context) error {
	if err := q.board.create(ctx); err != nil {
		return err
	}
	var err error
	if q.secret, err = mark(q.dir); err != nil {
		return err
	}
	consumer, err := q.board.js.CreateOrUpdateConsumer(ctx, q.board.results(), jetstream.ConsumerConfig{Durable: offerer, AckPolicy: jetstream.AckExplicitPolicy, AckWait: silence, MaxDeliver: -1})
	if err != nil {
		return q.board.fail("listening for results", err)
	}
	q.beats, err = q.board.nc.Subscribe(q.board.beatSubject(), q.beat)
	if err != nil {
		return q.board.fail("listening for progress", err)
	}
	// Results come one at a time: unpacking them is I/O.
	if q.play, err = consumer.Consume(q.receive, jetstream.PullMaxMessages(1)); err != nil {
		return q.board.fail("listening for results", err)
	}
	return nil
}

// Lanes says how many runs are offered at once.
func (q *Queue) Lanes() int { return max(1, q.runs) }

// Host is who made a run.
func (q *Queue) Host(run string) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hosts[run]
}

// Run offers a run and waits for its result.
func (q *Queue) Run(ctx context.Context, j Job, progress func(int64)) error {
	config, err := j.Run.Config.WithoutSecrets().YAML()
	if err != nil {
		return err
	}
	w := &waiter{until: j.Until, progress: progress, result: make(chan result, 1)}
	q.mu.Lock()
	q.waiting[j.Run.Name] = w
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.waiting, j.Run.Name)
		q.mu.Unlock()
	}()
	o := offer{Run: j.Run.Name, Hash: j.Run.Hash, Config: string(config), Until: j.Until, Dir: q.dir, Mark: q.secret}
	err = send(ctx, q.board.js, q.board.offerSubject(j.Run.Name, j.Until), o)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == errCodeStoreFailed {
		err = nil // it is offered already, by the process that this one takes over from
	}
	if err != nil {
		return q.board.fail("offering "+j.Run.Name, err)
	}
	select {
	case r := <-w.result:
		q.mu.Lock()
		q.hosts[j.Run.Name] = r.Host
		q.mu.Unlock()
		if r.Error != "" {
			return fmt.Errorf("on %s: %s", r.Host, r.Error)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errCodeStoreFailed is the server's code for a message that a stream's limits refuse.
const errCodeStoreFailed jetstream.ErrorCode = 10077

func (q *Queue) beat(m *nats.Msg) {
	var b beat
	if json.Unmarshal(m.Data, &b) != nil {
		return
	}
	q.mu.Lock()
	w := q.waiting[b.Run]
	q.mu.Unlock()
	if w != nil {
		w.progress(b.Step)
	}
}

// receive takes a result: the run directory first, then the acknowledgement.
func (q *Queue) receive(m jetstream.Msg) {
	var r result
	if json.Unmarshal(m.Data(), &r) != nil {
		_ = m.Term() // not ours
		return
	}
	q.mu.Lock()
	w := q.waiting[r.Run]
	q.mu.Unlock()
	if w == nil || w.until != r.Until {
		_ = m.DoubleAck(q.ctx) // of an offer that nobody waits for any more: its run is there or will be offered again
		return
	}
	if r.Archive {
		if err := q.board.fetch(q.ctx, r.Run, filepath.Join(q.dir, RunsDir, r.Run)); err != nil {
			r.Error = err.Error()
		}
	}
	if err := m.DoubleAck(q.ctx); err != nil {
		return // it comes again
	}
	select {
	case w.result <- r:
	default:
	}
}

// Close stops listening. With over set, the sweep is taken off the server, and hosts that wait for
// runs go home.
func (q *Queue) Close(ctx context.Context, over bool) error {
	q.play.Stop()
	<-q.play.Closed()
	q.cancel()
	err := q.beats.Unsubscribe()
	if over {
		err = errors.Join(err, q.board.remove(ctx))
	}
	q.board.nc.Close()
	return err
}

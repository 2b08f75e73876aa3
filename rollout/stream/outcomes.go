package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pith/traces"
)

// Outcome is a finished trace with its timing, on its way to the trainer.
type Outcome struct {
	Task   string // id of its task
	Trace  *traces.Trace
	Timing *traces.Timing // may be nil
}

// PublishTraces stores finished traces. When it returns nil all are stored; publishing one again
// is harmless. A trace that breaks the record's rules is refused before anything is sent; one
// that is larger than the server takes becomes a dead letter, so that it is accounted for.
func (s *Stream) PublishTraces(ctx context.Context, outcomes []Outcome) error {
	msgs := make([]*nats.Msg, 0, len(outcomes))
	for _, o := range outcomes {
		if err := traces.Validate(o.Trace); err != nil {
			return err
		}
		if o.Trace.Run != s.cfg.Run {
			return fmt.Errorf("stream: trace %s belongs to run %q, this is the stream of %q", o.Trace.ID, o.Trace.Run, s.cfg.Run)
		}
		body, err := traces.Marshal(o.Trace, o.Timing)
		if limit := s.nc.MaxPayload(); err == nil && int64(len(body)+headerRoom) > limit {
			err = fmt.Errorf("%d bytes, the server takes %d; raise its max_payload", len(body), limit)
		}
		if err != nil {
			letter := &DeadLetter{Kind: DeadTrace, TaskID: o.Task, TraceID: o.Trace.ID, Reason: err.Error(), Deliveries: 1}
			if err := s.bury(ctx, letter); err != nil {
				return err
			}
			continue
		}
		msgs = append(msgs, message(s.names.trace, "trace/"+o.Trace.ID, o.Task, o.Trace.ID, body))
	}
	return s.publish(ctx, msgs, "storing traces")
}

// headerRoom is more than our headers take.
const headerRoom = 4096

// Delivery is one outcome in the trainer's hands: a trace, or a dead letter. It is held until
// [Stream.Commit].
type Delivery struct {
	Task   string         // id of the task
	Trace  *traces.Trace  // nil for a dead letter
	Timing *traces.Timing // nil for a dead letter
	Dead   *DeadLetter    // nil for a trace

	id   string
	msgs []jetstream.Msg // the message and its repeats; guarded by collector.mu
}

// ID identifies the outcome: the trace's id, or one of the dead letter's own.
func (d *Delivery) ID() string { return d.id }

// collector is the trainer's side of the queue of outcomes.
type collector struct {
	consumer jetstream.Consumer
	once     sync.Once
	ready    chan *Delivery // as many as may be held: a send never blocks
	failed   chan struct{}
	err      error // set before failed is closed

	mu      sync.Mutex
	pending map[string]*Delivery // held, by id
	done    map[string]struct{}  // acknowledged, or durable before this process
}

func (c *collector) init() {
	c.failed = make(chan struct{})
	c.pending, c.done = map[string]*Delivery{}, map[string]struct{}{}
}

// Durable tells which traces are in the log already, before the first Collect: a crash between
// writing a segment and acknowledging it leaves them on the queue, and they must not count again.
// A dead letter about nothing but such traces does not come again either.
func (s *Stream) Durable(ids ...string) {
	s.collect.mu.Lock()
	defer s.collect.mu.Unlock()
	for _, id := range ids {
		s.collect.done[id] = struct{}{}
	}
}

// Collect waits for the next outcome. Each comes once, in the order in which it was stored, except
// that what an earlier trainer held comes again. A message that cannot be decoded comes as a dead
// letter. [ErrHeldFull] says that nothing can come before something is committed.
func (s *Stream) Collect(ctx context.Context) (*Delivery, error) {
	c := &s.collect
	if c.consumer == nil {
		return nil, failf(ErrConfig, nil, "only the stream that was opened, not joined, collects")
	}
	c.once.Do(func() {
		c.ready = make(chan *Delivery, s.cfg.MaxHeld)
		s.wg.Go(func() { c.fail(s.receive()) })
	})
	select { // what has arrived is worth more than why no more will
	case d := <-c.ready:
		return d, nil
	default:
	}
	if n := s.Held(); n >= s.cfg.MaxHeld {
		return nil, failf(ErrHeldFull, nil, "%d; commit some, or raise stream.max_held above the traces of one commit", n)
	}
	joined, stop := s.join(ctx)
	defer stop()
	select {
	case d := <-c.ready:
		return d, nil
	case <-c.failed:
		if joined.Err() == nil && s.ctx.Err() == nil {
			return nil, c.err
		}
	case <-joined.Done():
	}
	return nil, s.ended(ctx, "waiting for a trace of run %q while %d are held", s.cfg.Run, s.Held())
}

// Held counts the outcomes that have been received and not committed, collected or not.
func (s *Stream) Held() int {
	s.collect.mu.Lock()
	defer s.collect.mu.Unlock()
	return len(s.collect.pending)
}

func (c *collector) fail(err error) {
	c.err = err
	close(c.failed)
}

// receive takes messages off the queue until the stream closes.
func (s *Stream) receive() error {
	const doing = "collecting traces"
	it, err := s.collect.consumer.Messages(jetstream.PullMaxMessages(min(publishWindow, s.cfg.MaxHeld)))
	if err != nil {
		return s.jsError(err, doing)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(s.ctx))
		switch {
		case s.ctx.Err() != nil:
			if m != nil {
				_ = m.Nak() // arrived while leaving
			}
			return failf(ErrClosed, nil, doing)
		case errors.Is(err, jetstream.ErrConsumerDeleted):
			return failf(ErrLocked, err, "another trainer has opened run %q on %s; stop one of them", s.cfg.Run, s.where())
		case err != nil && passing(err):
			continue // the server is away; the client reconnects by itself
		case err != nil:
			return s.jsError(err, doing)
		}
		if err := s.receiveOne(m); err != nil {
			return err
		}
	}
}

// receiveOne files one message: new, a repeat of one that is held, a repeat of one that is done,
// or undecodable.
func (s *Stream) receiveOne(m jetstream.Msg) error {
	d, err := s.decode(m)
	if err != nil {
		s.held.add(m)
		letter := &DeadLetter{
			Kind: DeadTrace, TaskID: m.Headers().Get(headerTask), TraceID: m.Headers().Get(headerTrace),
			Reason: err.Error(), Deliveries: 1, Payload: m.Data(),
		}
		if meta, err := m.Metadata(); err == nil {
			letter.Deliveries = int(meta.NumDelivered)
			if letter.TraceID == "" {
				letter.TraceID = fmt.Sprintf("message-%d", meta.Sequence.Stream)
			}
		}
		if err := s.bury(s.ctx, letter); err != nil {
			return err
		}
		err := s.retry(s.ctx, "burying trace "+letter.TraceID, m.DoubleAck)
		s.held.drop(m)
		return err
	}
	c := &s.collect
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accounted(d) {
		_ = m.Ack() // lost: it comes again and is recognised again
		return nil
	}
	s.held.add(m)
	if first, held := c.pending[d.id]; held {
		first.msgs = append(first.msgs, m)
		return nil
	}
	c.pending[d.id] = d
	c.ready <- d
	return nil
}

// accounted says whether everything that d speaks of is in the log already.
func (c *collector) accounted(d *Delivery) bool {
	known := func(id string) bool { _, ok := c.done[id]; return ok }
	switch {
	case known(d.id):
		return true
	case d.Dead == nil:
		return false
	case d.Dead.Kind == DeadTrace:
		return known(d.Dead.TraceID)
	}
	t := d.Dead.Task
	if t == nil {
		return false
	}
	for i := range t.N {
		if !known(t.TraceID(t.First + i)) {
			return false
		}
	}
	return true
}

func (s *Stream) decode(m jetstream.Msg) (*Delivery, error) {
	d := &Delivery{Task: m.Headers().Get(headerTask), msgs: []jetstream.Msg{m}}
	if m.Headers().Get(nats.MsgIdHdr) == "" {
		return nil, errors.New("not a message of pith: it has no id")
	}
	if m.Subject() != s.names.trace {
		dead := new(DeadLetter)
		if err := json.Unmarshal(m.Data(), dead); err != nil {
			// A letter that cannot be read is still a letter: its headers say whose it is.
			dead = &DeadLetter{Kind: DeadTask, TaskID: d.Task, TraceID: m.Headers().Get(headerTrace), Reason: "unreadable dead letter: " + err.Error()}
			if dead.TraceID != "" {
				dead.Kind = DeadTrace
			}
		}
		d.Dead, d.id = dead, dead.id()
		return d, nil
	}
	var err error
	if d.Trace, d.Timing, err = traces.Unmarshal(m.Data()); err != nil {
		return nil, err
	}
	if err := traces.Validate(d.Trace); err != nil {
		return nil, err
	}
	if d.Trace.Run != s.cfg.Run {
		return nil, fmt.Errorf("trace %s belongs to run %q", d.Trace.ID, d.Trace.Run)
	}
	d.id = d.Trace.ID
	return d, nil
}

// Commit acknowledges outcomes that are durable elsewhere; the server forgets them. It returns
// when the server has confirmed the last one, which it does in order: one round trip for any
// number. Committing again, after an error, is harmless.
func (s *Stream) Commit(ctx context.Context, ds []*Delivery) error {
	var msgs []jetstream.Msg
	c := &s.collect
	c.mu.Lock()
	for _, d := range ds {
		delete(c.pending, d.id)
		c.done[d.id] = struct{}{}
		msgs = append(msgs, d.msgs...)
	}
	c.mu.Unlock()
	for i, m := range msgs {
		s.held.drop(m)
		if i < len(msgs)-1 {
			if err := m.Ack(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
				return s.jsError(err, "acknowledging traces")
			}
			continue
		}
		err := s.retry(ctx, "acknowledging traces", m.DoubleAck)
		if err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
			return err
		}
	}
	return nil
}

package stream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"pith/rollout/task"
)

// Headers of our messages: they survive where a body cannot be decoded.
const (
	headerTask  = "Pith-Task"
	headerTrace = "Pith-Trace"
	metaRun     = "pith.run"
)

// publishWindow bounds the messages sent and not yet confirmed.
const publishWindow = 256

// Release puts tasks on the queue. When it returns nil all of them are stored. Releasing a task
// again within the dedup window does nothing; later, its traces are recognised by their ids.
func (s *Stream) Release(ctx context.Context, tasks []*task.Task) error {
	msgs := make([]*nats.Msg, len(tasks))
	for i, t := range tasks {
		body, err := task.Marshal(t)
		if err != nil {
			return err
		}
		if t.Run != s.cfg.Run {
			return fmt.Errorf("stream: task %s belongs to run %q, this is the stream of %q", t.ID(), t.Run, s.cfg.Run)
		}
		msgs[i] = message(s.names.task, "task/"+t.ID(), t.ID(), "", body)
	}
	return s.publish(ctx, msgs, "releasing tasks")
}

func message(subject, id, taskID, traceID string, body []byte) *nats.Msg {
	m := nats.NewMsg(subject)
	m.Header.Set(nats.MsgIdHdr, headerSafe(id))
	m.Header.Set(headerTask, headerSafe(taskID))
	if traceID != "" {
		m.Header.Set(headerTrace, headerSafe(traceID))
	}
	m.Data = body
	return m
}

// publish stores msgs in order and returns when the server has confirmed each. All of them carry
// an id, so sending one again is harmless.
func (s *Stream) publish(ctx context.Context, msgs []*nats.Msg, doing string) error {
	for start := 0; start < len(msgs); start += publishWindow {
		left := append([]*nats.Msg(nil), msgs[start:min(start+publishWindow, len(msgs))]...)
		err := s.retry(ctx, doing, func(ctx context.Context) error {
			var err error
			left, err = s.publishOnce(ctx, left)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// publishOnce sends msgs together and returns those that were not confirmed, with one reason.
func (s *Stream) publishOnce(ctx context.Context, msgs []*nats.Msg) (left []*nats.Msg, err error) {
	if len(msgs) == 1 {
		attempt, cancel := context.WithTimeout(ctx, s.cfg.Connect)
		defer cancel()
		if _, err := s.js.PublishMsg(attempt, msgs[0]); err != nil {
			return msgs, err
		}
		return nil, nil
	}
	futures := make([]jetstream.PubAckFuture, len(msgs))
	for i, m := range msgs {
		// A copy: the client writes to what it is given and may still be sending an earlier attempt.
		m := &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
		if futures[i], err = s.js.PublishMsgAsync(m, jetstream.WithStallWait(s.cfg.Connect)); err != nil {
			left = append(left, msgs[i:]...)
			futures = futures[:i]
			break
		}
	}
	timeout := time.NewTimer(s.cfg.Connect)
	defer timeout.Stop()
	for i, f := range futures {
		select {
		case <-f.Ok():
			continue
		case e := <-f.Err():
			err = e
		case <-timeout.C:
			timeout.Reset(0)
			err = nats.ErrTimeout
		case <-ctx.Done():
			return msgs, ctx.Err()
		}
		left = append(left, msgs[i])
	}
	return left, err
}

// TaskDelivery is a task in hand. Whoever has it ends it with Done, Return or Bury; until then
// nobody else gets it. Its methods may be called from any goroutine, once.
type TaskDelivery struct {
	Task       *task.Task
	Deliveries int       // 1 = the first
	Released   time.Time // by the server's clock; timings only
	s          *Stream
	msg        jetstream.Msg
}

// NextTask waits for a task. A task that cannot be decoded, or has been delivered more than
// MaxDeliver times without an end, becomes a dead letter here and is not returned.
func (s *Stream) NextTask(ctx context.Context) (*TaskDelivery, error) {
	joined, stop := s.join(ctx)
	defer stop()
	for wait := 20 * time.Millisecond; ; {
		m, err := s.fetch(joined)
		switch {
		case joined.Err() != nil, s.ctx.Err() != nil:
			if m != nil {
				_ = m.Nak() // arrived while leaving
			}
			return nil, s.ended(ctx, "waiting for a task of run %q", s.cfg.Run)
		case err != nil && !passing(err) && !errors.Is(err, jetstream.ErrConsumerDeleted):
			return nil, s.jsError(err, "waiting for a task")
		case err != nil:
			if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, nats.ErrNoResponders) {
				err = s.rebind(joined)
			}
			if err != nil {
				select {
				case <-joined.Done():
				case <-time.After(wait):
				}
				wait = min(2*wait, 2*time.Second)
			}
			continue
		case m == nil:
			continue
		}
		wait = 20 * time.Millisecond
		d, err := s.taskOf(joined, m)
		if err != nil || d != nil {
			return d, err
		}
	}
}

// rebind finds the task queue again after the trainer has renewed it.
func (s *Stream) rebind(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Connect)
	defer cancel()
	_, err := s.js.Consumer(ctx, s.names.tasks, workersConsumer)
	return err
}

// fetch asks for one task; nil where none came for a while.
func (s *Stream) fetch(ctx context.Context) (jetstream.Msg, error) {
	// Without ctx's deadline, from which Fetch would derive its own: the server ends a request by
	// itself after half a minute, and tells us every five seconds that it is there.
	alone, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	batch, err := s.tasks.Fetch(1, jetstream.FetchContext(alone))
	if err != nil {
		return nil, err
	}
	if m, ok := <-batch.Messages(); ok {
		return m, nil
	}
	return nil, batch.Error()
}

func (s *Stream) taskOf(ctx context.Context, m jetstream.Msg) (*TaskDelivery, error) {
	d := &TaskDelivery{s: s, msg: m, Deliveries: 1}
	if meta, err := m.Metadata(); err == nil {
		d.Deliveries, d.Released = int(meta.NumDelivered), meta.Timestamp
	}
	s.held.add(m)
	t, err := task.Unmarshal(m.Data())
	switch {
	case err != nil:
		return nil, d.bury(ctx, nil, err.Error())
	case t.Run != s.cfg.Run:
		return nil, d.bury(ctx, t, fmt.Sprintf("belongs to run %q", t.Run))
	case d.Deliveries > s.cfg.MaxDeliver:
		return nil, d.bury(ctx, t, fmt.Sprintf("delivered %d times and never finished: its workers died or hung", d.Deliveries-1))
	}
	d.Task = t
	return d, nil
}

// Done acknowledges the task: all its traces are stored. It returns when the server knows.
func (d *TaskDelivery) Done(ctx context.Context) error {
	err := d.s.retry(ctx, "acknowledging task "+d.Task.ID(), d.msg.DoubleAck)
	if errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		err = nil
	}
	d.s.held.drop(d.msg)
	return err
}

// Return gives the task back for another try, after a pause.
func (d *TaskDelivery) Return(pause time.Duration) error {
	defer d.s.held.drop(d.msg)
	if err := d.msg.NakWithDelay(pause); err != nil {
		return failf(ErrUnreachable, err, "returning task %s; it comes back after %v", d.Task.ID(), d.s.cfg.AckWait)
	}
	return nil
}

// Bury ends the task as a dead letter.
func (d *TaskDelivery) Bury(ctx context.Context, reason string) error {
	return d.bury(ctx, d.Task, reason)
}

func (d *TaskDelivery) bury(ctx context.Context, t *task.Task, reason string) error {
	id := d.msg.Headers().Get(headerTask)
	letter := &DeadLetter{Kind: DeadTask, TaskID: id, Task: t, Reason: reason, Deliveries: d.Deliveries, Payload: d.msg.Data()}
	if err := d.s.bury(ctx, letter); err != nil {
		return err
	}
	err := d.s.retry(ctx, "burying task "+id, d.msg.DoubleAck)
	d.s.held.drop(d.msg)
	return err
}

// headerSafe keeps an id within its header line.
func headerSafe(s string) string {
	return strings.ToValidUTF8(strings.NewReplacer("\r", " ", "\n", " ").Replace(s), "?")
}

package stream

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"pith/rollout/task"
)

// DeadKind says what could not be delivered.
type DeadKind string

const (
	DeadTask  DeadKind = "task"  // no trace of it that has not arrived yet will
	DeadTrace DeadKind = "trace" // this one sample
)

// DeadLetter is the outcome of a message that nobody could deal with. It reaches the trainer
// through [Stream.Collect] like a trace, so that the task can be accounted for.
type DeadLetter struct {
	Kind       DeadKind   `json:"kind"`
	TaskID     string     `json:"task_id"`
	TraceID    string     `json:"trace_id,omitempty"` // DeadTrace
	Task       *task.Task `json:"task,omitempty"`     // where it could be decoded
	Reason     string     `json:"reason"`
	Deliveries int        `json:"deliveries"`
	Payload    []byte     `json:"payload,omitempty"` // the message, or its beginning
}

// id identifies the letter, however often it is written.
func (l *DeadLetter) id() string {
	if l.Kind == DeadTrace {
		return "dead/trace/" + l.TraceID
	}
	return "dead/task/" + l.TaskID
}

// maxDeadPayload is how much of a poison message is kept for a look at it.
const maxDeadPayload = 64 << 10

// bury stores a dead letter. When it returns nil the original may be acknowledged.
func (s *Stream) bury(ctx context.Context, l *DeadLetter) error {
	l.Payload = l.Payload[:min(len(l.Payload), maxDeadPayload)]
	if s.cfg.Log != nil {
		s.cfg.Log.Error("stream: dead letter", "kind", l.Kind, "task", l.TaskID, "trace", l.TraceID, "reason", l.Reason, "deliveries", l.Deliveries)
	}
	body, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("stream: dead letter of %s: %w", l.TaskID, err)
	}
	subject := s.names.deadTask
	if l.Kind == DeadTrace {
		subject = s.names.deadTrace
	}
	return s.publish(ctx, []*nats.Msg{message(subject, l.id(), l.TaskID, l.TraceID, body)}, "storing a dead letter")
}

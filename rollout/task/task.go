// Package task holds the unit of rollout work as it travels on the stream: a problem, how to
// sample it, and under which policy. It is a plain value; what runs it is package rollout, what
// carries it is rollout/stream.
package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"pith/datasets"
	"pith/rollout/engine"
)

// Task asks for samples First … First+N-1 of one group. Everything that decides a sample is in
// it, so that whoever runs it, and however often, the traces are the same wherever the engine is
// deterministic. It names no attempt, worker or time.
type Task struct {
	Run     string           `json:"run"`
	Step    int64            `json:"step"` // the learner step it is released for; evaluations: the step of the policy
	Split   datasets.Split   `json:"split"`
	Group   string           `json:"group"` // unique in the run
	Problem datasets.Problem `json:"problem"`
	Prompt  []int32          `json:"prompt"` // Problem.Prompt as tokens

	First int `json:"first"` // index of the first sample; a large group may be cut into several tasks
	N     int `json:"n"`

	Strategy string          `json:"strategy"`
	Options  json.RawMessage `json:"options,omitempty"` // the strategy's own parameters, decoded strictly by it
	Params   engine.Params   `json:"params"`            // Seed is the key of the group's random stream

	// Policy is the oldest acceptable policy, by step; with Exact it is the only one. A worker
	// waits for it.
	Policy engine.PolicyRef `json:"policy"`
	Exact  bool             `json:"exact"`
}

// ID identifies the task: the same for every release and delivery of it.
func (t *Task) ID() string { return fmt.Sprintf("%s/%d+%d", t.Group, t.First, t.N) }

// TraceID identifies sample i of the group, i counted over all its tasks.
func (t *Task) TraceID(i int) string { return fmt.Sprintf("%s/%d", t.Group, i) }

// Validate reports everything that no worker could run, joined.
func (t *Task) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(t.Run != "", "run is empty")
	check(t.Group != "", "group is empty")
	check(t.Step >= 0, "step is %d", t.Step)
	check(t.Split == datasets.Train || t.Split == datasets.HeldOut, "split is %q, must be %s or %s", t.Split, datasets.Train, datasets.HeldOut)
	check(t.N > 0 && t.First >= 0, "samples [%d,%d) are none", t.First, t.First+t.N)
	check(len(t.Prompt) > 0, "the prompt has no tokens")
	check(t.Strategy != "", "strategy is empty")
	check(t.Params.MaxTokens > 0, "params.max_tokens is %d, must be positive", t.Params.MaxTokens)
	check(t.Policy.ID != "", "policy is empty")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("task %s: %w", t.ID(), err)
	}
	return nil
}

// Marshal validates t and returns its form on the stream.
func Marshal(t *Task) ([]byte, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("task %s: %w", t.ID(), err)
	}
	return b, nil
}

// ErrPoison is the root of every error of [Unmarshal]: no retry can help.
var ErrPoison = errors.New("undecodable task")

// Unmarshal reads what [Marshal] wrote. Unknown fields are refused: they mean that the trainer is
// newer than this worker and asks for something it would not do.
func Unmarshal(b []byte) (*Task, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	t := &Task{}
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("%w: %w; use the same pith on every worker", ErrPoison, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: more than one value", ErrPoison)
	}
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPoison, err)
	}
	return t, nil
}

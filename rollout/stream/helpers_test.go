package stream

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pith/datasets"
	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

func TestMain(m *testing.M) {
	if runChild() {
		return
	}
	// The object store of nats.go 1.55 drops its status channel after each Put; where that happens
	// before the goroutine that watches it has started, the goroutine waits on nil for ever.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

func testConfig(t testing.TB) Config {
	c := Default("run-1", filepath.Join(t.TempDir(), "stream"))
	c.Unavailable = 5 * time.Second
	return c
}

func open(t testing.TB, c Config) *Stream {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// within bounds one wait of a test.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func aTask(group string, n int) *task.Task {
	return &task.Task{
		Run: "run-1", Step: 1, Split: datasets.Train, Group: group, Problem: datasets.Problem{ID: "p"}, Prompt: []int32{1, 2}, N: n,
		Strategy: "single", Params: engine.Params{MaxTokens: 8}, Policy: engine.PolicyRef{ID: "base"},
	}
}

func aTrace(group string, sample int) *traces.Trace {
	return &traces.Trace{
		Run: "run-1", Step: 1, Split: "train", Group: group, ID: fmt.Sprintf("%s/%d", group, sample), Sample: int32(sample),
		PromptTokens: []int32{1, 2}, Tokens: []int32{5, 6}, LogProbs: []float32{-1, -0.5}, Text: "4",
		Segments: []traces.Segment{{Kind: traces.Answer, Start: 0, End: 2, Train: true}},
		Spans:    []traces.Span{{Policy: "base", Start: 0, End: 2}}, Finish: traces.FinishStop, LengthTokens: 2,
	}
}

func publish(t testing.TB, s *Stream, group string, samples ...int) {
	t.Helper()
	var out []Outcome
	for _, i := range samples {
		out = append(out, Outcome{Task: group, Trace: aTrace(group, i)})
	}
	if err := s.PublishTraces(within(t, 10*time.Second), out); err != nil {
		t.Fatal(err)
	}
}

func collect(t testing.TB, s *Stream) *Delivery {
	t.Helper()
	d, err := s.Collect(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// quiet fails if an outcome arrives within a short while.
func quiet(t testing.TB, s *Stream) {
	t.Helper()
	if d, err := s.Collect(within(t, 150*time.Millisecond)); err == nil {
		t.Errorf("an outcome too many: %s", d.ID())
	}
}

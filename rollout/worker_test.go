package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pith/datasets"
	"pith/rollout/engine"
	"pith/rollout/strategy"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

// letters is a tokenizer of single letters.
type letters struct{}

func (letters) Encode(text string) (ids []int32, err error) {
	for _, r := range text {
		ids = append(ids, r)
	}
	return ids, nil
}
func (letters) Decode(ids []int32) string { return string(ids) }
func (letters) ID(s string) (int32, bool) { return int32(s[0]), len(s) == 1 }

// counting is an engine whose samples are a function of seed and sample index.
type counting struct {
	mu     sync.Mutex
	asked  []engine.SampleRequest
	before func(context.Context, engine.SampleRequest) error
	live   map[string]bool // nil = every policy is
	mine   int32           // a token of its own; 0 = none
}

func (c *counting) Caps(context.Context) (engine.SamplerCaps, error) {
	return engine.SamplerCaps{MaxContext: 64}, nil
}
func (c *counting) Close() error { return nil }

func (c *counting) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	if c.before != nil {
		if err := c.before(ctx, r); err != nil {
			return engine.SampleResult{}, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != nil && !c.live[r.Policy.ID] {
		return engine.SampleResult{}, &engine.Error{Class: engine.PolicyGone, Op: "sample"}
	}
	c.asked = append(c.asked, r)
	var res engine.SampleResult
	for i := range r.N {
		tokens := []int32{int32('a' + (r.Params.Seed+uint64(r.First+i))%26), '.'}
		if c.mine != 0 {
			tokens[0] = c.mine
		}
		res.Seqs = append(res.Seqs, engine.Sequence{
			Tokens: tokens, Logprobs: []float32{-1, -2}, Spans: []engine.Span{{Policy: r.Policy, End: 2}}, Finish: engine.FinishStop,
		})
	}
	return res, nil
}

func (c *counting) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, 0, &engine.Error{Class: engine.Unsupported, Op: "score"}
}

type bench struct {
	t      testing.TB
	stream *stream.Stream
	conf   stream.Config
}

func newBench(t testing.TB, change ...func(*stream.Config)) *bench {
	t.Helper()
	c := stream.Default("run-1", filepath.Join(t.TempDir(), "stream"))
	c.AckWait = 5 * time.Second
	for _, f := range change {
		f(&c)
	}
	s, err := stream.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, s, c}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) announce(step int64, weights []byte) engine.PolicyRef {
	b.t.Helper()
	ref := engine.PolicyRef{ID: fmt.Sprintf("p%d", step), Step: step}
	if err := b.stream.Announce(b.t.Context(), ref, weights); err != nil {
		b.t.Fatal(err)
	}
	return ref
}

func (b *bench) release(tasks ...*task.Task) {
	b.t.Helper()
	if err := b.stream.Release(b.t.Context(), tasks); err != nil {
		b.t.Fatal(err)
	}
}

func newTask(group string, n int, policy engine.PolicyRef) *task.Task {
	return &task.Task{
		Run: "run-1", Step: 1, Split: datasets.Train, Group: group, Problem: datasets.Problem{ID: "p", Prompt: "x"}, Prompt: []int32{'x'}, N: n,
		Strategy: "single", Params: engine.Params{MaxTokens: 8, Temperature: 1, TopP: 1, Seed: uint64(len(group))}, Policy: policy, Exact: true,
	}
}

// start runs a worker until the test or stop ends it.
func (b *bench) start(w *Worker) (stop func() error) {
	b.t.Helper()
	return b.startAs(w, letters{})
}

func (b *bench) startAs(w *Worker, tokens strategy.Tokenizer) (stop func() error) {
	b.t.Helper()
	if w.Queue == nil {
		w.Queue = b.stream
	}
	w.Tokens = tokens
	w.Backoff = Backoff{First: time.Millisecond, Longest: 5 * time.Millisecond, Attempts: 4}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan struct{})
	var err error
	go func() { defer close(ended); err = w.Run(ctx) }()
	stop = func() error { cancel(); <-ended; return err }
	b.t.Cleanup(func() { _ = stop() })
	return stop
}

// outcomes collects n outcomes, sorted by id.
func (b *bench) outcomes(n int) (ds []*stream.Delivery) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for range n {
		d, err := b.stream.Collect(ctx)
		if err != nil {
			b.t.Fatalf("after %d of %d outcomes: %v", len(ds), n, err)
		}
		ds = append(ds, d)
	}
	slices.SortFunc(ds, func(a, b *stream.Delivery) int { return strings.Compare(a.ID(), b.ID()) })
	return ds
}

// idle waits until no task is left.
func (b *bench) idle() {
	b.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		st, err := b.stream.Stats(b.t.Context())
		if err != nil {
			b.t.Fatal(err)
		}
		if st.Queued+st.Running == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("tasks are left: %+v", st)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func summary(ds []*stream.Delivery) (out []string) {
	for _, d := range ds {
		if d.Dead != nil {
			out = append(out, fmt.Sprintf("dead %s %s: %s", d.Dead.Kind, d.Task, d.Dead.Reason))
			continue
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", d.ID(), d.Trace.Text, d.Trace.Status, d.Trace.Error)))
	}
	return out
}

func TestAWorkerTurnsTasksIntoTraces(t *testing.T) {
	b := newBench(t)
	p := b.announce(0, nil)
	b.release(newTask("g", 2, p), newTask("gg", 1, p))
	b.start(&Worker{Name: "w1", Sampler: &counting{}, Concurrency: 3})
	got := b.outcomes(3)
	if diff := cmp.Diff([]string{"g/0 b.", "g/1 c.", "gg/0 c."}, summary(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if tm := got[0].Timing; tm.Worker != "w1" || tm.ID != "g/0" || tm.Queue <= 0 {
		t.Errorf("timing %+v", tm)
	}
	if got[0].Task != "g/0+2" {
		t.Errorf("of task %s", got[0].Task)
	}
	b.idle()
}

func TestTracesDoNotDependOnTheWorkers(t *testing.T) {
	collectWith := func(workers, concurrency int) (out [][]byte) {
		b := newBench(t)
		p := b.announce(0, nil)
		for i := range 30 {
			b.release(newTask(fmt.Sprintf("g%02d", i), 3, p))
		}
		for i := range workers {
			b.start(&Worker{Name: fmt.Sprint("w", i), Sampler: &counting{}, Concurrency: concurrency})
		}
		for _, d := range b.outcomes(90) {
			bytes, err := traces.Marshal(d.Trace, nil)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, bytes)
		}
		return out
	}
	if diff := cmp.Diff(collectWith(1, 1), collectWith(3, 4)); diff != "" {
		t.Error("three workers gave other traces than one")
	}
}

func TestPassingEngineErrorsAreWaitedOut(t *testing.T) {
	b := newBench(t)
	p := b.announce(0, nil)
	n := 0
	b.start(&Worker{Sampler: &counting{before: func(context.Context, engine.SampleRequest) error {
		if n++; n <= 3 {
			return &engine.Error{Class: []engine.Class{engine.Transient, engine.Busy}[n%2], Op: "sample"}
		}
		return nil
	}}})
	b.release(newTask("g", 1, p))
	if diff := cmp.Diff([]string{"g/0 b."}, summary(b.outcomes(1))); diff != "" || n != 4 {
		t.Errorf("after %d calls (-want +got):\n%s", n, diff)
	}
}

func TestAnEngineThatDoesNotRecoverSendsTheTaskBack(t *testing.T) {
	b := newBench(t)
	p := b.announce(0, nil)
	n := 0
	b.start(&Worker{Sampler: &counting{before: func(context.Context, engine.SampleRequest) error {
		if n++; n <= 4 { // the attempts of one delivery
			return &engine.Error{Class: engine.Transient, Op: "sample"}
		}
		return nil
	}}})
	b.release(newTask("g", 1, p))
	if diff := cmp.Diff([]string{"g/0 b."}, summary(b.outcomes(1))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSamplesThatFailForGoodAreCounted(t *testing.T) {
	b := newBench(t)
	p := b.announce(0, nil)
	b.start(&Worker{Sampler: &counting{before: func(context.Context, engine.SampleRequest) error {
		return &engine.Error{Class: engine.User, Op: "sample", Msg: "prompt too long"}
	}}})
	b.release(newTask("g", 2, p))
	want := []string{"g/0  failed sample: prompt too long (user)", "g/1  failed sample: prompt too long (user)"}
	if diff := cmp.Diff(want, summary(b.outcomes(2))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.idle()
}

func TestTasksThatNobodyCanRunDie(t *testing.T) {
	b := newBench(t)
	p := b.announce(0, nil)
	old := engine.PolicyRef{ID: "older", Step: -1}
	unknown, options, score, gone, panics := newTask("a", 2, p), newTask("b", 1, p), newTask("c", 1, p), newTask("d", 1, old), newTask("e", 1, p)
	unknown.Strategy = "guess"
	options.Options = json.RawMessage(`{"x":1}`)
	score.Strategy, score.Options = "anytime", json.RawMessage(`{"estimator":"probability"}`)
	score.Problem.Answer = "7"
	panics.Params.Seed = 99
	b.start(&Worker{Markers: strategy.Markers{EndThink: "."}, Sampler: &counting{before: func(_ context.Context, r engine.SampleRequest) error {
		if r.Params.Seed == 99 {
			panic("boom")
		}
		return nil
	}}})
	b.release(unknown, options, score, gone, panics)
	want := []string{
		`dead task a/0+2: no strategy "guess"; there are single, anytime, modes, tools, turns, refine, forced, hints`,
		`dead task b/0+1: strategy single: options: unknown field "x"`,
		"dead task c/0+1: score:  (unsupported)",
		"dead task d/0+1: policy older (step -1) is gone: newer ones have replaced it",
		"dead task e/0+1: panic: boom",
	}
	got := b.outcomes(5)
	if diff := cmp.Diff(want, summary(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := got[4].Dead; d.Deliveries != 2 || d.Task == nil || d.Task.N != 1 {
		t.Errorf("the task that panicked: %+v", d)
	}
	b.idle()
}

func TestAWorkerWaitsForTheWantedPolicy(t *testing.T) {
	b := newBench(t)
	s := &counting{}
	b.start(&Worker{Sampler: s, Concurrency: 4})
	p1 := engine.PolicyRef{ID: "p1", Step: 1}
	exact, atLeast := newTask("exact", 1, p1), newTask("least", 1, p1)
	atLeast.Exact = false
	b.release(exact, atLeast)
	b.announce(0, nil)
	time.Sleep(200 * time.Millisecond)
	if st, err := b.stream.Stats(t.Context()); err != nil || st.Outcomes != 0 || st.Running != 2 {
		t.Fatalf("before the policy: %+v, %v", st, err)
	}
	b.announce(1, nil)
	b.outcomes(2)
	b.announce(2, nil)
	time.Sleep(100 * time.Millisecond) // the announcement travels by itself
	again, newest := newTask("exact2", 1, p1), newTask("newest", 1, p1)
	newest.Exact = false
	b.release(again, newest)
	for _, d := range b.outcomes(2) {
		want := "p1"
		if d.Trace.Group == "newest" {
			want = "p2"
		}
		if got := d.Trace.Spans[0]; got.Policy != want {
			t.Errorf("%s was sampled from %s, want %s", d.ID(), got.Policy, want)
		}
	}
}

func TestAWorkerElsewhereLoadsWhatIsAnnounced(t *testing.T) {
	b := newBench(t, func(c *stream.Config) { c.Listen = "127.0.0.1:0" })
	c := b.conf
	c.URL, c.Listen, c.StoreDir = b.stream.URL(), "", ""
	remote, err := stream.Join(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	s := &counting{live: map[string]bool{}}
	var log []string
	stop := b.start(&Worker{
		Sampler: s, Queue: remote, Concurrency: 2,
		Load: func(_ context.Context, p engine.PolicyRef, weights []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.live[p.ID] = true
			log = append(log, "load "+p.ID+" "+string(weights))
			return nil
		},
		Unload: func(_ context.Context, p engine.PolicyRef) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.live, p.ID)
			log = append(log, "unload "+p.ID)
			return nil
		},
	})
	for step := range int64(4) {
		p := b.announce(step, fmt.Appendf(nil, "weights of %d", step))
		b.release(newTask(fmt.Sprintf("s%d/a", step), 1, p), newTask(fmt.Sprintf("s%d/b", step), 1, p))
		for _, d := range b.outcomes(2) {
			if d.Dead != nil || d.Trace.Spans[0].Policy != p.ID {
				t.Errorf("step %d: %v", step, summary([]*stream.Delivery{d}))
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	want := []string{"load p0 weights of 0", "load p1 weights of 1", "load p2 weights of 2", "unload p0", "load p3 weights of 3", "unload p1"}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABrokenWorkerStopsAndGivesItsTaskBack(t *testing.T) {
	for _, c := range []struct {
		name string
		w    *Worker
		want string
	}{
		{"a dead engine", &Worker{Sampler: &counting{before: func(context.Context, engine.SampleRequest) error {
			return &engine.Error{Class: engine.Fatal, Op: "sample", Msg: "key refused"}
		}}}, "key refused"},
		{"a policy that does not load", &Worker{Sampler: &counting{}, Load: func(context.Context, engine.PolicyRef, []byte) error { return errors.New("out of memory") }},
			"load policy p0: out of memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			p := b.announce(0, []byte("weights"))
			b.release(newTask("g", 1, p))
			c.w.Name, c.w.Queue, c.w.Tokens = "w9", b.stream, letters{}
			err := c.w.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "worker w9: ") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			b.start(&Worker{Sampler: &counting{}})
			if diff := cmp.Diff([]string{"g/0 b."}, summary(b.outcomes(1))); diff != "" {
				t.Errorf("another worker (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAStoppedWorkerGivesItsTasksBack(t *testing.T) {
	b := newBench(t)
	p := b.announce(0, nil)
	b.release(newTask("g", 1, p), newTask("h", 1, p))
	working := make(chan struct{}, 2)
	stop := b.start(&Worker{Concurrency: 2, Sampler: &counting{before: func(ctx context.Context, _ engine.SampleRequest) error {
		working <- struct{}{}
		<-ctx.Done()
		return &engine.Error{Class: engine.Transient, Op: "sample", Err: ctx.Err()}
	}}})
	<-working
	<-working
	if err := stop(); err != nil {
		t.Errorf("stopping is no error: %v", err)
	}
	b.start(&Worker{Sampler: &counting{}})
	if diff := cmp.Diff([]string{"g/0 b.", "h/0 b."}, summary(b.outcomes(2))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestATaskThatTakesTooLongIsTriedAgainAndThenDies(t *testing.T) {
	b := newBench(t, func(c *stream.Config) { c.MaxDeliver = 2 })
	p := b.announce(0, nil)
	b.start(&Worker{TaskTimeout: 50 * time.Millisecond, Sampler: &counting{before: func(ctx context.Context, _ engine.SampleRequest) error {
		<-ctx.Done()
		return &engine.Error{Class: engine.Transient, Op: "sample", Err: ctx.Err()}
	}}})
	b.release(newTask("g", 1, p))
	got := summary(b.outcomes(1))
	if len(got) != 1 || !strings.HasPrefix(got[0], "dead task g/0+1: delivered 2 times") {
		t.Errorf("got %v", got)
	}
}

func TestBackoffGrowsToItsLimitAndHeedsTheEngine(t *testing.T) {
	b := Backoff{First: 100 * time.Millisecond, Longest: time.Second, Attempts: 9}
	r := newRand(1)
	for attempt, top := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		top *= time.Millisecond
		if got := b.pause(attempt+1, 0, r); got < top/2 || got > top {
			t.Errorf("attempt %d: %v, want %v to %v", attempt+1, got, top/2, top)
		}
	}
	if got := b.pause(200, 0, r); got > time.Second {
		t.Errorf("attempt 200: %v", got)
	}
	if got := b.pause(1, 3*time.Second, r); got != 3*time.Second {
		t.Errorf("asked for 3 s: %v", got)
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pith/policies/model"
	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/fleet"
	"pith/rollout/engine/local"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

var small = model.Config{Arch: model.Qwen3, VocabSize: 40, HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
	HeadDim: 8, MaxContext: 96, RMSNormEps: 1e-6, RopeTheta: 10000, QKNorm: true, BOS: 1, EOS: 2}

func artifact(id string, step int64) engine.Artifact {
	w := model.NewWeights(small)
	w.Init(uint64(step)+1, model.InitOptions{EmbeddingSD: 0.3, LinearSD: 1 / math.Sqrt(float64(small.HiddenSize))})
	return engine.Artifact{Policy: engine.PolicyRef{ID: id, Step: step}, Kind: engine.ArtifactMemory, Digest: w.Digest(), Handle: w}
}

// quick makes repetitions immediate.
var quick = fleet.Options{First: time.Millisecond, Longest: 5 * time.Millisecond, Poll: 20 * time.Millisecond,
	Breaker: fleet.BreakerOptions{First: 20 * time.Millisecond, Longest: 100 * time.Millisecond}}

// flaky is a replica over a local engine whose calls can be made to fail.
type flaky struct {
	*local.Engine
	seeded, partial bool
	before          func(r engine.SampleRequest) error                           // instead of the call
	after           func(r engine.SampleRequest, res *engine.SampleResult) error // what becomes of its answer
	publish         func(a engine.Artifact) error
	down            atomic.Bool
	calls           atomic.Int64
}

func newFlaky(t *testing.T, name string) *flaky {
	e := local.New(local.Options{Slots: 24, Name: name})
	t.Cleanup(func() { _ = e.Close() })
	return &flaky{Engine: e, seeded: true, partial: true}
}

var errDown = &engine.Error{Class: engine.Transient, Op: "test", Msg: "connection reset"}

func (f *flaky) Caps(ctx context.Context) (engine.SamplerCaps, error) {
	c, err := f.Engine.Caps(ctx)
	c.Seeded, c.PartialOnAbort = f.seeded, f.partial
	return c, err
}

func (f *flaky) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	f.calls.Add(1)
	if f.down.Load() {
		return engine.SampleResult{}, errDown
	}
	if f.before != nil {
		if err := f.before(r); err != nil {
			return engine.SampleResult{}, err
		}
	}
	res, err := f.Engine.Sample(ctx, r)
	if err == nil && f.after != nil {
		err = f.after(r, &res)
	}
	return res, err
}

func (f *flaky) Publish(ctx context.Context, a engine.Artifact) (engine.PolicyRef, error) {
	if f.down.Load() {
		return engine.PolicyRef{}, errDown
	}
	if f.publish != nil {
		if err := f.publish(a); err != nil {
			return engine.PolicyRef{}, err
		}
	}
	return f.Engine.Publish(ctx, a)
}

func (f *flaky) Live(ctx context.Context) ([]engine.PolicyRef, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Engine.Live(ctx)
}

func (f *flaky) Stats(ctx context.Context) ([]engine.Stats, error) {
	if f.down.Load() {
		return nil, errDown
	}
	return f.Engine.Stats(ctx)
}

// open makes a fleet of flaky replicas with one policy.
func open(t *testing.T, o fleet.Options, replicas ...*flaky) (*fleet.Fleet, engine.PolicyRef) {
	t.Helper()
	var rs []fleet.Replica
	for i, r := range replicas {
		rs = append(rs, fleet.Replica{Name: fmt.Sprintf("r%d", i), Sampler: r, Publisher: r, Observer: r})
	}
	f, err := fleet.New(rs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Caps(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := artifact("p0", 0)
	if _, err := f.Publish(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return f, a.Policy
}

func request(id string, p engine.PolicyRef, n int) engine.SampleRequest {
	return engine.SampleRequest{ID: id, Policy: p, Prompt: []int32{1, 5, 9}, N: n,
		Params: engine.Params{MaxTokens: 24, Temperature: 1, TopP: 1, Seed: 11, StopTokens: []int32{2}}}
}

// tokens are the samples of a result.
func tokens(res engine.SampleResult) (out [][]int32) {
	for _, s := range res.Seqs {
		out = append(out, s.Tokens)
	}
	return out
}

// want is what a single engine draws.
func want(t *testing.T, r engine.SampleRequest) [][]int32 {
	t.Helper()
	e := local.New(local.Options{Slots: 8})
	defer func() { _ = e.Close() }()
	if _, err := e.Publish(t.Context(), artifact(r.Policy.ID, r.Policy.Step)); err != nil {
		t.Fatal(err)
	}
	res, err := e.Sample(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return tokens(res)
}

func TestConformance(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d local engines", n), func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				var rs []fleet.Replica
				for i := range n {
					e := local.New(local.Options{Slots: 24})
					rs = append(rs, fleet.Replica{Name: fmt.Sprint(i), Sampler: e, Publisher: e, Observer: e})
				}
				f, err := fleet.New(rs, fleet.Options{Controller: fleet.ControllerOptions{Start: 64}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = f.Close() })
				if _, err := f.Caps(t.Context()); err != nil {
					t.Fatal(err)
				}
				return enginetest.Target{Sampler: f, Publisher: f, First: artifact("p1", 1), Second: artifact("p2", 2),
					Prompt: []int32{1, 7, 9, 30, 12}, Vocab: small.VocabSize, Stop: 2, Tokens: 40}
			})
		})
	}
}

func TestAFailedCallIsMadeAgainAsItWas(t *testing.T) {
	for name, fail := range map[string]func(r engine.SampleRequest, res *engine.SampleResult) error{
		"the answer is lost": func(_ engine.SampleRequest, res *engine.SampleResult) error {
			*res = engine.SampleResult{}
			return errDown
		},
		"half of the answer comes": func(_ engine.SampleRequest, res *engine.SampleResult) error {
			for i := range res.Seqs {
				cut(&res.Seqs[i], len(res.Seqs[i].Tokens)/2)
			}
			return errDown
		},
		"only the word that it was over is lost": func(_ engine.SampleRequest, res *engine.SampleResult) error {
			for i := range res.Seqs {
				cut(&res.Seqs[i], len(res.Seqs[i].Tokens))
			}
			return errDown
		},
		"one of the sequences breaks off": func(_ engine.SampleRequest, res *engine.SampleResult) error {
			cut(&res.Seqs[0], 1)
			return errDown
		},
		"it is refused": func(_ engine.SampleRequest, res *engine.SampleResult) error {
			*res = engine.SampleResult{}
			return &engine.Error{Class: engine.Busy, Op: "test", Wait: 5 * time.Millisecond}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newFlaky(t, "a"), newFlaky(t, "b")
			var once atomic.Bool
			a.after = func(r engine.SampleRequest, res *engine.SampleResult) error {
				if once.CompareAndSwap(false, true) {
					return fail(r, res)
				}
				return nil
			}
			b.after = a.after
			f, p := open(t, quick, a, b)
			r := request("x", p, 4)
			res, err := f.Sample(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want(t, r), tokens(res)); diff != "" {
				t.Errorf("the samples changed (-want +got):\n%s", diff)
			}
			for i, s := range res.Seqs {
				if len(s.Spans) != 1 || s.Spans[0].End != len(s.Tokens) || len(s.Logprobs) != len(s.Tokens) || s.Finish == engine.FinishAborted {
					t.Errorf("sequence %d does not hold together: %d tokens, %d log-probabilities, spans %v, finish %d", i, len(s.Tokens), len(s.Logprobs), s.Spans, s.Finish)
				}
			}
			got := f.Account()
			if got.Calls != 1 || got.Answered != 1 || got.Repeated+got.Continued+got.Completed == 0 {
				t.Errorf("account %+v", got)
			}
		})
	}
}

// cut leaves the first n tokens of a sequence, as if it had been broken off.
func cut(s *engine.Sequence, n int) {
	s.Tokens, s.Logprobs, s.Entropies, s.Finish = s.Tokens[:n], s.Logprobs[:n], s.Entropies[:n], engine.FinishAborted
	s.Spans = nil
	if n > 0 {
		s.Spans = []engine.Span{{Policy: engine.PolicyRef{ID: "p0"}, End: n}}
	}
}

func TestWithoutSeedsALostAnswerIsLost(t *testing.T) {
	a, b := newFlaky(t, "a"), newFlaky(t, "b")
	for _, r := range []*flaky{a, b} {
		r.seeded, r.partial = false, false
		r.after = func(_ engine.SampleRequest, res *engine.SampleResult) error {
			*res = engine.SampleResult{}
			return errDown
		}
	}
	f, p := open(t, quick, a, b)
	_, err := f.Sample(t.Context(), request("x", p, 2))
	if class, _ := engine.ClassOf(err); class != engine.Malformed || !errors.Is(err, fleet.ErrLost) {
		t.Errorf("error is %v, want ErrLost of class malformed", err)
	}
	if n := a.calls.Load() + b.calls.Load(); n != 1 {
		t.Errorf("%d calls, want 1: a second one would be another sample", n)
	}
	if got := f.Account(); got.Lost != 1 || got.Open() != 0 {
		t.Errorf("account %+v", got)
	}
}

func TestWithoutSeedsARefusedRequestIsMadeAgain(t *testing.T) {
	a := newFlaky(t, "a")
	a.seeded, a.partial = false, false
	a.before = func(engine.SampleRequest) error {
		if a.calls.Load() < 3 {
			return &engine.Error{Class: engine.Busy, Op: "test", Wait: time.Millisecond}
		}
		return nil
	}
	f, p := open(t, quick, a)
	if _, err := f.Sample(t.Context(), request("x", p, 2)); err != nil {
		t.Fatal(err)
	}
}

func TestADeadReplicaIsLeftAloneAndComesBackWithWhatItMissed(t *testing.T) {
	a, b := newFlaky(t, "a"), newFlaky(t, "b")
	f, p := open(t, quick, a, b)
	b.down.Store(true)
	for i := range 20 {
		if _, err := f.Sample(t.Context(), request(fmt.Sprint(i), p, 1)); err != nil {
			t.Fatal(err)
		}
	}
	next := artifact("p1", 1)
	if _, err := f.Publish(t.Context(), next); err != nil {
		t.Fatalf("publish with one replica down: %v", err)
	}
	before := b.calls.Load()
	for i := range 20 {
		if _, err := f.Sample(t.Context(), request(fmt.Sprint("n", i), next.Policy, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.calls.Load() - before; n != 0 {
		t.Errorf("the replica that missed the publish was asked %d times", n)
	}
	b.down.Store(false)
	for deadline := time.Now().Add(10 * time.Second); b.calls.Load() == before; {
		if time.Now().After(deadline) {
			t.Fatal("the replica never came back")
		}
		r := request("later", next.Policy, 1)
		r.Prompt = []int32{1, int32(3 + time.Now().UnixNano()%30)}
		if _, err := f.Sample(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	live, err := b.Live(t.Context())
	if err != nil || !slices.Contains(live, next.Policy) || !slices.Contains(live, p) {
		t.Errorf("it serves %v (%v), want both policies", live, err)
	}
}

func TestAPublishThatOneReplicaRefusesIsTakenBack(t *testing.T) {
	a, b := newFlaky(t, "a"), newFlaky(t, "b")
	f, p := open(t, quick, a, b)
	b.publish = func(engine.Artifact) error {
		return &engine.Error{Class: engine.User, Op: "publish", Msg: "no room on the disk"}
	}
	next := artifact("p1", 1)
	_, err := f.Publish(t.Context(), next)
	if class, _ := engine.ClassOf(err); class != engine.User {
		t.Errorf("error is %v, want one of class user", err)
	}
	live, err := a.Live(t.Context())
	if diff := cmp.Diff([]engine.PolicyRef{p}, live); err != nil || diff != "" {
		t.Errorf("the other replica (%v; -want +got):\n%s", err, diff)
	}
	b.publish = nil
	if _, err := f.Publish(t.Context(), next); err != nil {
		t.Errorf("publish again: %v", err)
	}
}

func TestAReplicaThatRestartedIsBroughtUpToDate(t *testing.T) {
	a := newFlaky(t, "a")
	f, p := open(t, quick, a)
	if err := a.Retire(t.Context(), p); err != nil { // as a restart would
		t.Fatal(err)
	}
	_, err := f.Sample(t.Context(), request("x", p, 1))
	if class, _ := engine.ClassOf(err); err != nil && class != engine.PolicyGone {
		t.Fatal(err)
	}
	if _, err := f.Sample(t.Context(), request("y", p, 1)); err != nil {
		t.Errorf("after it was published again: %v", err)
	}
}

func TestCallsWithOnePromptMeetOnOneReplica(t *testing.T) {
	replicas := []*flaky{newFlaky(t, "a"), newFlaky(t, "b"), newFlaky(t, "c")}
	f, p := open(t, fleet.Options{Controller: fleet.ControllerOptions{Start: 64}}, replicas...)
	servers := map[string]bool{}
	for i := range 9 {
		r := request(fmt.Sprint(i), p, 1)
		r.First = i
		res, err := f.Sample(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		servers[res.Server] = true
	}
	if len(servers) != 1 {
		t.Errorf("one prompt went to %d replicas", len(servers))
	}
	for i := range 60 {
		r := request(fmt.Sprint("other", i), p, 1)
		r.Prompt = []int32{1, int32(i % 30), int32(i / 30)}
		res, err := f.Sample(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		servers[res.Server] = true
	}
	if len(servers) != 3 {
		t.Errorf("sixty prompts went to %d replicas, want 3", len(servers))
	}
}

func TestLimitsAreKeptAndTheQueueIsBounded(t *testing.T) {
	a := newFlaky(t, "a")
	var running, most atomic.Int64
	release := make(chan struct{})
	a.before = func(r engine.SampleRequest) error {
		n := running.Add(int64(r.N))
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		running.Add(-int64(r.N))
		return nil
	}
	o := quick
	o.Controller = fleet.ControllerOptions{Start: 6, Most: 6}
	o.MaxWaiting = 5
	f, p := open(t, o, a)
	time.Sleep(50 * time.Millisecond) // the slow start after the publish
	errs := make([]error, 12)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = f.Sample(t.Context(), request(fmt.Sprint(i), p, 2)) })
	}
	time.Sleep(100 * time.Millisecond)
	close(release)
	wg.Wait()
	busy := 0
	for _, err := range errs {
		if class, _ := engine.ClassOf(err); err != nil && class == engine.Busy {
			busy++
		} else if err != nil {
			t.Error(err)
		}
	}
	if most.Load() > 6 {
		t.Errorf("%d sequences at once, the limit is 6", most.Load())
	}
	if busy == 0 || busy > 6 {
		t.Errorf("%d of 12 calls were told that the fleet is busy, want the 4 to 6 that found the queue full", busy)
	}
	if got := f.Account(); got.Calls != 12 || got.Open() != 0 || got.Refused != int64(busy) {
		t.Errorf("account %+v", got)
	}
}

func TestDrainingLetsCallsEndAndTakesNoMore(t *testing.T) {
	a, b := newFlaky(t, "a"), newFlaky(t, "b")
	f, p := open(t, quick, a, b)
	if err := f.Drain(t.Context(), "r0"); err != nil {
		t.Fatal(err)
	}
	before := a.calls.Load()
	next := artifact("p1", 1)
	for i := range 20 {
		r := request(fmt.Sprint(i), p, 1)
		r.Prompt = []int32{1, int32(i)}
		if _, err := f.Sample(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Publish(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if n := a.calls.Load() - before; n != 0 {
		t.Errorf("a drained replica was asked %d times", n)
	}
	if err := f.Restore("r0"); err != nil {
		t.Fatal(err)
	}
	if err := f.Drain(t.Context(), "nobody"); err == nil {
		t.Error("a replica that does not exist was drained")
	}
}

func TestAPauseHoldsCallsBack(t *testing.T) {
	for _, mode := range []engine.FenceMode{engine.FenceDrain, engine.FenceAbort} {
		f, p := open(t, quick, newFlaky(t, "a"), newFlaky(t, "b"))
		r := request("x", p, 3)
		started := make(chan struct{})
		var res engine.SampleResult
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { close(started); res, err = f.Sample(t.Context(), r) })
		<-started
		if err := f.Pause(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		held := make(chan struct{})
		wg.Go(func() {
			if _, err := f.Sample(t.Context(), request("y", p, 1)); err != nil {
				t.Errorf("a call that was held back: %v", err)
			}
			close(held)
		})
		select {
		case <-held:
			t.Error("a call passed a paused fleet")
		case <-time.After(50 * time.Millisecond):
		}
		if err := f.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err != nil {
			t.Fatalf("mode %d: the call that was running: %v", mode, err)
		}
		if diff := cmp.Diff(want(t, r), tokens(res)); diff != "" {
			t.Errorf("mode %d changed the samples (-want +got):\n%s", mode, diff)
		}
	}
	f, _ := open(t, quick, newFlaky(t, "a"))
	err := f.Pause(t.Context(), engine.FenceFreeze)
	if class, _ := engine.ClassOf(err); class != engine.Unsupported {
		t.Errorf("freezing without a fence: %v, want one of class unsupported", err)
	}
}

func TestACallThatHangsIsTakenElsewhere(t *testing.T) {
	a, b := newFlaky(t, "a"), newFlaky(t, "b")
	var first atomic.Bool
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	stuck := func(engine.SampleRequest) error {
		if first.CompareAndSwap(false, true) {
			select {
			case <-hang:
			case <-time.After(300 * time.Millisecond):
			}
			return errDown
		}
		return nil
	}
	a.before, b.before = stuck, stuck
	o := quick
	o.CallTimeout = 30 * time.Millisecond
	f, p := open(t, o, a, b)
	r := request("x", p, 2)
	res, err := f.Sample(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want(t, r), tokens(res)); diff != "" {
		t.Errorf("the samples changed (-want +got):\n%s", diff)
	}
}

func TestWrongFleetsAreRefused(t *testing.T) {
	e := newFlaky(t, "a")
	for name, rs := range map[string][]fleet.Replica{
		"no replica": nil,
		"no name":    {{Sampler: e}},
		"no sampler": {{Name: "a"}},
		"one name":   {{Name: "a", Sampler: e}, {Name: "a", Sampler: e}},
	} {
		_, err := fleet.New(rs, fleet.Options{})
		if class, ok := engine.ClassOf(err); !ok || class != engine.User {
			t.Errorf("%s: %v", name, err)
		}
	}
}

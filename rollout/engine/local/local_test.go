package local_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pith/policies/model"
	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/local"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

var (
	_ engine.Sampler   = (*local.Engine)(nil)
	_ engine.Publisher = (*local.Engine)(nil)
	_ engine.Observer  = (*local.Engine)(nil)
)

var small = model.Config{Arch: model.Qwen3, VocabSize: 40, HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
	HeadDim: 8, MaxContext: 96, RMSNormEps: 1e-6, RopeTheta: 10000, QKNorm: true, BOS: 1, EOS: 2}

// weights are random, with next-token distributions neither flat nor certain.
func weights(seed uint64) *model.Weights {
	w := model.NewWeights(small)
	w.Init(seed, model.InitOptions{EmbeddingSD: 0.3, LinearSD: 1 / math.Sqrt(float64(small.HiddenSize))})
	return w
}

func artifact(id string, step int64, w *model.Weights) engine.Artifact {
	return engine.Artifact{Policy: engine.PolicyRef{ID: id, Step: step}, Kind: engine.ArtifactMemory, Digest: w.Digest(), Handle: w}
}

func TestConformance(t *testing.T) {
	for name, kind := range map[string]engine.ArtifactKind{"memory": engine.ArtifactMemory, "directory": engine.ArtifactModelDir} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) enginetest.Target {
				e := local.New(local.Options{Slots: 24})
				t.Cleanup(func() { e.Close() })
				first, second := artifact("p1", 1, weights(1)), artifact("p2", 2, weights(2))
				if kind == engine.ArtifactModelDir {
					for _, a := range []*engine.Artifact{&first, &second} {
						a.Path, a.Kind = t.TempDir(), kind
						if err := a.Handle.(*model.Weights).Save(a.Path); err != nil {
							t.Fatal(err)
						}
						a.Handle = nil
					}
				}
				return enginetest.Target{Sampler: e, Publisher: e, First: first, Second: second,
					Prompt: []int32{1, 7, 9, 30, 12}, Vocab: small.VocabSize, Stop: 2, Tokens: 40}
			})
		})
	}
}

// start returns an engine with one policy.
func start(t *testing.T, o local.Options) (*local.Engine, engine.PolicyRef) {
	t.Helper()
	e := local.New(o)
	t.Cleanup(func() { e.Close() })
	ref, err := e.Publish(t.Context(), artifact("p", 0, weights(3)))
	if err != nil {
		t.Fatal(err)
	}
	return e, ref
}

func request(ref engine.PolicyRef, n, tokens int) engine.SampleRequest {
	return engine.SampleRequest{ID: "r", Policy: ref, Prompt: []int32{1, 2, 3}, N: n,
		Params: engine.Params{MaxTokens: tokens, Temperature: 1, TopP: 1}}
}

func TestACancelledCallFreesItsSlotsForTheOthers(t *testing.T) {
	e, ref := start(t, local.Options{Slots: 2})
	ctx, cancel := context.WithCancel(t.Context())
	blocked := make(chan error, 1)
	go func() {
		res, err := e.Sample(ctx, request(ref, 100_000, 90))
		if err == nil || len(res.Seqs) != 100_000 {
			blocked <- fmt.Errorf("%d sequences and error %w", len(res.Seqs), err)
			return
		}
		blocked <- err
	}()
	for { // until it runs
		st, err := e.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st[0].Running > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	other := make(chan error, 1)
	go func() {
		_, err := e.Sample(t.Context(), request(ref, 3, 20))
		other <- err
	}()
	select {
	case err := <-other:
		t.Fatalf("the second call overtook the first: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	cancel()
	if err := <-blocked; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := <-other; err != nil {
		t.Error(err)
	}
}

func TestTooManyWaitingSamplesMeetBackPressure(t *testing.T) {
	e, ref := start(t, local.Options{Slots: 1, MaxWaiting: 1000})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := e.Sample(ctx, request(ref, 1000, 90))
		done <- err
	}()
	for {
		if st, _ := e.Stats(t.Context()); st[0].Waiting+st[0].Running == 1000 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	_, err := e.Sample(t.Context(), request(ref, 500, 1))
	if c, _ := engine.ClassOf(err); c != engine.Busy {
		t.Errorf("error is %v, want class busy", err)
	}
	_, err = e.Sample(t.Context(), request(ref, 1001, 1))
	if c, _ := engine.ClassOf(err); c != engine.User {
		t.Errorf("error is %v, want class user: such a call can never be served", err)
	}
	cancel()
	<-done
}

func TestPublishedWeightsMayChangeAfterwards(t *testing.T) {
	e := local.New(local.Options{})
	defer e.Close()
	w := weights(4)
	ref, err := e.Publish(t.Context(), artifact("p", 0, w))
	if err != nil {
		t.Fatal(err)
	}
	score := func() []float32 {
		out, _, err := e.Score(t.Context(), ref, [][]int32{{1, 2, 3, 4}})
		if err != nil {
			t.Fatal(err)
		}
		return out[0][1:]
	}
	before := score()
	clear(w.Flat())
	for i, l := range score() {
		if l != before[i] {
			t.Fatal("the engine reads the learner's memory")
		}
	}
}

func TestADivergedPolicyIsReported(t *testing.T) {
	e := local.New(local.Options{})
	defer e.Close()
	w := weights(5)
	w.Norm[0] = float32(math.NaN())
	ref, err := e.Publish(t.Context(), artifact("p", 0, w))
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.Sample(t.Context(), request(ref, 4, 10))
	if c, _ := engine.ClassOf(err); c != engine.Malformed {
		t.Errorf("error is %v, want class malformed", err)
	}
}

func TestTheNumberOfPoliciesIsBounded(t *testing.T) {
	e := local.New(local.Options{MaxPolicies: 2})
	defer e.Close()
	for i := range 2 {
		if _, err := e.Publish(t.Context(), artifact(fmt.Sprint(i), int64(i), weights(uint64(i)))); err != nil {
			t.Fatal(err)
		}
	}
	_, err := e.Publish(t.Context(), artifact("2", 2, weights(2)))
	if c, _ := engine.ClassOf(err); c != engine.User {
		t.Errorf("error is %v, want class user", err)
	}
	if err := e.Retire(t.Context(), engine.PolicyRef{ID: "0"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Publish(t.Context(), artifact("2", 2, weights(2))); err != nil {
		t.Error(err)
	}
}

func TestARetiredPolicyFinishesWhatRuns(t *testing.T) {
	e, ref := start(t, local.Options{Slots: 4})
	done := make(chan error, 1)
	go func() {
		res, err := e.Sample(t.Context(), request(ref, 200, 50))
		if err == nil {
			for _, q := range res.Seqs {
				if q.Finish != engine.FinishLength || q.Spans[0].Policy != ref {
					err = fmt.Errorf("sequence ended with %d on %v", q.Finish, q.Spans)
				}
			}
		}
		done <- err
	}()
	for {
		if st, _ := e.Stats(t.Context()); st[0].Running > 0 {
			break
		}
		time.Sleep(100 * time.Microsecond)
	}
	if err := e.Retire(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestIdleTimeGrowsOnlyWhileNothingRuns(t *testing.T) {
	e, ref := start(t, local.Options{})
	idle := func() time.Duration {
		st, err := e.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st[0].Idle
	}
	a := idle()
	time.Sleep(20 * time.Millisecond)
	b := idle()
	if b-a < 15*time.Millisecond {
		t.Errorf("idle for 20 ms, counted %v", b-a)
	}
	began := time.Now()
	res, err := e.Sample(t.Context(), request(ref, 2000, 60))
	if err != nil {
		t.Fatal(err)
	}
	busy, c := time.Since(began), idle()
	if c-b > busy/2 {
		t.Errorf("%v of %v at work were counted as idle", c-b, busy)
	}
	if res.Run <= 0 || res.FirstToken < res.Queue || res.Run > busy {
		t.Errorf("queue %v, first token %v, run %v of %v", res.Queue, res.FirstToken, res.Run, busy)
	}
}

func TestManyCallersSampleScoreAndPublishAtOnce(t *testing.T) {
	e, ref := start(t, local.Options{Slots: 8})
	want, err := e.Sample(t.Context(), request(ref, 2, 20))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			switch i % 4 {
			case 0, 1:
				got, err := e.Sample(t.Context(), request(ref, 2, 20))
				if err != nil || got.Seqs[1].Logprobs[19] != want.Seqs[1].Logprobs[19] {
					t.Errorf("sample: %v", err)
				}
			case 2:
				if _, _, err := e.Score(t.Context(), ref, [][]int32{want.Seqs[0].Tokens, want.Seqs[1].Tokens}); err != nil {
					t.Errorf("score: %v", err)
				}
			case 3:
				id := fmt.Sprint("extra", i)
				if p, err := e.Publish(t.Context(), artifact(id, int64(i), weights(uint64(i)))); err != nil {
					t.Errorf("publish: %v", err)
				} else if err := e.Retire(t.Context(), p); err != nil {
					t.Errorf("retire: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestACallGetsTheLogProbabilitiesItAsksFor(t *testing.T) {
	e, ref := start(t, local.Options{})
	r := request(ref, 3, 30)
	r.Params.Temperature, r.Params.TopK, r.Kind = 0.7, 5, engine.LogprobRaw
	res, err := e.Sample(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range res.Seqs {
		scores, _, err := e.Score(t.Context(), ref, [][]int32{append(append([]int32(nil), r.Prompt...), q.Tokens...)})
		if err != nil {
			t.Fatal(err)
		}
		if q.Kind != engine.LogprobRaw {
			t.Errorf("kind is %d, want raw", q.Kind)
		}
		for i, l := range q.Logprobs {
			if want := scores[0][len(r.Prompt)+i]; math.Abs(float64(l-want)) > 1e-5 {
				t.Errorf("token %d has log-probability %v, the policy's is %v", i, l, want)
			}
		}
	}
}

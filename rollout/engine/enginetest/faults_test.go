package enginetest_test

import (
	"context"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pith/policies/model"
	"pith/rollout/engine"
	"pith/rollout/engine/enginetest"
	"pith/rollout/engine/local"
)

// faulty is a good engine with one thing wrong.
type faulty struct {
	*local.Engine
	request func(*engine.SampleRequest)
	result  func(engine.SampleRequest, *engine.SampleResult)
	score   func([][]float32)
	noError bool // errors are swallowed
}

func (f faulty) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	asked := r
	if f.request != nil {
		f.request(&r)
	}
	res, err := f.Engine.Sample(ctx, r)
	if err == nil && f.result != nil {
		f.result(asked, &res)
	}
	if f.noError {
		err = nil
	}
	return res, err
}

func (f faulty) Score(ctx context.Context, p engine.PolicyRef, tokens [][]int32) ([][]float32, engine.LogprobKind, error) {
	out, kind, err := f.Engine.Score(ctx, p, tokens)
	if err == nil && f.score != nil {
		f.score(out)
	}
	return out, kind, err
}

// each changes every sequence of a result.
func each(change func(r engine.SampleRequest, q *engine.Sequence)) faulty {
	return faulty{result: func(r engine.SampleRequest, res *engine.SampleResult) {
		for i := range res.Seqs {
			change(r, &res.Seqs[i])
		}
	}}
}

var calls atomic.Uint64

// faults are engines that the suite has to refuse.
var faults = map[string]faulty{
	"":                             {}, // none: it has to pass
	"a log-probability is missing": each(func(_ engine.SampleRequest, q *engine.Sequence) { q.Logprobs = q.Logprobs[:len(q.Logprobs)-1] }),
	"log-probabilities are a little off": each(func(_ engine.SampleRequest, q *engine.Sequence) {
		for i := range q.Logprobs {
			q.Logprobs[i] -= 1e-4
		}
	}),
	"a log-probability is not finite": each(func(_ engine.SampleRequest, q *engine.Sequence) { q.Logprobs[0] = float32(math.Inf(-1)) }),
	"spans leave a token out":         each(func(_ engine.SampleRequest, q *engine.Sequence) { q.Spans[0].End-- }),
	"spans name another policy":       each(func(_ engine.SampleRequest, q *engine.Sequence) { q.Spans[0].Policy.Step++ }),
	"the kind is wrong":               each(func(_ engine.SampleRequest, q *engine.Sequence) { q.Kind = engine.LogprobUnknown }),
	"the stop token is dropped": each(func(_ engine.SampleRequest, q *engine.Sequence) {
		if q.Finish == engine.FinishStop {
			n := len(q.Tokens) - 1
			q.Tokens, q.Logprobs, q.Entropies = q.Tokens[:n], q.Logprobs[:n], q.Entropies[:n]
			q.Spans[0].End = n
		}
	}),
	"every end is a length":          each(func(_ engine.SampleRequest, q *engine.Sequence) { q.Finish = engine.FinishLength }),
	"a sequence is missing":          {result: func(_ engine.SampleRequest, res *engine.SampleResult) { res.Seqs = res.Seqs[1:] }},
	"sequences are in another order": {result: func(_ engine.SampleRequest, res *engine.SampleResult) { slices.Reverse(res.Seqs) }},
	"seeds are ignored":              {request: func(r *engine.SampleRequest) { r.Params.Seed = calls.Add(1) }},
	"there is one seed":              {request: func(r *engine.SampleRequest) { r.Params.Seed = 0 }},
	"the first index is ignored":     {request: func(r *engine.SampleRequest) { r.First = 0 }},
	"the prefix is not counted":      {request: func(r *engine.SampleRequest) { r.Params.MaxTokens += len(r.Prefix) }},
	"the prefix is ignored":          {request: func(r *engine.SampleRequest) { r.Prefix = nil }},
	"greedy is not": {request: func(r *engine.SampleRequest) {
		if r.Params.Temperature == 0 {
			r.Params.Temperature = 1
		}
	}},
	"filters are ignored":         {request: func(r *engine.SampleRequest) { r.Params.TopK, r.Params.TopP, r.Params.MinP = 0, 1, 0 }},
	"the least length is ignored": {request: func(r *engine.SampleRequest) { r.Params.MinTokens = 0 }},
	"scores are of another temperature": {score: func(all [][]float32) {
		for _, s := range all {
			for i := range s {
				s[i] *= 0.9
			}
		}
	}},
	"scores are shifted": {score: func(all [][]float32) {
		for _, s := range all {
			if len(s) > 1 {
				copy(s, s[1:])
			}
		}
	}},
	"time-outs are ignored": {request: func(r *engine.SampleRequest) { r.Timeout = 0 }},
	"errors are swallowed":  {noError: true},
	"one policy answers for all": {request: func(r *engine.SampleRequest) {
		if r.Policy.ID == "p2" {
			r.Policy = engine.PolicyRef{ID: "p1", Step: 1}
		}
	}, result: func(r engine.SampleRequest, res *engine.SampleResult) {
		for i := range res.Seqs {
			for k := range res.Seqs[i].Spans {
				res.Seqs[i].Spans[k].Policy = r.Policy
			}
		}
	}},
}

const faultVariable = "PITH_ENGINETEST_FAULT"

// TestFaulty runs the suite on the engine that the environment names. It is run by the test below,
// in a process of its own, because there it has to fail.
func TestFaulty(t *testing.T) {
	name, ok := os.LookupEnv(faultVariable)
	if !ok {
		t.Skip("run by TestEveryFaultIsFound")
	}
	f, ok := faults[name]
	if !ok {
		t.Skipf("no fault is called %q", name)
	}
	config := model.Config{Arch: model.Llama, VocabSize: 24, HiddenSize: 16, IntermediateSize: 24, NumLayers: 1, NumHeads: 2, NumKVHeads: 2,
		HeadDim: 8, MaxContext: 48, RMSNormEps: 1e-6, RopeTheta: 10000, BOS: 1, EOS: 2}
	enginetest.Run(t, func(t *testing.T) enginetest.Target {
		e := local.New(local.Options{Slots: 32})
		t.Cleanup(func() { e.Close() })
		engineUnderTest := f
		engineUnderTest.Engine = e
		artifact := func(id string, step int64) engine.Artifact {
			w := model.NewWeights(config)
			w.Init(uint64(step), model.InitOptions{EmbeddingSD: 0.4})
			return engine.Artifact{Policy: engine.PolicyRef{ID: id, Step: step}, Kind: engine.ArtifactMemory, Digest: w.Digest(), Handle: w}
		}
		return enginetest.Target{Sampler: engineUnderTest, Publisher: e, First: artifact("p1", 1), Second: artifact("p2", 2),
			Prompt: []int32{1, 7, 9}, Vocab: config.VocabSize, Stop: 2, Tokens: 20}
	})
}

// A suite that cannot fail proves nothing: every fault has to be found, and the engine without one
// has to pass.
func TestEveryFaultIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each fault")
	}
	for name := range faults {
		t.Run(name, func(t *testing.T) {
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFaulty$")
			c.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := c.CombinedOutput()
			switch {
			case name == "" && err != nil:
				t.Errorf("the engine without a fault fails:\n%s", out)
			case name != "" && err == nil:
				t.Errorf("the suite does not see it:\n%s", out)
			case name != "" && !strings.Contains(string(out), "--- FAIL"):
				t.Errorf("the process did not fail in a test:\n%s", out)
			}
		})
	}
}

package local_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"pith/policies/model"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
)

// quickstart is the shape of the policy that ships with pith, 0.5 M parameters.
var quickstart = model.Config{Arch: model.Llama, VocabSize: 64, HiddenSize: 128, IntermediateSize: 256, NumLayers: 3,
	NumHeads: 4, NumKVHeads: 4, HeadDim: 32, MaxContext: 288, RMSNormEps: 1e-5, RopeTheta: 1000, TieEmbeddings: true, BOS: 1, EOS: 2}

const groups, samples = 16, 12 // of one step of the quickstart

// serve starts an engine with a fresh quickstart policy.
func serve(b *testing.B, o local.Options) (*local.Engine, engine.PolicyRef) {
	b.Helper()
	w := model.NewWeights(quickstart)
	w.Init(1, model.InitOptions{})
	e := local.New(o)
	b.Cleanup(func() { e.Close() })
	ref, err := e.Publish(b.Context(), artifact("p", 0, w))
	if err != nil {
		b.Fatal(err)
	}
	return e, ref
}

// step asks for one training step's rollouts, a call for each prompt, all at once.
func step(b *testing.B, s engine.Sampler, ref engine.PolicyRef, seed uint64) []engine.SampleResult {
	out := make([]engine.SampleResult, groups)
	var wg sync.WaitGroup
	for g := range groups {
		wg.Go(func() {
			prompt := make([]int32, 13)
			for i := range prompt {
				prompt[i] = int32((g*31 + i*i*7) % 64)
			}
			var err error
			out[g], err = s.Sample(b.Context(), engine.SampleRequest{ID: fmt.Sprint(g), Policy: ref, Prompt: prompt, N: samples,
				Params: engine.Params{MaxTokens: 200, Temperature: 1, TopP: 1, StopTokens: []int32{2}, Seed: seed*groups + uint64(g)}})
			if err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

// BenchmarkStep measures the sampling of one training step through the engine: 16 prompts with 12
// responses each, which end by themselves after 64 tokens on average, at most 200.
func BenchmarkStep(b *testing.B) {
	for _, slots := range []int{64, 128, 256} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) {
			e, ref := serve(b, local.Options{Slots: slots})
			tokens, seed := 0, uint64(0)
			for b.Loop() {
				seed++
				for _, r := range step(b, e, ref, seed) {
					for _, q := range r.Seqs {
						tokens += len(q.Tokens)
					}
				}
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// BenchmarkForcedAnswers measures four short answers after each of four cuts of every response of a
// step, with the cache of ended sequences and without.
func BenchmarkForcedAnswers(b *testing.B) {
	for name, keep := range map[string]int{"kept": 0, "read again": -1} {
		b.Run(name, func(b *testing.B) {
			e, ref := serve(b, local.Options{Slots: 128, Keep: keep})
			calls, seed := 0, uint64(0)
			for b.Loop() {
				b.StopTimer()
				seed++
				all := step(b, e, ref, seed)
				b.StartTimer()
				var wg sync.WaitGroup
				for g, r := range all {
					prompt := make([]int32, 13)
					for i := range prompt {
						prompt[i] = int32((g*31 + i*i*7) % 64)
					}
					for i, q := range r.Seqs {
						for _, cut := range []int{8, 16, 32, 64} {
							prefix := slices.Concat(q.Tokens[:min(cut, len(q.Tokens))], []int32{5, 4})
							calls++
							wg.Go(func() {
								if _, err := e.Sample(b.Context(), engine.SampleRequest{ID: fmt.Sprint(g, i, cut), Policy: ref, Prompt: prompt, Prefix: prefix,
									N: 4, Params: engine.Params{MaxTokens: len(prefix) + 2, Temperature: 1, TopP: 1, Seed: seed}}); err != nil {
									b.Error(err)
								}
							})
						}
					}
				}
				wg.Wait()
			}
			b.ReportMetric(float64(calls)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

package local_test

import (
	"math"
	"path/filepath"
	"testing"

	"pith/policies/model"
	"pith/rollout/engine"
	sampler "pith/rollout/engine/local"
	"pith/trainer/learner"
	"pith/trainer/learner/local"
)

// The sampler decodes token by token from a cache, the learner reads whole sequences; what they say
// about a freshly sampled token must be the same but for rounding.
func TestLearnerAgreesWithTheSamplerOnFreshTokens(t *testing.T) {
	shipped, err := model.Load(filepath.Join("..", "..", "..", "configs", "policies", "clock"))
	if err != nil {
		t.Fatal(err)
	}
	qwen3 := model.NewWeights(model.Config{
		Arch: model.Qwen3, VocabSize: 64, HiddenSize: 64, IntermediateSize: 96, NumLayers: 2,
		NumHeads: 4, NumKVHeads: 2, HeadDim: 16, MaxContext: 160, RMSNormEps: 1e-6, RopeTheta: 10000,
		QKNorm: true, TieEmbeddings: true, BOS: 1, EOS: 2, PAD: 0,
	})
	qwen3.Init(5, model.InitOptions{EmbeddingSD: 0.3})
	for name, w := range map[string]*model.Weights{"the shipped policy": shipped, "a qwen3": qwen3} {
		for _, temperature := range []float64{1, 0.6} {
			t.Run(name, func(t *testing.T) {
				e := sampler.New(sampler.Options{})
				defer e.Close()
				p := engine.PolicyRef{ID: "p"}
				l, err := local.New(w.Clone(), p, local.Default())
				if err != nil {
					t.Fatal(err)
				}
				a, err := l.Export(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := e.Publish(t.Context(), a); err != nil {
					t.Fatal(err)
				}
				prompt := []int32{1, 30, 7, 31, 12, 32, 18}
				r, err := e.Sample(t.Context(), engine.SampleRequest{
					ID: "r", Policy: p, Prompt: prompt, N: 16,
					Params: engine.Params{MaxTokens: 120, Temperature: temperature, TopP: 1, StopTokens: []int32{2}, Seed: 9},
				})
				if err != nil {
					t.Fatal(err)
				}
				var d []learner.Datum
				for _, s := range r.Seqs {
					d = append(d, learner.Datum{Tokens: append(append([]int32{}, prompt...), s.Tokens...), Temperature: temperature})
				}
				rows, err := l.Forward(t.Context(), d)
				if err != nil {
					t.Fatal(err)
				}
				var sum, largest float64
				n := 0
				for i, s := range r.Seqs {
					for k, want := range s.Logprobs {
						delta := math.Abs(float64(rows[i][len(prompt)+k]) - float64(want))
						sum, largest, n = sum+delta, max(largest, delta), n+1
					}
				}
				if n < 100 || !(sum/float64(n) <= 1e-5) || !(largest <= 1e-3) {
					t.Errorf("temperature %v: mean |Δ| %.2g, max %.2g over %d tokens, want at most 1e-5 and 1e-3", temperature, sum/float64(n), largest, n)
				}
				t.Logf("temperature %v: mean |Δ| %.2g, max %.2g over %d tokens", temperature, sum/float64(n), largest, n)
			})
		}
	}
}

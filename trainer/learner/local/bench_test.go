package local_test

import (
	"fmt"
	"testing"

	"pith/policies/kernel"
	"pith/policies/loss"
	"pith/policies/model"
	"pith/rollout/engine"
	"pith/trainer/learner"
	"pith/trainer/learner/local"
)

// quickstart is the shape of the shipped base policy.
func quickstart() model.Config {
	return model.Config{
		Arch: model.Llama, VocabSize: 64, HiddenSize: 128, IntermediateSize: 256, NumLayers: 3,
		NumHeads: 4, NumKVHeads: 4, HeadDim: 32, MaxContext: 288, RMSNormEps: 1e-5, RopeTheta: 1000,
		TieEmbeddings: true, BOS: 1, EOS: 2, PAD: 0,
	}
}

// update is one mini-batch of a plain quickstart step: 64 sequences of 50 to 139 tokens, about 6,000
// in all, of which the first 20 are the prompt.
func update() (d []learner.Datum, tokens int) {
	for i := range 64 {
		n := 50 + (37*i)%90
		x := learner.Datum{
			Tokens: make([]int32, n), Train: make([]float32, n), Advantage: make([]float32, n),
			Behavior: make([]float32, n), Group: int32(i / 12), Temperature: 1,
		}
		for t := range n {
			x.Tokens[t] = int32((i + 5*t + t*t) % 64)
			if t >= 20 {
				x.Train[t], x.Advantage[t], x.Behavior[t] = 1.0/6000, float32(1-2*(i%2)), -4
			}
		}
		d = append(d, x)
		tokens += n
	}
	return d, tokens
}

// BenchmarkUpdate is one mini-batch: PPO loss, gradient, optimiser step.
func BenchmarkUpdate(b *testing.B) {
	defer kernel.SetThreads(kernel.SetThreads(0))
	fn, _, err := loss.New("ppo", nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, threads := range []int{1, 2} {
		for _, maxTokens := range []int{512, 1024, 2048, 4096, 8192} {
			b.Run(fmt.Sprintf("threads=%d/max_tokens=%d", threads, maxTokens), func(b *testing.B) {
				kernel.SetThreads(threads)
				w := model.NewWeights(quickstart())
				w.Init(1, model.InitOptions{})
				o := local.Default()
				o.MaxTokens = maxTokens
				l, err := local.New(w, engine.PolicyRef{ID: "base"}, o)
				if err != nil {
					b.Fatal(err)
				}
				d, tokens := update()
				once := func() {
					if _, err := l.Accumulate(b.Context(), d, fn); err != nil {
						b.Fatal(err)
					}
					if _, err := l.Step(b.Context(), learner.OptimStep{LR: 1e-6}); err != nil {
						b.Fatal(err)
					}
				}
				once() // builds the graph
				b.ReportAllocs()
				for b.Loop() {
					once()
				}
				b.ReportMetric(float64(tokens)*float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}

package generate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pith/policies/model"
	"pith/policies/model/generate"
)

// quickstart is the shape of the policy that ships with pith, 0.5 M parameters.
var quickstart = model.Config{Arch: model.Llama, VocabSize: 64, HiddenSize: 128, IntermediateSize: 256, NumLayers: 3,
	NumHeads: 4, NumKVHeads: 4, HeadDim: 32, MaxContext: 288, RMSNormEps: 1e-5, RopeTheta: 1000, TieEmbeddings: true,
	BOS: 1, EOS: 2, PAD: 0}

// large is near the upper end of what the local engine is meant for, 29 M parameters, with grouped
// heads and a vocabulary of thousands.
var large = model.Config{Arch: model.Qwen3, VocabSize: 4096, HiddenSize: 512, IntermediateSize: 1408, NumLayers: 9,
	NumHeads: 8, NumKVHeads: 2, HeadDim: 64, MaxContext: 2048, RMSNormEps: 1e-6, RopeTheta: 1e6, QKNorm: true, TieEmbeddings: true,
	BOS: 1, EOS: 2, PAD: 0}

// BenchmarkDecodeLarge is BenchmarkDecode with the large policy.
func BenchmarkDecodeLarge(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("sequences=%d", n), func(b *testing.B) {
			decode(b, large, n, 100, 64)
		})
	}
}

// BenchmarkPrefill measures one long prompt, which all cores share.
func BenchmarkPrefill(b *testing.B) {
	w := model.NewWeights(large)
	w.Init(1, model.InitOptions{})
	p := generate.Pack(w)
	d := generate.NewDecoder(generate.Options{Keep: -1})
	prompt := tokens(rand.New(rand.NewPCG(1, 2)), large.VocabSize, 1024)
	cpu := cpuTime()
	for b.Loop() {
		if _, err := d.Submit(generate.Request{Policy: p, Prompt: prompt, N: 1, Params: generate.Params{MaxTokens: 1, Temperature: 1, TopP: 1}}); err != nil {
			b.Fatal(err)
		}
		for !d.Idle() {
			d.Step()
		}
	}
	report(b, float64(d.Stats().PromptTokens), cpu)
}

// BenchmarkPack measures what publishing a policy costs beside its digest.
func BenchmarkPack(b *testing.B) {
	w := model.NewWeights(quickstart)
	w.Init(1, model.InitOptions{})
	for b.Loop() {
		generate.Pack(w)
	}
}

// BenchmarkDraw measures the draw of one token, for small and large vocabularies, without filters
// and with.
func BenchmarkDraw(b *testing.B) {
	for _, v := range []int{64, 4096} {
		logits := make([]float32, v)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range logits {
			logits[i] = float32(2 * r.NormFloat64())
		}
		for name, p := range map[string]generate.Params{
			"plain": {Temperature: 1, TopP: 1}, "top-p": {Temperature: 1, TopP: 0.9}, "top-k": {Temperature: 1, TopP: 1, TopK: 20},
		} {
			b.Run(fmt.Sprintf("vocabulary=%d/%s", v, name), func(b *testing.B) {
				draw := generate.Draw()
				u := 0.0
				for b.Loop() {
					draw(logits, &p, u)
					if u += 0.37; u >= 1 {
						u--
					}
				}
			})
		}
	}
}

// BenchmarkDecode measures sampled tokens per second with the given number of sequences running:
// prompts of 13 tokens in groups of up to 12, responses of 64 tokens.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 16, 64, 128, 256} {
		b.Run(fmt.Sprintf("sequences=%d", n), func(b *testing.B) {
			decode(b, quickstart, n, 13, 64)
		})
	}
}

// decode samples n sequences at a time, refilling, until b is satisfied.
func decode(b *testing.B, c model.Config, n, prompt, response int) {
	w := model.NewWeights(c)
	w.Init(1, model.InitOptions{})
	p := generate.Pack(w)
	r := rand.New(rand.NewPCG(1, 2))
	d := generate.NewDecoder(generate.Options{Slots: n})
	params := generate.Params{MaxTokens: response, Temperature: 1, TopP: 1}
	seed, cpu := 0, cpuTime()
	b.ReportAllocs()
	for b.Loop() {
		for d.Waiting() < 12 {
			seed++
			params.Seed = uint64(seed)
			if _, err := d.Submit(generate.Request{Policy: p, Prompt: tokens(r, c.VocabSize, prompt), N: min(n, 12), Params: params}); err != nil {
				b.Fatal(err)
			}
		}
		d.Step()
	}
	report(b, float64(d.Stats().OutputTokens), cpu)
}

// report gives tokens per second of the clock and of processor time since before.
func report(b *testing.B, tokens float64, before time.Duration) {
	b.ReportMetric(tokens/b.Elapsed().Seconds(), "tokens/s")
	if used := (cpuTime() - before).Seconds(); used > 0 {
		b.ReportMetric(tokens/used, "tokens/cpu-s")
	}
}

// BenchmarkScore measures positions scored per second: prefixes of one response at five budgets,
// as the budget curves ask for them, and unrelated sequences.
func BenchmarkScore(b *testing.B) {
	w := model.NewWeights(quickstart)
	w.Init(1, model.InitOptions{})
	p := generate.Pack(w)
	r := rand.New(rand.NewPCG(1, 2))
	var budgets, apart [][]int32
	for range 16 {
		prompt := tokens(r, 64, 13)
		for range 12 {
			response := tokens(r, 64, 64)
			for _, cut := range []int{4, 8, 16, 32, 64} {
				s := append(append(append([]int32{}, prompt...), response[:cut]...), 5, 4, 7)
				budgets = append(budgets, s)
			}
		}
	}
	for range 1000 {
		apart = append(apart, tokens(r, 64, 60))
	}
	for _, tc := range []struct {
		name string
		in   [][]int32
	}{{"budgets", budgets}, {"apart", apart}} {
		b.Run(tc.name, func(b *testing.B) {
			n := 0
			for _, s := range tc.in {
				n += len(s)
			}
			cpu := cpuTime()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Score(b.Context(), tc.in); err != nil {
					b.Fatal(err)
				}
			}
			report(b, float64(n)*float64(b.N), cpu)
		})
	}
}

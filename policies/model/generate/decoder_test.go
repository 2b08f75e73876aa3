package generate_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/policies/kernel"
	"pith/policies/model"
	"pith/policies/model/generate"
)

// shapes are small policies of each architecture, with grouped heads where they may be.
var shapes = map[string]model.Config{
	"llama": {Arch: model.Llama, VocabSize: 64, HiddenSize: 48, IntermediateSize: 80, NumLayers: 2, NumHeads: 4, NumKVHeads: 4,
		HeadDim: 12, MaxContext: 200, RMSNormEps: 1e-5, RopeTheta: 1000, TieEmbeddings: true, BOS: 1, EOS: 2},
	"qwen2": {Arch: model.Qwen2, VocabSize: 50, HiddenSize: 32, IntermediateSize: 48, NumLayers: 2, NumHeads: 4, NumKVHeads: 2,
		HeadDim: 8, MaxContext: 200, RMSNormEps: 1e-6, RopeTheta: 10000, AttentionBias: true, TieEmbeddings: true, BOS: 1, EOS: 2},
	"qwen3": {Arch: model.Qwen3, VocabSize: 70, HiddenSize: 32, IntermediateSize: 64, NumLayers: 3, NumHeads: 4, NumKVHeads: 1,
		HeadDim: 16, MaxContext: 200, RMSNormEps: 1e-6, RopeTheta: 10000, QKNorm: true, BOS: 1, EOS: 2},
}

// policy is a random one whose next-token distributions are neither flat nor certain; biases and
// norms are moved off their initial values, so that forgetting them shows.
func policy(c model.Config, seed uint64) *model.Weights {
	w := model.NewWeights(c)
	w.Init(seed, model.InitOptions{EmbeddingSD: 0.5, LinearSD: 1.5 / math.Sqrt(float64(c.HiddenSize))})
	r := rand.New(rand.NewPCG(seed, 1))
	for _, t := range w.Tensors() {
		if len(t.Shape) == 1 {
			for i := range t.Data {
				t.Data[i] += float32(0.2 * r.NormFloat64())
			}
		}
	}
	return w
}

func tokens(r *rand.Rand, vocab, n int) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(r.IntN(vocab))
	}
	return out
}

var plain = generate.Params{MaxTokens: 40, Temperature: 1, TopP: 1, Seed: 11}

// sample runs requests in a decoder of their own and returns their sequences.
func sample(t testing.TB, o generate.Options, reqs ...generate.Request) [][]generate.Sequence {
	t.Helper()
	d := generate.NewDecoder(o)
	var jobs []*generate.Job
	for _, r := range reqs {
		j, err := d.Submit(r)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	for steps := 0; !d.Idle(); steps++ {
		d.Step()
		if steps > 10_000 {
			t.Fatal("the decoder makes no progress")
		}
	}
	var out [][]generate.Sequence
	for _, j := range jobs {
		if j.Err() != nil {
			t.Fatal(j.Err())
		}
		out = append(out, j.Sequences())
	}
	if n := d.Leaks(); n != 0 {
		t.Fatalf("%d cache pages are still held by an empty decoder", n)
	}
	return out
}

// same compares bits, not values.
func same(t testing.TB, what string, want, got []generate.Sequence) {
	t.Helper()
	bits := cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
	if diff := cmp.Diff(want, got, bits); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func eachShape(t *testing.T, f func(t *testing.T, c model.Config)) {
	for name, c := range shapes {
		t.Run(name, func(t *testing.T) { f(t, c) })
	}
}

func TestASampleDoesNotDependOnItsBatchSlotsOrThreads(t *testing.T) {
	eachShape(t, func(t *testing.T, c model.Config) {
		p := generate.Pack(policy(c, 1))
		r := rand.New(rand.NewPCG(3, 4))
		var reqs []generate.Request
		for i := range 12 {
			params := plain
			params.Seed, params.Stop = uint64(i), []int32{2, 3}
			params.MaxTokens = 5 + r.IntN(60)
			reqs = append(reqs, generate.Request{Policy: p, Prompt: tokens(r, c.VocabSize, 1+r.IntN(70)), N: 1 + r.IntN(6), Params: params})
		}
		var want [][]generate.Sequence
		for _, q := range reqs {
			want = append(want, sample(t, generate.Options{Slots: 1}, q)...)
		}
		for _, slots := range []int{3, 64} {
			for _, threads := range []int{1, 2, 5} {
				defer kernel.SetThreads(kernel.SetThreads(threads))
				got := sample(t, generate.Options{Slots: slots}, reqs...)
				for i := range reqs {
					same(t, fmt.Sprintf("request %d with %d slots, %d threads", i, slots, threads), want[i], got[i])
				}
			}
		}
	})
}

func TestASampleDoesNotDependOnHowItIsCutIntoCalls(t *testing.T) {
	eachShape(t, func(t *testing.T, c model.Config) {
		p := generate.Pack(policy(c, 2))
		r := rand.New(rand.NewPCG(5, 6))
		prompt := tokens(r, c.VocabSize, 2*generate.PagePositions-3)
		params := plain
		params.MaxTokens = 60
		whole := sample(t, generate.Options{}, generate.Request{Policy: p, Prompt: prompt, N: 1, First: 4, Params: params})[0][0]
		for cut := 1; cut < len(whole.Tokens); cut += 7 {
			got := sample(t, generate.Options{}, generate.Request{
				Policy: p, Prompt: prompt, Prefix: whole.Tokens[:cut], N: 1, First: 4, Params: params})[0][0]
			want := generate.Sequence{Tokens: whole.Tokens[cut:], Logprobs: whole.Logprobs[cut:], Entropies: whole.Entropies[cut:], Finish: whole.Finish}
			same(t, fmt.Sprintf("continued after %d tokens", cut), []generate.Sequence{want}, []generate.Sequence{got})
		}
	})
}

func TestScoresHaveTheBitsOfTheSamplersLogProbabilities(t *testing.T) {
	eachShape(t, func(t *testing.T, c model.Config) {
		p := generate.Pack(policy(c, 3))
		r := rand.New(rand.NewPCG(7, 8))
		var all [][]int32
		var want [][]float32
		var from []int
		for g := range 5 {
			prompt := tokens(r, c.VocabSize, 1+r.IntN(50))
			params := plain
			params.Seed = uint64(g)
			for _, s := range sample(t, generate.Options{}, generate.Request{Policy: p, Prompt: prompt, N: 8, Params: params})[0] {
				for _, keep := range []int{len(s.Tokens), len(s.Tokens) / 2, 3} {
					all = append(all, slices.Concat(prompt, s.Tokens[:keep]))
					want = append(want, s.Logprobs[:keep])
					from = append(from, len(prompt))
				}
			}
		}
		all = append(all, []int32{}, []int32{5}, all[0]) // nothing, one token, a duplicate
		for _, threads := range []int{1, 2, 7} {
			defer kernel.SetThreads(kernel.SetThreads(threads))
			got, err := p.Score(t.Context(), all)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !math.IsNaN(float64(got[i][0])) {
					t.Fatalf("sequence %d begins with %v, want NaN", i, got[i][0])
				}
				if diff := cmp.Diff(want[i], got[i][from[i]:]); diff != "" {
					t.Fatalf("sequence %d (-sampler +score):\n%s", i, diff)
				}
			}
			if diff := cmp.Diff(got[0][1:], got[len(all)-1][1:]); diff != "" {
				t.Errorf("the duplicate differs:\n%s", diff)
			}
		}
	})
}

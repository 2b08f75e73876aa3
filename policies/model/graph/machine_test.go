package graph

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pith/policies/kernel"
	"pith/policies/model"
)

// shapes are the models that the tests run on: every optional part of the family occurs.
func shapes() map[string]model.Config {
	llama := model.Config{
		Arch: model.Llama, VocabSize: 17, HiddenSize: 12, IntermediateSize: 10, NumLayers: 2,
		NumHeads: 2, NumKVHeads: 2, HeadDim: 6, MaxContext: 64, RMSNormEps: 1e-5, RopeTheta: 1000,
		TieEmbeddings: true, BOS: 1, EOS: 2, PAD: 0,
	}
	grouped := llama
	grouped.NumHeads, grouped.NumKVHeads, grouped.HeadDim, grouped.TieEmbeddings = 4, 2, 4, false
	qwen2 := grouped
	qwen2.Arch, qwen2.AttentionBias, qwen2.HeadDim, qwen2.HiddenSize = model.Qwen2, true, 4, 16
	qwen3 := grouped
	qwen3.Arch, qwen3.QKNorm, qwen3.HeadDim, qwen3.NumKVHeads = model.Qwen3, true, 8, 1
	return map[string]model.Config{
		"llama, tied":            llama,
		"llama, grouped queries": grouped,
		"qwen2, biases":          qwen2,
		"qwen3, q/k norm":        qwen3,
	}
}

// initial draws weights in which no parameter is at a special value: norms are not 1, biases not 0.
func initial(c model.Config) *model.Weights {
	w := model.NewWeights(c)
	w.Init(7, model.InitOptions{EmbeddingSD: 0.3})
	for i, v := range w.Flat() {
		w.Flat()[i] = v + 0.05*float32(math.Sin(float64(3*i)))
	}
	return w
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// batch packs sequences of the given lengths with reproducible tokens.
func batch(c model.Config, lengths ...int) *Batch {
	b := &Batch{Offsets: []int32{0}}
	for i, n := range lengths {
		for t := range n {
			b.Tokens = append(b.Tokens, int32((5*t*t+3*i+t)%c.VocabSize))
		}
		b.Offsets = append(b.Offsets, int32(len(b.Tokens)))
		b.Temperature = append(b.Temperature, 1+0.25*float32(i%3))
	}
	return b
}

// smooth is an objective with curvature in every log-probability and entropy.
func smooth[T Float](logProb, entropy, gradLogProb, gradEntropy []T) (T, error) {
	var value T
	for i, l := range logProb {
		a, b := T(0.3+0.1*float64(i%5)), T(0.2-0.07*float64(i%4))
		value += -a*l + 0.05*l*l + b*entropy[i]*entropy[i]
		gradLogProb[i] = -a + 0.1*l
		gradEntropy[i] = 2 * b * entropy[i]
	}
	return value, nil
}

// relativeError is the distance of two gradients against their size.
func relativeError(got, want []float64) float64 {
	var diff, size float64
	for i := range got {
		diff += (got[i] - want[i]) * (got[i] - want[i])
		size += got[i]*got[i] + want[i]*want[i]
	}
	return math.Sqrt(diff) / math.Sqrt(size)
}

func TestGradientOfTheWholeModelAgreesWithCentralDifferencesInFloat64(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			w := widen(initial(c).Flat())
			grad := make([]float64, len(w))
			m, err := New(c, w, grad)
			if err != nil {
				t.Fatal(err)
			}
			b := batch(c, 5, 1, 9, 40)
			if _, err := m.Accumulate(b, smooth[float64]); err != nil {
				t.Fatal(err)
			}
			got := slices.Clone(m.Gradients())

			value := func() float64 {
				s, err := m.Score(b)
				if err != nil {
					t.Fatal(err)
				}
				n := len(s.Targets)
				v, _ := smooth(s.LogProb, s.Entropy, make([]float64, n), make([]float64, n))
				return v
			}
			// Per tensor, so that a small one cannot hide behind the large ones.
			for _, p := range initial(c).Tensors() {
				at := offsetOf(c, p.Name)
				n := len(p.Data)
				if e := gradientError(got[at:at+n], w[at:at+n], 25, value); e > 1e-6 || math.IsNaN(e) {
					t.Errorf("%s: relative error %.2g, want at most 1e-6", p.Name, e)
				}
			}
		})
	}
}

// gradientError compares a gradient with central differences of value at up to limit coordinates of
// x, spread evenly, and returns the relative error over them.
func gradientError(got, x []float64, limit int, value func() float64) float64 {
	const h = 1e-5
	if raceEnabled {
		limit = limit/8 + 1
	}
	stride := max(1, len(x)/limit)
	if stride > 1 {
		stride |= 1 // no coordinate of an even-sized row is left out for good
	}
	var part, want []float64
	for k := 0; k < len(x); k += stride {
		keep := x[k]
		x[k] = keep + h
		up := value()
		x[k] = keep - h
		part, want = append(part, got[k]), append(want, (up-value())/(2*h))
		x[k] = keep
	}
	return relativeError(part, want)
}

// offsetOf is where a named tensor begins in the flat vector.
func offsetOf(c model.Config, name string) int {
	at := 0
	for _, p := range model.NewWeights(c).Tensors() {
		if p.Name == name {
			return at
		}
		at += len(p.Data)
	}
	panic(fmt.Sprintf("no tensor %q", name))
}

func TestFloat32AgreesWithItsFloat64Twin(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			w := initial(c)
			b := batch(c, 5, 1, 9, 40)
			grad32 := make([]float32, len(w.Flat()))
			m32, err := New(c, w.Flat(), grad32)
			if err != nil {
				t.Fatal(err)
			}
			s32, err := m32.Accumulate(b, smooth[float32])
			if err != nil {
				t.Fatal(err)
			}
			m64, err := New(c, widen(w.Flat()), make([]float64, len(grad32)))
			if err != nil {
				t.Fatal(err)
			}
			s64, err := m64.Accumulate(b, smooth[float64])
			if err != nil {
				t.Fatal(err)
			}
			for i := range s64.LogProb {
				if d := math.Abs(float64(s32.LogProb[i]) - s64.LogProb[i]); d > 2e-5 {
					t.Errorf("log-probability %d differs by %.2g", i, d)
				}
				if d := math.Abs(float64(s32.Entropy[i]) - s64.Entropy[i]); d > 2e-5 {
					t.Errorf("entropy %d differs by %.2g", i, d)
				}
			}
			if e := relativeError([]float64{float64(s32.Value)}, []float64{s64.Value}); e > 1e-6 {
				t.Errorf("value differs by %.2g", e)
			}
			got, want := widen(m32.Gradients()), m64.Gradients()
			at := 0
			for _, p := range w.Tensors() {
				n := len(p.Data)
				if e := relativeError(got[at:at+n], want[at:at+n]); e > 2e-6 || math.IsNaN(e) {
					t.Errorf("%s: relative error %.2g, want at most 2e-6", p.Name, e)
				}
				at += n
			}
		})
	}
}

func TestGradientOfACutBatchHasTheBitsOfTheWhole(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			w := initial(c)
			m, err := New(c, w.Flat(), make([]float32, len(w.Flat())))
			if err != nil {
				t.Fatal(err)
			}
			lengths := []int{5, 9, 40, 1, 33, 12}
			b := batch(c, lengths...)
			whole, err := m.Accumulate(b, smooth[float32])
			if err != nil {
				t.Fatal(err)
			}
			n := len(whole.Targets)
			gl, ge := make([]float32, n), make([]float32, n)
			if _, err := smooth(whole.LogProb, whole.Entropy, gl, ge); err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(m.Gradients())
			wantLogProb := slices.Clone(whole.LogProb)

			m.ClearGradients()
			at := 0
			for s := range lengths {
				lo, hi := b.Offsets[s], b.Offsets[s+1]
				part := &Batch{Tokens: b.Tokens[lo:hi], Offsets: []int32{0, hi - lo}, Temperature: b.Temperature[s : s+1]}
				scores, err := m.Accumulate(part, func(_, _, g, e []float32) (float32, error) {
					copy(g, gl[at:])
					copy(e, ge[at:])
					return 0, nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(scores.LogProb, wantLogProb[at:at+len(scores.LogProb)]) {
					t.Errorf("log-probabilities of sequence %d depend on its company", s)
				}
				at += len(scores.Targets)
			}
			if !slices.Equal(m.Gradients(), want) {
				t.Error("gradient depends on how the batch was cut")
			}
		})
	}
}

func TestBitsDoNotDependOnThreadsOrKernel(t *testing.T) {
	c := shapes()["qwen3, q/k norm"]
	c.HiddenSize, c.IntermediateSize, c.VocabSize = 64, 112, 150
	w := initial(c)
	b := batch(c, 60, 13, 40, 1, 50) // enough work for products to be split among threads
	run := func() ([]float32, []float32) {
		m, err := New(c, w.Flat(), make([]float32, len(w.Flat())))
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Accumulate(b, smooth[float32])
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(s.LogProb), m.Gradients()
	}
	defer kernel.Use("")
	defer kernel.SetThreads(kernel.SetThreads(1))
	wantScores, want := run()
	for _, name := range kernel.Available() {
		if raceEnabled && name == "portable" {
			continue // minutes, and it has no assembly to hide a race in
		}
		for _, threads := range []int{1, 2, 5} {
			if err := kernel.Use(name); err != nil {
				t.Fatal(err)
			}
			kernel.SetThreads(threads)
			scores, got := run()
			if !slices.Equal(scores, wantScores) || !slices.Equal(got, want) {
				t.Errorf("%s with %d threads gives other bits", name, threads)
			}
		}
	}
}

func TestScoreAgreesWithAccumulate(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			w := initial(c)
			m, err := New(c, w.Flat(), make([]float32, len(w.Flat())))
			if err != nil {
				t.Fatal(err)
			}
			for _, lengths := range [][]int{{5, 9}, {40, 40, 40, 40, 1, 2, 40}, {3}} {
				b := batch(c, lengths...)
				forward, err := m.Score(b)
				if err != nil {
					t.Fatal(err)
				}
				train, err := m.Accumulate(b, smooth[float32])
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(forward.LogProb, train.LogProb) || !slices.Equal(forward.Entropy, train.Entropy) {
					t.Errorf("lengths %v: the two programs give different bits", lengths)
				}
			}
		})
	}
}

func TestTargetsSelectWhatIsScored(t *testing.T) {
	c := shapes()["llama, tied"]
	w := initial(c)
	m, err := New(c, w.Flat(), make([]float32, len(w.Flat())))
	if err != nil {
		t.Fatal(err)
	}
	b := batch(c, 6, 8)
	all, err := m.Score(b)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int32]float32{}
	for i, at := range all.Targets {
		want[at] = all.LogProb[i]
	}
	if len(want) != 12 {
		t.Fatalf("%d positions are scored by default, want 12", len(want))
	}
	b.Targets = []int32{2, 5, 7, 13}
	some, err := m.Score(b)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(some.Targets, b.Targets) {
		t.Errorf("targets are %v, want %v", some.Targets, b.Targets)
	}
	for i, at := range some.Targets {
		if some.LogProb[i] != want[at] {
			t.Errorf("position %d scores %v alone and %v among all", at, some.LogProb[i], want[at])
		}
	}
}

func TestBatchesThatCannotRunAreRefused(t *testing.T) {
	c := shapes()["llama, tied"]
	w := initial(c)
	m, err := New[float32](c, w.Flat(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*Batch{
		"no sequence":             {Offsets: []int32{0}},
		"offsets beyond tokens":   {Tokens: []int32{1}, Offsets: []int32{0, 2}},
		"empty sequence":          {Tokens: []int32{1}, Offsets: []int32{0, 0, 1}},
		"too long":                {Tokens: make([]int32, 65), Offsets: []int32{0, 65}},
		"foreign token":           {Tokens: []int32{1, 17}, Offsets: []int32{0, 2}},
		"target is a first token": {Tokens: []int32{1, 2}, Offsets: []int32{0, 1, 2}, Targets: []int32{1}},
		"targets out of order":    {Tokens: []int32{1, 2, 3}, Offsets: []int32{0, 3}, Targets: []int32{2, 1}},
		"zero temperature":        {Tokens: []int32{1, 2}, Offsets: []int32{0, 2}, Temperature: []float32{0}},
		"too few temperatures":    {Tokens: []int32{1, 2}, Offsets: []int32{0, 1, 2}, Temperature: []float32{1}},
	} {
		if _, err := m.Score(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := m.Accumulate(batch(c, 3), smooth[float32]); err == nil {
		t.Error("a machine without gradients accumulated one")
	}
}

func TestRotaryAnglesAreThoseOfTheSampler(t *testing.T) {
	f := model.Config{HeadDim: 32, RopeTheta: 1000}.Frequencies()
	got, want := newRope[float32](f, 288), model.NewRotary(f, 288)
	if !slices.Equal(got.cos, want.Cos) || !slices.Equal(got.sin, want.Sin) {
		t.Error("the learner turns by other angles than the sampler")
	}
}

package graph

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pith/policies/model"
)

// golden is what testdata/reference.py computed in float64, with nothing shared with this code.
type golden struct {
	Sequences [][]int32    `json:"sequences"`
	LogProbs  [][]*float64 `json:"logprobs"`
	Loss      float64      `json:"loss"`
}

// readGolden loads a tiny policy and its reference as one packed batch.
func readGolden(t *testing.T, arch string) (*model.Weights, *Batch, []float64, float64) {
	t.Helper()
	dir := filepath.Join("..", "testdata", arch)
	w, err := model.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	b := &Batch{Offsets: []int32{0}}
	var want []float64
	for i, s := range g.Sequences {
		b.Tokens = append(b.Tokens, s...)
		b.Offsets = append(b.Offsets, int32(len(b.Tokens)))
		for _, lp := range g.LogProbs[i][1:] {
			want = append(want, *lp)
		}
	}
	return w, b, want, g.Loss
}

// meanNLL is the mean of -log p over the targets.
func meanNLL[T Float](logProb, _, grad, _ []T) (T, error) {
	var sum T
	for i, lp := range logProb {
		sum -= lp
		grad[i] = -1 / T(len(logProb))
	}
	return sum / T(len(logProb)), nil
}

func TestLossAgreesWithAReferenceComputedElsewhere(t *testing.T) {
	for _, arch := range []string{"llama", "qwen2", "qwen3"} {
		t.Run(arch, func(t *testing.T) {
			w, b, want, loss := readGolden(t, arch)
			compareWithGolden(t, w.Config, widen(w.Flat()), b, want, loss, 1e-9)
			compareWithGolden(t, w.Config, w.Flat(), b, want, loss, 1e-4)
		})
	}
}

func compareWithGolden[T Float](t *testing.T, c model.Config, w []T, b *Batch, want []float64, loss, tolerance float64) {
	t.Helper()
	m, err := New(c, w, make([]T, len(w)))
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Accumulate(b, meanNLL[T])
	if err != nil {
		t.Fatal(err)
	}
	if len(s.LogProb) != len(want) {
		t.Fatalf("%d log-probabilities, want %d", len(s.LogProb), len(want))
	}
	for i, lp := range s.LogProb {
		if d := math.Abs(float64(lp) - want[i]); !(d <= tolerance) {
			t.Errorf("%T: log-probability %d is %v, want %v", lp, i, lp, want[i])
		}
	}
	if d := math.Abs(float64(s.Value) - loss); !(d <= tolerance/10) {
		t.Errorf("%T: loss is %v, want %v", s.Value, s.Value, loss)
	}
}

func TestTemperatureAndEntropyAgreeWithTheReferenceLogits(t *testing.T) {
	dir := filepath.Join("..", "testdata", "llama")
	w, b, _, _ := readGolden(t, "llama")
	text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g struct {
		Logits [][][]float64 `json:"logits"` // [sequence][position][vocabulary], after each token
	}
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	for i := range g.Logits {
		b.Temperature = append(b.Temperature, []float32{0.5, 1, 1.75}[i%3])
	}
	m, err := New[float64](w.Config, widen(w.Flat()), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Score(b)
	if err != nil {
		t.Fatal(err)
	}
	k := 0
	for i, sequence := range g.Logits {
		for at, logits := range sequence[:len(sequence)-1] {
			var sum, entropy float64
			for _, z := range logits {
				sum += math.Exp(z / float64(b.Temperature[i]))
			}
			for _, z := range logits {
				lp := z/float64(b.Temperature[i]) - math.Log(sum)
				entropy -= math.Exp(lp) * lp
			}
			token := b.Tokens[int(b.Offsets[i])+at+1]
			want := logits[token]/float64(b.Temperature[i]) - math.Log(sum)
			// 1/temperature is kept in float32.
			if d := math.Abs(s.LogProb[k] - want); d > 1e-5 {
				t.Errorf("sequence %d, token %d: log-probability %v, want %v", i, at+1, s.LogProb[k], want)
			}
			if d := math.Abs(s.Entropy[k] - entropy); d > 1e-5 {
				t.Errorf("sequence %d, token %d: entropy %v, want %v", i, at+1, s.Entropy[k], entropy)
			}
			k++
		}
	}
}

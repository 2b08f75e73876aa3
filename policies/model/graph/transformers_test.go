package graph

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pith/policies/model"
)

// What the learner scores is the log-softmax of the logits that transformers computed: see
// testdata/transformers/reference.py.
func TestScoresAgreeWithTransformers(t *testing.T) {
	for _, name := range []string{"qwen3", "qwen2", "llama", "llama31"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "transformers", name)
			w, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			var g struct {
				Sequences [][]int32     `json:"sequences"`
				Logits    [][][]float64 `json:"logits"`
			}
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err == nil {
				err = json.Unmarshal(text, &g)
			}
			if err != nil {
				t.Fatal(err)
			}
			b := &Batch{Offsets: []int32{0}}
			var want []float64
			for i, s := range g.Sequences {
				b.Tokens = append(b.Tokens, s...)
				b.Offsets = append(b.Offsets, int32(len(b.Tokens)))
				for at, logits := range g.Logits[i][:len(s)-1] {
					sum := 0.0
					for _, z := range logits {
						sum += math.Exp(z)
					}
					want = append(want, logits[s[at+1]]-math.Log(sum))
				}
			}
			m, err := New[float32](w.Config, w.Flat(), nil)
			if err != nil {
				t.Fatal(err)
			}
			s, err := m.Score(b)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if d := math.Abs(float64(s.LogProb[i]) - want[i]); !(d <= 1e-4) {
					t.Errorf("log-probability %d is %v, want %v", i, s.LogProb[i], want[i])
				}
			}
		})
	}
}

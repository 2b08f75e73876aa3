package generate_test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pith/policies/model"
	"pith/policies/model/generate"
)

// The directories are what transformers' save_pretrained wrote: see
// testdata/transformers/reference.py.
func TestLogitsAgreeWithTransformers(t *testing.T) {
	for _, name := range []string{"qwen3", "qwen2", "llama", "llama31", "qwen3-bf16", "qwen2-f16"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "transformers", name)
			w, err := model.Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			var g golden
			text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err == nil {
				err = json.Unmarshal(text, &g)
			}
			if err != nil {
				t.Fatal(err)
			}
			p := generate.Pack(w)
			worst, largest := 0.0, 0.0
			for i, s := range g.Sequences {
				got := generate.Logits(p, s)
				for pos, row := range g.Logits[i] {
					for v, want := range row {
						worst = max(worst, math.Abs(float64(got[pos][v])-want))
						largest = max(largest, math.Abs(want))
					}
				}
			}
			t.Logf("largest difference %.2g of logits up to %.3g", worst, largest)
			if !(worst <= 1e-4) || largest < 1 {
				t.Errorf("logits up to %v differ by up to %v, want 1e-4 at most", largest, worst)
			}
		})
	}
}

package generate_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
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

// With PITH_PYTHON, a Python that has transformers: it reads what Save writes, in every form, and
// computes the logits that the reference has.
func TestTransformersReadsWhatIsSaved(t *testing.T) {
	python := os.Getenv("PITH_PYTHON")
	if python == "" {
		t.Skip("needs PITH_PYTHON, a Python with torch and transformers")
	}
	const script = `
import json, sys, torch
from transformers import AutoModelForCausalLM
for golden, saved, tolerance in zip(*[iter(sys.argv[1:])] * 3):
    m = AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32).eval()
    g = json.load(open(golden))
    worst = 0.0
    for s, want in zip(g["sequences"], g["logits"]):
        with torch.no_grad():
            worst = max(worst, (m(torch.tensor([s])).logits[0] - torch.tensor(want)).abs().max().item())
    print(saved, worst)
    assert worst <= float(tolerance), (saved, worst)
`
	dir := t.TempDir()
	args := []string{"-c", script}
	for _, name := range []string{"qwen3", "qwen2", "llama", "llama31", "qwen3-bf16", "qwen2-f16"} {
		from := filepath.Join("..", "testdata", "transformers", name)
		w, err := model.Load(from)
		if err != nil {
			t.Fatal(err)
		}
		for form, o := range map[string][]model.SaveOption{"whole": nil, "sharded": {model.ShardSize(9000)}, "own type": nil} {
			switch {
			case form == "own type" && name == "qwen3-bf16":
				o = []model.SaveOption{model.BF16(), model.ShardSize(7000)}
			case form == "own type" && name == "qwen2-f16":
				o = []model.SaveOption{model.F16()}
			case form == "own type":
				continue
			}
			to := filepath.Join(dir, name+" "+form)
			if err := w.Save(to, o...); err != nil {
				t.Fatal(err)
			}
			args = append(args, filepath.Join(from, "golden.json"), to, "1e-4")
		}
	}
	out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

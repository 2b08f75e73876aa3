package lora

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/mat"

	"pith/policies/model"
	"pith/policies/model/random"
	"pith/policies/model/safetensors"
)

func open(t testing.TB, path string) *safetensors.File {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func loaded(t testing.TB, name string) (*model.Weights, *Adapter) {
	t.Helper()
	w, err := model.Load(filepath.Join("..", "testdata", "transformers", name))
	if err != nil {
		t.Fatal(err)
	}
	a, err := Load(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return w, a
}

// merged.safetensors is what PEFT made of the same adapter: see testdata/reference.py.
func TestMergedWeightsAreThoseOfPEFT(t *testing.T) {
	for _, name := range []string{"qwen3", "llama"} {
		t.Run(name, func(t *testing.T) {
			w, a := loaded(t, name)
			before := w.Digest()
			got, err := Merge(w, a)
			if err != nil {
				t.Fatal(err)
			}
			if w.Digest() != before {
				t.Error("merging changed the base")
			}
			compareWith(t, got, w, open(t, filepath.Join("testdata", name, "merged.safetensors")))
		})
	}
}

func compareWith(t *testing.T, got, base *model.Weights, f *safetensors.File) {
	t.Helper()
	worst, changed := 0.0, 0
	for i, x := range got.Tensors() {
		want := make([]float32, len(x.Data))
		if err := f.ReadFloat32(x.Name, want); err != nil {
			t.Fatal(err)
		}
		for k := range want {
			worst = max(worst, math.Abs(float64(x.Data[k])-float64(want[k])))
		}
		if !slices.Equal(x.Data, base.Tensors()[i].Data) {
			changed++
		}
	}
	t.Logf("%d tensors changed, largest difference %.2g", changed, worst)
	if !(worst <= 1e-6) || changed == 0 {
		t.Errorf("%d tensors changed, weights differ by up to %v, want 1e-6 at most", changed, worst)
	}
}

func TestSavedAdaptersHaveTheNamesAndNumbersOfPEFT(t *testing.T) {
	for _, name := range []string{"qwen3", "llama"} {
		t.Run(name, func(t *testing.T) {
			w, a := loaded(t, name)
			dir := filepath.Join(t.TempDir(), "new", "v1")
			if err := Save(dir, a, safetensors.F32); err != nil {
				t.Fatal(err)
			}
			ours, theirs := open(t, filepath.Join(dir, weightsFile)), open(t, filepath.Join("testdata", name, weightsFile))
			for _, e := range theirs.Entries() {
				if strings.HasSuffix(e.Name, suffixBase) {
					continue
				}
				got, ok := ours.Entry(e.Name)
				if diff := cmp.Diff(e.Shape, got.Shape); !ok || diff != "" || got.DType != safetensors.F32 {
					t.Errorf("%s is missing or differs: %v %s", e.Name, got, diff)
				}
			}
			back, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(a.Modules, back.Modules); diff != "" {
				t.Errorf("modules (-saved +loaded):\n%s", diff)
			}
			one, err1 := Merge(w, a)
			two, err2 := Merge(w, back)
			if err := errors.Join(err1, err2); err != nil || one.Digest() != two.Digest() {
				t.Errorf("the saved adapter does something else (%v)", err)
			}
			if err := Save(dir, a, safetensors.F32); err == nil || !strings.Contains(err.Error(), "exists") {
				t.Errorf("saving over a version: error is %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// With PITH_PYTHON, a Python that has PEFT: what we write, PEFT reads and merges to the same.
func TestPEFTReadsWhatWeWrite(t *testing.T) {
	python := os.Getenv("PITH_PYTHON")
	if python == "" {
		t.Skip("needs PITH_PYTHON, a Python with torch, transformers and peft")
	}
	for _, name := range []string{"qwen3", "llama"} {
		t.Run(name, func(t *testing.T) {
			w, a := loaded(t, name)
			a.Config.Targets = nil // chosen by Save
			dir := t.TempDir()
			if err := Save(filepath.Join(dir, "adapter"), a, safetensors.F32); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "reference.py"), "merge",
				filepath.Join("..", "testdata", "transformers", name), filepath.Join(dir, "adapter"), filepath.Join(dir, "out")).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			got, err := Merge(w, a)
			if err != nil {
				t.Fatal(err)
			}
			compareWith(t, got, w, open(t, filepath.Join(dir, "out", "model.safetensors")))
		})
	}
}

func TestAdaptersThatDoSomethingElseAreRefused(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "qwen3", configFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, key string
		value     any
		want      string
	}{
		{"another method", "peft_type", "IA3", `peft_type is "IA3"`},
		{"biases", "bias", "all", "bias all"},
		{"whole modules", "modules_to_save", []string{"lm_head"}, "modules_to_save"},
		{"DoRA", "use_dora", true, "use_dora"},
		{"transposed", "fan_in_fan_out", true, "fan_in_fan_out"},
		{"repeated layers", "layer_replication", [][]int{{0, 1}}, "layer_replication"},
		{"another rank", "r", 4, "has rank 3, adapter_config.json says 4"},
		{"a broken pattern", "alpha_pattern", map[string]int{"(": 3}, "alpha_pattern"},
		{"patterns in a list", "rank_pattern", []int{3}, "want an object of patterns"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c map[string]any
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			c[tc.key] = tc.value
			changed, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			weights, err := os.ReadFile(filepath.Join("testdata", "qwen3", weightsFile))
			if err := errors.Join(err, os.WriteFile(filepath.Join(dir, configFile), changed, 0o644), os.WriteFile(filepath.Join(dir, weightsFile), weights, 0o644)); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestForeignTensorsAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		ts   []safetensors.Tensor
		want string
	}{
		{"an embedding", []safetensors.Tensor{{Name: prefix + "model.embed_tokens.lora_embedding_A", Shape: []int{1, 1}, Data: []float32{1}}}, "not part of a LoRA of linear modules"},
		{"half", []safetensors.Tensor{{Name: prefix + "x.q_proj.lora_A.weight", Shape: []int{8, 1}, Data: make([]float32, 8)}}, "only one of lora_A and lora_B"},
		{"a vector", []safetensors.Tensor{{Name: prefix + "x.q_proj.lora_A.weight", Shape: []int{1}, Data: []float32{1}}}, "want two dimensions"},
		{"nothing", nil, "no module is adapted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := os.Create(filepath.Join(dir, weightsFile))
			if err := errors.Join(err, safetensors.Write(f, tc.ts, nil, safetensors.F32), f.Close(),
				os.WriteFile(filepath.Join(dir, configFile), []byte(`{"peft_type": "LORA"}`), 0o644)); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestAdaptersOfAnotherPolicyAreRefused(t *testing.T) {
	qwen, a := loaded(t, "qwen3")
	llama, b := loaded(t, "llama")
	for _, tc := range []struct {
		name string
		w    *model.Weights
		a    *Adapter
		want string
	}{
		{"another shape", llama, a, "is [12, 24] in the policy"},
		{"a tied head", qwen, &Adapter{Modules: []Module{{Name: head, Rank: 1, In: 24, Out: 48, A: make([]float32, 24), B: make([]float32, 48)}}}, "tied to the embedding"},
		{"an unknown module", llama, &Adapter{Modules: []Module{{Name: "model.layers.9.self_attn.q_proj", Rank: 1, In: 1, Out: 1, A: []float32{1}, B: []float32{1}}}}, "for another base"},
		{"an embedding", llama, &Adapter{Modules: []Module{{Name: "model.embed_tokens", Rank: 1, In: 24, Out: 48, A: make([]float32, 24), B: make([]float32, 48)}}}, "for another base"},
		{"another head", llama, &Adapter{Modules: b.Modules, copies: map[string][]float32{"lm_head.weight": {1}}}, "copy of the base's"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Merge(tc.w, tc.a); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
}

// What a merge put in, an extraction of the same rank gets out.
func TestExtractionUndoesAMerge(t *testing.T) {
	w, a := loaded(t, "qwen3")
	tuned, err := Merge(w, a)
	if err != nil {
		t.Fatal(err)
	}
	for _, alpha := range []float64{0, 16} {
		e, err := Extract(w, tuned, Options{Rank: 3, Alpha: alpha, Base: "qwen3"})
		if err != nil {
			t.Fatal(err)
		}
		if len(e.Missed) > 0 || len(e.Fits) != len(a.Modules) {
			t.Fatalf("missed %v, fits %v", e.Missed, e.Fits)
		}
		for _, f := range e.Fits {
			if !(f.Left < 1e-5) || f.Norm == 0 {
				t.Errorf("alpha %v: %s lacks %v of a change of %v", alpha, f.Module, f.Left, f.Norm)
			}
		}
		again, err := Merge(w, e.Adapter)
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range again.Flat() {
			if d := math.Abs(float64(x) - float64(tuned.Flat()[i])); d > 1e-5 {
				t.Fatalf("alpha %v: parameter %d differs by %v", alpha, i, d)
			}
		}
	}
}

func TestExtractionTellsWhatItLacks(t *testing.T) {
	w, a := loaded(t, "llama")
	tuned, err := Merge(w, a)
	if err != nil {
		t.Fatal(err)
	}
	tuned.Norm[0]++
	e, err := Extract(w, tuned, Options{Rank: 1})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"model.norm.weight", "lm_head.weight"}, e.Missed); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
	for _, f := range e.Fits {
		adapted := slices.ContainsFunc(a.Modules, func(m Module) bool { return m.Name == f.Module })
		if adapted != (f.Norm > 0) || adapted && !(f.Left > 0.05 && f.Left < 1) || !adapted && f.Left != 0 {
			t.Errorf("%+v, adapted %v", f, adapted)
		}
	}
	for _, o := range []Options{{}, {Rank: 25}, {Rank: 1, Alpha: -1}, {Rank: 1, Targets: []string{"embed_tokens"}}} {
		if _, err := Extract(w, tuned, o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	other, _ := loaded(t, "qwen3")
	if _, err := Extract(w, other, Options{Rank: 1}); err == nil || !strings.Contains(err.Error(), "different shapes") {
		t.Errorf("error is %v", err)
	}
}

// A matrix too large to decompose in full: a strong part of rank 4 over noise, of which the random
// subspace has to find all but what the noise makes unfindable.
func TestLargeMatricesAreFactoredInARandomSubspace(t *testing.T) {
	if testing.Short() {
		t.Skip("decomposes a large matrix")
	}
	const out, in, rank = 640, 560, 4
	change := mat.NewDense(out, in, nil)
	for i := range out {
		for j := range in {
			x := 1e-3 * random.Normal(9, 3, uint64(i*in+j))
			for r := range rank {
				x += random.Normal(9, uint64(10+r), uint64(i)) * random.Normal(9, uint64(20+r), uint64(j)) / float64(1+r)
			}
			change.Set(i, j, x)
		}
	}
	b, a, err := factor(change, rank, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	f := fit(change, Module{Rank: rank, In: in, Out: out, A: a, B: b}, 0.5)
	if !(f.Left < 1.2e-3) {
		t.Errorf("lacks %v of the change, the noise is about 8e-4", f.Left)
	}
	q := subspace(change, 20)
	var gram mat.Dense
	gram.Mul(q.T(), q)
	for i := range 20 {
		for j := range 20 {
			want := 0.0
			if i == j {
				want = 1
			}
			if math.Abs(gram.At(i, j)-want) > 1e-12 {
				t.Fatalf("basis vectors %d and %d have product %v", i, j, gram.At(i, j))
			}
		}
	}
}

func FuzzConfig(f *testing.F) {
	weights, err := os.ReadFile(filepath.Join("testdata", "qwen3", weightsFile))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"qwen3", "llama"} {
		text, err := os.ReadFile(filepath.Join("testdata", name, configFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, weightsFile), weights, 0o644); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, configFile), text, 0o644); err != nil {
			t.Fatal(err)
		}
		a, err := Load(dir)
		if err != nil {
			return
		}
		to := filepath.Join(t.TempDir(), "again")
		if err := Save(to, a, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		back, err := Load(to)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a.Modules, back.Modules); diff != "" {
			t.Fatal(diff)
		}
	})
}

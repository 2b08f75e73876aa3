package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/policies/model/safetensors"
)

func TestWhatIsSavedIsLoaded(t *testing.T) {
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			w := counted(c)
			dir := filepath.Join(t.TempDir(), "new", "policy")
			if err := w.Save(dir); err != nil {
				t.Fatal(err)
			}
			back, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c, back.Config); diff != "" {
				t.Errorf("config (-saved +loaded):\n%s", diff)
			}
			if back.Digest() != w.Digest() {
				t.Error("the weights differ")
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 2 {
				t.Errorf("the directory holds %v (%v), want two files", entries, err)
			}
			blob, err := w.MarshalSafetensors()
			if err != nil {
				t.Fatal(err)
			}
			if back, err = UnmarshalSafetensors(blob); err != nil {
				t.Fatal(err)
			}
			if back.Config != c || back.Digest() != w.Digest() {
				t.Error("the blob differs")
			}
		})
	}
}

func TestHalfSizeFilesLoadAsRounded(t *testing.T) {
	w := NewWeights(llama)
	w.Init(1, InitOptions{})
	dir := t.TempDir()
	if err := w.Save(dir, BF16()); err != nil {
		t.Fatal(err)
	}
	back, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range back.Flat() {
		if y := w.Flat()[i]; math.Abs(float64(x-y)) > math.Abs(float64(y))/256 || math.Float32bits(x)&0xffff != 0 {
			t.Fatalf("parameter %d is %v, saved was %v", i, x, y)
		}
	}
	again := t.TempDir()
	if err := back.Save(again, BF16()); err != nil {
		t.Fatal(err)
	}
	if twice, err := Load(again); err != nil || twice.Digest() != back.Digest() {
		t.Errorf("rounding twice changes something (%v)", err)
	}
}

func TestShardsStayBelowTheLimit(t *testing.T) {
	w := NewWeights(qwen3)
	w.Init(1, InitOptions{})
	for _, tc := range []struct {
		name  string
		o     []SaveOption
		limit int64
		files int // at least
	}{
		{"one file", []SaveOption{ShardSize(1 << 20)}, 1 << 20, 1},
		{"float32", []SaveOption{ShardSize(1000)}, 1000, 4},
		{"bfloat16", []SaveOption{BF16(), ShardSize(1000)}, 1000, 2},
		{"smaller than a tensor", []SaveOption{ShardSize(1)}, 4 * 8 * 12, len(w.tensors)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := counted(llama).Save(dir, ShardSize(700)); err != nil { // to be replaced
				t.Fatal(err)
			}
			if err := w.Save(dir, tc.o...); err != nil {
				t.Fatal(err)
			}
			names, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
			if err != nil || len(names) < tc.files || tc.files == 1 && len(names) != 1 {
				t.Errorf("files are %v (%v)", names, err)
			}
			for _, name := range names {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				f, err := safetensors.Open(bytes.NewReader(b), int64(len(b)))
				if err != nil {
					t.Fatal(err)
				}
				if last := f.Entries()[len(f.Entries())-1]; last.End > tc.limit {
					t.Errorf("%s holds %d bytes", name, last.End)
				}
			}
			back, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			one := t.TempDir()
			if err := w.Save(one, tc.o[:len(tc.o)-1]...); err != nil {
				t.Fatal(err)
			}
			if want, err := Load(one); err != nil || back.Digest() != want.Digest() {
				t.Errorf("the shards hold something else (%v)", err)
			}
		})
	}
}

func TestHalfPrecisionRefusesWhatItCannotHold(t *testing.T) {
	w := NewWeights(llama)
	w.Init(1, InitOptions{})
	if err := w.Save(t.TempDir(), F16()); err != nil {
		t.Error(err)
	}
	w.Flat()[3] = 65520
	if err := w.Save(t.TempDir(), F16()); err == nil || !strings.Contains(err.Error(), `"model.embed_tokens.weight", element 3 is 65520`) {
		t.Errorf("error is %v", err)
	}
}

func TestEveryEndSurvivesSaving(t *testing.T) {
	c := llama
	c.MoreEOS = Ends{2, [7]int32{5, 9}}
	dir := t.TempDir()
	if err := counted(c).Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := LoadConfig(dir)
	if err != nil || got != c {
		t.Errorf("got %+v (%v), want %+v", got, err, c)
	}
	if diff := cmp.Diff([]int32{2, 5, 9}, got.Ends()); diff != "" {
		t.Errorf("ends (-want +got):\n%s", diff)
	}
	c.EOS = -1
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "none without an eos") {
		t.Errorf("error is %v", err)
	}
}

func TestStretchedRopeSurvivesSaving(t *testing.T) {
	for _, r := range []Rope{{Type: RopeLinear, Factor: 2.5}, {RopeLlama3, 32, 1, 4, 8192}} {
		c := llama
		c.Rope = r
		dir := t.TempDir()
		if err := counted(c).Save(dir); err != nil {
			t.Fatal(err)
		}
		if got, err := LoadConfig(dir); err != nil || got != c {
			t.Errorf("got %+v (%v), want %+v", got, err, c)
		}
	}
}

func TestSavingAgainReplacesAndLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []Config{llama, qwen3} {
		if err := counted(c).Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	if w, err := Load(dir); err != nil || w.Config != qwen3 {
		t.Errorf("loaded %v (%v)", w, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
	if err := counted(llama).Save(filepath.Join(dir, "config.json")); err == nil {
		t.Error("saving into a file succeeds")
	}
}

// shards writes w as two files with an index, in which name may be replaced.
func shards(t *testing.T, w *Weights, second string) string {
	t.Helper()
	dir := t.TempDir()
	if err := w.Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, weightsFile)); err != nil {
		t.Fatal(err)
	}
	index := map[string]string{}
	half := len(w.tensors) / 2
	for i, part := range [][]Tensor{w.tensors[:half], w.tensors[half:]} {
		name := []string{"model-00001-of-00002.safetensors", second}[i]
		var ts []safetensors.Tensor
		for _, x := range part {
			index[x.Name] = name
			ts = append(ts, safetensors.Tensor(x))
		}
		f, err := os.Create(filepath.Join(dir, filepath.Base(name)))
		if err == nil {
			err = errors.Join(safetensors.Write(f, ts, nil, safetensors.F32), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(map[string]any{"weight_map": index})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, indexFile), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestShardsAreReadTogether(t *testing.T) {
	w := counted(llama)
	back, err := Load(shards(t, w, "model-00002-of-00002.safetensors"))
	if err != nil || back.Digest() != w.Digest() {
		t.Errorf("loaded with error %v", err)
	}
	_, err = Load(shards(t, w, "../model-00002-of-00002.safetensors"))
	if err == nil || !strings.Contains(err.Error(), "is not a plain file name") {
		t.Errorf("an index that leaves its directory: error is %v", err)
	}
}

func TestDirectoriesThatAreNotThePolicyAreRefused(t *testing.T) {
	// rewrite saves w's tensors after a change.
	rewrite := func(t *testing.T, dir string, w *Weights, change func([]safetensors.Tensor) []safetensors.Tensor) {
		f, err := os.Create(filepath.Join(dir, weightsFile))
		if err == nil {
			err = errors.Join(safetensors.Write(f, change(w.stored()), nil, safetensors.F32), f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name   string
		c      Config
		change func([]safetensors.Tensor) []safetensors.Tensor
		want   string
	}{
		{"missing tensor", llama, func(ts []safetensors.Tensor) []safetensors.Tensor { return ts[1:] }, `"model.embed_tokens.weight" is missing`},
		{"wrong shape", llama, func(ts []safetensors.Tensor) []safetensors.Tensor { ts[0].Shape = []int{8, 11}; return ts }, "has shape [8 11], the config says [11 8]"},
		{"foreign tensor", llama, func(ts []safetensors.Tensor) []safetensors.Tensor {
			return append(ts, safetensors.Tensor{Name: "visual.weight", Shape: []int{1}, Data: []float32{1}})
		}, `"visual.weight" is not part of a llama model`},
		{"a head of its own though tied", qwen3, func(ts []safetensors.Tensor) []safetensors.Tensor {
			return append(ts, safetensors.Tensor{Name: "lm_head.weight", Shape: ts[0].Shape, Data: make([]float32, len(ts[0].Data))})
		}, "differs from the embedding"},
		{"the same head though tied", qwen3, func(ts []safetensors.Tensor) []safetensors.Tensor {
			return append(ts, safetensors.Tensor{Name: "lm_head.weight", Shape: ts[0].Shape, Data: ts[0].Data})
		}, ""},
		{"an old constant", llama, func(ts []safetensors.Tensor) []safetensors.Tensor {
			return append(ts, safetensors.Tensor{Name: "model.layers.0.self_attn.rotary_emb.inv_freq", Shape: []int{3}, Data: []float32{1, 2, 3}})
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, dir := counted(tc.c), t.TempDir()
			if err := w.Save(dir); err != nil {
				t.Fatal(err)
			}
			rewrite(t, dir, w, tc.change)
			switch _, err := Load(dir); {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
		})
	}
	t.Run("no config", func(t *testing.T) {
		if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a model directory") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("blob without a config", func(t *testing.T) {
		var b strings.Builder
		if err := safetensors.Write(&b, counted(llama).stored(), nil, safetensors.F32); err != nil {
			t.Fatal(err)
		}
		if _, err := UnmarshalSafetensors([]byte(b.String())); err == nil || !strings.Contains(err.Error(), "has no pith.config") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestForeignConfigsAreUnderstood(t *testing.T) {
	base := map[string]any{"model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
		"num_attention_heads": 4, "max_position_embeddings": 64, "future_key": map[string]any{"a": 1}}
	with := func(kv ...any) map[string]any {
		m := maps.Clone(base)
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1]
		}
		return m
	}
	want := Config{Arch: Llama, VocabSize: 32, HiddenSize: 16, IntermediateSize: 24, NumLayers: 1, NumHeads: 4, NumKVHeads: 4, HeadDim: 4,
		MaxContext: 64, RMSNormEps: 1e-6, RopeTheta: 10000, BOS: 1, EOS: 2, PAD: -1}
	for _, tc := range []struct {
		name   string
		config map[string]any
		want   func(*Config)
		err    string
	}{
		{"class defaults", base, func(*Config) {}, ""},
		{"a list of ends", with("eos_token_id", []int{5, 6}, "bos_token_id", nil), func(c *Config) { c.EOS, c.BOS, c.MoreEOS = 5, -1, Ends{1, [7]int32{6}} }, ""},
		{"too many ends", with("eos_token_id", []int{1, 2, 3, 4, 5, 6, 7, 8, 9}), nil, "more than 8 tokens end a text"},
		{"an end outside the vocabulary", with("eos_token_id", []int{1, 32}), nil, "more_eos token 32 is outside"},
		{"one end twice", with("eos_token_id", []int{5, 5}), func(c *Config) { c.EOS = 5 }, ""},
		{"rope of transformers 4", with("rope_theta", 5e5, "rope_scaling", nil), func(c *Config) { c.RopeTheta = 5e5 }, ""},
		{"rope of transformers 5", with("rope_parameters", map[string]any{"rope_type": "default", "rope_theta": 7}), func(c *Config) { c.RopeTheta = 7 }, ""},
		{"grouped heads", with("num_key_value_heads", 2, "head_dim", 8), func(c *Config) { c.NumKVHeads, c.HeadDim = 2, 8 }, ""},
		{"qwen2", with("model_type", "qwen2", "use_sliding_window", false), func(c *Config) { c.Arch, c.AttentionBias, c.BOS, c.EOS = Qwen2, true, -1, -1 }, ""},
		{"qwen3", with("model_type", "qwen3"), func(c *Config) { c.Arch, c.QKNorm, c.HeadDim, c.BOS, c.EOS = Qwen3, true, 128, -1, -1 }, ""},
		{"another family", with("model_type", "gemma3"), nil, `model_type "gemma3" is not supported`},
		{"rope of Llama 3.1", with("rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}),
			func(c *Config) { c.Rope = Rope{RopeLlama3, 8, 1, 4, 8192} }, ""},
		{"rope of Llama 3.1 by transformers 5", with("rope_parameters", map[string]any{"rope_type": "llama3", "rope_theta": 5e5, "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8192}),
			func(c *Config) { c.Rope, c.RopeTheta = Rope{RopeLlama3, 8, 1, 4, 8192}, 5e5 }, ""},
		{"linear rope, old key", with("rope_scaling", map[string]any{"type": "linear", "factor": 8}), func(c *Config) { c.Rope = Rope{Type: RopeLinear, Factor: 8} }, ""},
		{"another rope", with("rope_scaling", map[string]any{"rope_type": "yarn", "factor": 8}), nil, `rope type "yarn" is not supported`},
		{"rope of Llama 3.1 without its bounds", with("rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8}), nil, "low_freq_factor 0"},
		{"shrunk rope", with("rope_scaling", map[string]any{"rope_type": "linear", "factor": 0.5}), nil, "rope factor is 0.5"},
		{"partial rope", with("rope_parameters", map[string]any{"partial_rotary_factor": 0.5}), nil, "partial_rotary_factor 0.5"},
		{"another activation", with("hidden_act", "gelu"), nil, `hidden_act "gelu"`},
		{"attention bias", with("attention_bias", true), nil, "attention_bias true"},
		{"mlp bias", with("mlp_bias", true), nil, "mlp_bias true"},
		{"sliding window", with("layer_types", []string{"full_attention", "sliding_attention"}), nil, "sliding-window"},
		{"quantized", with("quantization_config", map[string]any{"bits": 4}), nil, "quantized"},
		{"no heads", with("num_attention_heads", 0), nil, "num_heads is 0"},
		{"a fraction", with("hidden_size", 1.5), nil, "config.json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text, err := json.Marshal(tc.config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseHF(text)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("error is %v, want one with %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w := want
			tc.want(&w)
			if diff := cmp.Diff(w, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPoliciesWrittenElsewhereLoad(t *testing.T) {
	for _, arch := range []string{Llama, Qwen2, Qwen3} {
		w, err := Load(filepath.Join("testdata", arch))
		if err != nil {
			t.Fatal(err)
		}
		if w.Config.Arch != arch || w.Config.EOS != 2 || slices.Max(w.Flat()) == 0 {
			t.Errorf("%s: loaded %+v", arch, w.Config)
		}
	}
}

// FuzzUnmarshal feeds hostile blobs: neither a crash nor an allocation out of proportion.
func FuzzUnmarshal(f *testing.F) {
	for _, c := range configs {
		b, err := counted(c).MarshalSafetensors(BF16())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := UnmarshalSafetensors(b)
		if err != nil {
			return
		}
		if 2*len(w.Flat()) > len(b) {
			t.Fatalf("%d parameters from %d bytes", len(w.Flat()), len(b))
		}
		again, err := w.MarshalSafetensors()
		if err != nil {
			t.Fatal(err)
		}
		back, err := UnmarshalSafetensors(again)
		if err != nil || back.Digest() != w.Digest() {
			t.Fatalf("does not survive writing: %v", err)
		}
	})
}

func ExampleWeights_Tensors() {
	for _, x := range NewWeights(qwen3).Tensors()[:3] {
		fmt.Println(x.Name, x.Shape)
	}
	// Output:
	// model.embed_tokens.weight [11 8]
	// model.layers.0.input_layernorm.weight [8]
	// model.layers.0.self_attn.q_proj.weight [12 8]
}

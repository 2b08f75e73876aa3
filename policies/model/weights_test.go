package model

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	llama = Config{Arch: Llama, VocabSize: 11, HiddenSize: 8, IntermediateSize: 12, NumLayers: 2, NumHeads: 2, NumKVHeads: 1,
		HeadDim: 6, MaxContext: 32, RMSNormEps: 1e-5, RopeTheta: 1000, BOS: 1, EOS: 2, PAD: 0}
	qwen2 = Config{Arch: Qwen2, VocabSize: 11, HiddenSize: 8, IntermediateSize: 12, NumLayers: 1, NumHeads: 2, NumKVHeads: 2,
		HeadDim: 4, MaxContext: 32, RMSNormEps: 1e-6, RopeTheta: 1e6, AttentionBias: true, TieEmbeddings: true, BOS: -1, EOS: 2, PAD: 0}
	qwen3 = Config{Arch: Qwen3, VocabSize: 11, HiddenSize: 8, IntermediateSize: 12, NumLayers: 1, NumHeads: 2, NumKVHeads: 1,
		HeadDim: 6, MaxContext: 32, RMSNormEps: 1e-6, RopeTheta: 1e4, QKNorm: true, TieEmbeddings: true, BOS: -1, EOS: 2, PAD: -1}
	configs = map[string]Config{Llama: llama, Qwen2: qwen2, Qwen3: qwen3}
)

// quickstart is the shape of the policy that ships with pith.
var quickstart = Config{Arch: Llama, VocabSize: 64, HiddenSize: 128, IntermediateSize: 256, NumLayers: 3, NumHeads: 4, NumKVHeads: 4,
	HeadDim: 32, MaxContext: 288, RMSNormEps: 1e-5, RopeTheta: 1000, TieEmbeddings: true, BOS: 1, EOS: 2, PAD: 0}

// counted gives every parameter a value of its own.
func counted(c Config) *Weights {
	w := NewWeights(c)
	for i := range w.Flat() {
		w.Flat()[i] = float32(i) / 16
	}
	return w
}

func TestQuickstartHasTheParametersOfTheRecipe(t *testing.T) {
	if got := quickstart.Parameters(); got != 500_608 {
		t.Errorf("%d parameters, want 500608", got)
	}
}

func TestConfigsAreValidatedAllAtOnce(t *testing.T) {
	for name, c := range configs {
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"unknown architecture", func(c *Config) { c.Arch = "gpt2" }, []string{`arch "gpt2"`}},
		{"sizes", func(c *Config) { c.VocabSize, c.NumLayers, c.MaxContext = 0, -1, 1<<24+1 }, []string{"vocab_size is 0", "num_layers is -1", "max_context is"}},
		{"heads", func(c *Config) { c.NumHeads, c.NumKVHeads, c.HeadDim = 3, 2, 7 }, []string{"not a multiple", "head_dim 7 is odd"}},
		{"numbers", func(c *Config) { c.RMSNormEps, c.RopeTheta = math.NaN(), math.Inf(1) }, []string{"rms_norm_eps is NaN", "rope_theta is +Inf"}},
		{"parts of another architecture", func(c *Config) { c.QKNorm, c.AttentionBias = true, true }, []string{"qk_norm is true", "attention_bias is true"}},
		{"tokens", func(c *Config) { c.BOS, c.EOS = -2, 11 }, []string{"bos token -2", "eos token 11"}},
		{"too large", func(c *Config) { c.HiddenSize, c.IntermediateSize, c.NumLayers = 1<<16, 1<<18, 1<<10 }, []string{"parameters, more than"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := llama
			tc.change(&c)
			err := c.Validate()
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error is %v, want one with %q", err, want)
				}
			}
		})
	}
}

func TestTensorsLieOneAfterAnotherInTheFlatVector(t *testing.T) {
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			w := counted(c)
			at := 0
			names := map[string]bool{}
			for _, x := range w.Tensors() {
				n := 1
				for _, s := range x.Shape {
					n *= s
				}
				if len(x.Data) != n || &x.Data[0] != &w.Flat()[at] {
					t.Fatalf("%s: %d values of shape %v, at %d", x.Name, len(x.Data), x.Shape, at)
				}
				if names[x.Name] {
					t.Errorf("%s is there twice", x.Name)
				}
				names[x.Name] = true
				at += n
			}
			if at != len(w.Flat()) || int64(at) != c.Parameters() {
				t.Errorf("tensors hold %d of %d parameters, counted are %d", at, len(w.Flat()), c.Parameters())
			}
			if names["lm_head.weight"] == c.TieEmbeddings {
				t.Errorf("tied is %v, lm_head.weight is listed: %v", c.TieEmbeddings, names["lm_head.weight"])
			}
		})
	}
}

func TestNamesAndOrderAreFixed(t *testing.T) {
	var got []string
	for _, x := range NewWeights(qwen2).Tensors() {
		got = append(got, x.Name)
	}
	for _, x := range NewWeights(qwen3).Tensors()[5:7] {
		got = append(got, x.Name)
	}
	want := []string{
		"model.embed_tokens.weight",
		"model.layers.0.input_layernorm.weight",
		"model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight",
		"model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.k_proj.bias", "model.layers.0.self_attn.v_proj.bias",
		"model.layers.0.self_attn.o_proj.weight",
		"model.layers.0.post_attention_layernorm.weight",
		"model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight",
		"model.norm.weight",
		"model.layers.0.self_attn.q_norm.weight", "model.layers.0.self_attn.k_norm.weight",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestStackedViewsCoverTheirParts(t *testing.T) {
	for name, c := range configs {
		t.Run(name, func(t *testing.T) {
			for i, l := range counted(c).Layers {
				if !slices.Equal(l.QKV, slices.Concat(l.Q, l.K, l.V)) || !slices.Equal(l.GateUp, slices.Concat(l.Gate, l.Up)) ||
					!slices.Equal(l.QKVBias, slices.Concat(l.QBias, l.KBias, l.VBias)) {
					t.Errorf("layer %d", i)
				}
				if len(l.QKV) != c.QKVDim()*c.HiddenSize {
					t.Errorf("layer %d: stacked projections have %d values", i, len(l.QKV))
				}
			}
		})
	}
}

func TestATensorIsFoundByName(t *testing.T) {
	w := counted(qwen3)
	x, ok := w.Tensor("model.layers.0.mlp.down_proj.weight")
	if !ok || &x.Data[0] != &w.Layers[0].Down[0] || !slices.Equal(x.Shape, []int{8, 12}) {
		t.Errorf("found %v of shape %v", ok, x.Shape)
	}
	if _, ok := w.Tensor("lm_head.weight"); ok {
		t.Error("a tied policy has an output projection of its own")
	}
	if &w.Head[0] != &w.Embed[0] {
		t.Error("tied embeddings are two")
	}
}

func TestACloneIsIndependent(t *testing.T) {
	w := counted(llama)
	c := w.Clone()
	if c.Digest() != w.Digest() {
		t.Error("the clone differs")
	}
	c.Layers[1].Up[3]++
	if c.Digest() == w.Digest() {
		t.Error("a change of the clone does not show in its digest")
	}
	if w.Layers[1].Up[3] != counted(llama).Layers[1].Up[3] {
		t.Error("a change of the clone reached the original")
	}
}

// The digest names policies in manifests and announcements: it may never change.
func TestDigestIsPinned(t *testing.T) {
	if got := counted(qwen2).Digest(); got != pinnedDigest {
		t.Errorf("digest is %s, want %s", got, pinnedDigest)
	}
}

func TestInitialWeightsHaveTheStatedDeviations(t *testing.T) {
	w := NewWeights(quickstart)
	w.Init(3, InitOptions{})
	linear, residual := 1/math.Sqrt(128), 1/math.Sqrt(128)/math.Sqrt(6)
	l := &w.Layers[1]
	for _, tc := range []struct {
		name string
		data []float32
		sd   float64
	}{
		{"embedding", w.Embed, 0.1}, {"q", l.Q, linear}, {"v", l.V, linear}, {"gate", l.Gate, linear}, {"up", l.Up, linear},
		{"o", l.O, residual}, {"down", l.Down, residual},
	} {
		sum, squares := 0.0, 0.0
		for _, x := range tc.data {
			sum, squares = sum+float64(x), squares+float64(x)*float64(x)
		}
		n := float64(len(tc.data))
		if mean := sum / n; math.Abs(mean) > 5*tc.sd/math.Sqrt(n) {
			t.Errorf("%s: mean %v", tc.name, mean)
		}
		if sd := math.Sqrt(squares / n); math.Abs(sd/tc.sd-1) > 5/math.Sqrt(2*n) {
			t.Errorf("%s: deviation %v, want %v", tc.name, sd, tc.sd)
		}
	}
	for _, x := range w.Norm {
		if x != 1 {
			t.Fatalf("a norm begins at %v", x)
		}
	}
}

// Pinned so that a base policy that was trained from a seed can be trained again on any machine.
func TestInitialWeightsArePinned(t *testing.T) {
	w := counted(llama) // what was there before does not matter
	w.Init(42, InitOptions{})
	if got := w.Digest(); got != pinnedInit {
		t.Errorf("digest is %s, want %s", got, pinnedInit)
	}
	w.Init(43, InitOptions{})
	if w.Digest() == pinnedInit {
		t.Error("another seed gives the same weights")
	}
}

func TestRotaryTableHoldsTheAngles(t *testing.T) {
	r := NewRotary(Config{HeadDim: 32, RopeTheta: 1000}.Frequencies(), 300)
	for _, p := range []int{0, 1, 7, 299} {
		cos, sin := r.At(p)
		for j := range 16 {
			s, c := math.Sincos(float64(p) * math.Pow(1000, -2*float64(j)/32))
			if math.Abs(float64(cos[j])-c) > 6e-8 || math.Abs(float64(sin[j])-s) > 6e-8 {
				t.Errorf("position %d, pair %d: (%v, %v), want (%v, %v)", p, j, cos[j], sin[j], c, s)
			}
		}
	}
}

const (
	pinnedDigest = "c63f77ea8cad7dda39550686318dfc1cb4ce527c694adfdc86af9e9cd33732dc"
	pinnedInit   = "cba99ef7c8e41e03b0ab5e741a8c1767c2c1767ad9a832c9981d471720ec736a"
)

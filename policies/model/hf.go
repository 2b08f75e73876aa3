package model

import (
	"encoding/json"
	"fmt"
	"slices"
)

// hfConfig is config.json as transformers writes and reads it. Pointers tell an absent key from a
// zero one.
type hfConfig struct {
	Architectures []string        `json:"architectures,omitempty"`
	ModelType     string          `json:"model_type"`
	VocabSize     int             `json:"vocab_size"`
	HiddenSize    int             `json:"hidden_size"`
	Intermediate  int             `json:"intermediate_size"`
	Layers        int             `json:"num_hidden_layers"`
	Heads         int             `json:"num_attention_heads"`
	KVHeads       *int            `json:"num_key_value_heads,omitempty"`
	HeadDim       *int            `json:"head_dim,omitempty"`
	HiddenAct     *string         `json:"hidden_act,omitempty"`
	MaxPositions  int             `json:"max_position_embeddings"`
	Eps           *float64        `json:"rms_norm_eps,omitempty"`
	RopeTheta     *float64        `json:"rope_theta,omitempty"`
	Rope          *hfRope         `json:"rope_parameters,omitempty"` // transformers 5
	RopeScaling   *hfRope         `json:"rope_scaling,omitempty"`    // transformers 4
	Tie           bool            `json:"tie_word_embeddings"`
	AttentionBias *bool           `json:"attention_bias,omitempty"`
	MLPBias       *bool           `json:"mlp_bias,omitempty"`
	Sliding       *bool           `json:"use_sliding_window,omitempty"`
	LayerTypes    []string        `json:"layer_types,omitempty"`
	Quantization  json.RawMessage `json:"quantization_config,omitempty"`
	BOS           hfToken         `json:"bos_token_id"`
	EOS           hfToken         `json:"eos_token_id"`
	PAD           hfToken         `json:"pad_token_id"`
	TorchDType    string          `json:"torch_dtype,omitempty"`
	Init          *float64        `json:"initializer_range,omitempty"`
	UseCache      *bool           `json:"use_cache,omitempty"`
}

// hfRope is rope_parameters, or rope_scaling without the theta.
type hfRope struct {
	Rope
	OldType string   `json:"type,omitempty"`
	Theta   *float64 `json:"rope_theta,omitempty"`
	Partial *float64 `json:"partial_rotary_factor,omitempty"`
}

// rope is the stretching that the keys ask for; keys that no type here reads are left out, as
// readers of this file do.
func (h *hfRope) rope() Rope {
	r := h.Rope
	if r.Type == "" {
		r.Type = h.OldType
	}
	switch r.Type {
	case "", "default":
		return Rope{}
	case RopeLinear:
		return Rope{Type: r.Type, Factor: r.Factor}
	}
	return r
}

// hfToken is a token id: a number, null, or (eos only, in practice) a list.
type hfToken struct {
	ID   int32   // -1 for null; the first of a list
	More []int32 // the rest of a list
	Set  bool    // the key was there
}

func (t *hfToken) UnmarshalJSON(b []byte) error {
	t.Set, t.ID = true, -1
	if string(b) == "null" {
		return nil
	}
	if err := json.Unmarshal(b, &t.ID); err == nil {
		return nil
	}
	var list []int32
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("a token id is a number, null or a list of numbers, not %s", b)
	}
	if len(list) > 0 {
		t.ID, t.More = list[0], list[1:]
	}
	return nil
}

// ends is More without repetitions.
func (t hfToken) ends() (e Ends, err error) {
	for _, id := range t.More {
		switch {
		case id == t.ID || slices.Contains(e.IDs[:e.N], id):
		case e.N == len(e.IDs):
			return e, fmt.Errorf("more than %d tokens end a text", MaxEnds)
		default:
			e.IDs[e.N] = id
			e.N++
		}
	}
	return e, nil
}

func (t hfToken) MarshalJSON() ([]byte, error) {
	if t.ID < 0 {
		return []byte("null"), nil
	}
	if len(t.More) > 0 {
		return json.Marshal(append([]int32{t.ID}, t.More...))
	}
	return json.Marshal(t.ID)
}

// architectures maps our names to the class names of transformers.
var architectures = map[string]string{Llama: "LlamaForCausalLM", Qwen2: "Qwen2ForCausalLM", Qwen3: "Qwen3ForCausalLM"}

// MarshalHF is config.json for transformers and the servers that read the same file. torchDType
// names the type that the tensors are stored in, "float32" or "bfloat16".
func (c Config) MarshalHF(torchDType string) ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	act, no, yes := "silu", false, true
	h := hfConfig{
		Architectures: []string{architectures[c.Arch]}, ModelType: c.Arch,
		VocabSize: c.VocabSize, HiddenSize: c.HiddenSize, Intermediate: c.IntermediateSize,
		Layers: c.NumLayers, Heads: c.NumHeads, KVHeads: &c.NumKVHeads, HiddenAct: &act,
		MaxPositions: c.MaxContext, Eps: &c.RMSNormEps, RopeTheta: &c.RopeTheta, Tie: c.TieEmbeddings,
		BOS: hfToken{ID: c.BOS}, EOS: hfToken{ID: c.EOS, More: c.MoreEOS.IDs[:c.MoreEOS.N]}, PAD: hfToken{ID: c.PAD},
		TorchDType: torchDType, UseCache: &yes,
	}
	switch c.Arch {
	case Llama:
		h.HeadDim, h.AttentionBias, h.MLPBias = &c.HeadDim, &no, &no
	case Qwen2:
		h.Sliding = &no
	case Qwen3:
		h.HeadDim, h.AttentionBias, h.Sliding = &c.HeadDim, &no, &no
	}
	if c.Rope != (Rope{}) {
		h.RopeScaling = &hfRope{Rope: c.Rope}
	}
	b, err := json.MarshalIndent(h, "", "  ")
	return append(b, '\n'), err
}

// ParseHF reads a config.json. Keys that change the computation in a way this package does not
// implement are errors; other unknown keys are ignored, as every reader of this file does.
func ParseHF(text []byte) (Config, error) {
	var h hfConfig
	if err := json.Unmarshal(text, &h); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	if err := h.supported(); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	c := Config{
		Arch: h.ModelType, VocabSize: h.VocabSize, HiddenSize: h.HiddenSize, IntermediateSize: h.Intermediate,
		NumLayers: h.Layers, NumHeads: h.Heads, NumKVHeads: or(h.KVHeads, h.Heads), MaxContext: h.MaxPositions,
		RMSNormEps: or(h.Eps, 1e-6), RopeTheta: or(h.RopeTheta, 10000), TieEmbeddings: h.Tie,
		QKNorm: h.ModelType == Qwen3, AttentionBias: h.ModelType == Qwen2,
		BOS: -1, EOS: -1, PAD: -1,
	}
	if h.RopeScaling != nil {
		c.Rope = h.RopeScaling.rope()
	}
	if h.Rope != nil {
		c.Rope, c.RopeTheta = h.Rope.rope(), or(h.Rope.Theta, c.RopeTheta)
	}
	if h.ModelType == Llama { // the class defaults
		c.BOS, c.EOS = 1, 2
	}
	switch {
	case h.HeadDim != nil && h.ModelType != Qwen2:
		c.HeadDim = *h.HeadDim
	case h.ModelType == Qwen3:
		c.HeadDim = 128 // the class default
	case h.Heads > 0:
		c.HeadDim = h.HiddenSize / h.Heads
	}
	for _, t := range []struct {
		from hfToken
		to   *int32
	}{{h.BOS, &c.BOS}, {h.EOS, &c.EOS}, {h.PAD, &c.PAD}} {
		if t.from.Set {
			*t.to = t.from.ID
		}
	}
	var err error
	if c.MoreEOS, err = h.EOS.ends(); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("config.json: %w", err)
	}
	return c, nil
}

// supported refuses what would silently compute something else.
func (h hfConfig) supported() error {
	if _, ok := architectures[h.ModelType]; !ok {
		return fmt.Errorf("model_type %q is not supported; llama, qwen2 and qwen3 are", h.ModelType)
	}
	if h.HiddenAct != nil && *h.HiddenAct != "silu" {
		return fmt.Errorf("hidden_act %q is not supported, only silu", *h.HiddenAct)
	}
	if or(h.AttentionBias, false) && h.ModelType != Qwen2 {
		return fmt.Errorf("attention_bias true is not supported for %s", h.ModelType)
	}
	if or(h.MLPBias, false) {
		return fmt.Errorf("mlp_bias true is not supported")
	}
	if or(h.Sliding, false) || slices.ContainsFunc(h.LayerTypes, func(t string) bool { return t != "full_attention" }) {
		return fmt.Errorf("sliding-window attention is not supported")
	}
	if len(h.Quantization) > 0 && string(h.Quantization) != "null" {
		return fmt.Errorf("quantized weights are not supported")
	}
	for _, r := range []*hfRope{h.Rope, h.RopeScaling} {
		if r == nil {
			continue
		}
		if err := r.rope().validate(); err != nil {
			return err
		}
		if p := or(r.Partial, 1); p != 1 {
			return fmt.Errorf("partial_rotary_factor %v is not supported", p)
		}
	}
	return nil
}

// or is *p, or otherwise where p is nil.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

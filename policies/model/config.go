package model

import (
	"errors"
	"fmt"
	"math"
)

// The architectures that a [Config] can name; each fixes which optional tensors exist.
const (
	Llama = "llama" // no biases, no q/k norm
	Qwen2 = "qwen2" // biases on q, k and v
	Qwen3 = "qwen3" // RMSNorm on every query and key head, explicit head size
)

// MaxParameters bounds what Validate accepts. The local engine and learner are meant for policies
// of up to a few hundred million parameters; the bound also keeps a hostile config.json from
// making a reader allocate without limit.
const MaxParameters = 1 << 31

// Config is the shape of a policy. The zero value is invalid; see [Config.Validate].
type Config struct {
	Arch             string  `json:"arch"` // llama, qwen2 or qwen3
	VocabSize        int     `json:"vocab_size"`
	HiddenSize       int     `json:"hidden_size"`
	IntermediateSize int     `json:"intermediate_size"` // width of the SwiGLU block
	NumLayers        int     `json:"num_layers"`
	NumHeads         int     `json:"num_heads"`
	NumKVHeads       int     `json:"num_kv_heads"` // divides NumHeads
	HeadDim          int     `json:"head_dim"`     // even; hidden/heads except on qwen3 and llama, where it may differ
	MaxContext       int     `json:"max_context"`  // positions, prompt and response together
	RMSNormEps       float64 `json:"rms_norm_eps"`
	RopeTheta        float64 `json:"rope_theta"`
	Rope             Rope    `json:"rope,omitzero"`  // how angles are stretched for long contexts
	QKNorm           bool    `json:"qk_norm"`        // qwen3 only, and always there
	AttentionBias    bool    `json:"attention_bias"` // qwen2 only, and always there; on q, k and v
	TieEmbeddings    bool    `json:"tie_embeddings"` // the output projection is the embedding
	BOS              int32   `json:"bos"`            // -1 where there is none
	EOS              int32   `json:"eos"`
	PAD              int32   `json:"pad"`
	MoreEOS          Ends    `json:"more_eos,omitzero"` // tokens beside EOS that end a text
}

// MaxEnds is the largest number of tokens that end a text.
const MaxEnds = 8

// Ends is a short list of tokens, of a fixed size so that a [Config] can be compared.
type Ends struct {
	N   int                `json:"n"`
	IDs [MaxEnds - 1]int32 `json:"ids"` // the first N count
}

// Ends lists every token that ends a text, EOS first.
func (c Config) Ends() []int32 {
	if c.EOS < 0 {
		return nil
	}
	return append([]int32{c.EOS}, c.MoreEOS.IDs[:c.MoreEOS.N]...)
}

// QueryDim is the width of all query heads together, the input of the output projection.
func (c Config) QueryDim() int { return c.NumHeads * c.HeadDim }

// KVDim is the width of all key (or value) heads together.
func (c Config) KVDim() int { return c.NumKVHeads * c.HeadDim }

// QKVDim is the width of the stacked query, key and value projections.
func (c Config) QKVDim() int { return c.QueryDim() + 2*c.KVDim() }

// Validate reports every violation at once, or nil.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch c.Arch {
	case Llama, Qwen2, Qwen3:
	default:
		bad("arch %q is not one of %s, %s, %s", c.Arch, Llama, Qwen2, Qwen3)
	}
	sized := true
	for _, f := range []struct {
		name     string
		got, max int
	}{
		{"vocab_size", c.VocabSize, 1 << 20},
		{"hidden_size", c.HiddenSize, 1 << 16},
		{"intermediate_size", c.IntermediateSize, 1 << 18},
		{"num_layers", c.NumLayers, 1 << 10},
		{"num_heads", c.NumHeads, 1 << 10},
		{"num_kv_heads", c.NumKVHeads, 1 << 10},
		{"head_dim", c.HeadDim, 1 << 12},
		{"max_context", c.MaxContext, 1 << 24},
	} {
		if f.got < 1 || f.got > f.max {
			bad("%s is %d, want 1 to %d", f.name, f.got, f.max)
			sized = false
		}
	}
	if c.NumKVHeads > 0 && c.NumHeads%c.NumKVHeads != 0 {
		bad("num_heads %d is not a multiple of num_kv_heads %d", c.NumHeads, c.NumKVHeads)
	}
	if c.HeadDim%2 != 0 {
		bad("head_dim %d is odd; rotary embedding turns pairs", c.HeadDim)
	}
	if c.Arch == Qwen2 && c.NumHeads > 0 && c.HeadDim*c.NumHeads != c.HiddenSize {
		bad("qwen2 has head_dim = hidden_size/num_heads, got %d*%d for hidden_size %d", c.NumHeads, c.HeadDim, c.HiddenSize)
	}
	if !(c.RMSNormEps > 0 && c.RMSNormEps < 1) {
		bad("rms_norm_eps is %v, want a number between 0 and 1", c.RMSNormEps)
	}
	if !(c.RopeTheta > 1) || math.IsInf(c.RopeTheta, 0) {
		bad("rope_theta is %v, want a finite number above 1", c.RopeTheta)
	}
	if err := c.Rope.validate(); err != nil {
		errs = append(errs, err)
	}
	if want := c.Arch == Qwen3; c.QKNorm != want {
		bad("qk_norm is %v, but %s always has %v", c.QKNorm, c.Arch, want)
	}
	if want := c.Arch == Qwen2; c.AttentionBias != want {
		bad("attention_bias is %v; %s is supported with %v only", c.AttentionBias, c.Arch, want)
	}
	for _, t := range []struct {
		name string
		id   int32
	}{{"bos", c.BOS}, {"eos", c.EOS}, {"pad", c.PAD}} {
		if t.id < -1 || int(t.id) >= c.VocabSize {
			bad("%s token %d is outside the vocabulary of %d (-1 means none)", t.name, t.id, c.VocabSize)
		}
	}
	if n := c.MoreEOS.N; n < 0 || n >= MaxEnds || n > 0 && c.EOS < 0 {
		bad("more_eos has %d tokens beside eos %d, want at most %d, and none without an eos", n, c.EOS, MaxEnds-1)
	} else {
		for i, id := range c.MoreEOS.IDs {
			if i < n && (id < 0 || int(id) >= c.VocabSize) || i >= n && id != 0 {
				bad("more_eos token %d is outside the vocabulary of %d, or beyond the %d that count", id, c.VocabSize, n)
			}
		}
	}
	if sized {
		if n := c.parameters(); n > MaxParameters {
			bad("%g parameters, more than the %d this package holds", n, MaxParameters)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("model config: %w", errors.Join(errs...))
	}
	return nil
}

// Parameters counts the float32 parameters, a tied output projection once.
func (c Config) Parameters() int64 { return int64(c.parameters()) }

// parameters counts in float64, in which no valid or invalid config overflows.
func (c Config) parameters() float64 {
	h, q, kv, f := float64(c.HiddenSize), float64(c.QueryDim()), float64(c.KVDim()), float64(c.IntermediateSize)
	layer := 2*h + (q+2*kv)*h + q*h + 3*f*h
	if c.AttentionBias {
		layer += q + 2*kv
	}
	if c.QKNorm {
		layer += 2 * float64(c.HeadDim)
	}
	embed := float64(c.VocabSize) * h
	total := embed + float64(c.NumLayers)*layer + h
	if !c.TieEmbeddings {
		total += embed
	}
	return total
}

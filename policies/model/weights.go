package model

import (
	"fmt"
	"slices"
)

// Tensor is one named parameter. Name is the Hugging Face name, Shape is [out, in] for a matrix
// and [n] for a norm or a bias, Data is row-major. Data is a view into [Weights.Flat].
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// Layer holds the parameters of one block as views into the flat vector. The stacked views cover
// adjacent tensors, so that one product serves several projections.
type Layer struct {
	InputNorm []float32 // [H]

	Q, K, V             []float32 // [heads*d, H], [kv*d, H], [kv*d, H]
	QBias, KBias, VBias []float32 // qwen2 only, else nil
	QNorm, KNorm        []float32 // qwen3 only, else nil; [d]
	O                   []float32 // [H, heads*d]

	PostNorm       []float32 // [H]
	Gate, Up, Down []float32 // [F, H], [F, H], [H, F]

	QKV     []float32 // Q, K and V stacked, [(heads+2*kv)*d, H]
	QKVBias []float32 // stacked biases, nil where there are none
	GateUp  []float32 // Gate and Up stacked, [2F, H]
}

// Weights are all parameters of a policy in one backing slice. The order is
//
//	model.embed_tokens
//	for each layer: input_layernorm, q_proj, k_proj, v_proj, [q, k, v bias], [q_norm, k_norm], o_proj,
//	                post_attention_layernorm, gate_proj, up_proj, down_proj
//	model.norm
//	lm_head, unless tied
//
// and it never changes: digests, optimiser moments and checkpoints depend on it. Weights are not
// safe for concurrent use while they are written to.
type Weights struct {
	Config Config

	Embed  []float32 // [V, H]
	Layers []Layer
	Norm   []float32 // [H]
	Head   []float32 // [V, H]; the same memory as Embed when tied

	flat    []float32
	tensors []Tensor
}

// NewWeights allocates zero weights. It panics where c is invalid, which is a programmer's error:
// validate what comes from outside.
func NewWeights(c Config) *Weights {
	if err := c.Validate(); err != nil {
		panic(err)
	}
	w := &Weights{Config: c, flat: make([]float32, c.Parameters())}
	w.lay()
	return w
}

// plan is the names and shapes of the tensors that c has, without memory for them.
func plan(c Config) []Tensor {
	w := &Weights{Config: c}
	w.lay()
	return w.tensors
}

// lay cuts the flat vector into tensors, or only names them where there is none.
func (w *Weights) lay() {
	c := w.Config
	h, d, f := c.HiddenSize, c.HeadDim, c.IntermediateSize
	at := 0
	take := func(name string, shape ...int) []float32 {
		n := 1
		for _, s := range shape {
			n *= s
		}
		var data []float32
		if w.flat != nil {
			data = w.flat[at : at+n : at+n]
		}
		at += n
		w.tensors = append(w.tensors, Tensor{Name: name, Shape: shape, Data: data})
		return data
	}
	since := func(from int) []float32 {
		if w.flat == nil {
			return nil
		}
		return w.flat[from:at:at]
	}

	w.Embed = take("model.embed_tokens.weight", c.VocabSize, h)
	w.Layers = make([]Layer, c.NumLayers)
	for i := range w.Layers {
		l, p := &w.Layers[i], fmt.Sprintf("model.layers.%d.", i)
		l.InputNorm = take(p+"input_layernorm.weight", h)
		from := at
		l.Q = take(p+"self_attn.q_proj.weight", c.QueryDim(), h)
		l.K = take(p+"self_attn.k_proj.weight", c.KVDim(), h)
		l.V = take(p+"self_attn.v_proj.weight", c.KVDim(), h)
		l.QKV = since(from)
		if c.AttentionBias {
			from = at
			l.QBias = take(p+"self_attn.q_proj.bias", c.QueryDim())
			l.KBias = take(p+"self_attn.k_proj.bias", c.KVDim())
			l.VBias = take(p+"self_attn.v_proj.bias", c.KVDim())
			l.QKVBias = since(from)
		}
		if c.QKNorm {
			l.QNorm = take(p+"self_attn.q_norm.weight", d)
			l.KNorm = take(p+"self_attn.k_norm.weight", d)
		}
		l.O = take(p+"self_attn.o_proj.weight", h, c.QueryDim())
		l.PostNorm = take(p+"post_attention_layernorm.weight", h)
		from = at
		l.Gate = take(p+"mlp.gate_proj.weight", f, h)
		l.Up = take(p+"mlp.up_proj.weight", f, h)
		l.GateUp = since(from)
		l.Down = take(p+"mlp.down_proj.weight", h, f)
	}
	w.Norm = take("model.norm.weight", h)
	w.Head = w.Embed
	if !c.TieEmbeddings {
		w.Head = take("lm_head.weight", c.VocabSize, h)
	}
	if w.flat != nil && at != len(w.flat) {
		panic(fmt.Sprintf("model: laid out %d of %d parameters", at, len(w.flat)))
	}
}

// Flat is every parameter, in the order of [Weights.Tensors]. It is the memory of the weights, not
// a copy.
func (w *Weights) Flat() []float32 { return w.flat }

// Tensors lists the parameters in their fixed order. The data are views; a tied output projection
// is listed once, as the embedding.
func (w *Weights) Tensors() []Tensor { return slices.Clone(w.tensors) }

// Tensor returns the tensor of that name.
func (w *Weights) Tensor(name string) (Tensor, bool) {
	i := slices.IndexFunc(w.tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return Tensor{}, false
	}
	return w.tensors[i], true
}

// Clone returns an independent copy.
func (w *Weights) Clone() *Weights {
	c := &Weights{Config: w.Config, flat: slices.Clone(w.flat)}
	c.lay()
	return c
}

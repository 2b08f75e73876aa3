package generate

import (
	"fmt"
	"math"
	"slices"

	"pith/policies/kernel"
	"pith/policies/model"
)

// Policy is the weights of one policy, laid out for sampling. It is immutable, holds no reference
// to the [model.Weights] it was made from, and is safe for concurrent use.
type Policy struct {
	config model.Config
	shape  shape
	embed  []float32 // [V, H]
	layers []layer
	norm   []float32
	head   *kernel.Packed // [H, V]
	rotary *model.Rotary
	scale  float32 // of the queries, head_dim^-1/2
}

type layer struct {
	inputNorm, postNorm []float32
	qNorm, kNorm        []float32      // nil where there are none
	qkvBias             []float32      // nil where there is none
	qkv, o              *kernel.Packed // [H, (heads+2kv)*d], [heads*d, H]
	gateUp, down        *kernel.Packed // [H, 2F], [F, H]
}

// Pack copies w into the layout of the matrix kernel: query, key and value projections as one
// product, gate and up projections as another.
func Pack(w *model.Weights) *Policy {
	c := w.Config
	h, f := c.HiddenSize, c.IntermediateSize
	p := &Policy{
		config: c,
		shape:  shapeOf(c),
		embed:  slices.Clone(w.Embed),
		norm:   slices.Clone(w.Norm),
		head:   kernel.Pack(true, h, c.VocabSize, w.Head, h),
		rotary: rotaries.get(c),
		scale:  float32(1 / math.Sqrt(float64(c.HeadDim))),
		layers: make([]layer, len(w.Layers)),
	}
	for i := range w.Layers {
		l := &w.Layers[i]
		p.layers[i] = layer{
			inputNorm: slices.Clone(l.InputNorm), postNorm: slices.Clone(l.PostNorm),
			qNorm: slices.Clone(l.QNorm), kNorm: slices.Clone(l.KNorm),
			qkvBias: slices.Clone(l.QKVBias),
			qkv:     kernel.Pack(true, h, c.QKVDim(), l.QKV, h),
			o:       kernel.Pack(true, c.QueryDim(), h, l.O, c.QueryDim()),
			gateUp:  kernel.Pack(true, h, 2*f, l.GateUp, h),
			down:    kernel.Pack(true, f, h, l.Down, f),
		}
	}
	return p
}

// Config is the shape of the policy.
func (p *Policy) Config() model.Config { return p.config }

// checkTokens refuses ids outside the vocabulary.
func (p *Policy) checkTokens(what string, tokens []int32) error {
	for i, t := range tokens {
		if t < 0 || int(t) >= p.config.VocabSize {
			return fmt.Errorf("%s token %d is %d, outside the vocabulary of %d", what, i, t, p.config.VocabSize)
		}
	}
	return nil
}

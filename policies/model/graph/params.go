package graph

import (
	"fmt"

	"pith/policies/model"
)

// params cuts the flat vectors of values and gradients into the tensors that operations read and
// write. Adjacent projections (query, key and value; gate and up) are one stacked matrix.
type params[T Float] struct {
	config model.Config
	value  []T
	grad   []T // nil: forwards only
	// tied accumulates the head's share of a tied table apart from the embedding's, so that the
	// order of the two is the same however a batch is cut.
	tied []T

	embed  Param[T]
	layers []layerParams[T]
	norm   Param[T]
	head   Param[T]
}

type layerParams[T Float] struct {
	inputNorm    Param[T]
	qkv          Param[T]
	qkvBias      *Param[T]
	qNorm, kNorm *Param[T]
	o            Param[T]
	postNorm     Param[T]
	gateUp, down Param[T]
}

// newParams lays the tensors out in the order that [model.Weights] documents.
func newParams[T Float](c model.Config, value, grad []T) (*params[T], error) {
	if n := c.Parameters(); int64(len(value)) != n || (grad != nil && int64(len(grad)) != n) {
		return nil, fmt.Errorf("graph: %d values and %d gradients for a model of %d parameters", len(value), len(grad), n)
	}
	p := &params[T]{config: c, value: value, grad: grad}
	at := 0
	take := func(name string, shape ...int) Param[T] {
		n := 1
		for _, s := range shape {
			n *= s
		}
		t := Param[T]{Name: name, Shape: shape, Value: value[at : at+n : at+n]}
		if grad != nil {
			t.Grad = grad[at : at+n : at+n]
		}
		at += n
		return t
	}
	maybe := func(want bool, name string, shape ...int) *Param[T] {
		if !want {
			return nil
		}
		t := take(name, shape...)
		return &t
	}
	h, d, f := c.HiddenSize, c.HeadDim, c.IntermediateSize
	p.embed = take("embed", c.VocabSize, h)
	p.layers = make([]layerParams[T], c.NumLayers)
	for i := range p.layers {
		l := &p.layers[i]
		name := func(s string) string { return fmt.Sprintf("layer %d %s", i, s) }
		l.inputNorm = take(name("input norm"), h)
		l.qkv = take(name("qkv"), c.QKVDim(), h)
		l.qkvBias = maybe(c.AttentionBias, name("qkv bias"), c.QKVDim())
		l.qNorm = maybe(c.QKNorm, name("q norm"), d)
		l.kNorm = maybe(c.QKNorm, name("k norm"), d)
		l.o = take(name("o"), h, c.QueryDim())
		l.postNorm = take(name("post norm"), h)
		l.gateUp = take(name("gate up"), 2*f, h)
		l.down = take(name("down"), h, f)
	}
	p.norm = take("norm", h)
	if c.TieEmbeddings {
		p.head = p.embed
		p.head.Name = "head"
		if grad != nil {
			p.tied = make([]T, len(p.embed.Value))
			p.head.Grad = p.tied
		}
	} else {
		p.head = take("head", c.VocabSize, h)
	}
	if at != len(value) {
		return nil, fmt.Errorf("graph: laid out %d of %d parameters", at, len(value))
	}
	return p, nil
}

// joinTied moves the head's share of a tied table into the gradient.
func (p *params[T]) joinTied() {
	if p.tied != nil {
		add(p.embed.Grad, p.tied)
		clear(p.tied)
	}
}

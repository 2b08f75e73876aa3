package graph

import (
	"fmt"
	"sync"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"pith/policies/model"
)

// newProgram builds and compiles the graph for batches of up to capacity tokens.
func newProgram[T Float](c model.Config, p *params[T], capacity int, train bool) (*program[T], error) {
	prog := &program[T]{
		lay:    &layout{capacity: capacity},
		tokens: &tokenInput{data: make([]int32, capacity)},
		graph:  gorgonia.NewGraph(),
	}
	b := newBuilder[T](c, prog, train)
	var weights gorgonia.Nodes
	prog.cost, weights = b.model(p, prog)
	if b.err != nil {
		return nil, b.err
	}
	if train {
		if _, err := gorgonia.Grad(prog.cost, weights...); err != nil {
			return nil, fmt.Errorf("differentiate: %w", err)
		}
	}
	prog.vm = gorgonia.NewTapeMachine(prog.graph)
	return prog, nil
}

// builder carries what the operations of one program share while they are made. The first error
// sticks, and makes the rest of the building idle.
type builder[T Float] struct {
	config  model.Config
	lay     *layout
	rope    *rope[T]
	tokens  *tokenInput
	part    *[]T
	scratch *sync.Pool
	train   bool
	roles   map[string]*array[T]
	graph   *gorgonia.ExprGraph
	inputs  int
	err     error
}

func newBuilder[T Float](c model.Config, prog *program[T], train bool) *builder[T] {
	return &builder[T]{
		config:  c,
		lay:     prog.lay,
		rope:    newRope[T](c.Frequencies(), min(c.MaxContext, prog.lay.capacity)),
		tokens:  prog.tokens,
		part:    new([]T),
		scratch: &sync.Pool{New: func() any { return new(attentionScratch[T]) }},
		train:   train,
		roles:   map[string]*array[T]{},
		graph:   prog.graph,
	}
}

// keep returns the memory of a forward result. Where a backward pass will read it, it is the
// operation's own; otherwise the operations of one role share it, since each result is consumed
// before the next layer's is made.
func (b *builder[T]) keep(role string, width int) *array[T] {
	if b.train {
		return newArray(make([]T, b.lay.capacity*width), b.lay.capacity, width)
	}
	return b.shared(role, width)
}

// shared returns memory that all operations of one role write in turn. Backward nodes form a chain,
// each consumed by the next before its role comes up again; a node never reads the role it writes.
func (b *builder[T]) shared(role string, width int) *array[T] {
	if b.roles[role] == nil {
		b.roles[role] = newArray(make([]T, b.lay.capacity*width), b.lay.capacity, width)
	}
	return b.roles[role]
}

// apply makes a node.
func (b *builder[T]) apply(op gorgonia.Op, in ...*gorgonia.Node) *gorgonia.Node {
	if b.err != nil {
		return nil
	}
	n, err := gorgonia.ApplyOp(op, in...)
	if err != nil {
		b.err = fmt.Errorf("%s: %w", op, err)
	}
	return n
}

// param makes the input node of a parameter over the memory of the weights. Names are numbered,
// because Gorgonia merges inputs that look alike and a tied table is two inputs.
func (b *builder[T]) param(p Param[T]) *gorgonia.Node {
	b.inputs++
	return gorgonia.NewTensor(b.graph, dtype[T](), len(p.Shape),
		gorgonia.WithShape(p.Shape...),
		gorgonia.WithName(fmt.Sprintf("%d %s", b.inputs, p.Name)),
		gorgonia.WithValue(tensor.New(tensor.WithShape(p.Shape...), tensor.WithBacking(p.Value))))
}

// tokenNode makes the input node of the packed tokens.
func (b *builder[T]) tokenNode() *gorgonia.Node {
	n := b.lay.capacity
	return gorgonia.NewVector(b.graph, tensor.Int32,
		gorgonia.WithShape(n),
		gorgonia.WithName("tokens"),
		gorgonia.WithValue(tensor.New(tensor.WithShape(n), tensor.WithBacking(b.tokens.data))))
}

// model builds the forward graph, tokens in, loss out, and returns the nodes of all parameters too.
func (b *builder[T]) model(p *params[T], prog *program[T]) (cost *gorgonia.Node, weights gorgonia.Nodes) {
	param := func(q Param[T]) *gorgonia.Node {
		n := b.param(q)
		weights = append(weights, n)
		return n
	}
	x := b.apply(newEmbedding(b, p.embed), b.tokenNode(), param(p.embed))
	for i := range p.layers {
		l := &p.layers[i]

		around := new(carry)
		h := b.apply(newRMSNorm(b, "input norm", l.inputNorm, around), x, param(l.inputNorm))
		in := gorgonia.Nodes{h, param(l.qkv)}
		if l.qkvBias != nil {
			in = append(in, param(*l.qkvBias))
		}
		in = gorgonia.Nodes{b.apply(newLinear(b, "qkv", l.qkv, l.qkvBias, false, nil), in...)}
		if l.qNorm != nil {
			in = append(in, param(*l.qNorm), param(*l.kNorm))
		}
		a := b.apply(newAttention(b, l.qNorm, l.kNorm), in...)
		x = b.apply(newLinear(b, "o", l.o, nil, true, around), a, param(l.o), x)

		around = new(carry)
		h = b.apply(newRMSNorm(b, "post norm", l.postNorm, around), x, param(l.postNorm))
		gu := b.apply(newLinear(b, "gate up", l.gateUp, nil, false, nil), h, param(l.gateUp))
		s := b.apply(newSwiGLU(b, b.config.IntermediateSize), gu)
		x = b.apply(newLinear(b, "down", l.down, nil, true, around), s, param(l.down), x)
	}
	h := b.apply(newRMSNorm(b, "norm", p.norm, nil), x, param(p.norm))
	prog.head = newHead(b, p.head, &prog.objective)
	return b.apply(prog.head, h, param(p.head)), weights
}

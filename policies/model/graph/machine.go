package graph

import (
	"cmp"
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"

	"pith/policies/model"
)

// Machine runs a model over packed batches: log-probabilities and entropies forwards, gradients
// backwards. It is built for the weights it is given and follows them when they change in place.
//
// A Machine is not safe for concurrent use; several machines may share weights that nobody writes.
type Machine[T Float] struct {
	config   model.Config
	params   *params[T]
	forward  *program[T] // built when first needed
	backward *program[T]
}

// New builds a machine for weights w laid out as the vector of [model.Weights.Flat] (float32: that
// vector itself; float64: a widened copy), adding gradients into grad, of the same length. A nil
// grad makes a machine that only goes forwards.
func New[T Float](config model.Config, w, grad []T) (*Machine[T], error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	p, err := newParams(config, w, grad)
	if err != nil {
		return nil, err
	}
	return &Machine[T]{config: config, params: p}, nil
}

// Scores are what a run found out about the targets of a batch, in their order. They are valid
// until the machine's next run.
type Scores[T Float] struct {
	Targets []int32 // positions
	LogProb []T
	Entropy []T // nats
	Value   T   // of the objective
}

// Score runs forwards only.
func (m *Machine[T]) Score(b *Batch) (Scores[T], error) {
	return m.run(&m.forward, false, b, func(_, _, _, _ []T) (T, error) { return 0, nil })
}

// Accumulate runs forwards and backwards and adds the gradient of the objective.
func (m *Machine[T]) Accumulate(b *Batch, o Objective[T]) (Scores[T], error) {
	if m.params.grad == nil {
		return Scores[T]{}, errors.New("graph: this machine was built without gradients")
	}
	return m.run(&m.backward, true, b, o)
}

// Gradients is the accumulated gradient, complete after Accumulate; clear it with ClearGradients.
func (m *Machine[T]) Gradients() []T {
	m.params.joinTied()
	return m.params.grad
}

// ClearGradients sets the accumulated gradient to zero.
func (m *Machine[T]) ClearGradients() {
	clear(m.params.grad)
	clear(m.params.tied)
}

// run executes one of the two programs, which is built anew only when a batch exceeds its capacity.
func (m *Machine[T]) run(p **program[T], train bool, b *Batch, o Objective[T]) (Scores[T], error) {
	if err := b.check(m.config.VocabSize, m.config.MaxContext); err != nil {
		return Scores[T]{}, fmt.Errorf("graph: batch: %w", err)
	}
	if *p == nil || (*p).lay.capacity < len(b.Tokens) {
		built, err := newProgram(m.config, m.params, roundUp(len(b.Tokens)), train)
		if err != nil {
			return Scores[T]{}, fmt.Errorf("graph: build for %d tokens: %w", len(b.Tokens), err)
		}
		*p = built
	}
	return (*p).run(b, o)
}

// roundUp leaves head room, so that a slightly larger batch does not build again.
func roundUp(n int) int {
	step := 64
	for step*8 < n {
		step *= 2
	}
	return (n + step - 1) / step * step
}

// program is one compiled graph with the memory of its operations.
type program[T Float] struct {
	lay       *layout
	tokens    *tokenInput
	objective Objective[T]
	head      *head[T]
	cost      *gorgonia.Node
	graph     *gorgonia.ExprGraph
	vm        gorgonia.VM
}

// run executes the program on a checked batch that fits.
func (p *program[T]) run(b *Batch, o Objective[T]) (Scores[T], error) {
	p.lay.set(b)
	copy(p.tokens.data, b.Tokens)
	var failed error // kept apart, since Gorgonia's error hides what it wraps
	p.objective = func(logProb, entropy, gradLogProb, gradEntropy []T) (value T, err error) {
		value, failed = o(logProb, entropy, gradLogProb, gradEntropy)
		return value, failed
	}
	defer func() { p.objective = nil }()
	p.vm.Reset()
	if err := p.vm.RunAll(); err != nil {
		return Scores[T]{}, cmp.Or(failed, fmt.Errorf("graph: %w", err))
	}
	n := len(p.lay.targets)
	return Scores[T]{
		Targets: p.lay.targets,
		LogProb: p.head.logProb[:n],
		Entropy: p.head.entropy[:n],
		Value:   p.cost.Value().Data().(T),
	}, nil
}

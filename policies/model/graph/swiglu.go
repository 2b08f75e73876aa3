package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// swiglu is y = silu(gate)·up (Shazeer 2020, arXiv 2002.05202, section 2) with both halves side by
// side: [capacity, 2F] → [capacity, F].
type swiglu[T Float] struct {
	base
	lay  *layout
	dim  int
	out  *array[T]
	grad *array[T]
}

func newSwiGLU[T Float](b *builder[T], dim int) *swiglu[T] {
	return &swiglu[T]{
		base: newBase("swiglu", matrix[T](), tensor.Shape{b.lay.capacity, dim}, matrix[T]()),
		lay:  b.lay,
		dim:  dim,
		out:  b.keep("swiglu", dim),
		grad: b.shared("d swiglu", 2*dim),
	}
}

func (o *swiglu[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	x, f := floats[T](in[0]), o.dim
	parallel(o.lay.rows, rowGrain(4*f), func(lo, hi int) {
		for t := lo; t < hi; t++ {
			siluMul(o.out.data[t*f:(t+1)*f], x[t*2*f:t*2*f+f], x[t*2*f+f:(t+1)*2*f])
		}
	})
	return o.out.tensor, nil
}

func (o *swiglu[T]) DiffWRT(int) []bool { return []bool{true} }

func (o *swiglu[T]) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	back := &swigluBackward[T]{
		base:    newBase("swiglu backward", matrix[T](), tensor.Shape{o.lay.capacity, 2 * o.dim}, matrix[T](), matrix[T]()),
		forward: o,
	}
	dx, err := gorgonia.ApplyOp(back, in[0], grad)
	if err != nil {
		return nil, err
	}
	return gorgonia.Nodes{dx}, nil
}

// swigluBackward is d gate = dy·up·silu'(gate), d up = dy·silu(gate).
type swigluBackward[T Float] struct {
	base
	forward *swiglu[T]
}

func (o *swigluBackward[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	s := o.forward
	x, dy, f := floats[T](in[0]), floats[T](in[1]), s.dim
	parallel(s.lay.rows, rowGrain(4*f), func(lo, hi int) {
		for t := lo; t < hi; t++ {
			row, dx := x[t*2*f:(t+1)*2*f], s.grad.data[t*2*f:(t+1)*2*f]
			siluMulGrad(dx[:f], dx[f:], row[:f], row[f:], dy[t*f:(t+1)*f])
		}
	})
	return s.grad.tensor, nil
}

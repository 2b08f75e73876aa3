package graph

import (
	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// linear is y = x·Wᵀ (+ bias) (+ residual): x [capacity, in], W [out, in], bias [out], residual
// [capacity, out] → [capacity, out]. Products start from the residual or the bias, so that the
// addition costs no pass of its own.
type linear[T Float] struct {
	base
	lay      *layout
	weight   Param[T]
	bias     *Param[T]
	residual bool
	carry    *carry
	inDim    int
	outDim   int
	out      *array[T]
	grad     *array[T] // d x
}

// carry passes the gradient of a residual connection from the linear operation that adds it to the
// RMSNorm at the other end. The stream x has two uses, y = f(norm(x)) + x; left to Gorgonia,
// their gradients would be summed by a node that allocates. Instead the linear operation declares
// its residual input not differentiable and leaves the gradient's node here, and the norm's
// backward node, which is always made later, takes it as one more input.
type carry struct{ grad *gorgonia.Node }

func newLinear[T Float](b *builder[T], role string, weight Param[T], bias *Param[T], residual bool, c *carry) *linear[T] {
	outDim, inDim := weight.Shape[0], weight.Shape[1]
	in := []hm.Type{matrix[T](), matrix[T]()}
	if bias != nil {
		in = append(in, vector[T]())
	}
	if residual {
		in = append(in, matrix[T]())
	}
	return &linear[T]{
		base:   newBase("linear "+role, matrix[T](), tensor.Shape{b.lay.capacity, outDim}, in...),
		lay:    b.lay,
		weight: weight, bias: bias, residual: residual, carry: c,
		inDim: inDim, outDim: outDim,
		out:  b.keep(role, outDim),
		grad: b.shared("d input of "+role, inDim),
	}
}

func (o *linear[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	rows, y := o.lay.rows, o.out.data
	var beta T
	if o.residual {
		x := floats[T](in[len(in)-1])
		parallel(rows, rowGrain(o.outDim), func(lo, hi int) {
			copy(y[lo*o.outDim:hi*o.outDim], x[lo*o.outDim:])
			if o.bias != nil {
				for t := lo; t < hi; t++ {
					add(y[t*o.outDim:(t+1)*o.outDim], o.bias.Value)
				}
			}
		})
		beta = 1
	} else if o.bias != nil {
		parallel(rows, rowGrain(o.outDim), func(lo, hi int) {
			for t := lo; t < hi; t++ {
				copy(y[t*o.outDim:(t+1)*o.outDim], o.bias.Value)
			}
		})
		beta = 1
	}
	gemm(false, true, rows, o.outDim, o.inDim, floats[T](in[0]), o.inDim, floats[T](in[1]), o.inDim, beta, y, o.outDim)
	return o.out.tensor, nil
}

func (o *linear[T]) DiffWRT(n int) []bool {
	d := make([]bool, n)
	for i := range d {
		d[i] = true
	}
	if o.residual && o.carry != nil {
		d[n-1] = false
	}
	return d
}

func (o *linear[T]) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	back := &linearBackward[T]{
		base:    newBase(o.name+" backward", matrix[T](), tensor.Shape{o.lay.capacity, o.inDim}, matrix[T](), matrix[T](), matrix[T]()),
		forward: o,
	}
	dx, err := gorgonia.ApplyOp(back, in[0], in[1], grad)
	if err != nil {
		return nil, err
	}
	params := []Param[T]{o.weight}
	if o.bias != nil {
		params = append(params, *o.bias)
	}
	g, err := picks(dx, params...)
	if err != nil {
		return nil, err
	}
	nodes := append(gorgonia.Nodes{dx}, g...)
	if o.residual {
		if o.carry != nil {
			o.carry.grad = grad
			nodes = append(nodes, nil)
		} else {
			nodes = append(nodes, grad)
		}
	}
	return nodes, nil
}

// linearBackward computes dx = dy·W and adds dyᵀ·x to the weight's gradient and the column sums of
// dy to the bias's: x, W, dy → dx.
type linearBackward[T Float] struct {
	base
	forward *linear[T]
}

func (o *linearBackward[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f := o.forward
	rows, x, w, dy := f.lay.rows, floats[T](in[0]), floats[T](in[1]), floats[T](in[2])
	gemm(false, false, rows, f.inDim, f.outDim, dy, f.outDim, w, f.inDim, 0, f.grad.data, f.inDim)
	gemm(true, false, f.outDim, f.inDim, rows, dy, f.outDim, x, f.inDim, 1, f.weight.Grad, f.inDim)
	if f.bias != nil {
		parallel(f.outDim, 64, func(lo, hi int) {
			for t := range rows {
				add(f.bias.Grad[lo:hi], dy[t*f.outDim+lo:t*f.outDim+hi])
			}
		})
	}
	return f.grad.tensor, nil
}

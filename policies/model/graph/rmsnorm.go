package graph

import (
	"errors"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// rmsNorm is y = x · w / sqrt(mean(x²) + eps) for each row (Zhang and Sennrich 2019, arXiv
// 1910.07467, eq. 4): x [capacity, D], w [D] → [capacity, D].
type rmsNorm[T Float] struct {
	base
	lay    *layout
	weight Param[T]
	eps    T
	dim    int
	carry  *carry // of the residual connection around what follows, or nil
	rstd   []T    // of each row, for the way back
	out    *array[T]
	grad   *array[T]
	sums   orderedSums[T]
}

func newRMSNorm[T Float](b *builder[T], role string, weight Param[T], c *carry) *rmsNorm[T] {
	dim := weight.Shape[0]
	return &rmsNorm[T]{
		base:   newBase("rmsnorm "+role, matrix[T](), tensor.Shape{b.lay.capacity, dim}, matrix[T](), vector[T]()),
		lay:    b.lay,
		weight: weight, eps: T(b.config.RMSNormEps), dim: dim, carry: c,
		rstd: make([]T, b.lay.capacity),
		out:  b.keep(role, dim),
		grad: b.shared("d input of "+role, dim),
		sums: orderedSums[T]{part: b.part},
	}
}

func (o *rmsNorm[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	x, w, d := floats[T](in[0]), floats[T](in[1]), o.dim
	parallel(o.lay.rows, rowGrain(d), func(lo, hi int) {
		for t := lo; t < hi; t++ {
			o.rstd[t] = normRow(o.out.data[t*d:(t+1)*d], x[t*d:(t+1)*d], w, o.eps)
		}
	})
	return o.out.tensor, nil
}

func (o *rmsNorm[T]) DiffWRT(int) []bool { return []bool{true, true} }

func (o *rmsNorm[T]) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	types := []hm.Type{matrix[T](), vector[T](), matrix[T]()}
	children := gorgonia.Nodes{in[0], in[1], grad}
	if o.carry != nil {
		if o.carry.grad == nil {
			return nil, errors.New("the residual connection around this norm has not been differentiated yet")
		}
		types = append(types, matrix[T]())
		children = append(children, o.carry.grad)
	}
	back := &rmsNormBackward[T]{
		base:    newBase(o.name+" backward", matrix[T](), o.shape, types...),
		forward: o,
	}
	dx, err := gorgonia.ApplyOp(back, children...)
	if err != nil {
		return nil, err
	}
	g, err := picks(dx, o.weight)
	if err != nil {
		return nil, err
	}
	return gorgonia.Nodes{dx, g[0]}, nil
}

// rmsNormBackward is, with r = 1/sqrt(mean(x²) + eps),
//
//	dx = carried + r·(w·dy) - x · r³/D · Σ (w·dy·x),   dw += Σ_rows dy · x · r
//
// over x, w, dy and, where a residual connection spans the block, the gradient carried around it.
type rmsNormBackward[T Float] struct {
	base
	forward *rmsNorm[T]
}

func (o *rmsNormBackward[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f := o.forward
	x, w, dy, d := floats[T](in[0]), floats[T](in[1]), floats[T](in[2]), f.dim
	var carried []T
	if len(in) == 4 {
		carried = floats[T](in[3])
	}
	f.sums.run(f.lay.sequences(), func(i int, dw []T) {
		for t := int(f.lay.offsets[i]); t < int(f.lay.offsets[i+1]); t++ {
			dx := f.grad.data[t*d : (t+1)*d]
			normGradRow(dx, dw, x[t*d:(t+1)*d], w, dy[t*d:(t+1)*d], f.rstd[t])
			if carried != nil {
				add(dx, carried[t*d:(t+1)*d])
			}
		}
	}, f.weight.Grad)
	return f.grad.tensor, nil
}

package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// embedding looks rows of a table up: tokens [capacity], table [V, D] → [capacity, D].
type embedding[T Float] struct {
	base
	lay   *layout
	table Param[T]
	dim   int
	out   *array[T]
	grad  *array[T] // unused result of the backward node; one row
}

func newEmbedding[T Float](b *builder[T], table Param[T]) *embedding[T] {
	dim := table.Shape[1]
	return &embedding[T]{
		base:  newBase("embedding", matrix[T](), tensor.Shape{b.lay.capacity, dim}, tokenVector(), matrix[T]()),
		lay:   b.lay,
		table: table,
		dim:   dim,
		out:   b.keep("x", dim),
		grad:  newArray(make([]T, 1), 1, 1),
	}
}

func (o *embedding[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	tokens, table := in[0].Data().([]int32), floats[T](in[1])
	parallel(o.lay.rows, rowGrain(o.dim), func(lo, hi int) {
		for t := lo; t < hi; t++ {
			copy(o.out.data[t*o.dim:(t+1)*o.dim], table[int(tokens[t])*o.dim:])
		}
	})
	return o.out.tensor, nil
}

func (o *embedding[T]) DiffWRT(int) []bool { return []bool{false, true} }

func (o *embedding[T]) SymDiff(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	back := &embeddingBackward[T]{
		base:    newBase("embedding backward", matrix[T](), tensor.Shape{1, 1}, tokenVector(), matrix[T]()),
		forward: o,
	}
	n, err := gorgonia.ApplyOp(back, in[0], grad)
	if err != nil {
		return nil, err
	}
	g, err := picks(n, o.table)
	if err != nil {
		return nil, err
	}
	return gorgonia.Nodes{nil, g[0]}, nil
}

// embeddingBackward adds each row's gradient to that of its table row, token after token.
type embeddingBackward[T Float] struct {
	base
	forward *embedding[T]
}

func (o *embeddingBackward[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f := o.forward
	tokens, dy, table := in[0].Data().([]int32), floats[T](in[1]), f.table.Grad
	// Columns are split among threads, so that every element is summed in the order of the tokens.
	parallel(f.dim, 64, func(lo, hi int) {
		for t, id := range tokens[:f.lay.rows] {
			add(table[int(id)*f.dim+lo:int(id)*f.dim+hi], dy[t*f.dim+lo:t*f.dim+hi])
		}
	})
	return f.grad.tensor, nil
}

package graph

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Objective is the loss over the whole packed batch, as a function of the log-probability and the
// entropy (nats) of each target, in the order of [Batch.Targets]. It writes the gradients with
// respect to both, which arrive cleared, and returns the value.
type Objective[T Float] func(logProb, entropy, gradLogProb, gradEntropy []T) (T, error)

// head is the final projection with everything behind it: normed stream x [capacity, D] and
// projection W [V, D] → the scalar loss. For each target token t it takes row t-1 of x and keeps
//
//	z = x·Wᵀ/temperature,  lse = log Σ e^z,  log p = z[token] - lse,  H = lse - Σ p·z
//
// Logits exist for a chunk of rows at a time.
type head[T Float] struct {
	base
	lay       *layout
	weight    Param[T]
	dim       int
	vocab     int
	chunk     int // rows
	tokens    *tokenInput
	objective *Objective[T]

	x, dx    []T // [chunk, D], gathered rows and their gradient
	z        []T // [chunk, V], logits, then probabilities
	e        []T // [chunk, V], forwards only: e^(z-max)
	grad     *array[T]
	logProb  []T // per target
	entropy  []T
	lse      []T
	gradLogP []T
	gradEnt  []T
	active   []int32 // indices of targets with a gradient
	activeAt []int32 // their positions
}

// chunkFloats bounds the logits that exist at once.
const chunkFloats = 1 << 21

func newHead[T Float](b *builder[T], weight Param[T], objective *Objective[T]) *head[T] {
	vocab, dim, n := weight.Shape[0], weight.Shape[1], b.lay.capacity
	chunk := min(n, max(32, min(512, chunkFloats/vocab)))
	return &head[T]{
		base:   newBase("head", dtype[T](), tensor.ScalarShape(), matrix[T](), matrix[T]()),
		lay:    b.lay,
		weight: weight, dim: dim, vocab: vocab, chunk: chunk,
		tokens: b.tokens, objective: objective,
		x: make([]T, chunk*dim), dx: make([]T, chunk*dim),
		z: make([]T, chunk*vocab), e: make([]T, chunk*vocab),
		grad:    b.shared("d head", dim),
		logProb: make([]T, n), entropy: make([]T, n), lse: make([]T, n),
		gradLogP: make([]T, n), gradEnt: make([]T, n),
	}
}

// gather copies the rows that predict the given targets.
func (o *head[T]) gather(x []T, targets []int32) {
	parallel(len(targets), rowGrain(o.dim), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			at := (int(targets[i]) - 1) * o.dim
			copy(o.x[i*o.dim:(i+1)*o.dim], x[at:at+o.dim])
		}
	})
}

func (o *head[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	x, w, targets, v := floats[T](in[0]), floats[T](in[1]), o.lay.targets, o.vocab
	for from := 0; from < len(targets); from += o.chunk {
		rows := min(o.chunk, len(targets)-from)
		o.gather(x, targets[from:from+rows])
		gemm(false, true, rows, v, o.dim, o.x, o.dim, w, o.dim, 0, o.z, v)
		parallel(rows, rowGrain(8*v), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				z, e, t := o.z[i*v:(i+1)*v], o.e[i*v:(i+1)*v], from+i
				scale(T(o.lay.inverse[t]), z)
				shift := largest(z)
				sum := expSum(e, z, shift)
				lse := shift + logarithm(sum)
				o.lse[t] = lse
				o.logProb[t] = z[o.tokens.data[targets[t]]] - lse
				o.entropy[t] = lse - dot(e, z)/sum
			}
		})
	}
	n := len(targets)
	gl, ge := o.gradLogP[:n], o.gradEnt[:n]
	clear(gl)
	clear(ge)
	value, err := (*o.objective)(o.logProb[:n], o.entropy[:n], gl, ge)
	if err != nil {
		return nil, err
	}
	return scalar(value), nil
}

// scalar wraps a number for Gorgonia.
func scalar[T Float](v T) gorgonia.Value {
	if v, ok := any(v).(float32); ok {
		return gorgonia.NewF32(v)
	}
	return gorgonia.NewF64(float64(v))
}

func (o *head[T]) DiffWRT(int) []bool { return []bool{true, true} }

func (o *head[T]) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	back := &headBackward[T]{
		base:    newBase("head backward", matrix[T](), []int{o.lay.capacity, o.dim}, matrix[T](), matrix[T](), dtype[T](), dtype[T]()),
		forward: o,
	}
	dx, err := gorgonia.ApplyOp(back, in[0], in[1], output, grad)
	if err != nil {
		return nil, err
	}
	g, err := picks(dx, o.weight)
	if err != nil {
		return nil, err
	}
	return gorgonia.Nodes{dx, g[0]}, nil
}

// headBackward recomputes the logits of each chunk; with p = e^(z-lse), and a and b the
// gradients with respect to log p[token] and H,
//
//	dz = a·(1[token] - p) - b·p·(z - lse + H),  dx = dz·W/temperature,  dW += dzᵀ·x/temperature
//
// Targets without a gradient are skipped; so are the rows that predict nothing: x, W, loss, d
// loss → dx.
type headBackward[T Float] struct {
	base
	forward *head[T]
}

func (o *headBackward[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f := o.forward
	x, w, upstream := floats[T](in[0]), floats[T](in[1]), in[3].Data().(T)
	d, v, rows := f.dim, f.vocab, f.lay.rows
	clear(f.grad.data[:rows*d])
	f.active, f.activeAt = f.active[:0], f.activeAt[:0]
	for i, t := range f.lay.targets {
		if f.gradLogP[i] != 0 || f.gradEnt[i] != 0 {
			f.active = append(f.active, int32(i))
			f.activeAt = append(f.activeAt, t)
		}
	}
	targets := f.activeAt
	for from := 0; from < len(targets); from += f.chunk {
		n := min(f.chunk, len(targets)-from)
		f.gather(x, targets[from:from+n])
		gemm(false, true, n, v, d, f.x, d, w, d, 0, f.z, v)
		parallel(n, rowGrain(8*v), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				t := f.active[from+i]
				f.logitGrad(f.z[i*v:(i+1)*v], f.e[i*v:(i+1)*v], int(t), upstream)
			}
		})
		gemm(false, false, n, d, v, f.z, v, w, d, 0, f.dx, d)
		gemm(true, false, v, d, n, f.z, v, f.x, d, 1, f.weight.Grad, d)
		for i, t := range targets[from : from+n] {
			copy(f.grad.data[(int(t)-1)*d:int(t)*d], f.dx[i*d:(i+1)*d])
		}
	}
	return f.grad.tensor, nil
}

// logitGrad turns the raw logits of target t into their gradient; p is scratch.
func (o *head[T]) logitGrad(z, p []T, t int, upstream T) {
	inverse := T(o.lay.inverse[t])
	scale(inverse, z)
	expSum(p, z, o.lse[t])
	a, b := o.gradLogP[t]*upstream*inverse, o.gradEnt[t]*upstream*inverse
	if b == 0 {
		copy(z, p)
		scale(-a, z)
	} else {
		offset := o.entropy[t] - o.lse[t]
		for i, v := range z {
			z[i] = -p[i] * (a + b*(v+offset))
		}
	}
	z[o.tokens.data[o.lay.targets[t]]] += a
}

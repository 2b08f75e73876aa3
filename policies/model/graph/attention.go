package graph

import (
	"math"
	"sync"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// attention is causal self-attention within each sequence, with rotary embedding, grouped queries
// and, where the model has them, norms on every query and key head:
//
//	qkv [capacity, (heads+2·kv)·d] (, q norm [d], k norm [d]) → [capacity, heads·d]
//
// Query head h reads key head h/(heads/kv). The unit of work is one key head of one sequence: its
// keys are turned once and serve all query heads of the group, and its gradients have one writer.
// Within a unit, queries go in blocks, so that the scores of a block are the largest intermediate.
// Backwards needs the logarithm of each row's normaliser and recomputes everything else.
type attention[T Float] struct {
	base
	lay          *layout
	rope         *rope[T]
	heads, kv, d int
	eps          T
	scale        T
	qNorm, kNorm *Param[T]
	out          *array[T]
	grad         *array[T]
	lse          []T // [capacity, heads]
	sums         orderedSums[T]
	scratch      *sync.Pool // of *attentionScratch[T]
}

// queryBlock is how many queries share one block of scores: enough rows for the matrix product (two
// of its tiles), few enough that little above the diagonal is computed in vain. It cannot show in
// the results: what is added for keys above the diagonal is exactly 0.
const queryBlock = 24

func newAttention[T Float](b *builder[T], qNorm, kNorm *Param[T]) *attention[T] {
	c := b.config
	in := []hm.Type{matrix[T]()}
	if qNorm != nil {
		in = append(in, vector[T](), vector[T]())
	}
	return &attention[T]{
		base:  newBase("attention", matrix[T](), tensor.Shape{b.lay.capacity, c.QueryDim()}, in...),
		lay:   b.lay,
		rope:  b.rope,
		heads: c.NumHeads, kv: c.NumKVHeads, d: c.HeadDim,
		eps: T(c.RMSNormEps), scale: T(1 / math.Sqrt(float64(c.HeadDim))),
		qNorm: qNorm, kNorm: kNorm,
		out:     b.keep("attention", c.QueryDim()),
		grad:    b.shared("d attention", c.QKVDim()),
		lse:     make([]T, b.lay.capacity*c.NumHeads),
		sums:    orderedSums[T]{part: b.part},
		scratch: b.scratch,
	}
}

// attentionScratch is the memory of one thread, for one sequence at a time.
type attentionScratch[T Float] struct {
	q, k, dq, dk []T // [length, d], turned
	qr, kr       []T // [length], of the norms
	p, dp        []T // [queryBlock, length]
}

// grow makes room for a sequence.
func (s *attentionScratch[T]) grow(length, d int) {
	if len(s.qr) >= length && len(s.q) >= length*d {
		return
	}
	length += length / 2
	for _, m := range []*[]T{&s.q, &s.k, &s.dq, &s.dk} {
		*m = make([]T, length*d)
	}
	s.qr, s.kr = make([]T, length), make([]T, length)
	s.p, s.dp = make([]T, queryBlock*length), make([]T, queryBlock*length)
}

// unit locates a key head of a sequence.
func (o *attention[T]) unit(u int) (from, length, kvHead int) {
	s := u / o.kv
	from = int(o.lay.offsets[s])
	return from, int(o.lay.offsets[s+1]) - from, u % o.kv
}

// units is how many there are.
func (o *attention[T]) units() int { return o.lay.sequences() * o.kv }

// turn copies one head of a sequence into dst [length, d], with its norm and rotary embedding.
func (o *attention[T]) turn(dst, src []T, stride, length int, norm *Param[T], rstd []T) {
	for i := range length {
		row, x := dst[i*o.d:(i+1)*o.d], src[i*stride:i*stride+o.d]
		if norm != nil {
			rstd[i] = normRow(row, x, norm.Value, o.eps)
		} else {
			copy(row, x)
		}
		cos, sin := o.rope.at(i)
		rotate(row, cos, sin)
	}
}

func (o *attention[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	qkv := floats[T](in[0])
	parallel(o.units(), 1, func(lo, hi int) {
		s := o.scratch.Get().(*attentionScratch[T])
		defer o.scratch.Put(s)
		for u := lo; u < hi; u++ {
			o.forward(s, qkv, u)
		}
	})
	return o.out.tensor, nil
}

// forward computes all query heads that read one key head of one sequence.
func (o *attention[T]) forward(s *attentionScratch[T], qkv []T, u int) {
	from, n, kvHead := o.unit(u)
	stride, group, width := (o.heads+2*o.kv)*o.d, o.heads/o.kv, o.heads*o.d
	s.grow(n, o.d)
	o.turn(s.k, qkv[from*stride+(o.heads+kvHead)*o.d:], stride, n, o.kNorm, s.kr)
	v := qkv[from*stride+(o.heads+o.kv+kvHead)*o.d:]
	for h := kvHead * group; h < (kvHead+1)*group; h++ {
		o.turn(s.q, qkv[from*stride+h*o.d:], stride, n, o.qNorm, s.qr)
		scale(o.scale, s.q[:n*o.d])
		for lo := 0; lo < n; lo += queryBlock {
			hi := min(lo+queryBlock, n) // keys of this block end where its queries do
			gemm(false, true, hi-lo, hi, o.d, s.q[lo*o.d:], o.d, s.k, o.d, 0, s.p, hi)
			out := o.out.data[(from+lo)*width+h*o.d:]
			for i := lo; i < hi; i++ {
				p := s.p[(i-lo)*hi : (i-lo+1)*hi]
				shift := largest(p[:i+1])
				sum := expSum(p[:i+1], p[:i+1], shift)
				clear(p[i+1:])
				o.lse[(from+i)*o.heads+h] = shift + logarithm(sum)
				s.qr[i] = 1 / sum // the norm's value is not needed forwards
			}
			gemm(false, false, hi-lo, o.d, hi, s.p, hi, v, stride, 0, out, width)
			for i := range hi - lo {
				scale(s.qr[lo+i], out[i*width:i*width+o.d])
			}
		}
	}
}

func (o *attention[T]) DiffWRT(n int) []bool {
	d := make([]bool, n)
	for i := range d {
		d[i] = true
	}
	return d
}

func (o *attention[T]) SymDiff(in gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	back := &attentionBackward[T]{
		base:    newBase("attention backward", matrix[T](), tensor.Shape{o.lay.capacity, (o.heads + 2*o.kv) * o.d}, matrix[T](), matrix[T](), matrix[T]()),
		forward: o,
	}
	dx, err := gorgonia.ApplyOp(back, in[0], output, grad)
	if err != nil || o.qNorm == nil {
		return gorgonia.Nodes{dx}, err
	}
	g, err := picks(dx, *o.qNorm, *o.kNorm)
	if err != nil {
		return nil, err
	}
	return append(gorgonia.Nodes{dx}, g...), nil
}

package graph

import "gorgonia.org/gorgonia"

// attentionBackward recomputes the probabilities P of a block of queries from the kept logarithms
// of the normalisers and then applies, with O the forward output and D_i = dO_i · O_i,
//
//	dV += Pᵀ·dO,   dS = P ∘ (dO·Vᵀ - D),   dQ = dS·K,   dK += dSᵀ·Q
//
// (Dao et al. 2022, arXiv 2205.14135, appendix B.2), then turns back and undoes the norms:
// qkv, output, d output → d qkv.
type attentionBackward[T Float] struct {
	base
	forward *attention[T]
}

func (o *attentionBackward[T]) Do(in ...gorgonia.Value) (gorgonia.Value, error) {
	f := o.forward
	qkv, out, dout := floats[T](in[0]), floats[T](in[1]), floats[T](in[2])
	var norms [][]T
	if f.qNorm != nil {
		norms = [][]T{f.qNorm.Grad, f.kNorm.Grad}
	}
	f.sums.run(f.units(), func(u int, sum []T) {
		s := f.scratch.Get().(*attentionScratch[T])
		defer f.scratch.Put(s)
		f.backward(s, qkv, out, dout, u, sum)
	}, norms...)
	return f.grad.tensor, nil
}

// backward computes the gradients of one key head of one sequence and of the query heads that read
// it; sum receives those of the norms, q before k.
func (o *attention[T]) backward(s *attentionScratch[T], qkv, out, dout []T, u int, sum []T) {
	from, n, kvHead := o.unit(u)
	d, stride, group, width := o.d, (o.heads+2*o.kv)*o.d, o.heads/o.kv, o.heads*o.d
	s.grow(n, d)
	kAt, vAt := from*stride+(o.heads+kvHead)*d, from*stride+(o.heads+o.kv+kvHead)*d
	v, dv := qkv[vAt:], o.grad.data[vAt:]
	o.turn(s.k, qkv[kAt:], stride, n, o.kNorm, s.kr)
	clear(s.dk[:n*d])
	for i := range n {
		clear(dv[i*stride : i*stride+d])
	}
	for h := kvHead * group; h < (kvHead+1)*group; h++ {
		qAt := from*stride + h*d
		o.turn(s.q, qkv[qAt:], stride, n, o.qNorm, s.qr)
		scale(o.scale, s.q[:n*d])
		for lo := 0; lo < n; lo += queryBlock {
			hi := min(lo+queryBlock, n)
			at := (from+lo)*width + h*d
			gemm(false, true, hi-lo, hi, d, s.q[lo*d:], d, s.k, d, 0, s.p, hi)
			gemm(false, true, hi-lo, hi, d, dout[at:], width, v, stride, 0, s.dp, hi)
			for i := lo; i < hi; i++ {
				p, dp := s.p[(i-lo)*hi:(i-lo+1)*hi], s.dp[(i-lo)*hi:(i-lo+1)*hi]
				row := at + (i-lo)*width
				expSum(p[:i+1], p[:i+1], o.lse[(from+i)*o.heads+h])
				softmaxGrad(dp[:i+1], p[:i+1], dot(dout[row:row+d], out[row:row+d]))
				clear(p[i+1:])
				clear(dp[i+1:])
			}
			gemm(true, false, hi, d, hi-lo, s.p, hi, dout[at:], width, 1, dv, stride)
			gemm(false, false, hi-lo, d, hi, s.dp, hi, s.k, d, 0, s.dq[lo*d:], d)
			gemm(true, false, hi, d, hi-lo, s.dp, hi, s.q[lo*d:], d, 1, s.dk, d)
		}
		scale(o.scale, s.dq[:n*d])
		var dw []T
		if o.qNorm != nil {
			dw = sum[:d]
		}
		o.turnBack(o.grad.data[qAt:], s.dq, qkv[qAt:], stride, n, o.qNorm, dw, s.qr)
	}
	var dw []T
	if o.kNorm != nil {
		dw = sum[d:]
	}
	o.turnBack(o.grad.data[kAt:], s.dk, qkv[kAt:], stride, n, o.kNorm, dw, s.kr)
}

// turnBack writes the gradient of what [attention.turn] read, from the gradient of what it wrote.
func (o *attention[T]) turnBack(dst, grad, src []T, stride, length int, norm *Param[T], dw, rstd []T) {
	for i := range length {
		row, g := dst[i*stride:i*stride+o.d], grad[i*o.d:(i+1)*o.d]
		cos, sin := o.rope.at(i)
		unrotate(g, cos, sin)
		if norm != nil {
			normGradRow(row, dw, src[i*stride:i*stride+o.d], norm.Value, g, rstd[i])
		} else {
			copy(row, g)
		}
	}
}

package graph

import "pith/policies/model/portable"

// rope is the table of rotary angles (Su et al. 2021, arXiv 2104.09864) in the rotate-half layout:
// cos and sin of position·theta^(-2j/d) for j < d/2, [positions, d/2] each.
type rope[T Float] struct {
	half     int
	cos, sin []T
}

// newRope fills the table for positions below n. Angles are computed in float64 and rounded once; in
// float32 it is the table of package model's Rotary.
func newRope[T Float](headDim, n int, theta float64) *rope[T] {
	half := headDim / 2
	r := &rope[T]{half: half, cos: make([]T, n*half), sin: make([]T, n*half)}
	ln := portable.Log(theta)
	for j := range half {
		frequency := portable.Exp(-2 * float64(j) / float64(headDim) * ln)
		for p := range n {
			s, c := portable.SinCos(float64(p) * frequency)
			r.cos[p*half+j], r.sin[p*half+j] = T(c), T(s)
		}
	}
	return r
}

// at returns the angles of a position.
func (r *rope[T]) at(position int) (cos, sin []T) {
	return r.cos[position*r.half : (position+1)*r.half], r.sin[position*r.half : (position+1)*r.half]
}

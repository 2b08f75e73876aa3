package graph

import "pith/policies/model/portable"

// rope is the table of rotary angles (Su et al. 2021, arXiv 2104.09864) in the rotate-half layout:
// cos and sin of position times the frequency of the pair, [positions, d/2] each.
type rope[T Float] struct {
	half     int
	cos, sin []T
}

// newRope fills the table for positions below n. Angles are computed in float64 and rounded once; in
// float32 it is the table of package model's Rotary.
func newRope[T Float](frequencies []float64, n int) *rope[T] {
	half := len(frequencies)
	r := &rope[T]{half: half, cos: make([]T, n*half), sin: make([]T, n*half)}
	for j, f := range frequencies {
		for p := range n {
			s, c := portable.SinCos(float64(p) * f)
			r.cos[p*half+j], r.sin[p*half+j] = T(c), T(s)
		}
	}
	return r
}

// at returns the angles of a position.
func (r *rope[T]) at(position int) (cos, sin []T) {
	return r.cos[position*r.half : (position+1)*r.half], r.sin[position*r.half : (position+1)*r.half]
}

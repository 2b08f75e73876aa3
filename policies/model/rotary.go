package model

import "pith/policies/model/portable"

// Rotary is the table of rotary angles (Su et al. 2021, arXiv 2104.09864) in the rotate-half
// layout: entry j < HeadDim/2 of position p is the cosine and sine of p*theta^(-2j/HeadDim).
type Rotary struct {
	Half     int       // HeadDim/2, the length of one row
	Cos, Sin []float32 // [positions, Half]
}

// NewRotary fills the table for positions below n. Angles are computed in float64 by functions
// that give the same bits on every platform, and rounded once.
func NewRotary(headDim, n int, theta float64) *Rotary {
	r := &Rotary{Half: headDim / 2}
	r.Cos, r.Sin = make([]float32, n*r.Half), make([]float32, n*r.Half)
	ln := portable.Log(theta)
	for j := range r.Half {
		freq := portable.Exp(-2 * float64(j) / float64(headDim) * ln)
		for p := range n {
			sin, cos := portable.SinCos(float64(p) * freq)
			r.Cos[p*r.Half+j], r.Sin[p*r.Half+j] = float32(cos), float32(sin)
		}
	}
	return r
}

// At is the row of position p.
func (r *Rotary) At(p int) (cos, sin []float32) {
	return r.Cos[p*r.Half : (p+1)*r.Half], r.Sin[p*r.Half : (p+1)*r.Half]
}

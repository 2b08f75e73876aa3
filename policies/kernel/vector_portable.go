package kernel

import "math"

// This file defines the vector kernels: the assembly must return the same bits. Conversions to
// float32 around products keep compilers from fusing what is defined as two roundings.

// lanes is the accumulator of a reduction: element i of the input belongs to lane i mod 16.
type lanes [16]float32

// fold adds the lanes by halves.
func (l *lanes) fold() float32 {
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			l[i] += l[i+half]
		}
	}
	return l[0]
}

func dotPortable(x, y []float32) float32 {
	var acc lanes
	for i, v := range x {
		acc[i&15] = fma32(v, y[i], acc[i&15])
	}
	return acc.fold()
}

func sumPortable(x []float32) float32 {
	var acc lanes
	for i, v := range x {
		acc[i&15] += v
	}
	return acc.fold()
}

// sumSquares64Tail adds to the lanes the squares from element i on, i a multiple of 16, and folds.
func sumSquares64Tail(x []float32, i int, acc *[16]float64) float64 {
	for ; i < len(x); i++ {
		v := float64(x[i])
		acc[i&15] += float64(v * v) // the square is exact
	}
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			acc[i] += acc[i+half]
		}
	}
	return acc[0]
}

func maxPortable(x []float32) float32 {
	var acc lanes
	for i := range acc {
		acc[i] = float32(math.Inf(-1))
	}
	for i, v := range x {
		if v > acc[i&15] {
			acc[i&15] = v
		}
	}
	for half := 8; half > 0; half /= 2 {
		for i := range half {
			if acc[i+half] > acc[i] {
				acc[i] = acc[i+half]
			}
		}
	}
	return acc[0]
}

func axpyPortable(a float32, x, y []float32) {
	for i, v := range x {
		y[i] = fma32(a, v, y[i])
	}
}

func scalePortable(a float32, x []float32) {
	for i := range x {
		x[i] *= a
	}
}

func addPortable(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = v + y[i]
	}
}

func mulPortable(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = v * y[i]
	}
}

func mulAddPortable(dst, x, y []float32) {
	for i, v := range x {
		dst[i] = fma32(v, y[i], dst[i])
	}
}

func expPortable(dst, x []float32) {
	for i, v := range x {
		dst[i] = exp32(v)
	}
}

func expSumShiftPortable(dst, x []float32, shift float32) float32 {
	var acc lanes
	for i, v := range x {
		e := exp32(float32(v - shift))
		dst[i] = e
		acc[i&15] += e
	}
	return acc.fold()
}

// sigmoid32 is 1/(1+exp(-x)).
func sigmoid32(x float32) float32 { return 1 / float32(1+exp32(-x)) }

func siluMulPortable(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = float32(g*sigmoid32(g)) * up[i]
	}
}

func siluMulGradPortable(dgate, dup, gate, up, dy []float32) {
	for i, g := range gate {
		s := sigmoid32(g)
		gs := float32(g * s)
		d := dy[i]
		// d silu / dg = s + g*s*(1-s)
		slope := fma32(gs, float32(1-s), s)
		du := float32(d * up[i])
		dup[i] = d * gs
		dgate[i] = du * slope
	}
}

// rmsScalePortable is dst = (x*rstd)*w.
func rmsScalePortable(dst, x, w []float32, rstd float32) {
	for i, v := range x {
		dst[i] = float32(v*rstd) * w[i]
	}
}

// dot3Portable is the sum over i of (x*y)*z with x*y rounded.
func dot3Portable(x, y, z []float32) float32 {
	var acc lanes
	for i, v := range x {
		acc[i&15] = fma32(float32(v*y[i]), z[i], acc[i&15])
	}
	return acc.fold()
}

func rmsGradPortable(dx, dw, x, w, dy []float32, rstd, coef float32) {
	for i, v := range x {
		d := dy[i]
		wd := float32(w[i] * d)
		dw[i] = fma32(d, float32(v*rstd), dw[i])
		dx[i] = fma32(-coef, v, wd) * rstd
	}
}

// rotatePortable turns the pairs (a[i], b[i]) by the angle whose cosine and sine are given.
func rotatePortable(a, b, cos, sin []float32) {
	for i, c := range cos {
		s, u, v := sin[i], a[i], b[i]
		a[i] = fma32(-v, s, float32(u*c))
		b[i] = fma32(u, s, float32(v*c))
	}
}

// adamStep holds the scalars of one AdamW step, in the order the assembly reads them.
type adamStep struct {
	gradScale, beta1, oneMinusBeta1, beta2, oneMinusBeta2 float32
	correct1, correct2                                    float32 // 1/(1-beta^step)
	eps, decay, lr                                        float32
}

func adamWPortable(w, g, m, v []float32, p *adamStep) {
	for i, gi := range g {
		gi = float32(gi * p.gradScale)
		mi := fma32(p.beta1, m[i], float32(p.oneMinusBeta1*gi))
		vi := fma32(p.beta2, v[i], float32(p.oneMinusBeta2*float32(gi*gi)))
		m[i], v[i] = mi, vi
		den := float32(sqrt32(float32(vi*p.correct2)) + p.eps)
		step := float32(float32(mi*p.correct1) / den)
		step = fma32(p.decay, w[i], step)
		w[i] = fma32(-p.lr, step, w[i])
	}
}

// sqrt32 is the correctly rounded square root: float64 has more than twice the bits it takes.
func sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

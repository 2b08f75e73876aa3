package graph

import (
	"math"

	"pith/policies/kernel"
)

// This file holds the leaves of the arithmetic: float32 goes to package kernel, float64 to the plain
// loops beside it. Everything above is one code for both.

// parallel splits [0, n) among threads; f must compute each index on its own.
func parallel(n, grain int, f func(lo, hi int)) { kernel.Parallel(n, grain, f) }

// rowGrain is how many rows of a given width are worth handing to another thread.
func rowGrain(width int) int { return max(1, (1<<14)/width) }

// gemm is C = beta·C + op(A)·op(B) as [kernel.Gemm] defines it.
func gemm[T Float](transA, transB bool, m, n, k int, a []T, lda int, b []T, ldb int, beta T, c []T, ldc int) {
	if c, ok := any(c).([]float32); ok {
		kernel.Gemm(transA, transB, m, n, k, any(a).([]float32), lda, any(b).([]float32), ldb, float32(beta), c, ldc)
		return
	}
	ars, aks, brs, bks := lda, 1, ldb, 1 // strides along the row and along k
	if transA {
		ars, aks = 1, lda
	}
	if !transB {
		brs, bks = 1, ldb
	}
	parallel(m, max(1, (1<<16)/max(1, n*k)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			for j := range n {
				var sum T
				if beta != 0 {
					sum = c[i*ldc+j]
				}
				for p := range k {
					sum += a[i*ars+p*aks] * b[j*brs+p*bks]
				}
				c[i*ldc+j] = sum
			}
		}
	})
}

// add is dst += x.
func add[T Float](dst, x []T) {
	if dst, ok := any(dst).([]float32); ok {
		kernel.Add(dst, dst, any(x).([]float32))
		return
	}
	for i, v := range x {
		dst[i] += v
	}
}

// scale is x *= a.
func scale[T Float](a T, x []T) {
	if x, ok := any(x).([]float32); ok {
		kernel.Scale(float32(a), x)
		return
	}
	for i := range x {
		x[i] *= a
	}
}

// dot is Σ x·y.
func dot[T Float](x, y []T) T {
	if x, ok := any(x).([]float32); ok {
		return T(kernel.Dot(x, any(y).([]float32)))
	}
	var sum T
	for i, v := range x {
		sum += v * y[i]
	}
	return sum
}

// largest is max x.
func largest[T Float](x []T) T {
	if x, ok := any(x).([]float32); ok {
		return T(kernel.Max(x))
	}
	m := T(math.Inf(-1))
	for _, v := range x {
		m = max(m, v)
	}
	return m
}

// expSum is dst = e^(x-shift), returning Σ dst; dst may be x.
func expSum[T Float](dst, x []T, shift T) T {
	if dst, ok := any(dst).([]float32); ok {
		return T(kernel.ExpSumShift(dst, any(x).([]float32), float32(shift)))
	}
	var sum T
	for i, v := range x {
		dst[i] = T(math.Exp(float64(v - shift)))
		sum += dst[i]
	}
	return sum
}

// logarithm is ln x.
func logarithm[T Float](x T) T {
	if x, ok := any(x).(float32); ok {
		return T(kernel.Log(x))
	}
	return T(math.Log(float64(x)))
}

// normRow is y = x·r·w with r = 1/sqrt(mean(x²)+eps), which it returns.
func normRow[T Float](y, x, w []T, eps T) T {
	if y, ok := any(y).([]float32); ok {
		return T(kernel.RMSNorm(y, any(x).([]float32), any(w).([]float32), float32(eps)))
	}
	r := T(1 / math.Sqrt(float64(dot(x, x)/T(len(x))+eps)))
	for i, v := range x {
		y[i] = v * r * w[i]
	}
	return r
}

// normGradRow overwrites dx and adds to dw; dx may be dy.
func normGradRow[T Float](dx, dw, x, w, dy []T, r T) {
	if dx, ok := any(dx).([]float32); ok {
		kernel.RMSNormGrad(dx, any(dw).([]float32), any(x).([]float32), any(w).([]float32), any(dy).([]float32), float32(r))
		return
	}
	var sum T
	for i, v := range x {
		sum += w[i] * dy[i] * v
	}
	coef := sum * r * r / T(len(x))
	for i, v := range x {
		d := dy[i]
		dw[i] += d * v * r
		dx[i] = (w[i]*d - coef*v) * r
	}
}

// siluMul is y = silu(gate)·up.
func siluMul[T Float](y, gate, up []T) {
	if y, ok := any(y).([]float32); ok {
		kernel.SiLUMul(y, any(gate).([]float32), any(up).([]float32))
		return
	}
	for i, g := range gate {
		y[i] = g / T(1+math.Exp(float64(-g))) * up[i]
	}
}

// siluMulGrad overwrites dgate and dup.
func siluMulGrad[T Float](dgate, dup, gate, up, dy []T) {
	if dgate, ok := any(dgate).([]float32); ok {
		kernel.SiLUMulGrad(dgate, any(dup).([]float32), any(gate).([]float32), any(up).([]float32), any(dy).([]float32))
		return
	}
	for i, g := range gate {
		s := T(1 / (1 + math.Exp(float64(-g))))
		dup[i], dgate[i] = dy[i]*g*s, dy[i]*up[i]*s*(1+g*(1-s))
	}
}

// rotate turns the pairs (x[i], x[i+len/2]) by the angles given; unrotate turns them back.
func rotate[T Float](x, cos, sin []T) {
	if x, ok := any(x).([]float32); ok {
		kernel.RotateHalf(x, any(cos).([]float32), any(sin).([]float32))
		return
	}
	h := len(x) / 2
	for i := range h {
		a, b := x[i], x[i+h]
		x[i], x[i+h] = a*cos[i]-b*sin[i], b*cos[i]+a*sin[i]
	}
}

func unrotate[T Float](x, cos, sin []T) {
	if x, ok := any(x).([]float32); ok {
		kernel.RotateHalfInverse(x, any(cos).([]float32), any(sin).([]float32))
		return
	}
	h := len(x) / 2
	for i := range h {
		a, b := x[i], x[i+h]
		x[i], x[i+h] = a*cos[i]+b*sin[i], b*cos[i]-a*sin[i]
	}
}

// softmaxGrad is dp = p·(dp - mean), where mean is the upstream gradient averaged under p.
func softmaxGrad[T Float](dp, p []T, mean T) {
	if dp, ok := any(dp).([]float32); ok {
		kernel.Mul(dp, dp, any(p).([]float32))
		kernel.Axpy(-float32(mean), any(p).([]float32), dp)
		return
	}
	for i, v := range p {
		dp[i] = v * (dp[i] - mean)
	}
}

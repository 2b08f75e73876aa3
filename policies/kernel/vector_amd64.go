package kernel

import "unsafe"

// Each function here chooses the implementation of one vector kernel; vector_portable.go defines
// what they compute. Slices have been checked to be long enough.

// ptr is the first element's address; any n of 0 keeps it from being read.
func ptr(x []float32) *float32 { return unsafe.SliceData(x) }

func dot(x, y []float32) float32 {
	switch using() {
	case avx512:
		return dotAVX512(ptr(x), ptr(y), len(y))
	case avx2:
		return dotAVX2(ptr(x), ptr(y), len(y))
	default:
		return dotPortable(x, y)
	}
}

func dot3(x, y, z []float32) float32 {
	switch using() {
	case avx512:
		return dot3AVX512(ptr(x), ptr(y), ptr(z), len(z))
	case avx2:
		return dot3AVX2(ptr(x), ptr(y), ptr(z), len(z))
	default:
		return dot3Portable(x, y, z)
	}
}

func sum(x []float32) float32 {
	switch using() {
	case avx512:
		return sumAVX512(ptr(x), len(x))
	case avx2:
		return sumAVX2(ptr(x), len(x))
	default:
		return sumPortable(x)
	}
}

func maxOf(x []float32) float32 {
	switch using() {
	case avx512:
		return maxAVX512(ptr(x), len(x))
	case avx2:
		return maxAVX2(ptr(x), len(x))
	default:
		return maxPortable(x)
	}
}

func axpy(a float32, x, y []float32) {
	switch using() {
	case avx512:
		axpyAVX512(ptr(x), ptr(y), len(x), a)
	case avx2:
		axpyAVX2(ptr(x), ptr(y), len(x), a)
	default:
		axpyPortable(a, x, y)
	}
}

func scale(a float32, x []float32) {
	switch using() {
	case avx512:
		scaleAVX512(ptr(x), len(x), a)
	case avx2:
		scaleAVX2(ptr(x), len(x), a)
	default:
		scalePortable(a, x)
	}
}

func add(dst, x, y []float32) {
	switch using() {
	case avx512:
		addAVX512(ptr(dst), ptr(x), ptr(y), len(y))
	case avx2:
		addAVX2(ptr(dst), ptr(x), ptr(y), len(y))
	default:
		addPortable(dst, x, y)
	}
}

func mul(dst, x, y []float32) {
	switch using() {
	case avx512:
		mulAVX512(ptr(dst), ptr(x), ptr(y), len(y))
	case avx2:
		mulAVX2(ptr(dst), ptr(x), ptr(y), len(y))
	default:
		mulPortable(dst, x, y)
	}
}

func mulAdd(dst, x, y []float32) {
	switch using() {
	case avx512:
		mulAddAVX512(ptr(dst), ptr(x), ptr(y), len(y))
	case avx2:
		mulAddAVX2(ptr(dst), ptr(x), ptr(y), len(y))
	default:
		mulAddPortable(dst, x, y)
	}
}

func expOf(dst, x []float32) {
	switch using() {
	case avx512:
		expAVX512(ptr(dst), ptr(x), len(x))
	case avx2:
		expAVX2(ptr(dst), ptr(x), len(x))
	default:
		expPortable(dst, x)
	}
}

func expSumShift(dst, x []float32, shift float32) float32 {
	switch using() {
	case avx512:
		return expSumShiftAVX512(ptr(dst), ptr(x), len(x), shift)
	case avx2:
		return expSumShiftAVX2(ptr(dst), ptr(x), len(x), shift)
	default:
		return expSumShiftPortable(dst, x, shift)
	}
}

func siluMul(dst, gate, up []float32) {
	switch using() {
	case avx512:
		siluMulAVX512(ptr(dst), ptr(gate), ptr(up), len(up))
	case avx2:
		siluMulAVX2(ptr(dst), ptr(gate), ptr(up), len(up))
	default:
		siluMulPortable(dst, gate, up)
	}
}

func siluMulGrad(dgate, dup, gate, up, dy []float32) {
	switch using() {
	case avx512:
		siluMulGradAVX512(ptr(dgate), ptr(dup), ptr(gate), ptr(up), ptr(dy), len(dy))
	case avx2:
		siluMulGradAVX2(ptr(dgate), ptr(dup), ptr(gate), ptr(up), ptr(dy), len(dy))
	default:
		siluMulGradPortable(dgate, dup, gate, up, dy)
	}
}

func rmsScale(dst, x, w []float32, rstd float32) {
	switch using() {
	case avx512:
		rmsScaleAVX512(ptr(dst), ptr(x), ptr(w), len(x), rstd)
	case avx2:
		rmsScaleAVX2(ptr(dst), ptr(x), ptr(w), len(x), rstd)
	default:
		rmsScalePortable(dst, x, w, rstd)
	}
}

func rmsGrad(dx, dw, x, w, dy []float32, rstd, coef float32) {
	switch using() {
	case avx512:
		rmsGradAVX512(ptr(dx), ptr(dw), ptr(x), ptr(w), ptr(dy), len(x), rstd, coef)
	case avx2:
		rmsGradAVX2(ptr(dx), ptr(dw), ptr(x), ptr(w), ptr(dy), len(x), rstd, coef)
	default:
		rmsGradPortable(dx, dw, x, w, dy, rstd, coef)
	}
}

func rotate(a, b, cos, sin []float32) {
	switch using() {
	case avx512:
		rotateAVX512(ptr(a), ptr(b), ptr(cos), ptr(sin), len(cos))
	case avx2:
		rotateAVX2(ptr(a), ptr(b), ptr(cos), ptr(sin), len(cos))
	default:
		rotatePortable(a, b, cos, sin)
	}
}

func adamW(w, g, m, v []float32, p *adamStep) {
	l := using()
	if l == portable {
		adamWPortable(w, g, m, v, p)
		return
	}
	var params [10][16]float32
	for i, x := range [10]float32{
		p.gradScale, p.beta1, p.oneMinusBeta1, p.beta2, p.oneMinusBeta2,
		p.correct1, p.correct2, p.eps, p.decay, p.lr,
	} {
		for j := range params[i] {
			params[i][j] = x
		}
	}
	if l == avx512 {
		adamWAVX512(ptr(w), ptr(g), ptr(m), ptr(v), len(w), &params)
	} else {
		adamWAVX2(ptr(w), ptr(g), ptr(m), ptr(v), len(w), &params)
	}
}

// dotRows computes the first len(dst)&^3 dot products of q with the rows of k, or none, and
// returns how many.
func dotRows(dst, q, k []float32, stride int) int {
	l, groups := using(), len(dst)/4
	if l == portable || groups == 0 || len(q) == 0 || len(q)%16 != 0 {
		return 0
	}
	if l == avx512 {
		dotRowsAVX512(ptr(dst), ptr(q), ptr(k), uintptr(stride)*4, len(q), groups)
	} else {
		dotRowsAVX2(ptr(dst), ptr(q), ptr(k), uintptr(stride)*4, len(q), groups)
	}
	return 4 * groups
}

// sumSquares64 adds the squares of whole blocks of 16 to the lanes and returns how many elements
// that were.
func sumSquares64(x []float32, acc *[16]float64) int {
	l, blocks := using(), len(x)/16
	if l == portable || blocks == 0 {
		return 0
	}
	if l == avx512 {
		sumSquares64AVX512(ptr(x), blocks, acc)
	} else {
		sumSquares64AVX2(ptr(x), blocks, acc)
	}
	return 16 * blocks
}

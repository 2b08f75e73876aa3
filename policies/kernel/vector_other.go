//go:build !amd64

package kernel

func dot(x, y []float32) float32 { return dotPortable(x, y) }

func dot3(x, y, z []float32) float32 { return dot3Portable(x, y, z) }

func sum(x []float32) float32 { return sumPortable(x) }

func maxOf(x []float32) float32 { return maxPortable(x) }

func axpy(a float32, x, y []float32) { axpyPortable(a, x, y) }

func scale(a float32, x []float32) { scalePortable(a, x) }

func add(dst, x, y []float32) { addPortable(dst, x, y) }

func mul(dst, x, y []float32) { mulPortable(dst, x, y) }

func mulAdd(dst, x, y []float32) { mulAddPortable(dst, x, y) }

func expOf(dst, x []float32) { expPortable(dst, x) }

func expSumShift(dst, x []float32, shift float32) float32 { return expSumShiftPortable(dst, x, shift) }

func siluMul(dst, gate, up []float32) { siluMulPortable(dst, gate, up) }

func siluMulGrad(dgate, dup, gate, up, dy []float32) { siluMulGradPortable(dgate, dup, gate, up, dy) }

func rmsScale(dst, x, w []float32, rstd float32) { rmsScalePortable(dst, x, w, rstd) }

func rmsGrad(dx, dw, x, w, dy []float32, rstd, coef float32) {
	rmsGradPortable(dx, dw, x, w, dy, rstd, coef)
}

func rotate(a, b, cos, sin []float32) { rotatePortable(a, b, cos, sin) }

func adamW(w, g, m, v []float32, p *adamStep) { adamWPortable(w, g, m, v, p) }

func dotRows(_, _, _ []float32, _ int) int { return 0 }

func sumSquares64([]float32, *[16]float64) int { return 0 }

package kernel

// The kernels of vector_avx512_amd64.s and vector_avx2_amd64.s. n is the number of elements.

//go:noescape
func dotAVX512(x, y *float32, n int) float32

//go:noescape
func dotAVX2(x, y *float32, n int) float32

//go:noescape
func dot3AVX512(x, y, z *float32, n int) float32

//go:noescape
func dot3AVX2(x, y, z *float32, n int) float32

//go:noescape
func sumAVX512(x *float32, n int) float32

//go:noescape
func sumAVX2(x *float32, n int) float32

//go:noescape
func maxAVX512(x *float32, n int) float32

//go:noescape
func maxAVX2(x *float32, n int) float32

//go:noescape
func axpyAVX512(x, y *float32, n int, a float32)

//go:noescape
func axpyAVX2(x, y *float32, n int, a float32)

//go:noescape
func scaleAVX512(x *float32, n int, a float32)

//go:noescape
func scaleAVX2(x *float32, n int, a float32)

//go:noescape
func addAVX512(dst, x, y *float32, n int)

//go:noescape
func addAVX2(dst, x, y *float32, n int)

//go:noescape
func mulAVX512(dst, x, y *float32, n int)

//go:noescape
func mulAVX2(dst, x, y *float32, n int)

//go:noescape
func mulAddAVX512(dst, x, y *float32, n int)

//go:noescape
func mulAddAVX2(dst, x, y *float32, n int)

//go:noescape
func expAVX512(dst, x *float32, n int)

//go:noescape
func expAVX2(dst, x *float32, n int)

//go:noescape
func expSumShiftAVX512(dst, x *float32, n int, shift float32) float32

//go:noescape
func expSumShiftAVX2(dst, x *float32, n int, shift float32) float32

//go:noescape
func siluMulAVX512(dst, gate, up *float32, n int)

//go:noescape
func siluMulAVX2(dst, gate, up *float32, n int)

//go:noescape
func siluMulGradAVX512(dgate, dup, gate, up, dy *float32, n int)

//go:noescape
func siluMulGradAVX2(dgate, dup, gate, up, dy *float32, n int)

//go:noescape
func rmsScaleAVX512(dst, x, w *float32, n int, rstd float32)

//go:noescape
func rmsScaleAVX2(dst, x, w *float32, n int, rstd float32)

//go:noescape
func rmsGradAVX512(dx, dw, x, w, dy *float32, n int, rstd float32, coef float32)

//go:noescape
func rmsGradAVX2(dx, dw, x, w, dy *float32, n int, rstd float32, coef float32)

//go:noescape
func rotateAVX512(a, b, cos, sin *float32, n int)

//go:noescape
func rotateAVX2(a, b, cos, sin *float32, n int)

//go:noescape
func adamWAVX512(w, grad, m, v *float32, n int, p *[10][16]float32)

//go:noescape
func adamWAVX2(w, grad, m, v *float32, n int, p *[10][16]float32)

// dotRowsAVX512 computes 4*groups dot products of q and rows of n floats, n a multiple of 16.
//
//go:noescape
func dotRowsAVX512(dst, q, k *float32, stride uintptr, n, groups int)

//go:noescape
func dotRowsAVX2(dst, q, k *float32, stride uintptr, n, groups int)

// sumSquares64AVX512 sums 16*blocks squares into the lanes acc.
//
//go:noescape
func sumSquares64AVX512(x *float32, blocks int, acc *[16]float64)

//go:noescape
func sumSquares64AVX2(x *float32, blocks int, acc *[16]float64)

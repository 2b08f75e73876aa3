package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// BLAS is gonum's implementation with the float32 matrix products replaced by this package's, for
// gorgonia.Use and blas32.Use. Alpha and beta other than 0 and 1 are handled, more slowly.
type BLAS struct{ gonum.Implementation }

// Sgemm computes C = alpha*op(A)·op(B) + beta*C as [blas.Float32Level3] says.
func (b BLAS) Sgemm(tA, tB blas.Transpose, m, n, k int, alpha float32, a []float32, lda int, bb []float32, ldb int, beta float32, c []float32, ldc int) {
	if alpha != 1 && k > 0 {
		b.Implementation.Sgemm(tA, tB, m, n, k, alpha, a, lda, bb, ldb, beta, c, ldc)
		return
	}
	if beta != 0 && beta != 1 {
		for i := range m {
			Scale(beta, c[i*ldc:i*ldc+n])
		}
		beta = 1
	}
	Gemm(tA != blas.NoTrans, tB != blas.NoTrans, m, n, k, a, lda, bb, ldb, beta, c, ldc)
}

// Sgemv computes y = alpha*op(A)·x + beta*y as [blas.Float32Level2] says.
func (b BLAS) Sgemv(tA blas.Transpose, m, n int, alpha float32, a []float32, lda int, x []float32, incX int, beta float32, y []float32, incY int) {
	if alpha != 1 || incX != 1 || incY != 1 || (beta != 0 && beta != 1) || m == 0 || n == 0 {
		b.Implementation.Sgemv(tA, m, n, alpha, a, lda, x, incX, beta, y, incY)
		return
	}
	if tA == blas.NoTrans { // y [1, m] = x [1, n] · Aᵀ
		Gemm(false, true, 1, m, n, x, n, a, lda, beta, y, m)
		return
	}
	Gemm(false, false, 1, n, m, x, m, a, lda, beta, y, n)
}

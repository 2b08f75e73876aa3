package kernel

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

var (
	_ blas.Float32Level2 = BLAS{}
	_ blas.Float32Level3 = BLAS{}
)

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func TestBLASSgemmAgreesWithGonum(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	for _, tA := range []blas.Transpose{blas.NoTrans, blas.Trans} {
		for _, tB := range []blas.Transpose{blas.NoTrans, blas.Trans} {
			for _, s := range []struct{ alpha, beta float32 }{{1, 0}, {1, 1}, {1, 0.5}, {2, 0}, {-1, 1}, {0, 0.5}} {
				const m, n, k, pad = 7, 19, 11, 3
				lda, ldb := k+pad, n+pad
				if tA == blas.Trans {
					lda = m + pad
				}
				if tB == blas.Trans {
					ldb = k + pad
				}
				a, b, want := randoms(r, 20*lda), randoms(r, 20*ldb), randoms(r, m*(n+pad))
				got := slices.Clone(want)
				gonum.Implementation{}.Sgemm(tA, tB, m, n, k, s.alpha, a, lda, b, ldb, s.beta, want, n+pad)
				BLAS{}.Sgemm(tA, tB, m, n, k, s.alpha, a, lda, b, ldb, s.beta, got, n+pad)
				relative(t, fmt.Sprintf("%c%c alpha=%g beta=%g", tA, tB, s.alpha, s.beta), got, wide(want), 1e-6)
			}
		}
	}
}

func TestBLASSgemvAgreesWithGonum(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	for _, tA := range []blas.Transpose{blas.NoTrans, blas.Trans} {
		for _, s := range []struct {
			alpha, beta float32
			inc         int
		}{{1, 0, 1}, {1, 1, 1}, {1, 0.5, 1}, {2, 1, 1}, {1, 0, 2}} {
			const m, n = 33, 21
			a, x, want := randoms(r, m*n), randoms(r, 2*m), randoms(r, 2*m)
			got := slices.Clone(want)
			gonum.Implementation{}.Sgemv(tA, m, n, s.alpha, a, n, x, s.inc, s.beta, want, s.inc)
			BLAS{}.Sgemv(tA, m, n, s.alpha, a, n, x, s.inc, s.beta, got, s.inc)
			size := ((map[blas.Transpose]int{blas.NoTrans: m, blas.Trans: n})[tA]-1)*s.inc + 1
			relative(t, fmt.Sprintf("%c %+v", tA, s), got[:size], wide(want[:size]), 1e-6)
		}
	}
}

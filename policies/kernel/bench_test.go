package kernel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

var benchShapes = [][3]int{
	{256, 256, 256}, {512, 512, 512}, {64, 1024, 256}, {4096, 256, 256}, {4096, 128, 256},
	{64, 128, 256}, {16, 128, 128}, {1, 1024, 1024},
}

// reportGFlops adds the rate of multiply-adds, as two operations each.
func reportGFlops(b *testing.B, m, n, k int) {
	b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// BenchmarkGemm compares, for C [m, n] = A [m, k] · B, this package's kernels with gonum's.
func BenchmarkGemm(b *testing.B) {
	defer SetThreads(SetThreads(0))
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range benchShapes {
		m, n, k := s[0], s[1], s[2]
		x, y, c := randoms(r, m*k), randoms(r, k*n), make([]float32, m*n)
		packed := Pack(false, k, n, y, n)
		shape := fmt.Sprintf("%dx%dx%d", m, n, k)
		b.Run(shape+"/gonum", func(b *testing.B) {
			for b.Loop() {
				gonum.Implementation{}.Sgemm(blas.NoTrans, blas.NoTrans, m, n, k, 1, x, k, y, n, 0, c, n)
			}
			reportGFlops(b, m, n, k)
		})
		for _, threads := range []int{1, 2} {
			for _, name := range Available()[:max(1, len(Available())-1)] {
				if err := Use(name); err != nil {
					b.Fatal(err)
				}
				SetThreads(threads)
				b.Run(fmt.Sprintf("%s/%s/threads=%d", shape, name, threads), func(b *testing.B) {
					for b.Loop() {
						Gemm(false, false, m, n, k, x, k, y, n, 0, c, n)
					}
					reportGFlops(b, m, n, k)
				})
				b.Run(fmt.Sprintf("%s/%s-packed/threads=%d", shape, name, threads), func(b *testing.B) {
					for b.Loop() {
						GemmPacked(m, x, k, packed, 0, c, n)
					}
					reportGFlops(b, m, n, k)
				})
			}
		}
		if err := Use(""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGemmTransposed measures the products of the backward pass: dW = Xᵀ·dY and dX = dY·Wᵀ.
func BenchmarkGemmTransposed(b *testing.B) {
	defer SetThreads(SetThreads(0))
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []struct {
		tA, tB  bool
		m, n, k int
	}{
		{true, false, 128, 128, 4096}, {true, false, 128, 256, 4096}, {true, false, 256, 128, 4096}, {true, false, 128, 64, 4096},
		{false, true, 4096, 128, 256}, {false, true, 4096, 256, 128}, {false, true, 64, 64, 32}, {false, true, 1, 1024, 1024},
	} {
		x, y, c := randoms(r, s.m*s.k), randoms(r, s.k*s.n), make([]float32, s.m*s.n)
		lda, ldb := s.k, s.n
		if s.tA {
			lda = s.m
		}
		if s.tB {
			ldb = s.k
		}
		for _, threads := range []int{1, 2} {
			SetThreads(threads)
			b.Run(fmt.Sprintf("%dx%dx%d,tA=%v,tB=%v/threads=%d", s.m, s.n, s.k, s.tA, s.tB, threads), func(b *testing.B) {
				for b.Loop() {
					Gemm(s.tA, s.tB, s.m, s.n, s.k, x, lda, y, ldb, 0, c, s.n)
				}
				reportGFlops(b, s.m, s.n, s.k)
			})
		}
	}
}

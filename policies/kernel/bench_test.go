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

// BenchmarkVector measures each vector kernel on rows of 256 and on a megabyte, in elements a second.
func BenchmarkVector(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{256, 1 << 18} {
		x, y, z, u, v := randoms(r, n), randoms(r, n), randoms(r, n), randoms(r, n), randoms(r, n)
		for i := range v {
			v[i] *= v[i] // second moments are not negative
		}
		var sink float32
		for _, k := range []struct {
			name string
			f    func()
		}{
			{"Dot", func() { sink += Dot(x, y) }},
			{"Sum", func() { sink += Sum(x) }},
			{"SumSquares64", func() { sink += float32(SumSquares64(x)) }},
			{"Max", func() { sink += Max(x) }},
			{"Axpy", func() { Axpy(1e-9, x, z) }},
			{"Scale", func() { Scale(1, z) }},
			{"Add", func() { Add(z, x, y) }},
			{"MulAdd", func() { MulAdd(z, x, y) }},
			{"Exp", func() { Exp(z, x) }},
			{"ExpSumShift", func() { sink += ExpSumShift(z, x, 3) }},
			{"SiLUMul", func() { SiLUMul(z, x, y) }},
			{"SiLUMulGrad", func() { SiLUMulGrad(z, u, x, y, v) }},
			{"RMSNorm", func() { sink += RMSNorm(z, x, y, 1e-6) }},
			{"RMSNormGrad", func() { RMSNormGrad(z, u, x, y, v, 1) }},
			{"RotateHalf", func() { RotateHalf(z, x[:n/2], y[:n/2]) }},
			{"AdamW", func() {
				AdamW(z, x, u, v, AdamWParams{LR: 1e-6, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 10})
			}},
		} {
			for _, name := range Available() {
				if err := Use(name); err != nil {
					b.Fatal(err)
				}
				b.Run(fmt.Sprintf("%s/n=%d/%s", k.name, n, name), func(b *testing.B) {
					for b.Loop() {
						k.f()
					}
					b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
				})
			}
		}
		if err := Use(""); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAttendRow measures one query over a cache of 128 positions, head dimension 32, in a
// cache of 4 heads.
func BenchmarkAttendRow(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	const d, n, stride = 32, 128, 128
	q, k, v := randoms(r, d), randoms(r, n*stride), randoms(r, n*stride)
	out, scratch := make([]float32, d), make([]float32, n)
	for _, name := range Available() {
		if err := Use(name); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				AttendRow(out, q, k, v, stride, n, 0.1, scratch)
			}
		})
	}
	if err := Use(""); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPack measures packing a weight matrix, in floats a second.
func BenchmarkPack(b *testing.B) {
	w := make([]float32, 256*256)
	for _, transB := range []bool{false, true} {
		p := Pack(transB, 256, 256, w, 256)
		b.Run(fmt.Sprintf("256x256,tB=%v", transB), func(b *testing.B) {
			for b.Loop() {
				p.Repack(transB, 256, 256, w, 256)
			}
			b.ReportMetric(float64(len(w))*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gelem/s")
		})
	}
}

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// naiveGemm is the definition of Gemm.
func naiveGemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	for i := range m {
		for j := range n {
			acc := float32(0)
			if beta != 0 {
				acc = c[i*ldc+j]
			}
			for p := range k {
				ia := i*lda + p
				if transA {
					ia = p*lda + i
				}
				acc = fma32(a[ia], b[offset(transB, p, j, ldb)], acc)
			}
			c[i*ldc+j] = acc
		}
	}
}

// sameBits reports the first element that differs; NaNs are equal whatever their payload.
func sameBits(t testing.TB, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: length %d, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			t.Fatalf("%s: element %d is %v (%#x), want %v (%#x)", what, i, got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
		}
	}
}

// eachKernel runs f with every implementation this processor has.
func eachKernel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	defer func() {
		if err := Use(""); err != nil {
			t.Fatal(err)
		}
	}()
	for _, name := range Available() {
		if err := Use(name); err != nil {
			t.Fatal(err)
		}
		t.Run(name, f)
	}
}

func randoms(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

type gemmCase struct {
	transA, transB bool
	m, n, k        int
	pad            int // extra leading dimension
	beta           float32
}

func (c gemmCase) String() string {
	return fmt.Sprintf("tA=%v,tB=%v,%dx%dx%d,pad=%d,beta=%g", c.transA, c.transB, c.m, c.n, c.k, c.pad, c.beta)
}

func checkGemm(t testing.TB, r *rand.Rand, g gemmCase, fill func(*rand.Rand, int) []float32) {
	t.Helper()
	dims := func(trans bool, rows, cols int) (size, ld int) {
		if trans {
			rows, cols = cols, rows
		}
		ld = max(cols, 1) + g.pad
		return max(rows, 1) * ld, ld
	}
	sa, lda := dims(g.transA, g.m, g.k)
	sb, ldb := dims(g.transB, g.k, g.n)
	sc, ldc := dims(false, g.m, g.n)
	a, b, c := fill(r, sa), fill(r, sb), fill(r, sc)
	want := append([]float32(nil), c...)
	naiveGemm(g.transA, g.transB, g.m, g.n, g.k, a, lda, b, ldb, g.beta, want, ldc)
	got := append([]float32(nil), c...)
	Gemm(g.transA, g.transB, g.m, g.n, g.k, a, lda, b, ldb, g.beta, got, ldc)
	sameBits(t, g.String(), got, want)
	if !g.transA {
		got = append(got[:0], c...)
		GemmPacked(g.m, a, lda, Pack(g.transB, g.k, g.n, b, ldb), g.beta, got, ldc)
		sameBits(t, "packed "+g.String(), got, want)
	}
}

func TestGemmIsOneFusedChainPerElementOnEveryKernel(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for range 150 {
			checkGemm(t, r, gemmCase{
				transA: r.IntN(2) == 1, transB: r.IntN(2) == 1,
				m: r.IntN(40), n: r.IntN(80), k: r.IntN(70), pad: r.IntN(2) * r.IntN(5), beta: float32(r.IntN(2)),
			}, randoms)
		}
		for _, g := range []gemmCase{
			{m: 70, n: 600, k: 300},
			{transA: true, m: 64, n: 96, k: 1100, beta: 1},
			{transB: true, m: 1, n: 515, k: 530},
			{m: 1, n: 515, k: 530},
			{transB: true, m: 129, n: 130, k: 257},
		} {
			checkGemm(t, r, g, randoms)
		}
	})
}

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

// gemmRounds is how many random shapes a test takes; the race detector makes the portable
// kernel slow.
var gemmRounds = map[bool]int{false: 150, true: 30}[raceEnabled]

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
		for range gemmRounds {
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
			{m: 14, n: 160, k: 300, pad: 2048 - 300}, // rows of A whole pages apart
		} {
			checkGemm(t, r, g, randoms)
		}
	})
}

func TestGemmSpreadsNaNInfinityAndDenormalsAlikeOnEveryKernel(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(19, 20))
		for range 60 {
			checkGemm(t, r, gemmCase{
				transA: r.IntN(2) == 1, transB: r.IntN(2) == 1,
				m: r.IntN(30), n: r.IntN(70), k: r.IntN(20), beta: float32(r.IntN(2)),
			}, wild)
		}
	})
}

func TestGemmWithBetaZeroDoesNotReadC(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		for _, k := range []int{0, 3} {
			c := []float32{float32(math.NaN()), float32(math.Inf(1))}
			Gemm(false, false, 1, 2, k, make([]float32, 3), 3, make([]float32, 6), 2, 0, c, 2)
			sameBits(t, fmt.Sprintf("k=%d", k), c, []float32{0, 0})
		}
	})
}

func TestGemmTouchesOnlyItsColumnsOfC(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(21, 22))
		for _, n := range []int{1, 15, 16, 17, 31, 32, 33, 70} {
			const m, k, ldc = 13, 5, 80
			c := make([]float32, m*ldc)
			for i := range c {
				c[i] = -777
			}
			Gemm(false, false, m, n, k, randoms(r, m*k), k, randoms(r, k*n), n, 0, c, ldc)
			for i, v := range c {
				if i%ldc >= n && v != -777 {
					t.Fatalf("n=%d: element %d outside C became %v", n, i, v)
				}
			}
		}
	})
}

func TestRepackReusesMemoryAndForgetsTheOldMatrix(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	big, small := randoms(r, 64*64), randoms(r, 5*7)
	p := Pack(false, 64, 64, big, 64)
	data := &p.data[0]
	p.Repack(true, 5, 7, small, 5)
	if k, n := p.Shape(); k != 5 || n != 7 || &p.data[0] != data {
		t.Errorf("shape %d x %d, memory reused: %v; want 5 x 7 in the same memory", k, n, &p.data[0] == data)
	}
	a := randoms(r, 2*5)
	got, want := make([]float32, 14), make([]float32, 14)
	GemmPacked(2, a, 5, p, 0, got, 7)
	naiveGemm(false, true, 2, 7, 5, a, 5, small, 5, 0, want, 7)
	sameBits(t, "after Repack", got, want)
}

func TestGemmPanicsOnSlicesTooShort(t *testing.T) {
	for _, c := range []struct {
		name string
		call func()
	}{
		{"a", func() {
			Gemm(false, false, 2, 2, 2, make([]float32, 3), 2, make([]float32, 4), 2, 0, make([]float32, 4), 2)
		}},
		{"b", func() {
			Gemm(false, true, 2, 2, 2, make([]float32, 4), 2, make([]float32, 3), 2, 0, make([]float32, 4), 2)
		}},
		{"c", func() {
			Gemm(false, false, 2, 2, 2, make([]float32, 4), 2, make([]float32, 4), 2, 0, make([]float32, 3), 2)
		}},
		{"ldc", func() {
			Gemm(false, false, 2, 2, 2, make([]float32, 4), 2, make([]float32, 4), 2, 0, make([]float32, 4), 1)
		}},
		{"beta", func() {
			Gemm(false, false, 1, 1, 1, make([]float32, 1), 1, make([]float32, 1), 1, 0.5, make([]float32, 1), 1)
		}},
		{"vectors", func() { Dot(make([]float32, 2), make([]float32, 3)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			c.call()
		})
	}
}

// FuzzGemm compares every kernel with the definition on shapes and bits of the fuzzer's choice.
func FuzzGemm(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(1), uint8(0), uint8(0), []byte{1, 2, 3, 4})
	f.Add(uint8(13), uint8(33), uint8(9), uint8(7), uint8(3), []byte{0, 0, 0x80, 0x7f, 1, 0, 0, 0, 0xdb, 0x0f, 0x49, 0xc0})
	f.Fuzz(func(t *testing.T, m, n, k, flags, pad uint8, data []byte) {
		defer func() {
			if err := Use(""); err != nil {
				t.Fatal(err)
			}
		}()
		at := 0
		fill := func(_ *rand.Rand, size int) []float32 {
			x := make([]float32, size)
			for i := range x {
				bits := uint32(0x3f800000)
				for s := 0; s < 32 && len(data) > 0; s += 8 {
					bits ^= uint32(data[at%len(data)]) << s
					at++
				}
				x[i] = math.Float32frombits(bits + uint32(i))
			}
			return x
		}
		for _, name := range Available() {
			if err := Use(name); err != nil {
				t.Fatal(err)
			}
			at = 0
			checkGemm(t, nil, gemmCase{
				transA: flags&1 != 0, transB: flags&2 != 0, beta: float32(flags >> 2 & 1),
				m: int(m % 48), n: int(n % 100), k: int(k % 64), pad: int(pad % 8),
			}, fill)
		}
	})
}

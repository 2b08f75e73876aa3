package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// specials are the values that break careless kernels.
var specials = []float32{
	0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-149, -0x1p-149, 0x1p-126, 0x1.fffffcp-127,
	math.MaxFloat32, -math.MaxFloat32, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
	88.72283, 88.72284, -87.33655, -103.97208, -104.1, 0.34657359, -0.34657359, 0x1p-75,
}

// wild fills a vector with values of all magnitudes, specials among them.
func wild(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		switch r.IntN(8) {
		case 0:
			x[i] = specials[r.IntN(len(specials))]
		case 1:
			x[i] = math.Float32frombits(r.Uint32())
		default:
			x[i] = float32(r.NormFloat64() * math.Exp(3*r.NormFloat64()))
		}
	}
	return x
}

// vectorCases runs every vector kernel on inputs of length n and returns all it wrote.
func vectorCases(in [][]float32, a, b float32) map[string][]float32 {
	out := map[string][]float32{}
	n := len(in[0])
	fresh := func(i int) []float32 { return slices.Clone(in[i]) }
	x, y, z := in[0], in[1], in[2]

	out["Dot"] = []float32{Dot(x, y)}
	out["Sum"] = []float32{Sum(x)}
	out["SumSquares"] = []float32{SumSquares(x)}
	s64 := math.Float64bits(SumSquares64(x))
	if s := SumSquares64(x); s != s {
		s64 = 0x7ff8 << 48
	}
	out["SumSquares64"] = []float32{float32(s64 >> 48), float32(s64 >> 24 & 0xffffff), float32(s64 & 0xffffff)}
	out["Max"] = []float32{Max(x)}
	v := fresh(1)
	Axpy(a, x, v)
	out["Axpy"] = v
	v = fresh(0)
	Scale(a, v)
	out["Scale"] = v
	v = make([]float32, n)
	Add(v, x, y)
	out["Add"] = v
	v = fresh(0)
	Mul(v, v, y)
	out["Mul in place"] = v
	v = fresh(2)
	MulAdd(v, x, y)
	out["MulAdd"] = v
	v = make([]float32, n)
	Exp(v, x)
	out["Exp"] = v
	v = fresh(0)
	out["ExpSumShift sum"] = []float32{ExpSumShift(v, v, a)}
	out["ExpSumShift"] = v
	v = make([]float32, n)
	SiLUMul(v, x, y)
	out["SiLUMul"] = v
	v, u := fresh(0), fresh(1)
	SiLUMulGrad(v, u, v, u, z)
	out["SiLUMulGrad gate"], out["SiLUMulGrad up"] = v, u
	v = make([]float32, n)
	out["RMSNorm rstd"] = []float32{RMSNorm(v, x, y, 1e-6)}
	out["RMSNorm"] = v
	v, u = make([]float32, n), fresh(3)
	RMSNormGrad(v, u, x, y, z, a)
	out["RMSNormGrad dx"], out["RMSNormGrad dw"] = v, u
	even := n &^ 1
	v = fresh(0)
	RotateHalf(v[:even], y[:even/2], z[:even/2])
	out["RotateHalf"] = v
	v = fresh(0)
	RotateHalfInverse(v[:even], y[:even/2], z[:even/2])
	out["RotateHalfInverse"] = v
	w, m, s := fresh(0), fresh(2), fresh(3)
	AdamW(w, y, m, s, AdamWParams{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, WeightDecay: 0.1, GradScale: b, Step: 7})
	out["AdamW w"], out["AdamW m"], out["AdamW v"] = w, m, s
	return out
}

func TestVectorKernelsReturnThePortableBits(t *testing.T) {
	for _, fill := range []struct {
		name string
		f    func(*rand.Rand, int) []float32
	}{{"normal", randoms}, {"wild", wild}} {
		t.Run(fill.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			sizes := []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 100, 128, 257}
			for _, n := range sizes {
				for range 6 {
					in := [][]float32{fill.f(r, n), fill.f(r, n), fill.f(r, n), fill.f(r, n)}
					ab := fill.f(r, 2)
					if err := Use("portable"); err != nil {
						t.Fatal(err)
					}
					want := vectorCases(in, ab[0], ab[1])
					eachKernel(t, func(t *testing.T) {
						for what, got := range vectorCases(in, ab[0], ab[1]) {
							sameBits(t, fmt.Sprintf("%s, n=%d", what, n), got, want[what])
						}
					})
				}
			}
		})
	}
}

func TestVectorKernelsTouchNothingBeyondTheirSlices(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		for n := range 40 {
			arena := make([]float32, 5*(n+16))
			for i := range arena {
				arena[i] = -777
			}
			part := func(i int) []float32 { return arena[i*(n+16)+8:][:n] }
			for i := range 5 {
				for j := range part(i) {
					part(i)[j] = 0.5
				}
			}
			Axpy(2, part(0), part(1))
			Scale(2, part(2))
			Add(part(3), part(0), part(1))
			Mul(part(3), part(0), part(1))
			MulAdd(part(3), part(0), part(1))
			Exp(part(4), part(0))
			ExpSumShift(part(4), part(0), 1)
			SiLUMul(part(2), part(0), part(1))
			SiLUMulGrad(part(3), part(4), part(0), part(1), part(2))
			RMSNorm(part(3), part(0), part(1), 1e-6)
			RMSNormGrad(part(3), part(4), part(0), part(1), part(2), 1)
			AdamW(part(0), part(1), part(2), part(3), AdamWParams{Step: 1})
			if n%2 == 0 {
				RotateHalf(part(0), part(1)[:n/2], part(2)[:n/2])
			}
			for i, v := range arena {
				if inside := i%(n+16) >= 8 && i%(n+16) < 8+n; !inside && v != -777 {
					t.Fatalf("n=%d: wrote %v outside the slices, at %d", n, v, i)
				}
			}
		}
	})
}

// ulps is the distance of got from the exact value in units of the last place of the exact value.
func ulps(got float32, exact float64) float64 {
	if math.Abs(exact) > math.MaxFloat32 {
		if math.IsInf(float64(got), 1) || got == math.MaxFloat32 {
			return 0
		}
		return math.Inf(1)
	}
	_, e := math.Frexp(exact)
	return math.Abs(float64(got)-exact) / math.Ldexp(1, max(e-24, -149))
}

func TestExpIsWithinOneUlp(t *testing.T) {
	worst, at := 0.0, float32(0)
	step := uint32(997)
	if testing.Short() {
		step = 9973
	}
	x := make([]float32, 4096)
	y := make([]float32, 4096)
	bits := uint32(0)
	for range (0xff000000-0x80000000)/step/4096 + 1 { // all finite magnitudes of both signs, by steps
		for _, sign := range []uint32{0, 1 << 31} {
			for i := range x {
				x[i] = math.Float32frombits(min(bits+uint32(i)*step, 0x7f7fffff) | sign)
			}
			Exp(y, x)
			for i, v := range x {
				if e := ulps(y[i], math.Exp(float64(v))); e > worst {
					worst, at = e, v
				}
			}
		}
		bits += 4096 * step
		if bits > 0x7f7fffff {
			break
		}
	}
	t.Logf("largest error %.4f ulp at %v", worst, at)
	if worst > 1 {
		t.Errorf("largest error %.4f ulp at %v, want at most 1", worst, at)
	}
}

func TestLogIsWithinOneUlp(t *testing.T) {
	for bits := uint32(1); bits < 0x7f800000; bits += 10007 {
		x := math.Float32frombits(bits)
		if e := ulps(Log(x), math.Log(float64(x))); e > 0.6 {
			t.Fatalf("Log(%v) = %v is %.3f ulp off", x, Log(x), e)
		}
	}
	for _, c := range []struct{ x, want float32 }{
		{1, 0}, {0, float32(math.Inf(-1))}, {-1, float32(math.NaN())},
		{float32(math.Inf(1)), float32(math.Inf(1))}, {float32(math.NaN()), float32(math.NaN())},
	} {
		sameBits(t, fmt.Sprintf("Log(%v)", c.x), []float32{Log(c.x)}, []float32{c.want})
	}
}

func TestSumSquares64SeesWhatFloat32WouldLose(t *testing.T) {
	eachKernel(t, func(t *testing.T) {
		x := make([]float32, 1<<20+5)
		for i := range x {
			x[i] = 1e-3
		}
		x[0] = 1000
		v := float64(float32(1e-3))
		want := 1e6 + float64(len(x)-1)*v*v
		if got := SumSquares64(x); math.Abs(got-want) > 1e-9*want {
			t.Errorf("got %.12g, want %.12g", got, want)
		}
	})
}

func TestMaxIgnoresNaNs(t *testing.T) {
	nan := float32(math.NaN())
	eachKernel(t, func(t *testing.T) {
		for _, c := range []struct {
			name string
			x    []float32
			want float32
		}{
			{"none", nil, float32(math.Inf(-1))},
			{"only NaN", []float32{nan, nan}, float32(math.Inf(-1))},
			{"among NaNs", []float32{nan, -3, nan, -2, nan}, -2},
			{"in the tail", append(make([]float32, 16), 5), 5},
		} {
			if got := Max(c.x); got != c.want {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			}
		}
	})
}

// relative is a test of a float32 result against float64, on the scale of the whole vector.
func relative(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	scale := 0.0
	for _, v := range want {
		scale = max(scale, math.Abs(v))
	}
	for i := range want {
		if d := math.Abs(float64(got[i]) - want[i]); d > tolerance*scale || d != d {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestGradientsAgreeWithCentralDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n = 37
	x, w, dy := randoms(r, n), randoms(r, n), randoms(r, n)
	silu := func(g float64) float64 { return g / (1 + math.Exp(-g)) }
	dgate, dup := make([]float32, n), make([]float32, n)
	SiLUMulGrad(dgate, dup, x, w, dy)
	wantGate, wantUp := make([]float64, n), make([]float64, n)
	for i := range n {
		g, u, d := float64(x[i]), float64(w[i]), float64(dy[i])
		wantGate[i] = d * u * (silu(g+1e-5) - silu(g-1e-5)) / 2e-5
		wantUp[i] = d * silu(g)
	}
	relative(t, "dgate", dgate, wantGate, 1e-6)
	relative(t, "dup", dup, wantUp, 1e-6)

	const eps = 1e-6
	loss := func(x, w []float64) float64 {
		ss := 0.0
		for _, v := range x {
			ss += v * v
		}
		rstd := 1 / math.Sqrt(ss/n+eps)
		sum := 0.0
		for i := range x {
			sum += float64(dy[i]) * x[i] * rstd * w[i]
		}
		return sum
	}
	diff := func(v []float64, i int, f func() float64) float64 {
		old := v[i]
		v[i] = old + 1e-5
		hi := f()
		v[i] = old - 1e-5
		lo := f()
		v[i] = old
		return (hi - lo) / 2e-5
	}
	y := make([]float32, n)
	rstd := RMSNorm(y, x, w, eps)
	dx, dw := make([]float32, n), make([]float32, n)
	RMSNormGrad(dx, dw, x, w, dy, rstd)
	x64, w64 := wide(x), wide(w)
	wantX, wantW := make([]float64, n), make([]float64, n)
	for i := range n {
		f := func() float64 { return loss(x64, w64) }
		wantX[i], wantW[i] = diff(x64, i, f), diff(w64, i, f)
	}
	relative(t, "dx", dx, wantX, 1e-6)
	relative(t, "dw", dw, wantW, 1e-6)
}

func TestRotateHalfInverseUndoesRotateHalf(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	x := randoms(r, 64)
	cos, sin := make([]float32, 32), make([]float32, 32)
	for i := range cos {
		a := r.Float64() * 6
		cos[i], sin[i] = float32(math.Cos(a)), float32(math.Sin(a))
	}
	y := slices.Clone(x)
	RotateHalf(y, cos, sin)
	if want := x[0]*cos[0] - x[32]*sin[0]; math.Abs(float64(y[0]-want)) > 1e-6 {
		t.Errorf("first element %v, want %v", y[0], want)
	}
	RotateHalfInverse(y, cos, sin)
	for i := range x {
		if math.Abs(float64(x[i]-y[i])) > 1e-6 {
			t.Fatalf("element %d came back as %v, was %v", i, y[i], x[i])
		}
	}
}

func TestAdamWFollowsTheFloat64Recurrence(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	const n = 21
	p := AdamWParams{LR: 0.01, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, GradScale: 0.5}
	w, m, v := randoms(r, n), make([]float32, n), make([]float32, n)
	w64, m64, v64 := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range w {
		w64[i] = float64(w[i])
	}
	for step := 1; step <= 20; step++ {
		g := randoms(r, n)
		p.Step = step
		AdamW(w, g, m, v, p)
		for i := range g {
			gi := float64(g[i]) * 0.5
			m64[i] = 0.9*m64[i] + 0.1*gi
			v64[i] = 0.95*v64[i] + 0.05*gi*gi
			mh, vh := m64[i]/(1-math.Pow(0.9, float64(step))), v64[i]/(1-math.Pow(0.95, float64(step)))
			w64[i] -= 0.01 * (mh/(math.Sqrt(vh)+1e-8) + 0.1*w64[i])
		}
	}
	relative(t, "weights after 20 steps", w, w64, 2e-6)
}

func TestAttendRowIsSoftmaxAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for _, c := range []struct{ d, n, stride int }{{32, 1, 32}, {32, 3, 64}, {32, 77, 40}, {64, 130, 64}, {24, 9, 24}, {5, 6, 7}} {
		q, k, v := randoms(r, c.d), randoms(r, c.n*c.stride), randoms(r, c.n*c.stride)
		scale := float32(1 / math.Sqrt(float64(c.d)))
		weights, total := make([]float64, c.n), 0.0
		for i := range weights {
			s := 0.0
			for j := range c.d {
				s += float64(q[j]) * float64(k[i*c.stride+j])
			}
			weights[i] = math.Exp(s * float64(scale))
			total += weights[i]
		}
		want := make([]float64, c.d)
		for i, p := range weights {
			for j := range want {
				want[j] += p / total * float64(v[i*c.stride+j])
			}
		}
		var first []float32
		eachKernel(t, func(t *testing.T) {
			out, scratch := make([]float32, c.d), make([]float32, c.n)
			lse := AttendRow(out, q, k, v, c.stride, c.n, scale, scratch)
			relative(t, fmt.Sprintf("%+v", c), out, want, 2e-6)
			if d := math.Abs(float64(lse) - math.Log(total)); d > 1e-5 {
				t.Errorf("%+v: log-sum-exp off by %g", c, d)
			}
			if first == nil {
				first = out
			}
			sameBits(t, fmt.Sprintf("%+v", c), out, first)
		})
	}
}

func TestSoftmaxSumsToOneAndReturnsTheNormaliser(t *testing.T) {
	x := []float32{1000, 1001, 999, float32(math.Inf(-1))}
	lse := Softmax(x)
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	if math.Abs(sum-1) > 1e-6 || x[3] != 0 {
		t.Errorf("probabilities %v sum to %v, want 1 and a zero for -Inf", x, sum)
	}
	if want := 1001 + math.Log(1+math.Exp(-1)+math.Exp(-2)); math.Abs(float64(lse)-want) > 1e-3 {
		t.Errorf("log-sum-exp %v, want %v", lse, want)
	}
}

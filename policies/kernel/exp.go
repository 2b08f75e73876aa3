package kernel

import "math"

// Exponential: x = n*ln2 + r with |r| <= ln2/2, then exp(x) = 2^n * (1 + r + r²q(r)). q has degree
// 4; its coefficients make the largest relative error of the whole smallest (Remez exchange on
// (exp(r)-1-r)/r² with weight r²/exp(r)), each rounded to float32 before the later ones were
// fitted anew. The approximation error is 0.073 * 2^-24.
const (
	expLog2e = float32(0x1.715476p+0)
	expLn2Hi = float32(0x1.62e43p-1) // float32(ln 2)
	expLn2Lo = float32(-0x1.05c61p-29)
	expMagic = float32(0x1.8p23) // adding it rounds to an integer, which its low bits then hold
	expC0    = float32(0.5)
	expC1    = float32(0x1.555466p-3)
	expC2    = float32(0x1.5552fep-5)
	expC3    = float32(0x1.1257d2p-7)
	expC4    = float32(0x1.6ff098p-10)
	expMax   = float32(89)   // beyond, the result is +Inf
	expMin   = float32(-104) // below, it is +0
)

// exp32 is e^x by the polynomial above; the error is measured in TestExpIsWithinOneUlp.
func exp32(x float32) float32 {
	if x > expMax {
		x = expMax
	}
	if x < expMin {
		x = expMin
	}
	if x != x {
		return x
	}
	t := fma32(x, expLog2e, expMagic)
	n := float32(t - expMagic)
	r := fma32(n, -expLn2Hi, x)
	r = fma32(n, -expLn2Lo, r)
	q := fma32(expC4, r, expC3)
	q = fma32(q, r, expC2)
	q = fma32(q, r, expC1)
	q = fma32(q, r, expC0)
	p := float32(fma32(q, float32(r*r), r) + 1)
	// 2^n may exceed the exponent range, so it is applied as two powers; only the second product
	// can round, where the result is denormal.
	i := int32(math.Float32bits(t)) - int32(math.Float32bits(expMagic))
	half := i >> 1
	return float32(p*pow2(half)) * pow2(i-half)
}

// pow2 is 2^i for -126 <= i <= 127.
func pow2(i int32) float32 { return math.Float32frombits(uint32(i+127) << 23) }

// Log returns the natural logarithm of x, computed in float64 and rounded once more, so within
// 0.51 ulp; -Inf for 0, NaN below it.
func Log(x float32) float32 { return float32(log64(float64(x))) }

// log64 is the logarithm to about 1e-15 relative, from basic operations only, each rounded
// separately, so that it has the same bits on every processor (math.Log is allowed to differ).
func log64(x float64) float64 {
	switch {
	case x != x || x > math.MaxFloat64:
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	// x = f * 2^e with f in [sqrt(1/2), sqrt(2)).
	f, e := math.Frexp(x)
	if f < math.Sqrt2/2 {
		f *= 2
		e--
	}
	// log f = 2 atanh(s), s = (f-1)/(f+1), |s| <= 0.1716: the series to s^19 leaves 1e-17.
	s := (f - 1) / (f + 1)
	z := float64(s * s)
	sum := 0.0
	for i := 19; i >= 3; i -= 2 {
		sum = float64((sum + 1/float64(i)) * z)
	}
	return float64(float64(e)*math.Ln2) + float64(float64(2*s)+float64(float64(2*s)*sum))
}

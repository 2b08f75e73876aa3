// Package portable holds the few float64 functions that decide bits of a policy (its initial
// weights, its rotary angles) and that the standard library computes differently on different
// processors, where it has assembly or where the compiler fuses a product into a sum.
//
// Everything here is built from operations that IEEE 754 rounds correctly, with explicit
// conversions around products, which the language specification says forbid fusing. Results are
// within about 1e-15 of the true value, relative to the larger of it and 1, and the same to the
// bit everywhere.
package portable

import "math"

// Log is the natural logarithm of a positive, normal, finite x, by the series of the inverse
// hyperbolic tangent.
func Log(x float64) float64 {
	m, e := math.Frexp(x) // [1/2, 1)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	s := (m - 1) / (m + 1) // |s| < 0.172
	t := float64(s * s)
	sum := 0.0
	for k := 23; k >= 1; k -= 2 {
		sum = float64(sum*t) + 1/float64(k)
	}
	return float64(2*s*sum) + float64(float64(e)*math.Ln2)
}

// Exp is e^x for |x| below 700, by the Taylor series around the nearest multiple of ln 2.
func Exp(x float64) float64 {
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	r := float64(x-float64(k*ln2High)) - float64(k*ln2Low)
	sum := 1.0
	for n := 18; n >= 1; n-- {
		sum = float64(float64(r*sum)/float64(n)) + 1
	}
	return math.Ldexp(sum, int(k))
}

// SinCos is the sine and cosine of 0 <= x < 2^26, by Taylor series after reduction to [-π/4, π/4].
func SinCos(x float64) (sin, cos float64) {
	k := math.Floor(float64(x*(2/math.Pi)) + 0.5)
	r := float64(float64(x-float64(k*halfPiHigh))-float64(k*halfPiMid)) - float64(k*halfPiLow)
	t := float64(r * r)
	s, c := 1.0, 1.0
	for n := 20.0; n >= 2; n -= 2 {
		s = 1 - float64(t*s)/float64(n*(n+1))
		c = 1 - float64(t*c)/float64(n*(n-1))
	}
	s = float64(s * r)
	switch int64(k) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	}
	return -c, s
}

// The high parts have so few bits that a product with a quotient below 2^26 is exact.
var (
	ln2High, ln2Low = math.Float64frombits(0x3fe62e42fee00000), 1.90821492927058770002e-10

	halfPiHigh = math.Float64frombits(0x3ff921fb50000000)
	halfPiMid  = math.Float64frombits(0x3e5110b460000000)
	halfPiLow  = math.Float64frombits(0x3c91a62633145c07)
)

package kernel

import "math"

// fma32 returns x*y + z rounded once, the float32 fused multiply-add, for any float32 values.
//
// The product of two float32 is exact in float64 (48 significant bits, exponent within range), so
// only the sum rounds before the final conversion. Rounding first to 53 bits and then to 24 (or
// fewer, for a denormal) differs from rounding once only if the first result lies exactly halfway
// between two float32; such a sum is therefore rounded to odd instead, which keeps the
// conversion honest (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums:
// proved algorithms using rounding to odd", IEEE Transactions on Computers 57(4), 2008).
//
// The conversions are spelled out so that no compiler fuses or widens what must be rounded.
func fma32(x, y, z float32) float32 {
	p := float64(x) * float64(y)
	c := float64(z)
	s := float64(p + c)
	b := math.Float64bits(s)
	// Halfway between two normal float32 means that the 29 dropped bits are 1 and then zeros.
	// Denormal results drop more bits; they, like zero, take the careful path.
	if b&(1<<29-1) != 1<<28 && b&(0x7ff<<52) > (1023-126)<<52 {
		return float32(s)
	}
	return fmaOdd(p, c, s)
}

// fmaOdd finishes fma32 where s = p+c, rounded to nearest, may sit on a float32 midpoint.
func fmaOdd(p, c, s float64) float32 {
	if math.IsInf(s, 0) || math.IsNaN(s) {
		return float32(s)
	}
	// TwoSum (Knuth): s + e == p + c exactly.
	pp := float64(s - c)
	cc := float64(s - pp)
	e := float64(float64(p-pp) + float64(c-cc))
	b := math.Float64bits(s)
	if e == 0 || b&1 == 1 {
		return float32(s)
	}
	// s has an even last bit and the exact sum is not s: move to the odd neighbour on e's side.
	if (e > 0) == (s > 0) {
		b++
	} else {
		b--
	}
	return float32(math.Float64frombits(b))
}

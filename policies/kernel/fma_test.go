package kernel

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// bigFMA is x*y+z for finite values, rounded once, by arbitrary precision.
func bigFMA(x, y, z float32) float32 {
	exact := func(v float32) *big.Float { return new(big.Float).SetPrec(2000).SetFloat64(float64(v)) }
	p := exact(x)
	p.Mul(p, exact(y))
	p.Add(p, exact(z))
	f, _ := p.Float32()
	if f == 0 && p.Sign() == 0 { // big has its own rule for the sign of an exact zero
		return float32(float64(x)*float64(y) + float64(z))
	}
	return f
}

func TestFMARoundsOnceLikeArbitraryPrecision(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	finite := func() float32 {
		for {
			v := wild(r, 1)[0]
			if !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) {
				return v
			}
		}
	}
	check := func(x, y, z float32) {
		t.Helper()
		got, want := fma32(x, y, z), bigFMA(x, y, z)
		if math.Float32bits(got) != math.Float32bits(want) {
			t.Fatalf("fma(%x, %x, %x) = %x, want %x", x, y, z, got, want)
		}
	}
	rounds := map[bool]int{false: 100_000, true: 10_000}[raceEnabled]
	for range rounds {
		check(finite(), finite(), finite())
	}
	// Sums that fall next to a midpoint between two float32, where rounding twice goes wrong.
	for range rounds {
		x := float32(1 + float64(r.IntN(1<<12))/(1<<12))
		y := float32(1 + float64(r.IntN(1<<12))/(1<<12))
		z := float32(math.Ldexp(1+float64(r.IntN(1<<23))/(1<<23), -r.IntN(60)+20))
		if r.IntN(2) == 0 {
			z = -z
		}
		check(x, y, z)
	}
	for range rounds { // denormal results
		x := math.Float32frombits(uint32(r.IntN(1 << 24)))
		y := float32(math.Ldexp(r.Float64(), -r.IntN(30)))
		check(x, y, math.Float32frombits(uint32(r.IntN(1<<23))|uint32(r.IntN(2))<<31))
	}
}

func TestFMAOfNonFiniteValuesFollowsIEEE(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		name          string
		x, y, z, want float32
	}{
		{"infinity times number", inf, 2, 1, inf},
		{"infinity times zero", inf, 0, 1, nan},
		{"opposite infinities", inf, 1, -inf, nan},
		{"NaN addend", 1, 1, nan, nan},
		{"overflow", math.MaxFloat32, 2, 0, inf},
		{"overflow saved by the addend", math.MaxFloat32, 2, -math.MaxFloat32, math.MaxFloat32},
	} {
		sameBits(t, c.name, []float32{fma32(c.x, c.y, c.z)}, []float32{c.want})
	}
}

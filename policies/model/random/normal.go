package random

import (
	"math"

	"pith/policies/model/portable"
)

// Normal is the standard normal draw number n of the stream (key, stream), by the polar method
// (Marsaglia and Bray, SIAM Review 6, 1964). It uses only operations that IEEE 754 rounds
// correctly, so every platform gets the same bits. n must be below 2^56.
func Normal(key, stream, n uint64) float64 {
	for attempt := range uint64(256) {
		a, b := Block(key, stream, n<<8|attempt)
		u, v := 2*Float64(a)-1, 2*Float64(b)-1
		// The conversions forbid fusing the products into the sum, which some platforms would do.
		s := float64(u*u) + float64(v*v)
		if s > 0 && s < 1 {
			return u * math.Sqrt(-2*portable.Log(s)/s)
		}
	}
	return 0 // probability (1-π/4)^256, about 10^-171
}

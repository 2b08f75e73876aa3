package random

import "math"

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
			return u * math.Sqrt(-2*logarithm(s)/s)
		}
	}
	return 0 // probability (1-π/4)^256, about 10^-171
}

// logarithm is ln x for positive normal x to about 1e-15, by the series of the inverse hyperbolic
// tangent. math.Log is assembly on some platforms and differs in the last bit between them.
func logarithm(x float64) float64 {
	m, e := math.Frexp(x) // [1/2, 1)
	if m < math.Sqrt2/2 {
		m *= 2
		e--
	}
	s := (m - 1) / (m + 1) // |s| < 0.172
	t := s * s
	sum := 0.0
	for k := 23; k >= 1; k -= 2 {
		sum = float64(sum*t) + 1/float64(k)
	}
	return float64(2*s*sum) + float64(float64(e)*math.Ln2)
}

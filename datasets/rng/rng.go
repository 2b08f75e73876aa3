// Package rng is the random stream of everything that datasets generates: problems, supervised
// examples, shuffles, curriculum draws. A stream is named by a key (seed, purpose, index, …), so
// the i-th item never depends on which items were drawn before it, and its bits are specified
// here rather than by a library: they must not change between Go releases or processors, because
// runs are resumed and compared by them. Tests pin the first outputs.
//
// It is not for cryptography. Anything in pith may import it; it imports nothing.
package rng

import "math/bits"

// golden is 2^64 divided by the golden ratio, the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// Stream is a SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014): a counter behind a
// mixing function. The zero value is a valid stream; streams are values and are not safe for
// concurrent use.
type Stream struct{ state uint64 }

// New returns the stream named by the key. Keys of different lengths or orders name different
// streams.
func New(key ...uint64) Stream {
	h := mix(golden ^ uint64(len(key)))
	for _, k := range key {
		h = mix(h + golden + mix(k+golden))
	}
	return Stream{state: h}
}

// Text turns a word into a part of a key (FNV-1a, 64 bits).
func Text(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h ^= uint64(s[i])
		h *= 1099511628211
	}
	return h
}

// mix is the finaliser of SplitMix64: a bijection in which every input bit moves about half of
// the output bits.
func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// Uint64 returns 64 uniform bits.
func (s *Stream) Uint64() uint64 {
	s.state += golden
	return mix(s.state)
}

// Float64 returns a uniform number in [0, 1) on a grid of 2^-53.
func (s *Stream) Float64() float64 { return float64(s.Uint64()>>11) * 0x1p-53 }

// IntN returns a uniform integer in [0, n) without bias (Lemire's multiplication with rejection).
// It panics for n ≤ 0.
func (s *Stream) IntN(n int) int {
	if n <= 0 {
		panic("rng: IntN needs a positive bound")
	}
	bound := uint64(n)
	hi, lo := bits.Mul64(s.Uint64(), bound)
	if lo < bound {
		for threshold := -bound % bound; lo < threshold; {
			hi, lo = bits.Mul64(s.Uint64(), bound)
		}
	}
	return int(hi)
}

// Chance is true with probability p; it always consumes one draw, so that changing a probability
// does not shift what is drawn after it.
func (s *Stream) Chance(p float64) bool { return s.Float64() < p }

// Pick returns an index with probability proportional to its weight; weights are not negative
// and at least one is positive. It panics otherwise.
func (s *Stream) Pick(weights []float64) int {
	total, last := 0.0, -1
	for i, w := range weights {
		if w < 0 {
			panic("rng: Pick needs weights that are not negative")
		}
		if w > 0 {
			last = i
		}
		total += w
	}
	if last < 0 {
		panic("rng: Pick needs a positive weight")
	}
	// The conversion forbids fusing the product into the subtraction, which some processors would
	// do and others not.
	u := float64(s.Float64() * total)
	for i, w := range weights[:last] {
		if u < w {
			return i
		}
		u -= w
	}
	return last
}

// Perm returns a uniform permutation of 0 … n-1 (Fisher–Yates).
func (s *Stream) Perm(n int) []int32 {
	p := make([]int32, n)
	for i := range p {
		j := s.IntN(i + 1)
		p[i] = p[j]
		p[j] = int32(i)
	}
	return p
}

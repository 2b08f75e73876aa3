// Package random is the counter-based generator under initialisation and sampling: a pure function
// of (key, counter), so that a draw depends on what it is for and never on how many draws came
// before it, on which goroutine made it, or on the platform.
//
// It is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
// 3" (SC 2011), section 4 and table 2.
package random

import "math/bits"

const (
	multiplier0 = 0xD2511F53
	multiplier1 = 0xCD9E8D57
	weyl0       = 0x9E3779B9
	weyl1       = 0xBB67AE85
	rounds      = 10
)

// Philox4x32 is one block of four words of the stream with the given key.
func Philox4x32(key [2]uint32, counter [4]uint32) [4]uint32 {
	k0, k1 := key[0], key[1]
	c0, c1, c2, c3 := counter[0], counter[1], counter[2], counter[3]
	for range rounds {
		h0, l0 := bits.Mul32(multiplier0, c0)
		h1, l1 := bits.Mul32(multiplier1, c2)
		c0, c1, c2, c3 = h1^c1^k0, l1, h0^c3^k1, l0
		k0 += weyl0
		k1 += weyl1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// Block is two 64-bit words of the stream keyed by key at the counter (hi, lo).
func Block(key, hi, lo uint64) (uint64, uint64) {
	b := Philox4x32([2]uint32{uint32(key), uint32(key >> 32)},
		[4]uint32{uint32(lo), uint32(lo >> 32), uint32(hi), uint32(hi >> 32)})
	return uint64(b[1])<<32 | uint64(b[0]), uint64(b[3])<<32 | uint64(b[2])
}

// Float64 maps the high 53 bits of a word to [0, 1).
func Float64(word uint64) float64 { return float64(word>>11) / (1 << 53) }

// Uniform is the draw in [0, 1) at the counter (hi, lo).
func Uniform(key, hi, lo uint64) float64 {
	a, _ := Block(key, hi, lo)
	return Float64(a)
}

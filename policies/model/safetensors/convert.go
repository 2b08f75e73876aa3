package safetensors

import (
	"encoding/binary"
	"math"
)

// decoders turn the stored bytes of len(dst) elements into float32.
var decoders = map[DType]func(dst []float32, b []byte){
	F64: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	},
	F32: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	},
	F16: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = fromHalf(binary.LittleEndian.Uint16(b[2*i:]))
		}
	},
	BF16: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	},
}

// fromHalf is the exact value of an IEEE 754 binary16.
func fromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // zero and subnormal: frac * 2^-24, exact in float32
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// toBrain rounds to bfloat16, to nearest with ties to even. A NaN stays a (quiet) NaN.
func toBrain(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// toHalf rounds to IEEE 754 binary16, to nearest with ties to even. What is too large becomes an
// infinity, and a NaN stays a (quiet) NaN.
func toHalf(x float32) uint16 {
	b := math.Float32bits(x)
	sign, exp, frac := uint16(b>>16&0x8000), int(b>>23&0xff)-127+15, b&0x7fffff
	switch {
	case x != x:
		return sign | 0x7e00
	case exp >= 0x1f:
		return sign | 0x7c00
	case exp < -10: // below half of the smallest subnormal
		return sign
	case exp <= 0: // subnormal: shift the significand, the leading one included
		frac |= 0x800000
		shift := uint(14 - exp)
		return sign + uint16((frac+1<<(shift-1)-1+frac>>shift&1)>>shift)
	}
	// A carry out of the fraction raises the exponent, up to infinity, as it should.
	return sign + uint16((uint32(exp)<<23|frac+(0xfff+frac>>13&1))>>13)
}

// Append appends the little-endian bytes of v as elements of type as, F32, F16 or BF16, rounded to
// nearest with ties to even.
func Append(b []byte, as DType, v []float32) []byte {
	switch as {
	case BF16:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, toBrain(x))
		}
	case F16:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint16(b, toHalf(x))
		}
	case F32:
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	default:
		panic("safetensors: cannot write type " + string(as))
	}
	return b
}

// Floats converts stored elements of type as to float32. It panics where the type cannot be converted
// or b is not a whole number of elements.
func Floats(as DType, b []byte) []float32 {
	if decoders[as] == nil || int64(len(b))%as.Size() != 0 {
		panic("safetensors: cannot convert " + string(as))
	}
	dst := make([]float32, int64(len(b))/as.Size())
	decoders[as](dst, b)
	return dst
}

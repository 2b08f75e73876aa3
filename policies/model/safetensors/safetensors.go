// Package safetensors reads and writes the safetensors file format: eight bytes with the length of
// a JSON header, the header, and one buffer of little-endian, row-major tensors.
//
// The reader takes files from strangers. Before a single value is read it has checked that the
// header is bounded and free of duplicate keys, that every shape fits its byte range without
// overflow, and that the ranges cover the buffer exactly, with no hole and no overlap. Allocation
// is bounded by the size of the input.
//
// What does not live here: which tensors a model has, and what they mean (package model).
package safetensors

import "errors"

// MaxHeader is the largest header length that the format allows.
const MaxHeader = 100_000_000

// ErrFormat is wrapped by every error about a malformed file.
var ErrFormat = errors.New("not a valid safetensors file")

// DType is the element type of a stored tensor, by the format's own name.
type DType string

// The element types that this package converts to and from float32.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// sizes is the bytes per element of every type a header may name.
var sizes = map[DType]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
	"I16": 2, "U16": 2, F16: 2, BF16: 2,
	"I32": 4, "U32": 4, F32: 4,
	"I64": 8, "U64": 8, F64: 8, "C64": 8,
}

// Size is the bytes of one element, 0 for a type that the format does not have.
func (t DType) Size() int64 { return sizes[t] }

// Entry describes one tensor. Begin and End are relative to the buffer.
type Entry struct {
	Name       string
	DType      DType
	Shape      []int
	Begin, End int64
}

// Elements is the product of the shape, 1 for a scalar. It cannot overflow in an entry that this
// package returned.
func (e Entry) Elements() int {
	n := 1
	for _, s := range e.Shape {
		n *= s
	}
	return n
}

// Tensor is what [Write] stores: float32 data with len = product of Shape.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

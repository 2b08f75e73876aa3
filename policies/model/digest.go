package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
)

// Digest is the hex SHA-256 over the tensors in their fixed order: for each the name, a zero byte,
// the number of dimensions and the dimensions as little-endian uint64, and the values as
// little-endian float32. Two policies of one shape have one digest exactly if every bit is equal.
func (w *Weights) Digest() string {
	sum := sha256.New()
	var n [8]byte
	number := func(v int) {
		binary.LittleEndian.PutUint64(n[:], uint64(v))
		sum.Write(n[:])
	}
	buf := make([]byte, 0, chunk)
	for _, t := range w.tensors {
		io.WriteString(sum, t.Name)
		sum.Write([]byte{0})
		number(len(t.Shape))
		for _, s := range t.Shape {
			number(s)
		}
		for data := t.Data; len(data) > 0; {
			k := min(len(data), chunk/4)
			buf = appendFloat32(buf[:0], data[:k])
			sum.Write(buf)
			data = data[k:]
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// chunk is the size of the buffer through which tensors are streamed.
const chunk = 1 << 16

// appendFloat32 appends the little-endian bytes of v.
func appendFloat32(b []byte, v []float32) []byte {
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

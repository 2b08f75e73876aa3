package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"pith/policies/model/safetensors"
)

const (
	magic     = "GGUF"
	version   = 3
	alignment = 32 // the format's default
)

// The value types of the format that are written here; others can be read.
const (
	typeUint8 uint32 = iota
	typeInt8
	typeUint16
	typeInt16
	typeUint32
	typeInt32
	typeFloat32
	typeBool
	typeString
	typeArray
	typeUint64
	typeInt64
	typeFloat64
)

// KeyValue is an entry of the metadata. Value is a bool, string, number of a sized type, or a slice
// of one of these.
type KeyValue struct {
	Key   string
	Value any
}

// tensorTypes are ggml's numbers of the element types.
var tensorTypes = map[safetensors.DType]uint32{safetensors.F32: 0, safetensors.F16: 1, safetensors.BF16: 30}

// tensor is one to be written: shape is [out, in] or [n], heads is set where rows are reordered.
type tensor struct {
	name  string
	shape []int
	data  []float32
	as    safetensors.DType
	heads int
}

func (t tensor) bytes() int64 { return int64(len(t.data)) * t.as.Size() }

func padded(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// write writes a whole file. Dimensions are stored fastest first, the reverse of shape.
func write(w io.Writer, meta []KeyValue, tensors []tensor) error {
	b := append([]byte(magic), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[4:], version)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(tensors)))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(meta)))
	var err error
	for _, kv := range meta {
		b = appendString(b, kv.Key)
		if b, err = appendValue(b, kv.Value); err != nil {
			return fmt.Errorf("%s: %w", kv.Key, err)
		}
	}
	at := int64(0)
	for _, t := range tensors {
		b = appendString(b, t.name)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(t.shape)))
		for i := range t.shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(t.shape[len(t.shape)-1-i]))
		}
		b = binary.LittleEndian.AppendUint32(b, tensorTypes[t.as])
		b = binary.LittleEndian.AppendUint64(b, uint64(at))
		at += padded(t.bytes())
	}
	b = append(b, make([]byte, padded(int64(len(b)))-int64(len(b)))...)
	if _, err := w.Write(b); err != nil {
		return err
	}
	for _, t := range tensors {
		if err := writeTensor(w, t); err != nil {
			return err
		}
	}
	return nil
}

func writeTensor(w io.Writer, t tensor) error {
	data := t.data
	if t.heads > 0 {
		data = interleaved(data, t.heads, t.shape[1])
	}
	buf := make([]byte, 0, 1<<16)
	for len(data) > 0 {
		k := min(len(data), cap(buf)/4)
		if _, err := w.Write(safetensors.Append(buf, t.as, data[:k])); err != nil {
			return err
		}
		data = data[k:]
	}
	_, err := w.Write(make([]byte, padded(t.bytes())-t.bytes()))
	return err
}

func appendString(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

func appendValue(b []byte, v any) ([]byte, error) {
	le := binary.LittleEndian
	switch v := v.(type) {
	case uint32:
		return le.AppendUint32(le.AppendUint32(b, typeUint32), v), nil
	case float32:
		return le.AppendUint32(le.AppendUint32(b, typeFloat32), math.Float32bits(v)), nil
	case bool:
		bit := byte(0)
		if v {
			bit = 1
		}
		return append(le.AppendUint32(b, typeBool), bit), nil
	case string:
		return appendString(le.AppendUint32(b, typeString), v), nil
	case []string:
		b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, typeArray), typeString), uint64(len(v)))
		for _, s := range v {
			b = appendString(b, s)
		}
		return b, nil
	case []int32:
		b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, typeArray), typeInt32), uint64(len(v)))
		for _, n := range v {
			b = le.AppendUint32(b, uint32(n))
		}
		return b, nil
	}
	return nil, fmt.Errorf("a value of type %T cannot be written", v)
}

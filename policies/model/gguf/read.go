package gguf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"pith/policies/model/safetensors"
)

// ErrFormat is wrapped by every error about a malformed file.
var ErrFormat = errors.New("not a valid GGUF file")

// File is an opened file. It holds the metadata and reads tensors on demand; it is safe for concurrent
// use where its reader is.
type File struct {
	Metadata []KeyValue // in the file's order
	Tensors  []Tensor   // in the file's order

	r     io.ReaderAt
	start int64 // of the tensor data
}

// Tensor describes a tensor. Shape is [out, in] or [n]: slowest dimension first, as elsewhere here.
// Type is empty where it is a quantised type.
type Tensor struct {
	Name   string
	Shape  []int
	Type   safetensors.DType
	Offset int64 // from the start of the tensor data
}

// Open reads the header of a file of the given size. Allocation is bounded by the size.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r}
	d := &decoder{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 1<<16), size: size}
	if err := f.header(d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return f, nil
}

// Value returns the entry of the metadata with that key, nil where there is none.
func (f *File) Value(key string) any {
	i := slices.IndexFunc(f.Metadata, func(kv KeyValue) bool { return kv.Key == key })
	if i < 0 {
		return nil
	}
	return f.Metadata[i].Value
}

// Float32 reads a tensor of type F32, F16 or BF16.
func (f *File) Float32(name string) ([]float32, error) {
	i := slices.IndexFunc(f.Tensors, func(t Tensor) bool { return t.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no tensor %q in the file", name)
	}
	t := f.Tensors[i]
	if t.Type == "" {
		return nil, fmt.Errorf("tensor %q is quantised", name)
	}
	n := 1
	for _, s := range t.Shape {
		n *= s
	}
	raw := make([]byte, int64(n)*t.Type.Size())
	if k, err := f.r.ReadAt(raw, f.start+t.Offset); k < len(raw) {
		return nil, fmt.Errorf("read tensor %q: %w", name, err)
	}
	return safetensors.Floats(t.Type, raw), nil
}

func (f *File) header(d *decoder) error {
	head := d.bytes(4)
	if !bytes.Equal(head, []byte(magic)) {
		return fmt.Errorf("it does not begin with %s", magic)
	}
	if v := d.u32(); v != version {
		return fmt.Errorf("version %d, only %d is read", v, version)
	}
	tensors, entries := d.u64(), d.u64()
	for range entries {
		kv := KeyValue{Key: d.text()}
		kv.Value = d.value(d.u32(), 0)
		if d.err != nil {
			return d.err
		}
		f.Metadata = append(f.Metadata, kv)
	}
	aligned := int64(alignment)
	if a, ok := f.Value("general.alignment").(uint32); ok {
		if aligned = int64(a); aligned < 1 || aligned > 1<<20 {
			return fmt.Errorf("alignment is %d", aligned)
		}
	}
	var ends []int64
	for range tensors {
		t := Tensor{Name: d.text()}
		dims := d.u32()
		if d.err == nil && dims > 4 {
			return fmt.Errorf("tensor %q has %d dimensions", t.Name, dims)
		}
		n := int64(1)
		for range dims {
			s := d.u64()
			if d.err == nil && (s < 1 || s > math.MaxInt64/8 || n > math.MaxInt64/8/int64(s)) {
				return fmt.Errorf("tensor %q has a dimension of %d", t.Name, s)
			}
			n *= max(1, int64(s))
			t.Shape = append(t.Shape, int(s))
		}
		slices.Reverse(t.Shape)
		kind := d.u32()
		for name, number := range tensorTypes {
			if number == kind {
				t.Type = name
			}
		}
		offset := d.u64()
		if d.err != nil {
			return d.err
		}
		if offset > math.MaxInt64/4 || int64(offset)%aligned != 0 {
			return fmt.Errorf("tensor %q begins at %d", t.Name, offset)
		}
		t.Offset = int64(offset)
		ends = append(ends, t.Offset+n*t.Type.Size())
		f.Tensors = append(f.Tensors, t)
	}
	if d.err != nil {
		return d.err
	}
	f.start = (d.at + aligned - 1) / aligned * aligned
	for i, end := range ends {
		if end > d.size-f.start {
			return fmt.Errorf("tensor %q ends at %d of %d bytes", f.Tensors[i].Name, end, d.size-f.start)
		}
	}
	return nil
}

// decoder reads little-endian values and keeps the first error.
type decoder struct {
	r        *bufio.Reader
	at, size int64
	err      error
}

func (d *decoder) bytes(n uint64) []byte {
	if d.err == nil && n > uint64(d.size-d.at) {
		d.err = fmt.Errorf("%d bytes are announced at %d of %d", n, d.at, d.size)
	}
	if d.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(d.r, b); err != nil {
		d.err = err
		return nil
	}
	d.at += int64(n)
	return b
}

func (d *decoder) u32() uint32 {
	if b := d.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) text() string { return string(d.bytes(d.u64())) }

// value reads a value of a type. Arrays of arrays are refused.
func (d *decoder) value(kind uint32, depth int) any {
	switch kind {
	case typeUint8, typeInt8:
		if b := d.bytes(1); b != nil {
			return b[0]
		}
	case typeBool:
		if b := d.bytes(1); b != nil {
			return b[0] != 0
		}
	case typeUint16, typeInt16:
		if b := d.bytes(2); b != nil {
			return binary.LittleEndian.Uint16(b)
		}
	case typeUint32:
		return d.u32()
	case typeInt32:
		return int32(d.u32())
	case typeFloat32:
		return math.Float32frombits(d.u32())
	case typeUint64, typeInt64:
		return d.u64()
	case typeFloat64:
		return math.Float64frombits(d.u64())
	case typeString:
		return d.text()
	case typeArray:
		if depth == 0 {
			return d.array()
		}
		fallthrough
	default:
		if d.err == nil {
			d.err = fmt.Errorf("a value of type %d at %d", kind, d.at)
		}
	}
	return nil
}

// array reads []string, []int32 or []any.
func (d *decoder) array() any {
	kind, n := d.u32(), d.u64()
	if d.err == nil && n > uint64(d.size-d.at) {
		d.err = fmt.Errorf("an array of %d values at %d of %d", n, d.at, d.size)
	}
	var texts []string
	var ints []int32
	var rest []any
	for range n {
		if d.err != nil {
			return nil
		}
		switch v := d.value(kind, 1).(type) {
		case string:
			texts = append(texts, v)
		case int32:
			ints = append(ints, v)
		default:
			rest = append(rest, v)
		}
	}
	switch kind {
	case typeString:
		return append([]string{}, texts...)
	case typeInt32:
		return append([]int32{}, ints...)
	}
	return rest
}

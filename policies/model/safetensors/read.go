package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// File is an opened file. It holds the checked header and reads tensors on demand; it is safe for
// concurrent use where its reader is.
type File struct {
	Metadata map[string]string

	entries []Entry // by position in the buffer
	byName  map[string]int
	r       io.ReaderAt
	start   int64 // of the buffer
}

// Open reads and checks the header of a file of the given size.
func Open(r io.ReaderAt, size int64) (*File, error) {
	var head [8]byte
	if size < int64(len(head)) {
		return nil, fmt.Errorf("%w: %d bytes are too few for a header", ErrFormat, size)
	}
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("read header length: %w", err)
	}
	n := binary.LittleEndian.Uint64(head[:])
	if n > MaxHeader || n > uint64(size-8) {
		return nil, fmt.Errorf("%w: header of %d bytes in a file of %d", ErrFormat, n, size)
	}
	text := make([]byte, n)
	if _, err := r.ReadAt(text, 8); err != nil && !(err == io.EOF && n == 0) {
		return nil, fmt.Errorf("read header: %w", err)
	}
	f := &File{r: r, start: 8 + int64(n), byName: map[string]int{}}
	if err := f.parse(text, size-f.start); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return f, nil
}

// Entries lists the tensors in the order in which they lie in the buffer.
func (f *File) Entries() []Entry { return slices.Clone(f.entries) }

// Entry returns the tensor of that name.
func (f *File) Entry(name string) (Entry, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Entry{}, false
	}
	return f.entries[i], true
}

// ReadFloat32 fills dst, which must have the tensor's number of elements, converting from F64, F32,
// F16 or BF16.
func (f *File) ReadFloat32(name string, dst []float32) error {
	e, ok := f.Entry(name)
	if !ok {
		return fmt.Errorf("no tensor %q in the file", name)
	}
	if e.Elements() != len(dst) {
		return fmt.Errorf("tensor %q has %d elements, want %d", name, e.Elements(), len(dst))
	}
	convert, ok := decoders[e.DType]
	if !ok {
		return fmt.Errorf("tensor %q is of type %s; only F64, F32, F16 and BF16 can be read as float32", name, e.DType)
	}
	width := int(sizes[e.DType])
	buf := make([]byte, min(1<<16, e.End-e.Begin))
	for at := f.start + e.Begin; len(dst) > 0; {
		k := min(len(dst), len(buf)/width)
		b := buf[:k*width]
		if _, err := f.r.ReadAt(b, at); err != nil && err != io.EOF {
			return fmt.Errorf("read tensor %q: %w", name, err)
		} else if err == io.EOF && at+int64(len(b)) > f.start+f.end() {
			return fmt.Errorf("read tensor %q: %w", name, io.ErrUnexpectedEOF)
		}
		convert(dst[:k], b)
		dst, at = dst[k:], at+int64(len(b))
	}
	return nil
}

// end is the length of the buffer.
func (f *File) end() int64 {
	if len(f.entries) == 0 {
		return 0
	}
	return f.entries[len(f.entries)-1].End
}

// parse checks the header text against a buffer of the given length.
func (f *File) parse(text []byte, buffer int64) error {
	if len(text) == 0 || text[0] != '{' {
		return fmt.Errorf("the header does not begin with {")
	}
	if !utf8.Valid(text) {
		return fmt.Errorf("the header is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err := object(d, func(name string) error {
		if name == "__metadata__" {
			f.Metadata = map[string]string{}
			return object(d, func(key string) error {
				v, err := word(d)
				f.Metadata[key] = v
				return err
			})
		}
		e, err := entry(d, name)
		if err != nil {
			return fmt.Errorf("tensor %q: %w", name, err)
		}
		f.entries = append(f.entries, e)
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is text after the header's closing brace")
	}
	slices.SortFunc(f.entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End), cmp.Compare(a.Name, b.Name))
	})
	at := int64(0)
	for i, e := range f.entries {
		if e.Begin != at {
			return fmt.Errorf("tensor %q begins at %d where %d is expected: holes and overlaps are forbidden", e.Name, e.Begin, at)
		}
		at = e.End
		f.byName[e.Name] = i
	}
	if at != buffer {
		return fmt.Errorf("the tensors cover %d of %d bytes", at, buffer)
	}
	return nil
}

// entry reads the description of one tensor and checks it in itself.
func entry(d *json.Decoder, name string) (Entry, error) {
	e := Entry{Name: name, Shape: []int{}}
	var seen int
	var shape, offsets []int64
	err := object(d, func(key string) (err error) {
		switch key {
		case "dtype":
			var t string
			t, err = word(d)
			e.DType, seen = DType(t), seen|1
		case "shape":
			shape, err = numbers(d, 64)
			seen |= 2
		case "data_offsets":
			offsets, err = numbers(d, 2)
			seen |= 4
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		return err
	})
	switch {
	case err != nil:
		return e, err
	case seen != 7:
		return e, fmt.Errorf("one of dtype, shape and data_offsets is missing")
	case len(offsets) != 2 || offsets[0] > offsets[1]:
		return e, fmt.Errorf("data_offsets %v is not a range", offsets)
	}
	bytes, ok := sizes[e.DType]
	if !ok {
		return e, fmt.Errorf("unknown dtype %q", e.DType)
	}
	// A zero anywhere makes the product zero; check overflow over the other dimensions all the same,
	// so that a product of any prefix is safe to form.
	for _, s := range shape {
		if s > 0 && bytes > math.MaxInt64/s {
			return e, fmt.Errorf("shape %v overflows", shape)
		}
		if s > 0 {
			bytes *= s
		}
		e.Shape = append(e.Shape, int(s))
	}
	if slices.Contains(shape, 0) {
		bytes = 0
	}
	e.Begin, e.End = offsets[0], offsets[1]
	if e.End-e.Begin != bytes {
		return e, fmt.Errorf("shape %v of %s takes %d bytes, data_offsets span %d", shape, e.DType, bytes, e.End-e.Begin)
	}
	return e, nil
}

// object reads one JSON object, calling field with each key to consume its value. Duplicate keys
// are refused: two readers could otherwise see two different files.
func object(d *json.Decoder, field func(key string) error) error {
	if err := delim(d, '{'); err != nil {
		return err
	}
	keys := map[string]bool{}
	for d.More() {
		key, err := word(d)
		if err != nil {
			return err
		}
		if keys[key] {
			return fmt.Errorf("duplicate key %q", key)
		}
		keys[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	return delim(d, '}')
}

func numbers(d *json.Decoder, limit int) ([]int64, error) {
	if err := delim(d, '['); err != nil {
		return nil, err
	}
	var out []int64
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("found %v where a number is expected", t)
		}
		v, err := strconv.ParseInt(n.String(), 10, strconv.IntSize)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%s is not a size", n)
		}
		if out = append(out, v); len(out) > limit {
			return nil, fmt.Errorf("more than %d numbers", limit)
		}
	}
	return out, delim(d, ']')
}

func delim(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if t != want {
		return fmt.Errorf("found %v where %v is expected", t, want)
	}
	return nil
}

func word(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", fmt.Errorf("header: %w", err)
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("found %v where a string is expected", t)
	}
	return s, nil
}

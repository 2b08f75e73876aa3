package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Write stores the tensors in the given order as F32, F16 or BF16. The header is padded with spaces so
// that the buffer begins at a multiple of eight bytes.
func Write(w io.Writer, tensors []Tensor, metadata map[string]string, as DType) error {
	if as != F32 && as != F16 && as != BF16 {
		return fmt.Errorf("safetensors: cannot write type %q, only F32, F16 and BF16", as)
	}
	head, err := header(tensors, metadata, as)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	buf := make([]byte, 0, 1<<16)
	for _, t := range tensors {
		for data := t.Data; len(data) > 0; {
			k := min(len(data), cap(buf)/4)
			buf = Append(buf[:0], as, data[:k])
			if _, err := w.Write(buf); err != nil {
				return err
			}
			data = data[k:]
		}
	}
	return nil
}

// header builds the length and the padded JSON. It is written field by field because the order of
// the tensors carries through to the file.
func header(tensors []Tensor, metadata map[string]string, as DType) ([]byte, error) {
	b := make([]byte, 8, 8+128*len(tensors))
	b = append(b, '{')
	seen := map[string]bool{"__metadata__": true}
	if len(metadata) > 0 {
		m, err := json.Marshal(metadata) // sorts the keys
		if err != nil {
			return nil, err
		}
		b = append(append(b, `"__metadata__":`...), m...)
	}
	at := 0
	for _, t := range tensors {
		n := 1
		for _, s := range t.Shape {
			n *= s
		}
		if n != len(t.Data) || seen[t.Name] {
			return nil, fmt.Errorf("safetensors: tensor %q of shape %v has %d values, or its name is taken", t.Name, t.Shape, len(t.Data))
		}
		seen[t.Name] = true
		shape := t.Shape
		if shape == nil {
			shape = []int{}
		}
		end := at + n*int(sizes[as])
		e, err := json.Marshal(struct {
			DType   DType  `json:"dtype"`
			Shape   []int  `json:"shape"`
			Offsets [2]int `json:"data_offsets"`
		}{as, shape, [2]int{at, end}})
		if err != nil {
			return nil, err
		}
		name, err := json.Marshal(t.Name)
		if err != nil {
			return nil, err
		}
		if len(b) > 9 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), ':'), e...)
		at = end
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	if len(b)-8 > MaxHeader {
		return nil, fmt.Errorf("safetensors: header of %d bytes is over the format's limit", len(b)-8)
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

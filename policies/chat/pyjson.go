package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxDepth bounds how deep a JSON text may nest.
const maxDepth = 100

// pythonJSON writes a JSON text anew as Python's json.dumps does with ensure_ascii=False after
// json.loads: blanks after commas and colons, floating-point numbers in Python's shortest form, keys in
// their order. indent is the number of blanks of a level, 0 for one line.
func pythonJSON(text json.RawMessage, indent int) (string, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	w := pythonWriter{d: d, indent: indent}
	if err := w.value(0); err != nil {
		return "", fmt.Errorf("not a JSON text: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("not a JSON text: something follows it")
	}
	return w.out.String(), nil
}

type pythonWriter struct {
	d      *json.Decoder
	out    strings.Builder
	indent int
}

func (w *pythonWriter) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	t, err := w.d.Token()
	if err != nil {
		return err
	}
	switch t := t.(type) {
	case nil:
		w.out.WriteString("null")
	case bool:
		w.out.WriteString(strconv.FormatBool(t))
	case json.Number:
		s, err := pythonNumber(t.String())
		if err != nil {
			return err
		}
		w.out.WriteString(s)
	case string:
		w.text(t)
	case json.Delim:
		if t == '[' {
			return w.list(depth)
		}
		return w.object(depth)
	}
	return nil
}

// line begins an item of a level; Python puts nothing between empty brackets.
func (w *pythonWriter) line(depth int, first bool) {
	if !first {
		w.out.WriteByte(',')
	}
	if w.indent > 0 {
		w.out.WriteByte('\n')
		w.out.WriteString(strings.Repeat(" ", w.indent*depth))
	} else if !first {
		w.out.WriteByte(' ')
	}
}

func (w *pythonWriter) end(depth int, empty bool, bracket byte) error {
	if !empty && w.indent > 0 {
		w.out.WriteByte('\n')
		w.out.WriteString(strings.Repeat(" ", w.indent*depth))
	}
	w.out.WriteByte(bracket)
	_, err := w.d.Token()
	return err
}

func (w *pythonWriter) list(depth int) error {
	w.out.WriteByte('[')
	empty := true
	for ; w.d.More(); empty = false {
		w.line(depth+1, empty)
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	return w.end(depth, empty, ']')
}

func (w *pythonWriter) object(depth int) error {
	w.out.WriteByte('{')
	keys := map[string]bool{}
	for w.d.More() {
		t, err := w.d.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok || keys[key] {
			return fmt.Errorf("key %v is no string, or there twice", t)
		}
		w.line(depth+1, len(keys) == 0)
		keys[key] = true
		w.text(key)
		w.out.WriteString(": ")
		if err := w.value(depth + 1); err != nil {
			return err
		}
	}
	return w.end(depth, len(keys) == 0, '}')
}

// text writes a string with the escapes that Python uses.
func (w *pythonWriter) text(s string) {
	w.out.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			w.out.WriteByte('\\')
			w.out.WriteRune(r)
		case '\n':
			w.out.WriteString(`\n`)
		case '\r':
			w.out.WriteString(`\r`)
		case '\t':
			w.out.WriteString(`\t`)
		case '\f':
			w.out.WriteString(`\f`)
		case '\b':
			w.out.WriteString(`\b`)
		default:
			if r < 0x20 {
				fmt.Fprintf(&w.out, `\u%04x`, r)
			} else {
				w.out.WriteRune(r)
			}
		}
	}
	w.out.WriteByte('"')
}

// pythonNumber writes a number as Python reads and writes it: whole numbers as they are, others in the
// shortest form that gives the same float, with an exponent from 1e16 on and below 1e-4.
func pythonNumber(s string) (string, error) {
	if !strings.ContainsAny(s, ".eE") {
		if s == "-0" {
			return "0", nil
		}
		return s, nil
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", fmt.Errorf("%s is beyond the range of a float", s)
	}
	short := strconv.FormatFloat(x, 'e', -1, 64)
	_, exponent, _ := strings.Cut(short, "e")
	if e, err := strconv.Atoi(exponent); err != nil || e < -4 || e >= 16 {
		return short, err
	}
	short = strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(short, ".") {
		short += ".0"
	}
	return short, nil
}

package score

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"pith/rewards"
)

// Reader decodes groups from JSON lines. It holds one line at a time.
type Reader struct {
	in   *bufio.Reader
	line int
	long []byte
	doc  document
}

// MaxLine bounds a line, in bytes: a file without line breaks fails early and clearly.
const MaxLine = 1 << 30

// NewReader reads groups from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 1<<16)}
}

// Line is the number of the line that Next returned last, from 1.
func (r *Reader) Line() int { return r.line }

// Next fills g with the next group, reusing its samples, and returns io.EOF after the last. Blank
// lines are skipped. Errors name the line, and group, trace and field where they are known. Keys
// that the contract does not have are ignored, those it has are checked whether a method needs
// them or not.
func (r *Reader) Next(g *rewards.Group) error {
	for {
		text, err := r.read()
		if err != nil {
			return err
		}
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if err := r.doc.parse(text); err != nil {
			return r.at(err)
		}
		x := decoder{d: &r.doc}
		if err := x.decode(g); err != nil {
			return r.at(err)
		}
		return nil
	}
}

// at puts the line's number before an error.
func (r *Reader) at(err error) error { return fmt.Errorf("line %d: %w", r.line, err) }

// read gives the next line without its end; the slice is valid until the next call.
func (r *Reader) read() ([]byte, error) {
	r.line++
	part, err := r.in.ReadSlice('\n')
	if err == nil {
		return part, nil
	}
	r.long = append(r.long[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(r.long) > MaxLine {
			return nil, r.at(fmt.Errorf("longer than %d bytes; want one group a line", MaxLine))
		}
		part, err = r.in.ReadSlice('\n')
		r.long = append(r.long, part...)
	}
	switch {
	case err == nil, errors.Is(err, io.EOF) && len(r.long) > 0:
		return r.long, nil
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	}
	return nil, r.at(err)
}

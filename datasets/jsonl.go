package datasets

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds one line of a JSONL file, in bytes. A longer line is reported and passed over; it is never held whole.
const maxLine = 16 << 20

// readJSONL calls row for every line that is not blank, with its number and either the record or
// what is wrong with the line. It stops when row returns false. The error is about reading itself.
func readJSONL(in io.Reader, row func(line int, r record, err error) bool) error {
	lines := bufio.NewReaderSize(in, 64<<10)
	for n := 1; ; n++ {
		raw, tooLong, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if n == 1 {
			raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")) // a byte order mark
		}
		if raw = bytes.TrimSpace(raw); len(raw) > 0 || tooLong {
			var r record
			lineErr := fmt.Errorf("the line is longer than %d MiB", maxLine>>20)
			if !tooLong {
				r, lineErr = parseLine(raw)
			}
			if !row(n, r, lineErr) {
				return nil
			}
		}
		if err != nil {
			return nil //nolint:nilerr // the end of the file; other errors have returned above
		}
	}
}

// readLine reads up to the next newline. Of a line that is too long it keeps nothing.
func readLine(in *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if !tooLong {
			line = append(line, part...)
		}
		if len(line) > maxLine {
			line, tooLong = nil, true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

func parseLine(raw []byte) (record, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("the line is not valid UTF-8: is the file compressed, or in another encoding?")
	}
	switch raw[0] {
	case '{':
	case '[':
		return nil, errors.New("the line begins with [: one object a line is expected; an array becomes that with jq -c '.[]'")
	default:
		return nil, errors.New("the line is no JSON object: one object a line is expected")
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var r record
	if err := decoder.Decode(&r); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("the JSON object does not end on its line: one object a line is expected; jq -c . writes them so")
		}
		return nil, fmt.Errorf("bad JSON: %w", err)
	}
	if rest := bytes.TrimSpace(raw[decoder.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("bad JSON: %q follows the object", string(rest[:min(len(rest), 20)]))
	}
	return r, nil
}

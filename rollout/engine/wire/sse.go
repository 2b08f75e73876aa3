package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// errTooLong says that an event is longer than the bound.
var errTooLong = errors.New("an event is too long")

// Events reads a stream of server-sent events and calls f with the data of each, in which lines are
// joined as the specification says (WHATWG HTML, section 9.2). Comments, ids and event names are
// passed over. It returns at the end of the stream, or with f's error. An event that the stream cuts
// off is not delivered: the caller sees io.ErrUnexpectedEOF. The data is valid during the call.
func Events(r io.Reader, limit int, f func(data []byte) error) error {
	in := bufio.NewReaderSize(r, 16<<10)
	var data []byte
	lines := 0
	for {
		line, err := readLine(in, limit)
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			if lines > 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		if len(line) == 0 { // an event ends
			if lines > 0 {
				if err := f(data); err != nil {
					return err
				}
			}
			data, lines = data[:0], 0
			continue
		}
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			if bytes.Equal(line, []byte("data")) {
				value, ok = nil, true
			} else if bytes.HasPrefix(line, []byte("error:")) { // llama-server's way to fail
				value, ok = line, true
			}
		}
		if !ok {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if len(data)+len(value) > limit {
			return fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
		}
		if lines > 0 {
			data = append(data, '\n')
		}
		data = append(data, value...)
		lines++
	}
}

// readLine returns a line without its end. With an error it returns what there was.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := append([]byte(nil), line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(long) > limit {
				return nil, fmt.Errorf("%w: more than %d bytes", errTooLong, limit)
			}
			line, err = in.ReadSlice('\n')
			long = append(long, line...)
		}
		line = long
	}
	if err != nil {
		return line, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

package foreign

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// MaxLine bounds a JSON line, in bytes.
const MaxLine = 64 << 20

// objects yields the objects of a file with their line (JSON lines) or row (Parquet), one at a time.
// The first error ends it.
func objects(path string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(object{}, err)
			return
		}
		defer f.Close()
		var magic [4]byte
		if n, _ := f.ReadAt(magic[:], 0); n == 4 && string(magic[:]) == "PAR1" {
			parquetRows(path, f, yield)
			return
		}
		jsonLines(path, f, yield)
	}
}

type object struct {
	values map[string]any
	line   int
}

// jsonLines yields the lines of r, empty ones left out.
func jsonLines(path string, r io.Reader, yield func(object, error) bool) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), MaxLine)
	line := 0
	for lines.Scan() {
		line++
		text := bytes.TrimSpace(bytes.TrimPrefix(lines.Bytes(), []byte("\xef\xbb\xbf")))
		if len(text) == 0 {
			continue
		}
		values, err := parse(text)
		if err != nil {
			yield(object{}, &FieldError{File: path, Line: line, Why: err.Error()})
			return
		}
		if !yield(object{values, line}, nil) {
			return
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		yield(object{}, &FieldError{File: path, Line: line + 1, Why: fmt.Sprintf("the line is longer than %d bytes", MaxLine)})
	} else if err != nil {
		yield(object{}, fmt.Errorf("%s: %w", path, err))
	}
}

func parse(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return nil, errors.New("want a JSON object, got " + wrong.Value)
		}
		return nil, fmt.Errorf("no JSON object: %w", err)
	}
	if values == nil {
		return nil, errors.New("want a JSON object, got null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return values, nil
}

// parquetRows yields the rows of a Parquet file: scalars, lists of scalars and lists of objects of
// scalars, which is what training frameworks write. Deeper columns are left out.
func parquetRows(path string, f *os.File, yield func(object, error) bool) {
	row := 0
	stopped := false
	fail := func(err error) {
		if !stopped {
			yield(object{}, &FieldError{File: path, Line: row, Why: "not readable as Parquet: " + err.Error()})
		}
	}
	defer func() {
		if p := recover(); p != nil {
			if stopped { // the panic is the receiver's own
				panic(p)
			}
			fail(fmt.Errorf("%v", p))
		}
	}()
	info, err := f.Stat()
	if err != nil {
		fail(err)
		return
	}
	pq, err := parquet.OpenFile(f, info.Size(), parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		fail(err)
		return
	}
	columns := columnsOf(pq)
	buffer := make([]parquet.Row, 64)
	for _, group := range pq.RowGroups() {
		rows := group.Rows()
		for {
			n, err := rows.ReadRows(buffer)
			for _, r := range buffer[:n] {
				row++
				values := assemble(columns, r)
				stopped = true
				going := yield(object{values, row}, nil)
				stopped = !going
				if !going {
					_ = rows.Close() // nothing is lost by leaving early
					return
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				fail(err)
				return
			}
			if n == 0 {
				break
			}
		}
		if err := rows.Close(); err != nil {
			fail(err)
			return
		}
	}
}

// shape is how a Parquet leaf stands in a record.
type shape struct {
	path   []string // without the words of the list form
	list   bool
	member string // of an object in a list
	max    int    // definition level of a value
	skip   bool
}

func columnsOf(pq *parquet.File) []shape {
	var out []shape
	var walk func(c *parquet.Column)
	walk = func(c *parquet.Column) {
		if !c.Leaf() {
			for _, child := range c.Columns() {
				walk(child)
			}
			return
		}
		s := shape{max: c.MaxDefinitionLevel(), list: c.MaxRepetitionLevel() == 1, skip: c.MaxRepetitionLevel() > 1}
		path := c.Path()
		at := -1
		for i := 0; i+1 < len(path); i++ {
			if path[i] == "list" && (path[i+1] == "element" || path[i+1] == "item") || path[i] == "bag" && path[i+1] == "array_element" {
				at = i
			}
		}
		switch {
		case at > 0:
			s.path, s.member = path[:at], strings.Join(path[at+2:], ".")
		default:
			s.path = path
		}
		out = append(out, s)
	}
	for _, c := range pq.Root().Columns() {
		walk(c)
	}
	return out
}

func assemble(columns []shape, row parquet.Row) map[string]any {
	values := map[string]any{}
	row.Range(func(index int, of []parquet.Value) bool {
		if index >= len(columns) || columns[index].skip {
			return true
		}
		s := &columns[index]
		target := values
		for _, name := range s.path[:len(s.path)-1] {
			inner, ok := target[name].(map[string]any)
			if !ok {
				inner = map[string]any{}
				target[name] = inner
			}
			target = inner
		}
		name := s.path[len(s.path)-1]
		if !s.list {
			if len(of) == 1 && !of[0].IsNull() {
				target[name] = native(of[0])
			}
			return true
		}
		list, _ := target[name].([]any)
		if len(of) == 1 && of[0].IsNull() && s.member == "" {
			target[name] = []any{}
			return true
		}
		for i, v := range of {
			if s.member == "" {
				if !v.IsNull() {
					list = append(list, native(v))
				}
				continue
			}
			if v.DefinitionLevel() < s.max && len(of) == 1 && len(list) == 0 {
				break // an empty list
			}
			if i == len(list) {
				list = append(list, map[string]any{})
			}
			if o, ok := list[i].(map[string]any); ok && !v.IsNull() {
				o[s.member] = native(v)
			}
		}
		target[name] = list
		return true
	})
	return values
}

func native(v parquet.Value) any {
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32:
		return int64(v.Int32())
	case parquet.Int64:
		return v.Int64()
	case parquet.Float:
		return float64(v.Float())
	case parquet.Double:
		return v.Double()
	}
	return string(v.ByteArray())
}

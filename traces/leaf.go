package traces

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// leaf reads one Parquet column into a field of the records. The list of leaves below replaces
// reflection over whole rows: a report reads a dozen columns of a million traces, and a column at a
// time costs a few nanoseconds a value where a row at a time costs hundreds.
type leaf[T any] struct {
	path string      // dotted Parquet path
	kind parquetKind // what the file must hold
	set  setter[T]   // stores value i of v in the record, for a list in its element
}

type setter[T any] func(t *T, element int, v *values, i int)

type parquetKind = parquet.Kind

// column is the top name of a leaf: a nested column is asked for as a whole.
func (l *leaf[T]) column() string {
	top, _, _ := strings.Cut(l.path, ".")
	return top
}

// values are the decoded values of a page in their own type, nulls left out.
type values struct {
	ints32  []int32
	ints64  []int64
	floats  []float32
	doubles []float64
	bits    []byte
	text    string // of all values; one allocation a page
	ends    []uint32
	words   []string // dictionary; then ints32 are indices into it
	indexed bool
	n       int
}

func (v *values) str(i int) string {
	if v.indexed {
		return v.words[v.ints32[i]]
	}
	return v.text[v.ends[i]:v.ends[i+1]]
}

func (v *values) bit(i int) bool { return v.bits[i/8]>>(i%8)&1 != 0 }

// load takes the values of a page over. words is the dictionary of the chunk, decoded once.
func (v *values) load(page parquet.Page, kind parquetKind, words *[]string) error {
	data := page.Data()
	v.n = int(page.NumValues() - page.NumNulls())
	v.indexed = false
	if dict := page.Dictionary(); dict != nil {
		if kind != parquet.ByteArray {
			return errors.New("a number in a dictionary")
		}
		if *words == nil {
			*words = make([]string, dict.Len())
			for i := range *words {
				(*words)[i] = string(dict.Index(int32(i)).ByteArray())
			}
		}
		v.words, v.ints32, v.indexed = *words, data.Int32(), true
		for _, at := range v.ints32 {
			if at < 0 || int(at) >= len(v.words) {
				return errors.New("an index beyond its dictionary")
			}
		}
		return v.enough(len(v.ints32))
	}
	switch kind {
	case parquet.ByteArray:
		return v.loadText(data)
	case parquet.Int32:
		v.ints32 = data.Int32()
		return v.enough(len(v.ints32))
	case parquet.Int64:
		v.ints64 = data.Int64()
		return v.enough(len(v.ints64))
	case parquet.Float:
		v.floats = data.Float()
		return v.enough(len(v.floats))
	case parquet.Double:
		v.doubles = data.Double()
		return v.enough(len(v.doubles))
	case parquet.Boolean:
		v.bits = data.Boolean()
		return v.enough(len(v.bits) * 8)
	}
	return fmt.Errorf("values of the kind %v", kind)
}

func (v *values) loadText(data encoding.Values) error {
	bytes, ends := data.ByteArray()
	v.ends = ends
	if v.n > 0 && len(ends) < v.n+1 {
		return v.enough(len(ends) - 1)
	}
	for i := 1; i < len(ends); i++ {
		if ends[i] < ends[i-1] || int(ends[i]) > len(bytes) {
			return errors.New("texts that overlap")
		}
	}
	v.text = string(bytes)
	return nil
}

func (v *values) enough(have int) error {
	if have < v.n {
		return fmt.Errorf("%d values where %d are announced", have, v.n)
	}
	return nil
}

// readChunk sets the leaf's field in rows, which are those of the row group. A column that the rows
// group lacks (an older file) never gets here.
func (l *leaf[T]) readChunk(chunk parquet.ColumnChunk, maxRep, maxDef int, rows []T) (err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	var v values
	var words []string
	row := -1
	element := 0
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := v.load(page, l.kind, &words); err != nil {
			return err
		}
		reps, defs := page.RepetitionLevels(), page.DefinitionLevels()
		switch maxDef {
		case 0: // a value in every row
			if row+v.n >= len(rows) {
				return fmt.Errorf("more values than the %d rows", len(rows))
			}
			for i := range v.n {
				row++
				l.set(&rows[row], 0, &v, i)
			}
		default:
			at := 0
			for i, def := range defs {
				if maxRep == 0 || reps[i] == 0 {
					row++
					element = 0
				} else {
					element++
				}
				if row < 0 || row >= len(rows) {
					return fmt.Errorf("levels of other than %d rows", len(rows))
				}
				if int(def) < maxDef {
					continue
				}
				if at >= v.n {
					return errors.New("levels of more values than there are")
				}
				l.set(&rows[row], element, &v, at)
				at++
			}
		}
		parquet.Release(page)
	}
	if row != len(rows)-1 {
		return fmt.Errorf("%d rows where %d are announced", row+1, len(rows))
	}
	return nil
}

// Builders of leaves. Text is not shared with the file's buffers, but values of a page share one
// allocation.

func textLeaf[T any](path string, field func(*T) *string) leaf[T] {
	return leaf[T]{path: path, kind: parquet.ByteArray, set: func(t *T, _ int, v *values, i int) { *field(t) = v.str(i) }}
}

func int32Leaf[T any](path string, field func(*T) *int32) leaf[T] {
	return leaf[T]{path: path, kind: parquet.Int32, set: func(t *T, _ int, v *values, i int) { *field(t) = v.ints32[i] }}
}

func int64Leaf[T any](path string, field func(*T) *int64) leaf[T] {
	return leaf[T]{path: path, kind: parquet.Int64, set: func(t *T, _ int, v *values, i int) { *field(t) = v.ints64[i] }}
}

func doubleLeaf[T any](path string, field func(*T) *float64) leaf[T] {
	return leaf[T]{path: path, kind: parquet.Double, set: func(t *T, _ int, v *values, i int) { *field(t) = v.doubles[i] }}
}

func optionalLeaf[T any](path string, field func(*T) **float64) leaf[T] {
	return leaf[T]{path: path, kind: parquet.Double, set: func(t *T, _ int, v *values, i int) { x := v.doubles[i]; *field(t) = &x }}
}

func boolLeaf[T any](path string, field func(*T) *bool) leaf[T] {
	return leaf[T]{path: path, kind: parquet.Boolean, set: func(t *T, _ int, v *values, i int) { *field(t) = v.bit(i) }}
}

// grown returns element i of the list, which it lengthens by one where i is the next.
func grown[E any](list *[]E, i int) *E {
	if i == len(*list) {
		*list = append(*list, *new(E))
	}
	return &(*list)[min(i, len(*list)-1)]
}

package datasets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// readParquet calls row for every row, numbered from 1, until it returns false. The file is opened
// and its footer verified before any row is read; whatever a damaged file makes the library do
// comes back as an error.
func readParquet(in io.ReaderAt, size int64, row func(n int, r record, err error) bool) (err error) {
	n := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("row %d: the Parquet file is damaged: %v", n+1, p)
		}
	}()
	file, err := parquet.OpenFile(in, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return fmt.Errorf("not a readable Parquet file (was it written to the end?): %w", err)
	}
	assemble, err := newAssembler(file.Root())
	if err != nil {
		return err
	}
	buffer := make([]parquet.Row, 64)
	for _, group := range file.RowGroups() {
		more, err := readGroup(group, buffer, func(values parquet.Row) bool {
			n++
			return row(n, assemble.row(values), nil)
		})
		if err != nil {
			return fmt.Errorf("row %d: %w", n+1, err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// readGroup calls row for every row of a row group; more is false where row ended it.
func readGroup(group parquet.RowGroup, buffer []parquet.Row, row func(parquet.Row) bool) (more bool, err error) {
	rows := group.Rows()
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		count, err := rows.ReadRows(buffer)
		for _, values := range buffer[:count] {
			if !row(values) {
				return false, nil
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case err != nil:
			return false, err
		case count == 0:
			return false, errors.New("the Parquet file is damaged: it gives no more rows before its end")
		}
	}
}

// assembler makes records of the columns' values, by the repetition and definition levels of
// Dremel (Melnik et al., VLDB 2010, section 4.2). The library can do so too, but it trusts that a
// value has the type that the schema promises, which crashes the process where a damaged file
// breaks the promise; here a value is read by its own type.
type assembler struct {
	root    *parquet.Column
	first   map[*parquet.Column]int // the first leaf below a node
	leaves  int
	columns [][]parquet.Value // what is left of each column in the current row
}

func newAssembler(root *parquet.Column) (*assembler, error) {
	a := &assembler{root: root, first: map[*parquet.Column]int{}}
	var walk func(c *parquet.Column) error
	walk = func(c *parquet.Column) error {
		a.first[c] = a.leaves
		if c.Leaf() {
			if c.Index() != a.leaves {
				return fmt.Errorf("the Parquet file is damaged: column %s is number %d, not %d", c.Name(), c.Index(), a.leaves)
			}
			a.leaves++
			return nil
		}
		if len(c.Columns()) == 0 {
			return fmt.Errorf("the group %q of the Parquet file has no columns", c.Name())
		}
		for _, child := range c.Columns() {
			if err := walk(child); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(root); err != nil {
		return nil, err
	}
	a.columns = make([][]parquet.Value, a.leaves)
	return a, nil
}

// row panics where the levels of a damaged file contradict each other; readParquet recovers.
func (a *assembler) row(values parquet.Row) record {
	clear(a.columns)
	values.Range(func(column int, values []parquet.Value) bool {
		a.columns[column] = values
		return true
	})
	return a.group(a.root)
}

// peek is the next value of the first leaf below c: its levels say what is there of c.
func (a *assembler) peek(c *parquet.Column) parquet.Value { return a.columns[a.first[c]][0] }

func (a *assembler) value(c *parquet.Column) any {
	switch {
	case c.Repeated():
		list := []any{}
		if a.peek(c).DefinitionLevel() < c.MaxDefinitionLevel() {
			a.skip(c)
			return list
		}
		for {
			list = append(list, a.present(c))
			rest := a.columns[a.first[c]]
			if len(rest) == 0 || rest[0].RepetitionLevel() < c.MaxRepetitionLevel() {
				return list
			}
		}
	case c.Optional() && a.peek(c).DefinitionLevel() < c.MaxDefinitionLevel():
		a.skip(c)
		return nil
	default:
		return a.present(c)
	}
}

// present reads one c that is there.
func (a *assembler) present(c *parquet.Column) any {
	switch {
	case c.Leaf():
		v := a.columns[c.Index()][0]
		a.columns[c.Index()] = a.columns[c.Index()][1:]
		return plain(v, c.Type().LogicalType())
	case isList(c):
		repeated := c.Columns()[0]
		v := a.value(repeated)
		if repeated.Leaf() || len(repeated.Columns()) != 1 {
			return v // the old form of two levels
		}
		list, _ := v.([]any)
		name := repeated.Columns()[0].Name()
		for i, element := range list {
			list[i] = element.(map[string]any)[name]
		}
		return list
	default:
		return map[string]any(a.group(c))
	}
}

func (a *assembler) group(c *parquet.Column) record {
	r := make(record, len(c.Columns()))
	for _, child := range c.Columns() {
		r[child.Name()] = a.value(child)
	}
	return r
}

// skip passes over the one placeholder that every leaf below an absent c has.
func (a *assembler) skip(c *parquet.Column) {
	if c.Leaf() {
		a.columns[c.Index()] = a.columns[c.Index()][1:]
		return
	}
	for _, child := range c.Columns() {
		a.skip(child)
	}
}

func isList(c *parquet.Column) bool {
	logical := c.Type().LogicalType()
	if logical == nil || len(c.Columns()) != 1 || !c.Columns()[0].Repeated() {
		return false
	}
	_, list := logical.Value.(*format.ListType)
	return list
}

// plain turns a value into what a JSON file would have given: text, number, truth value or nil.
// Bytes that are no text stay bytes.
func plain(v parquet.Value, logical *format.LogicalType) any {
	var decimal *format.DecimalType
	if logical != nil {
		decimal, _ = logical.Value.(*format.DecimalType)
	}
	if v.IsNull() {
		return nil
	}
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32, parquet.Int64:
		n := v.Int64()
		if v.Kind() == parquet.Int32 {
			n = int64(v.Int32())
		}
		if decimal != nil {
			return fixedPoint(big.NewInt(n), decimal.Scale)
		}
		return n
	case parquet.Float:
		return v.Float()
	case parquet.Double:
		return v.Double()
	case parquet.ByteArray, parquet.FixedLenByteArray:
		raw := v.ByteArray()
		if decimal != nil {
			n := new(big.Int).SetBytes(raw)
			if len(raw) > 0 && raw[0]&0x80 != 0 { // two's complement, big-endian
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(raw))))
			}
			return fixedPoint(n, decimal.Scale)
		}
		if utf8.Valid(raw) {
			return string(raw)
		}
		return append([]byte{}, raw...)
	default: // INT96, the time stamps of old
		return v.String()
	}
}

// fixedPoint is n / 10^scale, exactly.
func fixedPoint(n *big.Int, scale int32) json.Number {
	scale = max(0, min(scale, 1000))
	r := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
	return json.Number(r.FloatString(int(scale)))
}

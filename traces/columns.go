package traces

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// required are the columns of a trace that every pith has written and nothing can be said without.
// A file without them is refused by name; any other column that an older file lacks is zero.
var required = []string{"run", "step", "split", "group", "id", "problem", "sample", "finish", "length_tokens", "verdict", "status"}

// Columns returns the names of a trace's columns, nested ones once, in the order of the record.
func Columns() []string {
	var names []string
	for i := range traceLeaves {
		if top := traceLeaves[i].column(); !slices.Contains(names, top) {
			names = append(names, top)
		}
	}
	return names
}

// missing names the required columns that a file of traces lacks.
func missing(pq *parquet.File) []string {
	var out []string
	for _, name := range required {
		if pq.Root().Column(name) == nil {
			out = append(out, name)
		}
	}
	return out
}

// unknown names the columns of a file of traces that this pith does not know: a newer one wrote it,
// and they are passed over.
func unknown(pq *parquet.File) []string {
	known := Columns()
	var out []string
	for _, c := range pq.Root().Columns() {
		if !slices.Contains(known, c.Name()) {
			out = append(out, c.Name())
		}
	}
	return out
}

// plan is which columns of a file are read, for what.
type plan[T any] struct {
	table string
	first []*leaf[T] // what the predicates look at
	rest  []*leaf[T]
	tests []test[T]
}

// test is a condition on one column.
type test[T any] struct {
	column string
	match  func(*T) bool
	// rules says from the least and greatest value of a row group that none of its rows can match.
	rules func(low, high parquet.Value) bool
}

// tracePlan reads the named columns of traces, and first those that f is about.
func tracePlan(f *Filter, columns []string) (*plan[Trace], error) {
	p := &plan[Trace]{table: "traces", tests: f.tests()}
	known := Columns()
	for _, name := range columns {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no trace has a column %s; they are %s", name, strings.Join(known, ", "))
		}
	}
	for i := range traceLeaves {
		l := &traceLeaves[i]
		switch {
		case slices.ContainsFunc(p.tests, func(t test[Trace]) bool { return t.column == l.path }):
			p.first = append(p.first, l)
		case slices.Contains(columns, l.column()):
			p.rest = append(p.rest, l)
		}
	}
	return p, nil
}

// sourced is a leaf found in a file.
type sourced[T any] struct {
	leaf           *leaf[T]
	index          int
	maxRep, maxDef int
}

// locate finds the leaves in a file. Those that it lacks are left out; one of another type is an
// error.
func locate[T any](pq *parquet.File, leaves []*leaf[T]) ([]sourced[T], error) {
	var out []sourced[T]
	for _, l := range leaves {
		c := pq.Root()
		for part := range strings.SplitSeq(l.path, ".") {
			if c = c.Column(part); c == nil {
				break
			}
		}
		if c == nil {
			continue
		}
		if !c.Leaf() || c.Type().Kind() != l.kind || c.MaxRepetitionLevel() > 1 {
			return nil, fmt.Errorf("the column %s has another type", l.path)
		}
		out = append(out, sourced[T]{l, c.Index(), c.MaxRepetitionLevel(), c.MaxDefinitionLevel()})
	}
	return out, nil
}

// decode reads a file row group by row group. What emit gets is its own to keep or to give back;
// false ends the reading. buffer lends a cleared slice of so many rows.
func (p *plan[T]) decode(l *logFile, buffer func(n int) []T, emit func([]T) bool) (err error) {
	defer func() {
		if x := recover(); x != nil { // parquet-go panics on some damage
			err = l.damaged(fmt.Errorf("parquet: %v", x))
		}
	}()
	first, err := locate(l.pq, p.first)
	if err != nil {
		return &ReadError{Path: l.path, Why: err.Error(), Err: err}
	}
	rest, err := locate(l.pq, p.rest)
	if err != nil {
		return &ReadError{Path: l.path, Why: err.Error(), Err: err}
	}
	for _, group := range l.pq.RowGroups() {
		chunks := group.ColumnChunks()
		if p.ruledOut(chunks, first) {
			continue
		}
		n := group.NumRows()
		if n <= 0 || n > maxGroupRows {
			return l.damaged(fmt.Errorf("a row group of %d rows", n))
		}
		rows := buffer(int(n))
		for _, s := range first {
			if err := s.leaf.readChunk(chunks[s.index], s.maxRep, s.maxDef, rows); err != nil {
				return l.damaged(fmt.Errorf("%s: %w", s.leaf.path, err))
			}
		}
		matched := p.matches(rows)
		if matched != nil && !slices.Contains(matched, true) {
			continue
		}
		for _, s := range rest {
			if err := s.leaf.readChunk(chunks[s.index], s.maxRep, s.maxDef, rows); err != nil {
				return l.damaged(fmt.Errorf("%s: %w", s.leaf.path, err))
			}
		}
		if matched != nil {
			kept := rows[:0]
			for i, ok := range matched {
				if ok {
					kept = append(kept, rows[i])
				}
			}
			rows = kept
		}
		if !emit(rows) {
			return nil
		}
	}
	return nil
}

// maxGroupRows bounds what a damaged or foreign file can make a reader allocate for a row group.
const maxGroupRows = 1 << 20

func (l *logFile) damaged(err error) error {
	return &ReadError{Path: l.path, Why: "its data is damaged; restore it from a copy or delete it", Err: err}
}

// ruledOut says from the statistics of a row group alone that nothing in it can match.
func (p *plan[T]) ruledOut(chunks []parquet.ColumnChunk, first []sourced[T]) bool {
	for _, s := range first {
		bounded, ok := chunks[s.index].(interface {
			Bounds() (low, high parquet.Value, ok bool)
		})
		if !ok {
			continue
		}
		low, high, ok := bounded.Bounds()
		if !ok {
			continue
		}
		for _, t := range p.tests {
			if t.column == s.leaf.path && t.rules != nil && t.rules(low, high) {
				return true
			}
		}
	}
	return false
}

// matches applies the tests; nil means that there are none.
func (p *plan[T]) matches(rows []T) []bool {
	if len(p.tests) == 0 {
		return nil
	}
	out := make([]bool, len(rows))
	for i := range rows {
		out[i] = true
		for _, t := range p.tests {
			if !t.match(&rows[i]) {
				out[i] = false
				break
			}
		}
	}
	return out
}

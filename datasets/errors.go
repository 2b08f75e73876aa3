package datasets

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoHeldOut is returned for a held-out problem of a source that holds none out.
var ErrNoHeldOut = errors.New("no problem is held out: set held_out to a share such as 0.1, or held_out_path to a file")

// shownRows is how many bad rows an error lists.
const shownRows = 20

// RowError is what is wrong with one row of a file.
type RowError struct {
	File string
	Line int // of a JSONL file, or the row of a Parquet file; from 1
	Err  error
}

func (e *RowError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }

// RowsError lists the rows that cannot be used, the first twenty of them in full.
type RowsError struct {
	Rows []*RowError
	More int // how many are not listed
}

func (e *RowsError) Error() string {
	var b strings.Builder
	for i, r := range e.Rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(r.Error())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more rows", e.More)
	}
	if n := len(e.Rows) + e.More; n > 1 {
		fmt.Fprintf(&b, "\n%d rows cannot be used: correct them, or leave them out with skip_bad", n)
	}
	return b.String()
}

func (e *RowsError) Unwrap() []error {
	errs := make([]error, len(e.Rows))
	for i, r := range e.Rows {
		errs[i] = r
	}
	return errs
}

func (e *RowsError) add(file string, line int, err error) {
	if len(e.Rows) == shownRows {
		e.More++
		return
	}
	e.Rows = append(e.Rows, &RowError{File: file, Line: line, Err: err})
}

func (e *RowsError) count() int { return len(e.Rows) + e.More }

package analysis

import (
	"slices"

	"pith/traces"
)

// Observer takes in the traces of a log as they stream by. A section of a report that needs more
// than the tables of steps and evaluations is one: it names the columns it reads, and adds up what
// it needs of them in memory that does not grow with the texts. All observers of a set share one
// pass over the log, which reads the union of their columns.
type Observer interface {
	// Columns are the columns that Observe reads, by their names in the log ([traces.Columns]).
	Columns() []string
	// Observe is called with every batch in the order of the log, from one goroutine. The rows are
	// the pass's own and hold at least the observer's columns: what is to stay is copied.
	Observe(b *traces.Batch)
}

// Observe passes the traces that f selects by the observers, files decoded in parallel. It returns
// what could not be read, and notes about files of a newer pith, once for the same columns: damage
// to a file takes nothing from the others.
func Observe(log *traces.Run, f traces.Filter, observers ...Observer) []error {
	var columns []string
	for _, o := range observers {
		columns = append(columns, o.Columns()...)
	}
	slices.Sort(columns)
	var errs []error
	newer := map[string]bool{}
	for b, err := range log.Batches(f, slices.Compact(columns)...) {
		if err != nil {
			if columns, is := traces.Newer(err); !is || !newer[columns] {
				newer[columns] = true
				errs = append(errs, err)
			}
			continue
		}
		for _, o := range observers {
			o.Observe(b)
		}
	}
	return errs
}

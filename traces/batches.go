package traces

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"sync"
)

// Batch is consecutive traces of one segment. Only the columns that were asked for are filled, the
// others are zero.
type Batch struct {
	Path     string
	Step     int64  // from the name of the segment
	Decoding string // of an evaluation: sampled or greedy
	Rows     []Trace
}

// NewerError says that a file holds columns which this pith does not know. The rest of the file is
// read as usual: it is a note, not a failure.
type NewerError struct {
	Path    string
	Columns []string
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s was written by a newer pith; passed over: the columns %s", e.Path, strings.Join(e.Columns, ", "))
}

// Batches yields the traces that f selects in the order of the log, a row group at a time, with the
// named columns filled ([Columns] lists them; nested ones come whole). It is [Scan] for whoever
// reads a large log: files are decoded in parallel on all cores and in bounded memory.
//
// A batch is the reader's own again when the loop goes on: copy what is to stay. Texts may stay, but
// hold on to the page that they came from; strings.Clone those that stay for long.
//
// A file that cannot be read yields one [*ReadError], and one with columns from the future one
// [*NewerError], both with a nil batch; reading goes on. An unknown column is an error before
// anything is read.
func (r *Run) Batches(f Filter, columns ...string) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		plan, err := tracePlan(&f, columns)
		if err != nil {
			yield(nil, err)
			return
		}
		files, errs := r.segments(f.dir(), f.match)
		for _, err := range errs {
			if !yield(nil, err) {
				return
			}
		}
		type block struct {
			batch *Batch
			err   error
		}
		pool := sync.Pool{New: func() any { return new([]Trace) }}
		buffer := func(n int) []Trace {
			rows := *pool.Get().(*[]Trace)
			if cap(rows) < n {
				return make([]Trace, n)
			}
			rows = rows[:n]
			clear(rows)
			return rows
		}
		ordered(files, func(s segmentFile, emit func(block) bool) {
			l, err := openLog(r.fs, s.path, plan.table)
			if err != nil {
				emit(block{err: err})
				return
			}
			defer l.close()
			if newer := unknown(l.pq); len(newer) > 0 && !emit(block{err: &NewerError{s.path, newer}}) {
				return
			}
			if err := plan.decode(l, buffer, func(rows []Trace) bool {
				return emit(block{batch: &Batch{Path: s.path, Step: s.step, Decoding: s.suffix, Rows: rows}})
			}); err != nil {
				emit(block{err: err})
			}
		}, func(b block) bool {
			ok := yield(b.batch, b.err)
			if b.batch != nil {
				pool.Put(&b.batch.Rows)
			}
			return ok
		})
	}
}

// selected says which rows of a file f selects; nil is all.
func (f *Filter) selected(l *logFile) ([]bool, error) {
	plan, err := tracePlan(f, nil)
	if err != nil || len(plan.tests) == 0 {
		return nil, err
	}
	out := make([]bool, 0, l.pq.NumRows())
	tests := plan.tests
	plan.tests = nil // all rows are wanted back
	err = plan.decode(l, func(n int) []Trace { return make([]Trace, n) }, func(rows []Trace) bool {
		for i := range rows {
			ok := true
			for _, t := range tests {
				ok = ok && t.match(&rows[i])
			}
			out = append(out, ok)
		}
		return true
	})
	return out, err
}

// StepTimings yields the rows of timings.parquet and of the segments beside it that belong to steps.
// A run has one of them a step and one a trace of the others: the columns of those are not read
// further than to tell them.
func (r *Run) StepTimings() iter.Seq2[Timing, error] {
	plan := &plan[Timing]{table: "timings", tests: []test[Timing]{{
		column: "id",
		match:  func(t *Timing) bool { return t.ID == "" },
	}}}
	for i := range timingLeaves {
		if l := &timingLeaves[i]; l.path == "id" {
			plan.first = append(plan.first, l)
		} else {
			plan.rest = append(plan.rest, l)
		}
	}
	return func(yield func(Timing, error) bool) {
		through, err := timingsThrough(r.fs, filepath.Join(r.Dir, TimingsFile))
		if err != nil && !yield(Timing{}, err) {
			return
		}
		files, errs := r.segments(TimingsDir, func(s *segmentFile) bool { return s.step > through })
		for _, err := range errs {
			if !yield(Timing{}, err) {
				return
			}
		}
		if err == nil {
			files = append([]segmentFile{{path: filepath.Join(r.Dir, TimingsFile)}}, files...)
		}
		for _, s := range files {
			l, err := openLog(r.fs, s.path, plan.table)
			switch {
			case notExist(err):
				continue
			case err != nil:
				if !yield(Timing{}, err) {
					return
				}
				continue
			}
			going := true
			err = plan.decode(l, func(n int) []Timing { return make([]Timing, n) }, func(rows []Timing) bool {
				for i := range rows {
					if going = yield(rows[i], nil); !going {
						return false
					}
				}
				return true
			})
			l.close()
			if err != nil && going {
				going = yield(Timing{}, err)
			}
			if !going {
				return
			}
		}
	}
}

// segments lists the segments under sub that match selects, and what is there besides as errors.
func (r *Run) segments(sub string, match func(*segmentFile) bool) (files []segmentFile, errs []error) {
	found, foreign, err := listSegments(r.fs, r.Dir, sub)
	if err != nil {
		return nil, []error{&ReadError{Path: filepath.Join(r.Dir, sub), Why: reason(err).Error(), Err: err}}
	}
	for _, path := range foreign {
		errs = append(errs, &ReadError{Path: path, Why: fmt.Sprintf("not a segment, its name is not like %s; move it out of the run directory", SegmentName(1, ""))})
	}
	for i := range found {
		if match(&found[i]) {
			files = append(files, found[i])
		}
	}
	return files, errs
}

// Newer reports whether err is only a note about columns from the future, and which they are.
func Newer(err error) (columns string, is bool) {
	newer, is := errors.AsType[*NewerError](err)
	if !is {
		return "", false
	}
	return strings.Join(newer.Columns, ", "), true
}

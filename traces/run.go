package traces

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// Run reads the logs of one run directory. Nothing is held open between calls, so it may be used
// while the run is still writing: a later call sees what has been committed since. Safe for
// concurrent use.
type Run struct {
	Dir string
	fs  FS
}

// OpenRun checks that dir is a run directory. The files inside are opened as they are read.
func OpenRun(dir string) (*Run, error) { return openRun(OS, dir) }

func openRun(fsys FS, dir string) (*Run, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, &ReadError{Path: dir, Why: reason(err).Error(), Err: err}
	}
	r := &Run{Dir: dir, fs: fsys}
	for _, name := range []string{ManifestFile, StepsFile, EvalsFile} {
		if slices.Contains(names, name) {
			return r, nil
		}
	}
	for _, sub := range []string{TracesDir, EvalsDir} {
		if found, _, err := listSegments(fsys, dir, sub); err == nil && len(found) > 0 {
			return r, nil
		}
	}
	return nil, &ReadError{Path: dir, Why: fmt.Sprintf("not a run directory: it holds neither %s nor %s", ManifestFile, filepath.Join(TracesDir, SegmentName(1, "")))}
}

// Traces yields whole traces in the order of the log: by step, then as written. See [Scan] for
// errors and for reading fewer columns.
func (r *Run) Traces(f Filter) iter.Seq2[Trace, error] { return Scan[Trace](r, f) }

// Steps yields steps.parquet, in order; nothing where the run has not finished a step.
func (r *Run) Steps() iter.Seq2[Step, error] { return table[Step](r, StepsFile) }

// Evals yields evals.parquet, in order.
func (r *Run) Evals() iter.Seq2[Eval, error] { return table[Eval](r, EvalsFile) }

// Timings yields the rows of timings.parquet and then those of the segments that have not been
// folded into it yet.
func (r *Run) Timings() iter.Seq2[Timing, error] {
	return func(yield func(Timing, error) bool) {
		through, err := timingsThrough(r.fs, filepath.Join(r.Dir, TimingsFile))
		if err != nil && !yield(Timing{}, err) {
			return
		}
		if err == nil {
			for t, err := range table[Timing](r, TimingsFile) {
				if !yield(t, err) {
					return
				}
			}
		}
		scanSegments(r, TimingsDir, "timings", func(s *segmentFile) bool { return s.step > through }, nil, yield)
	}
}

// Scan yields the traces that f selects as values of T, a struct with any of [Trace]'s columns
// under their own names and types: columns that T lacks are not read. A column that an older file
// lacks is zero. A file that cannot be read yields one [*ReadError] and reading goes on with the
// next; a T with a column that no trace has is an error before anything is read. The loop may be
// left at any point.
func Scan[T any](r *Run, f Filter) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := checkProjection[T](); err != nil {
			yield(*new(T), err)
			return
		}
		var selected func(*logFile) ([]bool, error)
		if f.rows() {
			selected = f.selected
		}
		scanSegments(r, f.dir(), "traces", f.match, selected, yield)
	}
}

// Segments counts the segments that f selects, without reading them.
func (r *Run) Segments(f Filter) (int, error) {
	found, _, err := listSegments(r.fs, r.Dir, f.dir())
	return len(slices.DeleteFunc(found, func(s segmentFile) bool { return !f.match(&s) })), err
}

// Meta returns the key-value metadata of a file of the run, named relative to its directory.
func (r *Run) Meta(name string) (map[string]string, error) {
	path := filepath.Join(r.Dir, name)
	raw, err := r.fs.Open(path)
	if err != nil {
		return nil, &ReadError{Path: path, Why: reason(err).Error(), Err: err}
	}
	defer raw.Close()
	pq, why, err := openParquet(raw)
	if why != "" {
		return nil, &ReadError{Path: path, Why: why, Err: err}
	}
	meta := map[string]string{}
	for _, kv := range pq.Metadata().KeyValueMetadata {
		meta[kv.Key] = kv.Value
	}
	return meta, nil
}

// scanSegments yields the rows of segments, which are decoded in parallel and delivered in order.
// selected, where there is one, says which rows of a file are wanted.
func scanSegments[T any](r *Run, sub, table string, match func(*segmentFile) bool, selected func(*logFile) ([]bool, error), yield func(T, error) bool) {
	files, errs := r.segments(sub, match)
	for _, err := range errs {
		if !yield(*new(T), err) {
			return
		}
	}
	type block struct {
		rows []T
		err  error
	}
	ordered(files, func(s segmentFile, emit func(block) bool) {
		scanFile(r.fs, s.path, table, selected, func(rows []T, err error) bool { return emit(block{rows, err}) })
	}, func(b block) bool {
		if b.err != nil {
			return yield(*new(T), b.err)
		}
		for i := range b.rows {
			if !yield(b.rows[i], nil) {
				return false
			}
		}
		return true
	})
}

// table yields the rows of one file, none where it does not exist yet.
func table[T Row](r *Run, name string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		scanFile(r.fs, filepath.Join(r.Dir, name), tableOf[T](), nil, func(rows []T, err error) bool {
			if err != nil {
				return notExist(err) || yield(*new(T), err)
			}
			for i := range rows {
				if !yield(rows[i], nil) {
					return false
				}
			}
			return true
		})
	}
}

// scanFile hands on the rows of one file in blocks that are the receiver's to keep, and an error
// where the file ends with one.
func scanFile[T any](fsys FS, path, table string, selected func(*logFile) ([]bool, error), emit func([]T, error) bool) {
	l, err := openLog(fsys, path, table)
	if err != nil {
		emit(nil, err)
		return
	}
	defer l.close()
	var wanted []bool
	if selected != nil {
		if wanted, err = selected(l); err != nil {
			emit(nil, err)
			return
		}
		if !slices.Contains(wanted, true) {
			return
		}
	}
	r, err := newRowReader[T](l)
	if err != nil {
		emit(nil, err)
		return
	}
	for at := 0; ; {
		rows, err := r.next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			emit(nil, err)
			return
		}
		if selected != nil {
			kept := rows[:0]
			for i := range rows {
				if at+i < len(wanted) && wanted[at+i] {
					kept = append(kept, rows[i])
				}
			}
			at += len(rows)
			rows = kept
		}
		if len(rows) > 0 && !emit(rows, nil) {
			return
		}
	}
}

// checkProjection refuses a T with a column that no trace has, which would read as zeros.
func checkProjection[T any]() error {
	if _, whole := any(*new(T)).(Trace); whole {
		return nil
	}
	known := map[string]bool{}
	for _, c := range parquet.SchemaOf(Trace{}).Columns() {
		known[strings.Join(c, ".")] = true
	}
	for _, c := range parquet.SchemaOf(*new(T)).Columns() {
		if name := strings.Join(c, "."); !known[name] {
			return fmt.Errorf("%T reads the column %s, which no trace has", *new(T), name)
		}
	}
	return nil
}

package traces

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
)

// SchemaVersion is written into every file. It rises when a column is added that an older reader
// must not ignore; columns are never renamed or retyped.
const SchemaVersion = 1

// Keys in the key-value metadata of every file. A caller adds its own beside them, MetaManifest
// by custom.
const (
	MetaSchema   = "pith.schema"   // SchemaVersion
	MetaTable    = "pith.table"    // traces, steps, evals or timings
	MetaManifest = "pith.manifest" // hex SHA-256 that identifies the run's manifest
	MetaThrough  = "pith.through"  // timings.parquet: last step whose segments were folded in
)

// Row is a record of one of the tables of a run directory.
type Row interface{ Trace | Step | Eval | Timing }

func tableOf[T Row]() string {
	switch any(*new(T)).(type) {
	case Trace:
		return "traces"
	case Step:
		return "steps"
	case Eval:
		return "evals"
	default:
		return "timings"
	}
}

// WriteError says which file could not be written, at which operation, and what to do about it.
type WriteError struct {
	Path string
	Op   string // create, write, sync, rename …
	Err  error
}

func (e *WriteError) Error() string {
	return fmt.Sprintf("cannot write %s: %s: %v%s", e.Path, e.Op, reason(e.Err), e.hint())
}

func (e *WriteError) Unwrap() error { return e.Err }

func (e *WriteError) hint() string {
	switch {
	case errors.Is(e.Err, syscall.ENOSPC), errors.Is(e.Err, syscall.EDQUOT):
		return "; free some space and resume the run, nothing acknowledged is lost"
	case errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.EROFS):
		return "; make the directory writable or choose another with --out"
	}
	return ""
}

// reason strips the path from err, which WriteError and ReadError name already.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// WriteSegment validates rows and writes them as dir/name so that a crash at any moment leaves
// the whole file or none: temporary name, footer, fsync, rename, fsync of the directory. When it
// returns nil the rows are durable. Equal arguments give equal bytes. An existing file is
// replaced. Errors are [*WriteError] or, for a row that breaks a rule, [*InvalidError].
func WriteSegment(dir, name string, rows []Trace, meta map[string]string) error {
	return writeSegment(OS, dir, name, rows, meta)
}

// WriteTable is [WriteSegment] for the other tables, which are rewritten whole: steps.parquet,
// evals.parquet, timings.parquet and the segments of timings.
func WriteTable[T Row](dir, name string, rows []T, meta map[string]string) error {
	return writeFile(OS, dir, name, rows, meta)
}

func writeSegment(fsys FS, dir, name string, rows []Trace, meta map[string]string) error {
	for i := range rows {
		if err := Validate(&rows[i]); err != nil {
			return fmt.Errorf("%s, row %d: %w", filepath.Join(dir, name), i, err)
		}
	}
	return writeFile(fsys, dir, name, rows, meta)
}

func writeFile[T Row](fsys FS, dir, name string, rows []T, meta map[string]string) error {
	path := filepath.Join(dir, name)
	fail := func(op string, err error) error { return &WriteError{Path: path, Op: op, Err: err} }
	if err := fsys.MkdirAll(dir); err != nil {
		return fail("create directory", err)
	}
	tmp := filepath.Join(dir, "."+name+".tmp")
	f, err := fsys.Create(tmp)
	if err != nil {
		return fail("create", err)
	}
	op := "write"
	err = encode(f, rows, meta)
	if err == nil {
		op, err = "sync", f.Sync()
	}
	if closeErr := f.Close(); err == nil && closeErr != nil {
		op, err = "close", closeErr
	}
	if err == nil {
		op, err = "rename", fsys.Rename(tmp, path)
	}
	if err != nil {
		_ = fsys.Remove(tmp) // the write has failed already; a leftover is hidden and harmless
		return fail(op, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fail("sync directory", err)
	}
	return nil
}

// rowGroupRows bounds what a writer and a reader hold in memory.
const rowGroupRows = 4096

var codec = &zstd.Codec{Level: zstd.SpeedFastest}

func encode[T Row](out io.Writer, rows []T, meta map[string]string) (err error) {
	// parquet-go panics on rows that contradict its schema; a log must answer with an error.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("encode: %v", p)
		}
	}()
	buffered := bufio.NewWriterSize(out, 1<<16)
	w := parquet.NewGenericWriter[T](buffered, options[T](meta)...)
	if _, err := w.Write(rows); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return buffered.Flush()
}

// options fix everything about a file that rows do not.
func options[T Row](meta map[string]string) []parquet.WriterOption {
	options := []parquet.WriterOption{
		parquet.Compression(codec),
		parquet.CreatedBy("pith", strconv.Itoa(SchemaVersion), ""), // fixed: the default names the build
		parquet.MaxRowsPerRowGroup(rowGroupRows),
		parquet.KeyValueMetadata(MetaSchema, strconv.Itoa(SchemaVersion)),
		parquet.KeyValueMetadata(MetaTable, tableOf[T]()),
	}
	for k, v := range meta { // parquet-go sorts them
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	return options
}

// TraceWriter writes traces of any number to one Parquet file with the schema of a segment, holding a
// row group at a time. It is for exports: a run's own segments come whole or not at all, by
// [WriteSegment].
type TraceWriter struct{ w *parquet.GenericWriter[Trace] }

// NewTraceWriter begins a file.
func NewTraceWriter(out io.Writer, meta map[string]string) *TraceWriter {
	return &TraceWriter{parquet.NewGenericWriter[Trace](out, options[Trace](meta)...)}
}

// Write appends rows, which it does not keep.
func (w *TraceWriter) Write(rows []Trace) error {
	_, err := w.w.Write(rows)
	return err
}

// Close writes the footer: without it there is no file.
func (w *TraceWriter) Close() error { return w.w.Close() }

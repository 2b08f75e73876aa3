package traces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// ReadError says which file of a log could not be read and why. The other files are unaffected.
type ReadError struct {
	Path string
	Why  string
	Err  error // may be nil
}

func (e *ReadError) Error() string { return fmt.Sprintf("cannot read %s: %s", e.Path, e.Why) }

func (e *ReadError) Unwrap() error { return e.Err }

// logFile is one open Parquet file that is known to be ours and of a version that we read.
type logFile struct {
	path string
	raw  ReadFile
	pq   *parquet.File
}

func (l *logFile) meta(key string) string {
	v, _ := l.pq.Lookup(key)
	return v
}

// close ends reading: nothing can be lost by it.
func (l *logFile) close() { _ = l.raw.Close() }

// openLog opens path and checks that it holds table. Every failure is a [*ReadError], except that
// fs.ErrNotExist shines through it.
func openLog(fsys FS, path, table string) (*logFile, error) {
	raw, err := fsys.Open(path)
	if err != nil {
		return nil, &ReadError{Path: path, Why: reason(err).Error(), Err: err}
	}
	pq, why, err := openParquet(raw)
	l := &logFile{path: path, raw: raw, pq: pq}
	if why == "" {
		why = l.check(table)
	}
	if why != "" {
		l.close()
		return nil, &ReadError{Path: path, Why: why, Err: err}
	}
	return l, nil
}

// check says why the file is not one of ours, or "".
func (l *logFile) check(table string) string {
	version, err := strconv.Atoi(l.meta(MetaSchema))
	switch {
	case err != nil || version < 1:
		return "a Parquet file, but not written by pith; move it out of the run directory"
	case version > SchemaVersion:
		return fmt.Sprintf("schema %d was written by a newer pith, this one reads up to %d; upgrade pith", version, SchemaVersion)
	case l.meta(MetaTable) != table:
		return fmt.Sprintf("holds the table %q, want %q", l.meta(MetaTable), table)
	}
	if table == "traces" {
		if lacks := missing(l.pq); len(lacks) > 0 {
			return "it lacks the columns " + strings.Join(lacks, ", ") + ", which every trace has; restore it from a copy or delete it"
		}
	}
	return ""
}

// openParquet opens raw, with a reason in words where that fails. It looks at the footer itself
// first: parquet-go allocates whatever length a damaged footer claims, and panics on some others.
func openParquet(raw ReadFile) (pq *parquet.File, why string, err error) {
	const damaged = "the file is damaged; restore it from a copy or delete it"
	defer func() {
		if p := recover(); p != nil {
			pq, why, err = nil, damaged, fmt.Errorf("parquet: %v", p)
		}
	}()
	var head, tail [8]byte
	size := raw.Size()
	if size < 12 {
		return nil, fmt.Sprintf("%d bytes are no Parquet file; delete it", size), nil
	}
	if _, err := raw.ReadAt(head[:4], 0); err != nil {
		return nil, reason(err).Error(), err
	}
	if string(head[:4]) != "PAR1" {
		return nil, "not a Parquet file; move it out of the run directory", nil
	}
	if _, err := raw.ReadAt(tail[:], size-8); err != nil {
		return nil, reason(err).Error(), err
	}
	footer := int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[4:]) != "PAR1" || footer > size-12 {
		return nil, "cut short: the footer is missing; restore it from a copy or delete it", nil
	}
	pq, err = parquet.OpenFile(raw, size, parquet.SkipBloomFilters(true), parquet.SkipPageIndex(true))
	if err != nil {
		return nil, damaged, err
	}
	return pq, "", nil
}

// rowReader reads rows of type T, which may have fewer columns than the file: the others are
// neither read nor decompressed.
type rowReader[T any] struct {
	log *logFile
	r   *parquet.GenericReader[T]
}

// rowBlock is how many rows are handed on at once.
const rowBlock = 256

func newRowReader[T any](l *logFile) (r *rowReader[T], err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, &ReadError{Path: l.path, Why: "its columns do not fit the records of this pith", Err: fmt.Errorf("parquet: %v", p)}
		}
	}()
	return &rowReader[T]{log: l, r: parquet.NewGenericReader[T](l.pq)}, nil
}

// next returns some rows in a slice of their own, or io.EOF.
func (r *rowReader[T]) next() (rows []T, err error) {
	defer func() {
		if p := recover(); p != nil {
			rows, err = nil, r.log.damaged(fmt.Errorf("parquet: %v", p))
		}
	}()
	block := make([]T, max(min(r.log.pq.NumRows(), rowBlock), 1))
	n, err := r.r.Read(block)
	switch {
	case n > 0:
		return block[:n], nil // an error shows again on the next call
	case err == nil || errors.Is(err, io.EOF):
		return nil, io.EOF
	default:
		return nil, r.log.damaged(err)
	}
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

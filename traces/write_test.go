package traces

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func collect[T any](t testing.TB, seq func(func(T, error) bool)) (rows []T, errs []error) {
	t.Helper()
	for row, err := range seq {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, row)
	}
	return rows, errs
}

func TestSegmentsReadBackAsWritten(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(validTrace(), 0, 8).Draw(rt, "rows")
		Sort(want)
		if err := WriteSegment(filepath.Join(dir, TracesDir), SegmentName(1, ""), want, nil); err != nil {
			rt.Fatal(err)
		}
		r, err := OpenRun(dir)
		if err != nil {
			rt.Fatal(err)
		}
		got, errs := collect(t, r.Traces(Filter{}))
		if len(errs) > 0 {
			rt.Fatal(errs)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestSameRowsGiveSameBytes(t *testing.T) {
	rows := rapid.SliceOfN(validTrace(), 40, 40).Example(7)
	meta := map[string]string{MetaManifest: "abc", "a": "1", "z": "2", "m": "3"}
	var files [][]byte
	for range 4 {
		shuffled := slices.Clone(rows)
		for i := range shuffled {
			shuffled[i], shuffled[(i*7+len(files))%len(rows)] = shuffled[(i*7+len(files))%len(rows)], shuffled[i]
		}
		Sort(shuffled)
		dir := t.TempDir()
		if err := WriteSegment(dir, "step-000001.parquet", shuffled, meta); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "step-000001.parquet"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
	}
	for i, b := range files[1:] {
		if !bytes.Equal(files[0], b) {
			t.Errorf("write %d differs from the first", i+1)
		}
	}
}

func TestSegmentRefusesAnInvalidTrace(t *testing.T) {
	dir := t.TempDir()
	bad := plainTrace(1, "g", 1)
	bad.LengthTokens = 9
	err := WriteSegment(dir, "step-000001.parquet", []Trace{plainTrace(1, "g", 0), bad}, nil)
	if _, ok := errors.AsType[*InvalidError](err); !ok || !strings.Contains(err.Error(), "row 1: trace g/1 is invalid: length_tokens 9") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// stopFS fails every operation from the n-th on; a write that fails may have written a part.
type stopFS struct {
	FS
	left int
	err  error
}

func (s *stopFS) step() error {
	if s.left--; s.left < 0 {
		return s.err
	}
	return nil
}

func (s *stopFS) MkdirAll(d string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.MkdirAll(d)
}

func (s *stopFS) Create(n string) (File, error) {
	if err := s.step(); err != nil {
		return nil, err
	}
	f, err := s.FS.Create(n)
	return &stopFile{f, s}, err
}

func (s *stopFS) Rename(a, b string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.Rename(a, b)
}

func (s *stopFS) Remove(n string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.Remove(n)
}

func (s *stopFS) SyncDir(d string) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.FS.SyncDir(d)
}

type stopFile struct {
	File
	s *stopFS
}

func (f *stopFile) Write(b []byte) (int, error) {
	if err := f.s.step(); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *stopFile) Sync() error {
	if err := f.s.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *stopFile) Close() error { return errors.Join(f.s.step(), f.File.Close()) }

func TestAWriteStoppedAnywhereLeavesTheOldFileOrTheNew(t *testing.T) {
	old, fresh := []Trace{plainTrace(1, "g", 0)}, []Trace{plainTrace(1, "g", 1), plainTrace(1, "g", 2)}
	for n := 0; ; n++ {
		dir := t.TempDir()
		segments := filepath.Join(dir, TracesDir)
		if err := WriteSegment(segments, "step-000001.parquet", old, nil); err != nil {
			t.Fatal(err)
		}
		fsys := &stopFS{FS: OS, left: n, err: syscall.EIO}
		err := writeSegment(fsys, segments, "step-000001.parquet", fresh, nil)
		r, openErr := OpenRun(dir)
		if openErr != nil {
			t.Fatal(openErr)
		}
		got, errs := collect(t, r.Traces(Filter{}))
		if len(errs) > 0 {
			t.Fatalf("stopped at operation %d: the log cannot be read: %v", n, errs)
		}
		if !cmp.Equal(got, old, cmpopts.EquateEmpty()) && !cmp.Equal(got, fresh, cmpopts.EquateEmpty()) {
			t.Fatalf("stopped at operation %d: %d rows that are neither the old ones nor the new", n, len(got))
		}
		if err == nil {
			if len(got) != 2 || fsys.left < 0 {
				t.Fatalf("stopped at operation %d: success was reported too early", n)
			}
			if n < 6 {
				t.Fatalf("a write took only %d operations: the test stops nothing", n)
			}
			return
		}
		if w, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, syscall.EIO) || !strings.HasSuffix(w.Path, "step-000001.parquet") {
			t.Fatalf("stopped at operation %d: %v", n, err)
		}
	}
}

func TestWriteErrorsSayWhatToDo(t *testing.T) {
	readonly := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(readonly, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"a full disk", syscall.ENOSPC, "step-000001.parquet: write: no space left on device; free some space and resume the run"},
		{"a quota", syscall.EDQUOT, "free some space"},
		{"a read-only file system", syscall.EROFS, "make the directory writable or choose another with --out"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := writeSegment(&stopFS{FS: OS, left: 2, err: c.err}, t.TempDir(), "step-000001.parquet", []Trace{plainTrace(1, "g", 0)}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
	if err := WriteTable(readonly, "steps.parquet", []Step{{Step: 1}}, nil); err == nil || !strings.Contains(err.Error(), "create directory") {
		t.Errorf("a file in place of the directory: %v", err)
	}
}

package traces

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
)

// CompactTimings folds the segments under timings/ into timings.parquet and removes them. It may
// be interrupted anywhere and repeated: timings.parquet names the last step that it holds, and a
// segment up to that step is never read again. A segment that cannot be read stops it, with
// everything left as it was.
func CompactTimings(dir string, meta map[string]string) error { return compactTimings(OS, dir, meta) }

func compactTimings(fsys FS, dir string, meta map[string]string) error {
	r := &Run{Dir: dir, fs: fsys}
	through, err := timingsThrough(fsys, filepath.Join(dir, TimingsFile))
	if err != nil {
		return err
	}
	segments, _, err := listSegments(fsys, dir, TimingsDir)
	if err != nil {
		return &ReadError{Path: filepath.Join(dir, TimingsDir), Why: reason(err).Error(), Err: err}
	}
	if len(segments) == 0 {
		return nil
	}
	var rows []Timing
	for t, err := range r.Timings() {
		if err != nil {
			return fmt.Errorf("compact timings: %w", err)
		}
		rows = append(rows, t)
	}
	if last := segments[len(segments)-1].step; last > through {
		all := maps.Clone(meta)
		if all == nil {
			all = map[string]string{}
		}
		all[MetaThrough] = strconv.FormatInt(last, 10)
		if err := writeFile(fsys, dir, TimingsFile, rows, all); err != nil {
			return err
		}
	}
	for _, s := range segments {
		if err := fsys.Remove(s.path); err != nil && !notExist(err) {
			return &WriteError{Path: s.path, Op: "remove", Err: err}
		}
	}
	return nil
}

// timingsThrough reads the last step folded into path: -1 where there is no such file.
func timingsThrough(fsys FS, path string) (int64, error) {
	l, err := openLog(fsys, path, "timings")
	if notExist(err) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	defer l.close()
	text := l.meta(MetaThrough)
	if text == "" { // written whole, not by compaction: it holds no segment
		return -1, nil
	}
	through, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1, &ReadError{Path: path, Why: fmt.Sprintf("bad %s %q in its metadata", MetaThrough, text), Err: err}
	}
	return through, nil
}

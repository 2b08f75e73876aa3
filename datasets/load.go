package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// loaded is what one path (or pattern) held.
type loaded struct {
	name     string
	problems []Problem
	keys     []string // normal question of each problem
	seen     map[string]bool
	sums     []string // SHA-256 of each file
	report   Report
}

func readAll(spec Spec, pattern string) (*loaded, error) {
	paths, err := expand(pattern)
	if err != nil {
		return nil, err
	}
	l := &loaded{name: spec.Name, seen: map[string]bool{}}
	if l.name == "" {
		l.name = nameOf(pattern, paths)
	}
	b := &builder{spec: spec, loaded: l, ids: map[string]string{}}
	for _, path := range paths {
		if err := b.file(path); err != nil {
			return nil, err
		}
	}
	if b.bad.count() > 0 && !spec.SkipBad {
		return nil, &b.bad
	}
	if len(l.problems) == 0 {
		if b.bad.count() > 0 {
			return nil, &b.bad
		}
		return nil, fmt.Errorf("%s: the file has no rows", pattern)
	}
	l.report.Files = paths
	l.report.Bad = b.bad.count()
	l.report.Fields = b.mapping.fields
	return l, nil
}

// nameOf is the name of the file, or of the directory that holds the several.
func nameOf(pattern string, paths []string) string {
	if len(paths) == 1 {
		base := filepath.Base(paths[0])
		return strings.TrimSuffix(base, filepath.Ext(base))
	}
	if dir := filepath.Base(filepath.Dir(pattern)); !strings.ContainsAny(dir, `./\*?[`) {
		return dir
	}
	return "problems"
}

// expand resolves a path or pattern to files, sorted.
func expand(pattern string) ([]string, error) {
	if info, err := os.Stat(pattern); err == nil {
		if info.IsDir() {
			return nil, fmt.Errorf("%s is a directory: name a file, or a pattern such as %s", pattern, filepath.Join(pattern, "*.jsonl"))
		}
		return []string{pattern}, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err // names the path
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", pattern, err)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s: %w", pattern, os.ErrNotExist)
	}
	slices.Sort(paths)
	return paths, nil
}

// builder makes problems of rows, file by file.
type builder struct {
	*loaded
	spec    Spec
	mapping mapping
	ready   bool                // the mapping is known
	fits    func(r record) bool // of a shape that was recognised rather than given
	bad     RowsError
	ids     map[string]string // where an id was first used
}

func (b *builder) file(path string) (err error) {
	format := b.spec.Format
	if format == formatAuto {
		if format, err = formatOf(path); err != nil {
			return err
		}
	}
	in, err := os.Open(path)
	if err != nil {
		return err // names the path
	}
	defer func() { err = errors.Join(err, in.Close()) }()

	var shapeErr error
	row := func(line int, r record, rowErr error) bool {
		if b.spec.Limit > 0 && b.report.Rows == b.spec.Limit {
			return false
		}
		b.report.Rows++
		if rowErr != nil {
			b.bad.add(path, line, rowErr)
			return true
		}
		if !b.ready {
			if shapeErr = b.recognise(r); shapeErr != nil {
				shapeErr = &RowError{File: path, Line: line, Err: shapeErr}
				return false
			}
		}
		b.row(path, line, r)
		return true
	}
	sum := sha256.New()
	switch format {
	case formatJSONL:
		tee := io.TeeReader(in, sum)
		if err := readJSONL(tee, row); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		_, err = io.Copy(io.Discard, tee) // what Limit left unread belongs to the contents too
	case formatParquet:
		info, err := in.Stat()
		if err != nil {
			return err
		}
		if err := readParquet(in, info.Size(), row); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if _, err := io.Copy(sum, io.NewSectionReader(in, 0, info.Size())); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if shapeErr != nil {
		if b.bad.count() > 0 { // the rows before it explain more
			return errors.Join(&b.bad, shapeErr)
		}
		return shapeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	b.sums = append(b.sums, hex.EncodeToString(sum.Sum(nil)))
	return nil
}

func formatOf(path string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".jsonl", ".ndjson", ".json":
		return formatJSONL, nil
	case ".parquet", ".pq":
		return formatParquet, nil
	case ".gz", ".zst", ".xz", ".bz2", ".zip":
		return "", fmt.Errorf("%s: compressed files are not read: unpack it first (Parquet is compressed inside)", path)
	default:
		return "", fmt.Errorf("%s: the format does not follow from the ending %q: set format to jsonl or parquet", path, ext)
	}
}

// recognise settles the mapping from the first row.
func (b *builder) recognise(first record) error {
	b.report.Shape = b.spec.Shape
	var shape Shape
	switch given := b.spec.Fields; {
	case b.spec.Shape == shapeFields, b.spec.Shape == shapeAuto && given.Question != "" && given.Answer != "":
		b.report.Shape = shapeFields
	case b.spec.Shape == shapeAuto:
		var err error
		if shape, err = recognise(first); err != nil {
			return err
		}
		b.report.Shape, b.fits = shape.Name, shape.fits
	default:
		shape, _ = shapeByName(b.spec.Shape) // known: Validate
	}
	b.mapping = mapping{fields: overlay(shape.Fields, b.spec.Fields), given: b.spec.Fields, template: b.spec.Template}
	b.ready = true
	return nil
}

func (b *builder) row(path string, line int, r record) {
	p, question, err := b.mapping.problem(r)
	if err != nil {
		b.bad.add(path, line, err)
		return
	}
	if b.fits != nil && !b.fits(r) {
		b.bad.add(path, line, fmt.Errorf("the row does not look like %s, the shape recognised from the first row: set shape", b.report.Shape))
		return
	}
	at := fmt.Sprintf("%s:%d", path, line)
	if first, used := b.ids[p.ID]; used && b.spec.Fields.ID != "" {
		b.bad.add(path, line, fmt.Errorf("the id %q is that of %s: map fields.id to a field that is unique", p.ID, first))
		return
	} else if used || p.ID == "" { // the shape's own id field is a suggestion: number the rows instead
		p.ID = fmt.Sprintf("%s:%d", filepath.Base(path), line)
		if _, used := b.ids[p.ID]; used {
			p.ID = filepath.ToSlash(at)
		}
	}
	b.ids[p.ID] = at
	p.Dataset = b.name
	key := normal(question)
	if b.seen[key] {
		b.report.Duplicates++
	}
	b.seen[key] = true
	b.problems, b.keys = append(b.problems, p), append(b.keys, key)
}

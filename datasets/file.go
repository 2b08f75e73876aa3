package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"pith/datasets/rng"
)

// File is a source of problems from files. It is immutable, holds all problems in memory, and is
// safe for concurrent use.
type File struct {
	name        string
	seed        uint64
	shuffle     bool
	fingerprint string
	train       []Problem
	heldOut     []Problem
	heldOrder   []int32
	report      Report

	mu     sync.Mutex
	orders [2]epochOrder // the two epochs used last: workers may straddle a boundary
}

type epochOrder struct {
	epoch int64
	perm  []int32
}

var _ Source = (*File)(nil)

// Report says what became of the rows of a problem file.
type Report struct {
	Files      []string `json:"files"`
	Shape      string   `json:"shape"`
	Fields     Fields   `json:"fields"`     // as resolved
	Rows       int      `json:"rows"`       // read
	Bad        int      `json:"bad"`        // left out under SkipBad
	Duplicates int      `json:"duplicates"` // rows whose question stood in an earlier row; they are kept, on its side
	Removed    int      `json:"removed"`    // training rows removed because their question is held out
}

// Open reads a problem file. The seed chooses the order of training and nothing else: which
// problems are held out does not depend on it. All bad rows are reported at once, up to a limit,
// as a [RowsError].
func Open(spec Spec, seed uint64) (*File, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	spec = spec.withDefaults()
	main, err := readAll(spec, spec.Path)
	if err != nil {
		return nil, err
	}
	f := &File{name: main.name, seed: seed, shuffle: spec.Order == orderShuffle, report: main.report}

	held := &loaded{}
	if spec.HeldOutPath != "" {
		if held, err = readAll(spec, spec.HeldOutPath); err != nil {
			return nil, fmt.Errorf("held_out_path: %w", err)
		}
		f.report.Files = append(f.report.Files, held.report.Files...)
		f.report.Rows += held.report.Rows
		f.report.Bad += held.report.Bad
		f.report.Duplicates += held.report.Duplicates
		for i := range held.problems {
			held.problems[i].Dataset = f.name
			held.problems[i].ID = string(HeldOut) + "/" + held.problems[i].ID
		}
		f.heldOut = held.problems
	}
	for i, p := range main.problems {
		switch key := main.keys[i]; {
		case held.seen[key]:
			f.report.Removed++
		case spec.HeldOut > 0 && isHeldOut(key, spec.HeldOut):
			f.heldOut = append(f.heldOut, p)
		default:
			f.train = append(f.train, p)
		}
	}
	if len(f.train) == 0 {
		return nil, fmt.Errorf("%s: no problem is left to train on: of %d rows %d are held out and %d removed", spec.Path, f.report.Rows, len(f.heldOut), f.report.Removed)
	}
	if spec.HeldOut > 0 && len(f.heldOut) == 0 {
		return nil, fmt.Errorf("%s: held_out %v holds none of %d problems out: raise it, or use held_out_path", spec.Path, spec.HeldOut, len(f.train))
	}
	r := rng.New(rng.Text("datasets/held-out order")) // the same for every seed
	f.heldOrder = r.Perm(len(f.heldOut))
	for i := range f.orders {
		f.orders[i].epoch = -1
	}
	if f.fingerprint, err = fingerprint(spec, main, held); err != nil {
		return nil, err
	}
	return f, nil
}

// isHeldOut decides by the question alone.
func isHeldOut(key string, share float64) bool {
	r := rng.New(rng.Text("datasets/held-out"), rng.Text(key))
	return r.Chance(share)
}

// fingerprint digests the contents of the files and everything that decides what is made of them;
// not the seed, the order or the paths.
func fingerprint(spec Spec, main, held *loaded) (string, error) {
	raw, err := json.Marshal(struct {
		Version  int
		Sums     [2][]string
		Fields   [2]Fields
		Template string
		HeldOut  float64
		Limit    int
		SkipBad  bool
	}{1, [2][]string{main.sums, held.sums}, [2]Fields{main.report.Fields, held.report.Fields}, spec.Template, spec.HeldOut, spec.Limit, spec.SkipBad})
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// Name is the data set's name.
func (f *File) Name() string { return f.name }

// Fingerprint digests the contents and the mapping.
func (f *File) Fingerprint() string { return f.fingerprint }

// Report says what became of the rows.
func (f *File) Report() Report {
	r := f.report
	r.Files = slices.Clone(r.Files)
	return r
}

// Len is the number of problems of a split.
func (f *File) Len(s Split) int {
	switch s {
	case Train:
		return len(f.train)
	case HeldOut:
		return len(f.heldOut)
	}
	return 0
}

// Problem returns the i-th problem. Training goes through all problems once an epoch, in an order
// of the epoch's own; held-out problems have one fixed, shuffled order, the same for every seed, so
// that the first k of them are a fair and constant sample.
func (f *File) Problem(s Split, i int64) (Problem, error) {
	if i < 0 {
		return Problem{}, fmt.Errorf("%s: problem %d: the index is negative", f.name, i)
	}
	switch s {
	case Train:
		n := int64(len(f.train))
		at := i % n
		if f.shuffle {
			at = int64(f.order(i / n)[at])
		}
		return f.train[at], nil
	case HeldOut:
		n := int64(len(f.heldOut))
		if n == 0 {
			return Problem{}, fmt.Errorf("%s: %w", f.name, ErrNoHeldOut)
		}
		return f.heldOut[f.heldOrder[i%n]], nil
	}
	return Problem{}, fmt.Errorf("%s: unknown split %q: use %q or %q", f.name, s, Train, HeldOut)
}

// order is the permutation of an epoch, a pure function of seed and epoch, remembered.
func (f *File) order(epoch int64) []int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.orders {
		if o.epoch == epoch {
			return o.perm
		}
	}
	r := rng.New(f.seed, rng.Text("datasets/epoch"), uint64(epoch))
	o := epochOrder{epoch: epoch, perm: r.Perm(len(f.train))}
	f.orders[0], f.orders[1] = f.orders[1], o
	return o.perm
}

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
	base := filepath.Base(pattern)
	if len(paths) == 1 {
		base = filepath.Base(paths[0])
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

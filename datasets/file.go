package datasets

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
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

package clock

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"pith/datasets"
	"pith/datasets/rng"
)

// HiddenX is the key of Problem.Hidden under which the hidden digit of a tool problem stands.
const HiddenX = "x"

// Options choose the problems. Start from [DefaultOptions]; the zero value is not valid.
type Options struct {
	MinLevel int `json:"min_level" mapstructure:"min_level"` // fewest operations, ≥ 1
	MaxLevel int `json:"max_level" mapstructure:"max_level"` // most operations, ≤ 8; the level is uniform in between

	// MaxOperand bounds the operand of + and -, uniform in 1 … MaxOperand ≤ 9. With 5 there are 120
	// facts to learn, with 9 there are 200.
	MaxOperand int `json:"max_operand" mapstructure:"max_operand"`
	// MultiplyShare is the share of multiplications (by 3 or 7); + and - share the rest evenly.
	MultiplyShare float64 `json:"multiply_share" mapstructure:"multiply_share"`
	// HeldOutOneIn: a problem is held out where FNV-1a of its text is divisible by it. ≥ 2.
	HeldOutOneIn int `json:"held_out_one_in" mapstructure:"held_out_one_in"`

	// Tools makes the tool variant: with probability HiddenShare one operation is replaced by +x or
	// -x, where x is a uniform digit that only the environment knows.
	Tools       bool    `json:"tools" mapstructure:"tools"`
	HiddenShare float64 `json:"hidden_share" mapstructure:"hidden_share"` // used with Tools only
}

// DefaultOptions are those of the measured recipe: levels 1 … 8, 120 facts, 40/40/20 % of + - *,
// an eighth held out, no tools.
func DefaultOptions() Options {
	return Options{MinLevel: 1, MaxLevel: MaxLevel, MaxOperand: 5, MultiplyShare: 0.2, HeldOutOneIn: 8, HiddenShare: 0.5}
}

// DefaultToolOptions are [DefaultOptions] with Tools set.
func DefaultToolOptions() Options {
	o := DefaultOptions()
	o.Tools = true
	return o
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.MinLevel < 1 || o.MinLevel > MaxLevel {
		bad("min_level is %d: it must be 1 to %d", o.MinLevel, MaxLevel)
	}
	if o.MaxLevel < o.MinLevel || o.MaxLevel > MaxLevel {
		bad("max_level is %d: it must be min_level (%d) to %d", o.MaxLevel, o.MinLevel, MaxLevel)
	}
	if o.MaxOperand < 1 || o.MaxOperand > 9 {
		bad("max_operand is %d: it must be 1 to 9", o.MaxOperand)
	}
	if !(o.MultiplyShare >= 0 && o.MultiplyShare <= 1) {
		bad("multiply_share is %v: it must be 0 to 1", o.MultiplyShare)
	}
	if o.HeldOutOneIn < 2 || o.HeldOutOneIn > 1000 {
		bad("held_out_one_in is %d: it must be 2 to 1000", o.HeldOutOneIn)
	}
	if !(o.HiddenShare >= 0 && o.HiddenShare <= 1) {
		bad("hidden_share is %v: it must be 0 to 1", o.HiddenShare)
	}
	return errors.Join(errs...)
}

// Family is the endless source of clock problems. It is immutable and safe for concurrent use.
type Family struct {
	seed        uint64
	o           Options
	fingerprint string
}

var _ datasets.Source = (*Family)(nil)

// New returns the family of a seed. Problem i of a split is a pure function of (seed, split, i).
func New(seed uint64, o Options) (*Family, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("clock options: %w", err)
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("clock options: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "clock v%d %s", Version, raw))
	return &Family{seed: seed, o: o, fingerprint: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// Name is "clock", or "clock-tools" for the tool variant.
func (f *Family) Name() string {
	if f.o.Tools {
		return "clock-tools"
	}
	return "clock"
}

// Options returns what the family was made with.
func (f *Family) Options() Options { return f.o }

// Fingerprint digests the version and the options. The seed is not part of it: it chooses which
// problems are drawn, not what they are.
func (f *Family) Fingerprint() string { return f.fingerprint }

// Len is 0: problems are generated without end. Short chains repeat.
func (f *Family) Len(datasets.Split) int { return 0 }

// Problem returns the i-th problem of a split. Its Level is the number of operations, its ID the
// problem text ("3 +4 *7", with " x=D" appended where a digit is hidden), its Answer one digit.
func (f *Family) Problem(s datasets.Split, i int64) (datasets.Problem, error) {
	if i < 0 {
		return datasets.Problem{}, fmt.Errorf("%s: problem %d: the index is negative", f.Name(), i)
	}
	r := rng.New(f.seed, rng.Text("clock/problem"), rng.Text(string(s)), uint64(i))
	level := f.o.MinLevel + r.IntN(f.o.MaxLevel-f.o.MinLevel+1)
	c, err := f.draw(&r, s, level)
	if err != nil {
		return datasets.Problem{}, fmt.Errorf("%s: problem %d: %w", f.Name(), i, err)
	}
	return f.problem(c), nil
}

func (f *Family) problem(c chain) datasets.Problem {
	p := datasets.Problem{
		ID:      c.text(),
		Dataset: f.Name(),
		Level:   len(c.ops),
		Prompt:  strings.Join(c.prompt(), " "),
		Answer:  digits[c.answer()],
	}
	if c.hasX {
		p.ID += " x=" + digits[c.x]
		p.Hidden = map[string]string{HiddenX: digits[c.x]}
	}
	return p
}

// Split says where a problem text ("D OP OP …", as shown to the policy) belongs. A tool problem is
// placed by what is shown, so that two values of the hidden digit never separate.
func (f *Family) Split(text string) datasets.Split {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text)) // never fails
	if h.Sum32()%uint32(f.o.HeldOutOneIn) == 0 {
		return datasets.HeldOut
	}
	return datasets.Train
}

// maxDraws bounds the search for a problem of the wanted split: with an eighth held out, failing
// by chance has probability (7/8)^10000.
const maxDraws = 10_000

// draw returns a chain of the level that belongs to the split.
func (f *Family) draw(r *rng.Stream, s datasets.Split, level int) (chain, error) {
	if s != datasets.Train && s != datasets.HeldOut {
		return chain{}, fmt.Errorf("unknown split %q: use %q or %q", s, datasets.Train, datasets.HeldOut)
	}
	for range maxDraws {
		c := f.drawAny(r, level)
		if f.Split(c.text()) == s {
			return c, nil
		}
	}
	return chain{}, fmt.Errorf("no chain of level %d belongs to the split %q: raise min_level or max_operand, or choose another held_out_one_in (%d)",
		level, s, f.o.HeldOutOneIn)
}

func (f *Family) drawAny(r *rng.Stream, level int) chain {
	c := chain{start: r.IntN(10), ops: make([]op, level)}
	for i := range c.ops {
		c.ops[i] = f.drawOp(r)
	}
	if f.o.Tools && r.Chance(f.o.HiddenShare) {
		c.hasX, c.x = true, r.IntN(10)
		c.ops[r.IntN(level)] = op{sign: "+-"[r.IntN(2)], hidden: true}
	}
	return c
}

func (f *Family) drawOp(r *rng.Stream) op {
	if r.Chance(f.o.MultiplyShare) {
		return op{sign: '*', k: [2]int{3, 7}[r.IntN(2)]}
	}
	return op{sign: "+-"[r.IntN(2)], k: 1 + r.IntN(f.o.MaxOperand)}
}

// Package relay is a second generated task family, of another kind than arithmetic: arrows lead
// from each letter to another, and the task is to follow them from a start for a number of hops.
//
//	<bos> a > c b > a c > d d > b ? a 3 <think>        a → c → d → b
//
// The arrows form a permutation, so hops come back to their start. The level is the number of hops;
// a reasoner who sees the cycle needs fewer steps than hops.
//
// What lives here: the vocabulary, the problems (a datasets.Source with a held-out split by
// construction), and a teacher that over-thinks. Everything is a pure function of a seed and an
// index; a change in the draws is a new [Version].
package relay

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pith/datasets"
	"pith/datasets/rng"
)

// Version is part of the fingerprint of the family.
const Version = 1

// Tokens with a role of their own, as in datasets/clock.
const (
	Pad      = "<pad>"
	BOS      = "<bos>"
	EOS      = "<eos>"
	Think    = "<think>"
	EndThink = "</think>"
	Cut      = "<cut>"
)

const (
	wordArrow = ">"
	wordAsk   = "?"
	wordEnd   = ";"
	wordCheck = "check"
)

const (
	// MaxLetters is how many letters the vocabulary has.
	MaxLetters = 10
	// MaxLevel is the most hops that the vocabulary has a numeral for.
	MaxLevel = 12
)

var vocabulary = func() []string {
	v := []string{Pad, BOS, EOS, Think, EndThink, Cut}
	for i := range MaxLetters {
		v = append(v, letter(i))
	}
	for hops := 1; hops <= MaxLevel; hops++ {
		v = append(v, fmt.Sprint(hops))
	}
	return append(v, wordArrow, wordAsk, wordEnd, wordCheck)
}()

func letter(i int) string { return string(rune('a' + i)) }

// Vocabulary returns the 32 tokens in the order of their ids. The slice is the caller's.
func Vocabulary() []string { return slices.Clone(vocabulary) }

// Special returns the tokens that structure a sequence rather than say something.
func Special() []string { return []string{Pad, BOS, EOS, Think, EndThink, Cut} }

// Options choose the problems. Start from [DefaultOptions].
type Options struct {
	Letters      int `json:"letters" mapstructure:"letters"`                 // 3 … 10
	MinLevel     int `json:"min_level" mapstructure:"min_level"`             // fewest hops, ≥ 1
	MaxLevel     int `json:"max_level" mapstructure:"max_level"`             // most hops, ≤ 12; uniform in between
	HeldOutOneIn int `json:"held_out_one_in" mapstructure:"held_out_one_in"` // a problem is held out where a hash of its text is divisible by it
}

// DefaultOptions: six letters, 1 to 12 hops, an eighth held out.
func DefaultOptions() Options {
	return Options{Letters: 6, MinLevel: 1, MaxLevel: MaxLevel, HeldOutOneIn: 8}
}

// Validate reports every violation at once.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Letters < 3 || o.Letters > MaxLetters {
		bad("letters is %d: it must be 3 to %d", o.Letters, MaxLetters)
	}
	if o.MinLevel < 1 || o.MinLevel > MaxLevel {
		bad("min_level is %d: it must be 1 to %d", o.MinLevel, MaxLevel)
	}
	if o.MaxLevel < o.MinLevel || o.MaxLevel > MaxLevel {
		bad("max_level is %d: it must be min_level (%d) to %d", o.MaxLevel, o.MinLevel, MaxLevel)
	}
	if o.HeldOutOneIn < 2 || o.HeldOutOneIn > 1000 {
		bad("held_out_one_in is %d: it must be 2 to 1000", o.HeldOutOneIn)
	}
	return errors.Join(errs...)
}

// Family is the endless source of relay problems. It is immutable and safe for concurrent use.
type Family struct {
	seed        uint64
	o           Options
	fingerprint string
}

var _ datasets.Source = (*Family)(nil)

// New returns the family of a seed.
func New(seed uint64, o Options) (*Family, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("relay options: %w", err)
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("relay options: %w", err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "relay v%d %s", Version, raw))
	return &Family{seed: seed, o: o, fingerprint: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

// Name is "relay".
func (f *Family) Name() string { return "relay" }

// Fingerprint digests the version and the options, not the seed.
func (f *Family) Fingerprint() string { return f.fingerprint }

// Len is 0: problems are generated without end.
func (f *Family) Len(datasets.Split) int { return 0 }

// Problem returns the i-th problem of a split. Its Level is the number of hops, its Answer a letter.
func (f *Family) Problem(s datasets.Split, i int64) (datasets.Problem, error) {
	if i < 0 {
		return datasets.Problem{}, fmt.Errorf("relay: problem %d: the index is negative", i)
	}
	r := rng.New(f.seed, rng.Text("relay/problem"), rng.Text(string(s)), uint64(i))
	m, err := f.draw(&r, s)
	if err != nil {
		return datasets.Problem{}, fmt.Errorf("relay: problem %d: %w", i, err)
	}
	return m.problem(), nil
}

// maze is a problem before it is written down.
type maze struct {
	to    []int32 // the arrow from each letter
	start int
	hops  int
}

// maxDraws bounds the search for a problem of the wanted split.
const maxDraws = 10_000

func (f *Family) draw(r *rng.Stream, s datasets.Split) (maze, error) {
	if s != datasets.Train && s != datasets.HeldOut {
		return maze{}, fmt.Errorf("unknown split %q: use %q or %q", s, datasets.Train, datasets.HeldOut)
	}
	hops := f.o.MinLevel + r.IntN(f.o.MaxLevel-f.o.MinLevel+1)
	for range maxDraws {
		m := maze{to: r.Perm(f.o.Letters), start: r.IntN(f.o.Letters), hops: hops}
		if f.Split(m.text()) == s {
			return m, nil
		}
	}
	return maze{}, fmt.Errorf("no problem of %d hops belongs to the split %q: raise letters, or choose another held_out_one_in (%d)", hops, s, f.o.HeldOutOneIn)
}

// Split says where a problem text belongs.
func (f *Family) Split(text string) datasets.Split {
	h := rng.New(rng.Text(text)) // FNV-1a alone would show only the low bits of the letters
	if h.Uint64()%uint64(f.o.HeldOutOneIn) == 0 {
		return datasets.HeldOut
	}
	return datasets.Train
}

// text is the question alone: "a > c b > a … ? a 3".
func (m maze) text() string { return strings.Join(m.question(), " ") }

func (m maze) question() []string {
	var out []string
	for i, to := range m.to {
		out = append(out, letter(i), wordArrow, letter(int(to)))
	}
	return append(out, wordAsk, letter(m.start), fmt.Sprint(m.hops))
}

func (m maze) prompt() []string { return append(append([]string{BOS}, m.question()...), Think) }

// follow returns where n hops lead.
func (m maze) follow(n int) int {
	at := m.start
	for range n {
		at = int(m.to[at])
	}
	return at
}

func (m maze) problem() datasets.Problem {
	return datasets.Problem{
		ID: m.text(), Dataset: "relay", Level: m.hops, Prompt: strings.Join(m.prompt(), " "), Answer: letter(m.follow(m.hops)),
	}
}

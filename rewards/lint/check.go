package lint

import (
	"fmt"
	"slices"
	"strings"

	"pith/rewards"
)

// Kind says what is wrong with a pair of traces of one group.
type Kind string

const (
	// SuccessBelowFailure: a right answer gets less than a wrong one. An inversion.
	SuccessBelowFailure Kind = "success_below_failure"
	// FailurePaidForBrevity: of two wrong answers that differ in length only, the shorter gets
	// more. A warning.
	FailurePaidForBrevity Kind = "failure_paid_for_brevity"
	// FailurePaidForLength: the longer gets more. A warning, meant by methods that want failures
	// to keep searching.
	FailurePaidForLength Kind = "failure_paid_for_length"
)

// Inversion says whether training refuses findings of this kind.
func (k Kind) Inversion() bool { return k == SuccessBelowFailure }

// Finding is one kind of fault in one quantity, with its worst case.
type Finding struct {
	Kind Kind   `json:"kind"`
	In   string `json:"in"` // reward, advantage
	// Cases counts the pairs of the grid that show it.
	Cases int `json:"cases"`
	// Low should not get less than High, and does, by the largest gap found; in a group of Group
	// samples of which Right are right.
	Low   Case `json:"low"`
	High  Case `json:"high"`
	Right int  `json:"group_right"`
	Group int  `json:"group_size"`

	gap float64
}

// String is one line for a person.
func (f *Finding) String() string {
	get := func(c Case) float64 {
		if f.In == "advantage" {
			return c.Advantage
		}
		return c.Reward
	}
	what := map[Kind]string{
		SuccessBelowFailure:   "a right answer ranks below a wrong one",
		FailurePaidForBrevity: "a wrong answer is paid for being short",
		FailurePaidForLength:  "a wrong answer is paid for being long",
	}[f.Kind]
	return fmt.Sprintf("%s in %s, in %d cases; worst with %d of %d right: %s gets %.4g, %s gets %.4g",
		what, f.In, f.Cases, f.Right, f.Group, f.Low, get(f.Low), f.High, get(f.High))
}

// String describes the trace, not what it got.
func (c Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %d tokens", map[bool]string{true: "right", false: "wrong"}[c.Right], c.Tokens)
	if c.Truncated {
		b.WriteString(", truncated")
	}
	if c.ToolCalls > 0 {
		fmt.Fprintf(&b, ", %d calls", c.ToolCalls)
	}
	if c.Mode != "" && c.Mode != rewards.ModeThink {
		b.WriteString(", " + c.Mode)
	}
	return b.String()
}

// Report is the outcome of a check.
type Report struct {
	Method   string    `json:"method"`
	Profile  string    `json:"profile"`
	Groups   int       `json:"groups"` // evaluated
	Findings []Finding `json:"findings"`
}

// Inversions are the findings that training refuses.
func (r *Report) Inversions() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return !f.Kind.Inversion() })
}

// Warnings are the other findings.
func (r *Report) Warnings() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Kind.Inversion() })
}

// Err refuses a report with inversions, unless the method is among the allowed.
func (r *Report) Err(allowed []string) error {
	found := r.Inversions()
	if len(found) == 0 || slices.Contains(allowed, r.Method) {
		return nil
	}
	return fmt.Errorf("method %s: %s; choose other parameters, or name the method in rewards.allow_inversions", r.Method, &found[0])
}

// slack is how much less than another a case may get before it counts: rounding, relative to the
// larger of 1 and the values.
const slack = 1e-9

// Check evaluates the method on the grid. The method's state is read and not changed.
func Check(m *rewards.Method, grid Grid) (*Report, error) {
	if err := grid.Validate(); err != nil {
		return nil, err
	}
	r := &Report{Method: m.Name(), Profile: m.Profile(), Findings: []Finding{}}
	batch := make([]rewards.Group, 1)
	var results [][]rewards.Result
	err := grid.groups(m, func(g *rewards.Group) error {
		var err error
		batch[0] = *g
		if results, err = m.ScoreInto(batch, results); err != nil {
			return fmt.Errorf("lint of %s: %w", m.Name(), err)
		}
		r.Groups++
		r.judge(g, results[0])
		return nil
	})
	return r, err
}

// judge compares the probes of one group, and the wrong probe with a wrong filler that differs in
// length only.
func (r *Report) judge(g *rewards.Group, results []rewards.Result) {
	of := func(i int) Case {
		s := &g.Samples[i]
		return Case{
			Right: *s.Correct, Tokens: s.Tokens, Truncated: s.Truncated, ToolCalls: s.ToolCalls, Mode: s.Mode,
			Reward: results[i].Reward, Advantage: results[i].Advantage,
		}
	}
	right, wrong := of(0), of(1)
	r.compare(SuccessBelowFailure, g, right, wrong)
	for i := 2; i < len(g.Samples); i++ {
		other := of(i)
		if other.Right || other.Truncated != wrong.Truncated || other.ToolCalls != wrong.ToolCalls || other.Mode != wrong.Mode || other.Tokens == wrong.Tokens {
			continue
		}
		short, long := wrong, other
		if short.Tokens > long.Tokens {
			short, long = long, short
		}
		r.compare(FailurePaidForBrevity, g, long, short)
		r.compare(FailurePaidForLength, g, short, long)
		return // the other wrong fillers are the same
	}
}

// compare records a fault where low gets less than high.
func (r *Report) compare(kind Kind, g *rewards.Group, low, high Case) {
	r.record(kind, "reward", high.Reward-low.Reward, max(1, abs(high.Reward), abs(low.Reward)), g, low, high)
	r.record(kind, "advantage", high.Advantage-low.Advantage, max(1, abs(high.Advantage), abs(low.Advantage)), g, low, high)
}

func (r *Report) record(kind Kind, in string, gap, scale float64, g *rewards.Group, low, high Case) {
	if gap <= slack*scale {
		return
	}
	at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == kind && f.In == in })
	if at < 0 {
		at = len(r.Findings)
		r.Findings = append(r.Findings, Finding{Kind: kind, In: in})
	}
	f := &r.Findings[at]
	f.Cases++
	if gap > f.gap {
		f.gap, f.Low, f.High, f.Group, f.Right = gap, low, high, len(g.Samples), 0
		for i := range g.Samples {
			if *g.Samples[i].Correct {
				f.Right++
			}
		}
	}
}

func abs(x float64) float64 { return max(x, -x) }

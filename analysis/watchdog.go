package analysis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"pith/analysis/hacking"
	"pith/traces"
)

// How much of a long log is inspected: texts are read of at most this many steps, evenly spaced, and
// of so many traces of each.
const (
	inspectedSteps  = 24
	inspectedTraces = 400
)

// watchdog inspects the texts of some steps, and what each reward term did there. It is an [Observer].
type watchdog struct {
	rules    hacking.Rules
	endThink string
	asked    bool // the strategy forces modes, so that no thinking may be what was asked for

	watch   hacking.Watch
	seen    map[int64]int
	terms   map[string]map[int64]*spread
	moved   map[string]float64 // Σ |term - its mean in the group| over trained traces
	changes float64
	group   string
	rows    [][]traces.Term // of the group's trained traces so far
}

type spread struct{ low, high float64 }

func newWatchdog(d *runData) *watchdog {
	return &watchdog{
		rules: hacking.Default(), endThink: "</think>", asked: d.manifest.Config.Rollout.Strategy == "modes",
		seen: map[int64]int{}, terms: map[string]map[int64]*spread{}, moved: map[string]float64{},
	}
}

// Columns implements [Observer].
func (*watchdog) Columns() []string {
	return []string{"step", "group", "id", "prompt_text", "text", "verdict", "extracted", "mode", "status", "tool_calls", "reward_terms"}
}

// Observe implements [Observer].
func (w *watchdog) Observe(b *traces.Batch) {
	for i := range b.Rows {
		t := &b.Rows[i]
		if w.seen[t.Step] >= inspectedTraces || t.Status == traces.Failed || t.Status == traces.DeadLettered {
			continue
		}
		w.seen[t.Step]++
		w.watch.Add(t.Step, t.ID, string(t.Verdict), w.rules.Inspect(w.response(t)))
		if t.Status != traces.Trained || len(t.Terms) == 0 {
			continue
		}
		for _, term := range t.Terms {
			w.spread(term.Name, t.Step, term.Value)
		}
		if t.Group != w.group {
			w.closeGroup()
			w.group = t.Group
		}
		w.rows = append(w.rows, slices.Clone(t.Terms))
	}
}

// response splits a text at the end of thinking. One that was cut off before it is all thinking, and
// so is one of data without thinking: the whole response is the reasoning.
func (w *watchdog) response(t *traces.Trace) hacking.Response {
	x := hacking.Response{Prompt: t.PromptText, Final: t.Extracted, NoThink: w.asked && t.Mode != "think" && t.Mode != ""}
	think, answer, ended := strings.Cut(t.Text, w.endThink)
	x.Think = think
	if ended {
		x.Answer = answer
	}
	for _, c := range t.ToolCalls {
		x.ToolArgs = append(x.ToolArgs, c.Arguments)
	}
	return x
}

func (w *watchdog) spread(name string, step int64, value float64) {
	steps := w.terms[name]
	if steps == nil {
		steps = map[int64]*spread{}
		w.terms[strings.Clone(name)] = steps
	}
	if s := steps[step]; s != nil {
		s.low, s.high = min(s.low, value), max(s.high, value)
		return
	}
	steps[step] = &spread{value, value}
}

// closeGroup adds up how far each term tells the members of the group apart.
func (w *watchdog) closeGroup() {
	if len(w.rows) > 1 {
		means := map[string]float64{}
		for _, terms := range w.rows {
			for _, t := range terms {
				means[t.Name] += t.Value / float64(len(w.rows))
			}
		}
		for _, terms := range w.rows {
			for _, t := range terms {
				d := math.Abs(t.Value - means[t.Name])
				w.moved[t.Name] += d
				w.changes += d
			}
		}
	}
	w.rows = w.rows[:0]
}

// TermShare says how much of the differences in reward inside groups one term makes.
type TermShare struct {
	Term  string  `json:"term"`
	Share float64 `json:"share"` // Σ|term - group mean|, of that of all terms
}

// Watch is what the texts and terms of a run give reason to look at.
type Watch struct {
	Steps    int                `json:"steps"`     // inspected
	Traces   int                `json:"traces"`    // inspected
	Findings []hacking.Finding  `json:"findings"`  // patterns that occur at all
	Constant []hacking.Constant `json:"constant"`  // terms that stopped telling responses apart
	Shares   []TermShare        `json:"advantage"` // what the differences in reward are made of
}

// inspect reads the texts of some steps; nil without training traces.
func (d *runData) inspect() *Watch {
	steps := d.spaced()
	if len(steps) == 0 {
		return nil
	}
	w := newWatchdog(d)
	for _, s := range steps {
		Observe(d.log, traces.Filter{FromStep: s, ToStep: s}, w) // damage was noted when the lengths were read
	}
	w.closeGroup()
	out := &Watch{Steps: len(w.seen), Findings: w.watch.Findings(), Constant: []hacking.Constant{}, Shares: []TermShare{}}
	for _, n := range w.seen {
		out.Traces += n
	}
	if out.Findings == nil {
		out.Findings = []hacking.Finding{}
	}
	terms := map[string][]hacking.TermStep{}
	for name, bySteps := range w.terms {
		for step, s := range bySteps {
			terms[name] = append(terms[name], hacking.TermStep{Step: step, Min: s.low, Max: s.high})
		}
		slices.SortFunc(terms[name], func(a, b hacking.TermStep) int { return cmp.Compare(a.Step, b.Step) })
		if w.changes > 0 {
			out.Shares = append(out.Shares, TermShare{name, w.moved[name] / w.changes})
		}
	}
	if found := hacking.ConstantTerms(terms, max(len(w.seen)/2, 3)); found != nil {
		out.Constant = found
	}
	slices.SortFunc(out.Shares, func(a, b TermShare) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Term, b.Term))
	})
	return out
}

// spaced are the steps to inspect, the first and the last among them.
func (d *runData) spaced() []int64 {
	n := len(d.steps)
	if n <= inspectedSteps {
		out := make([]int64, n)
		for i, s := range d.steps {
			out[i] = s.Step
		}
		return out
	}
	var out []int64
	for i := range inspectedSteps {
		out = append(out, d.steps[i*(n-1)/(inspectedSteps-1)].Step)
	}
	return slices.Compact(out)
}

// hacked says which patterns grew, in one sentence; "" where none did.
func (r *RunReport) hacked() string {
	if r.Watch == nil {
		return ""
	}
	var raised []string
	for _, f := range r.Watch.Findings {
		if f.Raised {
			raised = append(raised, fmt.Sprintf("%s (%s of responses, %s at the start)", f.Meaning, share(f.Late.Share()), share(f.Early.Share())))
		}
	}
	if len(raised) == 0 {
		return ""
	}
	return "Worth reading before the gain is believed: " + strings.Join(raised, "; ") + "."
}

// difficulty says whether easy problems shorten while hard ones keep their length.
func (r *RunReport) difficulty() string {
	if r.Gain == nil || len(r.Base.Levels) < 3 {
		return ""
	}
	third := len(r.Base.Levels) / 3
	easy, okEasy := r.levelChange(r.Base.Levels[:third])
	hard, okHard := r.levelChange(r.Base.Levels[len(r.Base.Levels)-third:])
	if !okEasy || !okHard {
		return ""
	}
	how := "both alike"
	switch {
	case easy < hard-0.05:
		how = "the easy ones more"
	case hard < easy-0.05:
		how = "the hard ones more, where length may be needed"
	}
	return fmt.Sprintf("By difficulty: the easiest third of the levels went from %s to %s tokens and the hardest from %s to %s, %s.",
		trim(r.levelTokens(r.Base, r.Base.Levels[:third]), 1), trim(r.levelTokens(r.Final, r.Base.Levels[:third]), 1),
		trim(r.levelTokens(r.Base, r.Base.Levels[len(r.Base.Levels)-third:]), 1), trim(r.levelTokens(r.Final, r.Base.Levels[len(r.Base.Levels)-third:]), 1), how)
}

// levelChange is the relative change in mean tokens over some levels.
func (r *RunReport) levelChange(levels []traces.LevelEval) (float64, bool) {
	was, is := r.levelTokens(r.Base, levels), r.levelTokens(r.Final, levels)
	if !(was > 0) || math.IsNaN(is) {
		return 0, false
	}
	return is/was - 1, true
}

// levelTokens is the mean length of an evaluation over some levels, weighted by their problems; NaN
// where it has none of them.
func (r *RunReport) levelTokens(e *Evaluation, levels []traces.LevelEval) float64 {
	sum, n := 0.0, 0.0
	for _, l := range e.Levels {
		if slices.ContainsFunc(levels, func(x traces.LevelEval) bool { return x.Level == l.Level }) {
			sum += l.Tokens * float64(l.Problems)
			n += float64(l.Problems)
		}
	}
	return sum / n
}

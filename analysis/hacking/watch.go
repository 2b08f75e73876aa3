package hacking

import (
	"cmp"
	"math"
	"slices"
)

// Example is a response that raised a flag.
type Example struct {
	ID   string `json:"id"`
	Step int64  `json:"step"`
}

// Count is how many responses raised a flag.
type Count struct {
	Responses int `json:"responses"`
	Flagged   int `json:"flagged"`
}

// Share is the flagged part; 0 of nothing.
func (c Count) Share() float64 {
	if c.Responses == 0 {
		return 0
	}
	return float64(c.Flagged) / float64(c.Responses)
}

// Finding is what a watch says of one flag.
type Finding struct {
	Flag     Flag             `json:"flag"`
	Meaning  string           `json:"meaning"`
	Early    Count            `json:"early"` // the first third of the steps
	Late     Count            `json:"late"`  // the last third
	Outcomes map[string]Count `json:"outcomes"`
	// Raised says that the late share is at least MinShare and above the early one by more than
	// chance would do (a two-sided z test of two shares at 1 %, which treats responses as
	// independent).
	Raised   bool      `json:"raised"`
	Examples []Example `json:"examples"` // of the latest steps, right answers first
}

// MinShare is the share of late responses below which a finding raises no alarm.
const MinShare = 0.02

// maxExamples of each flag are kept.
const maxExamples = 5

// Watch adds up responses. It is not safe for concurrent use. Responses may come in any order; what it
// finds does not depend on it. Memory grows with the number of steps, not of responses.
type Watch struct {
	steps map[int64]*tally
}

type tally struct {
	responses map[string]int // by outcome
	flagged   map[Flag]map[string]int
	examples  map[Flag][]example
}

type example struct {
	id    string
	right bool
}

// Add takes a response of a step with its outcome (right, wrong, no_score) and its flags.
func (w *Watch) Add(step int64, id, outcome string, flags []Flag) {
	if w.steps == nil {
		w.steps = map[int64]*tally{}
	}
	t := w.steps[step]
	if t == nil {
		t = &tally{map[string]int{}, map[Flag]map[string]int{}, map[Flag][]example{}}
		w.steps[step] = t
	}
	t.responses[outcome]++
	for _, f := range flags {
		if t.flagged[f] == nil {
			t.flagged[f] = map[string]int{}
		}
		t.flagged[f][outcome]++
		list := append(t.examples[f], example{id, outcome == "right"})
		slices.SortFunc(list, byUse)
		t.examples[f] = list[:min(len(list), maxExamples)]
	}
}

// byUse orders right answers first: a wrong one that hacks has gained nothing.
func byUse(a, b example) int {
	if a.right != b.right {
		if a.right {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.id, b.id)
}

// Findings are all flags that some response raised, in the order of [Flags].
func (w *Watch) Findings() []Finding {
	steps := make([]int64, 0, len(w.steps))
	for s := range w.steps {
		steps = append(steps, s)
	}
	slices.Sort(steps)
	third := (len(steps) + 2) / 3
	var found []Finding
	for _, flag := range Flags {
		f := Finding{Flag: flag, Meaning: flag.Meaning(), Outcomes: map[string]Count{}}
		any := false
		for i, s := range steps {
			t := w.steps[s]
			for outcome, n := range t.responses {
				flagged := t.flagged[flag][outcome]
				any = any || flagged > 0
				f.Outcomes[outcome] = f.Outcomes[outcome].plus(n, flagged)
				if i < third {
					f.Early = f.Early.plus(n, flagged)
				}
				if i >= len(steps)-third {
					f.Late = f.Late.plus(n, flagged)
				}
			}
		}
		if !any {
			continue
		}
		f.Raised = f.Late.Share() >= MinShare && rises(f.Early, f.Late)
		for _, s := range slices.Backward(steps) {
			for _, e := range w.steps[s].examples[flag] {
				if len(f.Examples) < maxExamples {
					f.Examples = append(f.Examples, Example{e.id, s})
				}
			}
		}
		found = append(found, f)
	}
	return found
}

func (c Count) plus(responses, flagged int) Count {
	return Count{c.Responses + responses, c.Flagged + flagged}
}

// rises is the pooled z test of two shares, at the 99.5 % quantile of the normal distribution.
func rises(early, late Count) bool {
	n, m := float64(early.Responses), float64(late.Responses)
	if n == 0 || m == 0 {
		return false
	}
	p := float64(early.Flagged+late.Flagged) / (n + m)
	deviation := math.Sqrt(p * (1 - p) * (1/n + 1/m))
	return late.Share()-early.Share() > 2.5758293035489004*deviation
}

// TermStep is the spread of one reward term within a step.
type TermStep struct {
	Step     int64
	Min, Max float64
}

// Constant is a reward term that had one value for all responses of consecutive steps.
type Constant struct {
	Term  string  `json:"term"`
	Value float64 `json:"value"`
	From  int64   `json:"from"`
	To    int64   `json:"to"`
}

// ConstantTerms finds the terms that were constant for the last atLeast steps or more: they have no
// gradient left, or never had one. Terms go by name; steps of a term must rise.
func ConstantTerms(terms map[string][]TermStep, atLeast int) []Constant {
	var found []Constant
	for name, steps := range terms {
		from := len(steps)
		for from > 0 {
			s := steps[from-1]
			if s.Min != s.Max || from < len(steps) && s.Min != steps[from].Min {
				break
			}
			from--
		}
		if n := len(steps) - from; n >= max(atLeast, 1) {
			found = append(found, Constant{name, steps[from].Min, steps[from].Step, steps[len(steps)-1].Step})
		}
	}
	slices.SortFunc(found, func(a, b Constant) int { return cmp.Compare(a.Term, b.Term) })
	return found
}

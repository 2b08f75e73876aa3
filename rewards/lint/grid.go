package lint

import (
	"fmt"
	"math"
	"slices"

	"pith/rewards"
)

// Grid spans the cases that a method is tried on. A group consists of one right and one wrong
// probe, whose inputs run over the grid, and of fillers that make the composition.
type Grid struct {
	GroupSize int   // samples a group, at least 2
	Lengths   []int // response tokens of the probes and fillers, increasing
	Calls     []int // tool calls of the probes, where the method reads them
	Budgets   []int // thinking tokens at each cut, increasing, where the method reads budget scores
	// Steps are learner steps, where the method reads them, and Accuracies those of a reference
	// policy on the problem.
	Steps      []int64
	Accuracies []float64
}

// GridFor is a grid that covers what can happen in a run with this setting: lengths from 1 token to
// the limit, in equal ratios, and the lengths around it.
func GridFor(s rewards.Setting) Grid {
	if s.GroupSize < 2 {
		s.GroupSize = 8
	}
	if s.MaxTokens < 1 {
		s.MaxTokens = 16384
	}
	g := Grid{GroupSize: s.GroupSize, Calls: []int{0, 1, 4}, Steps: []int64{0, 320}, Accuracies: []float64{0.25, 0.75}}
	const lengths, budgets = 7, 4
	for i := range lengths {
		g.Lengths = append(g.Lengths, int(math.Round(math.Pow(float64(s.MaxTokens), float64(i)/(lengths-1)))))
	}
	for i := range budgets {
		g.Budgets = append(g.Budgets, max(1, s.MaxTokens*(i+1)/budgets))
	}
	slices.Sort(g.Lengths)
	g.Lengths, g.Budgets = slices.Compact(g.Lengths), slices.Compact(g.Budgets)
	return g
}

// Validate refuses a grid on which nothing can be compared.
func (g *Grid) Validate() error {
	switch {
	case g.GroupSize < 2:
		return fmt.Errorf("a group of %d has nothing to compare; want at least 2", g.GroupSize)
	case len(g.Lengths) == 0 || g.Lengths[0] < 0 || !slices.IsSorted(g.Lengths):
		return fmt.Errorf("lengths: want increasing token counts, got %v", g.Lengths)
	case len(g.Calls) == 0 || len(g.Budgets) == 0 || len(g.Steps) == 0 || len(g.Accuracies) == 0:
		return fmt.Errorf("a grid needs calls, budgets, steps and accuracies, got %v, %v, %v, %v", g.Calls, g.Budgets, g.Steps, g.Accuracies)
	}
	return nil
}

// Case is one trace of the grid and what the method made of it.
type Case struct {
	Right     bool    `json:"right"`
	Tokens    int     `json:"tokens"`
	Truncated bool    `json:"truncated,omitempty"`
	ToolCalls int     `json:"tool_calls,omitempty"`
	Mode      string  `json:"mode,omitempty"`
	Reward    float64 `json:"reward"`
	Advantage float64 `json:"advantage"`
}

// probe is what varies of one trace.
type probe struct {
	right, truncated bool
	tokens, calls    int
	mode             string
	critic           bool // give a critic's values
}

// sample gives a probe every input that a method may need, consistent with what it is: a right
// answer scores at the budgets that its thinking fits into, a wrong one nowhere.
func (g *Grid) sample(p probe, id string) rewards.Sample {
	right, entropy, loss, share, payoff := p.right, 0.1+math.Log1p(float64(p.tokens))/10, 1.0, 0.0, 0.5
	if right {
		share = 1
	}
	s := rewards.Sample{
		ID: id, Correct: &right, Formatted: true, Truncated: p.truncated, Tokens: p.tokens, Chars: 4 * p.tokens, Mode: p.mode, Turns: 1,
		ToolCalls: p.calls, Entropy: &entropy, BaseLoss: &loss, ReferenceKL: new(float64), Precision: &share, Recall: &share, Payoff: &payoff,
		ResponseWords: p.tokens / 2, ReasoningChars: 2 * p.tokens, OutputWords: p.tokens, Text: "a text",
		BudgetScores: make([]float64, len(g.Budgets)),
	}
	if p.critic {
		s.Values = make([]float64, p.tokens)
	}
	if p.calls > 0 {
		first := p.tokens / 2
		s.FirstToolToken = &first
	}
	for j, b := range g.Budgets {
		if right && (p.tokens <= b || j == len(g.Budgets)-1) {
			s.BudgetScores[j] = 1
		}
	}
	return s
}

// axes are the dimensions that a method reads.
type axes struct {
	calls []int
	modes []string
	steps []int64
	known []float64
	// critic says that the estimator needs values.
	critic bool
}

func (g *Grid) axes(m *rewards.Method) axes {
	a := axes{calls: g.Calls[:1], modes: []string{rewards.ModeThink}, steps: g.Steps[:1], known: g.Accuracies[:1]}
	for _, need := range m.Needs() {
		switch need {
		case "tool_calls":
			a.calls = g.Calls
		case "mode":
			a.modes = []string{rewards.ModeThink, rewards.ModeNoThink, rewards.ModeInstant}
		case "step":
			a.steps = g.Steps
		case "problem.reference_accuracy":
			a.known = g.Accuracies
		case "values":
			a.critic = true
		}
	}
	return a
}

// groups yields every group of the grid: the right probe first, then the wrong one, then fillers.
func (g *Grid) groups(m *rewards.Method, yield func(*rewards.Group) error) error {
	a := g.axes(m)
	shortest, middle, longest := g.Lengths[0], g.Lengths[len(g.Lengths)/2], g.Lengths[len(g.Lengths)-1]
	fillers := slices.Compact([]int{shortest, middle, longest})
	rights := []int{0, (g.GroupSize - 2) / 2, g.GroupSize - 2} // right fillers
	rights = slices.Compact(rights)
	var samples []rewards.Sample
	for _, step := range a.steps {
		for _, accuracy := range a.known {
			history := accuracy / 2
			problem := rewards.ProblemInfo{
				ID: "p", ReferenceAccuracy: &accuracy, ReferenceTokens: float64(max(middle, 1)), TokenBudget: max(middle, 1), Budgets: g.Budgets,
				HistoryAccuracy: &history, HistoryShortest: float64(max(shortest, 1)),
			}
			for _, right := range g.probes(a, true) {
				for _, wrong := range g.probes(a, false) {
					for _, filler := range fillers {
						for _, n := range rights {
							samples = append(samples[:0], g.sample(right, "right"), g.sample(wrong, "wrong"))
							for i := range g.GroupSize - 2 {
								samples = append(samples, g.sample(probe{right: i < n, tokens: filler, calls: right.calls, mode: right.mode, critic: a.critic}, fmt.Sprintf("filler %d", i)))
							}
							if err := yield(&rewards.Group{ID: "grid", Step: step, Problem: problem, Samples: samples}); err != nil {
								return err
							}
						}
					}
				}
			}
		}
	}
	return nil
}

// probes lists the values of one probe. Truncation is tried at the longest length, where it
// happens.
func (g *Grid) probes(a axes, right bool) []probe {
	var out []probe
	for _, mode := range a.modes {
		for _, calls := range a.calls {
			for _, tokens := range g.Lengths {
				out = append(out, probe{right: right, tokens: tokens, calls: calls, mode: mode, critic: a.critic})
			}
			out = append(out, probe{right: right, truncated: true, tokens: g.Lengths[len(g.Lengths)-1], calls: calls, mode: mode, critic: a.critic})
		}
	}
	return out
}

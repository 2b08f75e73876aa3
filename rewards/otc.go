package rewards

import (
	"encoding/json"
	"math"

	"pith/policies/advantage"
)

type otcGRPOParams struct {
	Alpha     float64 `key:"alpha" default:"1" min:"0" doc:"reward of a right answer with the best number of calls"`
	C         float64 `key:"c" default:"4" over:"0" doc:"smoothing where no call is best: how slowly calls get expensive. The paper takes the largest number of turns: 4 for search, 3 for code"`
	BestKnown int     `key:"best_known" default:"-1" min:"-1" doc:"fewest calls known to solve any problem of the batch; -1: unknown"`
	Memory    bool    `key:"memory" default:"true" doc:"remember the fewest calls of each problem over the run (the paper's experiments do)"`
}

var otcGRPOSpec = &spec{
	name: "otc_grpo", title: "OTC-GRPO: optimal tool calls, relative to the fewest that sufficed", family: "tool", verified: InPaper,
	formula: "m = calls, n = fewest calls of a right answer: in the group, and ever for this problem\n" +
		"t = 1 if m = n = 0;  cos(mπ / (2m + c)) if n = 0;  sin(πm / (m + n)) otherwise\n" +
		"r = alpha · t · c_i;  A = (r - mean) / (sd + 1e-6) over the group",
	source:   "arXiv 2504.14870v2; no official code (a third-party port adds the terms with weights 0.7 and 0.3, against the paper)",
	needs:    FieldCorrect | FieldToolCalls,
	optional: []string{"problem.best_known_calls"},
	state:    "the fewest calls of a right answer for each problem; n is updated from the group before its reward is computed",
	notes:    []string{"a right answer without any call earns 0 where n > 0, which a stored optimum can cause only if calls became unnecessary and no update was made"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "tools", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &otcGRPOParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*otcGRPOParams)
		best := &fewestCalls{Calls: map[string]int{}}
		pl := &plan{
			terms: []string{"correctness", "tool_calls"}, compose: compose{kind: product},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				n, known := best.of(v)
				if o.BestKnown >= 0 && (!known || o.BestKnown < n) {
					n, known = o.BestKnown, true
				}
				for i, right := range v.right {
					v.terms[0][i] = o.Alpha * indicator(right)
					if known {
						v.terms[1][i] = otcFactor(v.s[i].ToolCalls, n, o.C)
					}
				}
				return nil
			},
		}
		if o.Memory {
			pl.memory = best
		}
		return pl
	},
}

// otcFactor is the tool economy of m calls where n suffice, in [0, 1] with its peak at m = n.
// For n > 0 the paper's sin(f·π/(2n)), f = 2nm/(m+n), is sin(πm/(m+n)).
func otcFactor(m, n int, c float64) float64 {
	switch {
	case m == n:
		return 1
	case n == 0:
		return math.Cos(float64(m) * math.Pi / (2*float64(m) + c))
	case m == 0:
		return 0
	}
	return math.Sin(math.Pi * float64(m) / (float64(m) + float64(n)))
}

// fewestCalls remembers, for each problem, the fewest calls of a right answer.
type fewestCalls struct {
	Calls map[string]int `json:"calls"`
}

// of is the optimum for a group: its own right answers, the problem's record, and the memory.
func (f *fewestCalls) of(v *view) (n int, known bool) {
	lower := func(m int) {
		if !known || m < n {
			n, known = m, true
		}
	}
	for i, right := range v.right {
		if right {
			lower(v.s[i].ToolCalls)
		}
	}
	if best := v.group.Problem.BestKnownCalls; best != nil {
		lower(*best)
	}
	if m, ok := f.Calls[v.group.Problem.ID]; ok {
		lower(m)
	}
	return n, known
}

func (f *fewestCalls) observe(views []view) {
	for i := range views {
		v := &views[i]
		if id := v.group.Problem.ID; id != "" {
			if n, known := f.of(v); known {
				f.Calls[id] = n
			}
		}
	}
}

func (f *fewestCalls) save() ([]byte, error) { return json.Marshal(f) }

func (f *fewestCalls) load(state []byte) error { return loadJSON(state, f) }

package rewards

import (
	"math"

	"pith/policies/advantage"
)

type l1Params struct {
	Alpha float64 `key:"alpha" default:"0.0003" min:"0" doc:"price of one token of error"`
	Delta float64 `key:"delta" default:"0.5" min:"0" max:"1" doc:"reward of a right answer that meets the budget exactly (l1_max)"`
}

func l1Spec(name, title, formula string, rate float64, promises Promises, differences []string, term func(o *l1Params, profile string, right bool, budget, tokens float64) float64) *spec {
	return &spec{
		name: name, title: title, family: "budget", verified: InCode,
		formula:     formula + ";  A = (r - mean) / (sd + 1e-6) over the group",
		source:      "arXiv 2503.04697; cmu-l3/l1 math_reward.py",
		needs:       FieldCorrect | FieldTokens | FieldTokenBudget,
		differences: differences,
		notes:       []string{"n = problem.token_budget, which the prompt states: U{100…4000} in the paper"},
		promises:    promises,
		recommended: Recommended{Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001, Temperature: 0.6, Rate: rate},
		params:      func() any { return &l1Params{} },
		bind: func(p any, profile string) *plan {
			o := p.(*l1Params)
			return &plan{
				terms:     []string{"correctness", "length"},
				estimator: estimator[advantage.GRPO](profile, nil),
				score: func(v *view) error {
					v.correctness(0)
					budget := float64(v.group.Problem.TokenBudget)
					for i, right := range v.right {
						v.terms[1][i] = term(o, profile, right, budget, v.tokens[i])
					}
					return nil
				},
			}
		},
	}
}

var l1ExactSpec = l1Spec("l1_exact", "L1-Exact: hit the token budget that the prompt states",
	"r = c - alpha · |n - L|", 1e-6, Promises{ZeroSum: true, PressesWrong: true}, nil,
	func(o *l1Params, _ string, _ bool, budget, tokens float64) float64 {
		return -o.Alpha * math.Abs(budget-tokens)
	})

var l1MaxSpec = l1Spec("l1_max", "L1-Max: stay under the token budget that the prompt states",
	"r = c · clip(alpha · (n - L) + delta, 0, 1)", 4e-6, Promises{ZeroSum: true, Monotone: true, Ordered: true},
	[]string{
		"the code has half the slope: r = c · (1 + clip(alpha · (n - L), -1, 1)) / 2, and no delta",
		"the code's launch script passes no reward flags and so trains plain correctness",
	},
	func(o *l1Params, profile string, right bool, budget, tokens float64) float64 {
		if !right {
			return 0
		}
		if profile == "released_code" {
			return (clamp(o.Alpha*(budget-tokens), -1, 1)+1)/2 - 1
		}
		return clamp(o.Alpha*(budget-tokens)+o.Delta, 0, 1) - 1
	})

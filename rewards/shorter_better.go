package rewards

import (
	"math"

	"pith/policies/advantage"
)

type shorterBetterParams struct {
	Alpha float64 `key:"alpha" default:"2" doc:"reward of a right answer"`
	Beta  float64 `key:"beta" default:"0.001" min:"0" doc:"price of one token away from the optimal length"`
}

var shorterBetterSpec = &spec{
	name: "shorter_better", title: "ShorterBetter: distance to the group's optimal length", family: "length", verified: InCode,
	formula: "ℓ* = length of the shortest right answer, or the group's mean length where none is right\n" +
		"r = alpha · c - beta · |L - ℓ*|;  A = (r - mean) / (sd + 1e-6) over the group",
	source:      "arXiv 2504.21370 (secondary); JingyangYi/ShorterBetter",
	needs:       FieldCorrect | FieldTokens,
	notes:       []string{"wrong answers are pressed towards ℓ* too", "a right answer 2000 tokens above ℓ* earns as little as a wrong one at it"},
	promises:    Promises{ZeroSum: true, Monotone: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001, Temperature: 0.9, Rate: 1e-6},
	params:      func() any { return &shorterBetterParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*shorterBetterParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				best := describe(v.tokens, nil).mean
				if lengths := describe(v.tokens, v.right); lengths.n > 0 {
					best = lengths.lo
				}
				for i, right := range v.right {
					v.terms[0][i] = o.Alpha * indicator(right)
					v.terms[1][i] = -o.Beta * math.Abs(v.tokens[i]-best)
				}
				return nil
			},
		}
	},
}

package rewards

import "pith/policies/advantage"

type serParams struct {
	Gamma float64 `key:"gamma" default:"0.5" min:"0" doc:"largest bonus, earned by the shortest right answer of the group"`
}

var serSpec = &spec{
	name: "ser", title: "Self-rewarded efficiency: a bonus relative to the group's shortest right answer", family: "length", verified: Ours,
	formula: "r = c · (1 + gamma · L* / L), L* = length of the shortest right answer of the group;  A = (r - mean) / (sd + 1e-6)",
	source:  "ours, after the idea of arXiv 2506.15647, whose own reward was not found: do not attribute this formula to it",
	needs:   FieldCorrect | FieldTokens,
	promises: Promises{
		ZeroSum: true, Monotone: true, Ordered: true,
	},
	recommended: Recommended{Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28},
	params:      func() any { return &serParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*serParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				shortest := describe(v.tokens, v.right).lo
				for i, right := range v.right {
					switch {
					case !right:
					case v.tokens[i] == shortest:
						v.terms[1][i] = o.Gamma
					default:
						v.terms[1][i] = o.Gamma * shortest / v.tokens[i]
					}
				}
				return nil
			},
		}
	},
}

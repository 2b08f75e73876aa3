package rewards

import (
	"math"

	"pith/policies/advantage"
)

type drpoParams struct {
	Lambda float64 `key:"lambda" default:"0.1" over:"0" doc:"temperature of the length weights: small favours the shortest, large none"`
	Scale  float64 `key:"scale" default:"1000" over:"0" doc:"tokens in ℓ = 1 - L/scale"`
}

var drpoSpec = &spec{
	name: "drpo", title: "DRPO: length weights inside the set of right answers", family: "length", verified: Ours,
	formula: "w = exp(ℓ/lambda) / Σ exp(ℓ/lambda) over the right answers, ℓ = 1 - L/scale;  r = w right, 0 wrong\n" +
		"A = (1 - p) · n₊ · w right, -p wrong;  p = share right, n₊ their number",
	source:   "our reading of arXiv 2510.04474 (secondary): the weights are theirs; the advantage is Dr. GRPO's on correctness with the right answers' share handed out by weight",
	needs:    FieldCorrect | FieldTokens,
	notes:    []string{"a right answer is never pushed down", "all right or all wrong: 0"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &drpoParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*drpoParams)
		return &plan{
			terms:     []string{"length_weight"},
			estimator: &advantage.Reinforce{},
			score: func(v *view) error {
				shortest, total := describe(v.tokens, v.right).lo, 0.0
				weight := func(i int) float64 { // relative to the shortest, so that nothing overflows
					return math.Exp((shortest - v.tokens[i]) / o.Scale / o.Lambda)
				}
				for i, right := range v.right {
					if right {
						total += weight(i)
					}
				}
				for i, right := range v.right {
					if right {
						v.terms[0][i] = weight(i) / total
					}
				}
				return nil
			},
			learn: func(v *view) {
				p, n := v.accuracy(), float64(v.rights())
				for i, right := range v.right {
					if right {
						v.learn[i] = (1 - p) * n * v.reward[i]
					} else {
						v.learn[i] = -p
					}
				}
			},
		}
	},
}

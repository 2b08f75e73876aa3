package rewards

import "pith/policies/advantage"

type alpParams struct {
	Beta float64 `key:"beta" default:"1e-7" min:"0" doc:"price of a token of a problem that is always solved: the paper's β divided by its length normaliser"`
}

var alpSpec = &spec{
	name: "alp", title: "ALP: a length price in proportion to the solve rate", family: "difficulty", verified: Secondary,
	formula:  "r = c - beta · max(p, 1/G) · L, p = share right;  A = (r - mean) / (sd + 1e-6) over the group",
	source:   "arXiv 2506.05256, from a secondary source; beta from third-party code",
	needs:    FieldCorrect | FieldTokens,
	notes:    []string{"right and wrong answers pay alike"},
	promises: Promises{ZeroSum: true, Monotone: true, PressesWrong: true},
	recommended: Recommended{
		Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &alpParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*alpParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				price := o.Beta * max(v.accuracy(), 1/float64(v.n()))
				for i, tokens := range v.tokens {
					v.terms[1][i] = -price * tokens
				}
				return nil
			},
		}
	},
}

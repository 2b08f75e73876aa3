package rewards

import "pith/policies/advantage"

type naiveParams struct {
	TokensPerPoint float64 `key:"tokens_per_point" default:"10" over:"0" doc:"tokens that cost as much as a right answer earns"`
}

var naiveLengthSpec = &spec{
	name: "naive_length", title: "A cautionary baseline: a flat price per token, right or wrong", family: "length", verified: Ours,
	formula: "r = c - L / tokens_per_point, for right and wrong answers alike;  A = (r - mean) / (sd + 1e-6) over the group",
	source:  "ours; the collapse that it shows is described in arXiv 2606.22716 and 2505.18086",
	needs:   FieldCorrect | FieldTokens,
	notes: []string{
		"not a method to use: a short wrong answer outranks a long right one, and the policy collapses to answering at once",
		"training refuses it unless the config allows its inversions by name",
	},
	promises:    Promises{ZeroSum: true, Monotone: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28},
	params:      func() any { return &naiveParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*naiveParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				for i, tokens := range v.tokens {
					v.terms[1][i] = -tokens / o.TokensPerPoint
				}
				return nil
			},
		}
	},
}

package rewards

import "pith/policies/advantage"

type gr3Params struct {
	Alpha float64 `key:"alpha" default:"0.33" min:"0" doc:"how strongly length divides the reward"`
}

var gr3Spec = &spec{
	name: "gr3", title: "GR³: group relative reward rescaling", family: "length", verified: Secondary,
	formula:  "r = R / (1 + alpha · L / mean(L)), mean over the group, R = score where given, else c;  A = (r - mean) / (sd + 1e-6)",
	source:   "arXiv 2603.10535, from a secondary source",
	needs:    FieldCorrect | FieldTokens,
	optional: []string{"score"},
	notes:    []string{"multiplicative, so it suits rewards that are not 0/1", "alpha is chosen so that strong samples keep a positive advantage"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &gr3Params{} },
	bind: func(p any, profile string) *plan {
		o := p.(*gr3Params)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				mean := describe(v.tokens, nil).mean
				for i := range v.s {
					r, relative := task(v, i), 1.0
					if mean > 0 {
						relative = v.tokens[i] / mean
					}
					v.terms[0][i] = r
					v.terms[1][i] = r/(1+o.Alpha*relative) - r
				}
				return nil
			},
		}
	},
}

// task is the sample's task score where it has one, else its correctness.
func task(v *view, i int) float64 {
	if v.s[i].Score != nil {
		return *v.s[i].Score
	}
	return indicator(v.right[i])
}

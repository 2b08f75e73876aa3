package rewards

import "pith/policies/advantage"

type aroraParams struct {
	Alpha float64 `key:"alpha" default:"0.2" min:"0" under:"1" doc:"largest share of a right answer's reward that length can take"`
	Std   string  `key:"std" default:"population" enum:"sample|population" doc:"deviation of the right answers' lengths (two ports take sample)"`
}

var aroraSpec = &spec{
	name: "arora", title: "Training language models to reason efficiently", family: "length", verified: InCode,
	formula: "r = c · (1 - alpha · σ((L - mean) / (sd + 1e-7))), mean and sd over the right answers of the group\n" +
		"truncated: r = 0, and it takes no part in mean and sd\n" +
		"A = r - mean of the others",
	source:      "arXiv 2502.04463; Zanette-Labs/efficient-reasoning reward_server/math_server.py",
	needs:       FieldCorrect | FieldTokens | FieldTruncated,
	notes:       []string{"one right answer, or equal lengths: 1 - alpha/2"},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{Strategy: "single", GroupSize: 8, Loss: "ppo", Aggregation: "seq_mean_token_mean", ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001, Rate: 5e-6},
	params:      func() any { return &aroraParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*aroraParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.RLOO](profile, nil),
			score: func(v *view) error {
				for i := range v.s { // a cut answer counts as not given
					v.right[i] = v.right[i] && !v.s[i].Truncated
				}
				v.correctness(0)
				lengths := describe(v.tokens, v.right)
				for i, right := range v.right {
					if right {
						z := (v.tokens[i] - lengths.mean) / (lengths.std(o.Std) + 1e-7)
						v.terms[1][i] = -o.Alpha * sigmoid(z)
					}
				}
				return nil
			},
		}
	},
}

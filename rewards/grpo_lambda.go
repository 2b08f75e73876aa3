package rewards

import "pith/policies/advantage"

type grpoLambdaParams struct {
	Threshold float64 `key:"threshold" default:"0.75" min:"0" max:"1" doc:"share of right answers from which on length counts"`
	Alpha     float64 `key:"alpha" default:"0.2" min:"0" under:"1" doc:"largest share of a right answer's reward that length can take"`
}

var grpoLambdaSpec = &spec{
	name: "grpo_lambda", title: "GRPO-λ: a length penalty in groups of high accuracy only", family: "difficulty", verified: Ours,
	formula: "share right ≥ threshold: r = c · (1 - alpha · σ((L - mean) / (sd + 1e-7))), over the right answers, sd dividing by n;  else r = c\n" +
		"A = (r - mean) / (sd + 1e-6) over the group",
	source:      "our reading of arXiv 2505.18086 (secondary): the switch is theirs, the threshold and the form of the penalty (arora's) are ours",
	needs:       FieldCorrect | FieldTokens,
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28},
	params:      func() any { return &grpoLambdaParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*grpoLambdaParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				if v.accuracy() < o.Threshold {
					return nil
				}
				lengths := describe(v.tokens, v.right)
				for i, right := range v.right {
					if right {
						v.terms[1][i] = -o.Alpha * sigmoid((v.tokens[i]-lengths.mean)/(lengths.population+1e-7))
					}
				}
				return nil
			},
		}
	},
}

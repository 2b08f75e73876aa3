package rewards

import "pith/policies/advantage"

type o1PrunerParams struct {
	Lambda float64 `key:"lambda" default:"2" min:"0" doc:"weight of accuracy against length (2 and 5 in the paper)"`
}

var o1PrunerSpec = &spec{
	name: "o1_pruner", title: "O1-Pruner: shorter than the reference model, at no lower accuracy", family: "length", verified: InPaper,
	formula: "r = L_ref / L - 1 + lambda · (c - c_ref), L_ref and c_ref means of reference samples of the problem;  A = r",
	source:  "arXiv 2501.12570; StarDewXXX/O1-Pruner",
	needs:   FieldCorrect | FieldTokens | FieldReferenceTokens | FieldReferenceAccuracy,
	differences: []string{
		"the code is weighted supervised training: r is clipped to [-2, 4] and standardised over the whole set (population deviation)",
	},
	notes:       []string{"wrong answers get the length term too: a very short wrong answer can outrank a right one", "an empty response counts as one token"},
	promises:    Promises{Monotone: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "seq_mean_token_mean", ClipLow: 0.2, ClipHigh: 0.2, Rate: 2e-7},
	params:      func() any { return &o1PrunerParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*o1PrunerParams)
		code := profile == "released_code"
		pl := &plan{terms: []string{"correctness", "length"}, estimator: &advantage.Reinforce{}}
		if code {
			pl.terms = append(pl.terms, "clip")
			pl.estimator = estimator[advantage.BatchResponse](profile, func(e *advantage.BatchResponse) {
				e.Centre, e.Std = "none", advantage.StdPopulation
			})
		}
		pl.score = func(v *view) error {
			ref := &v.group.Problem
			for i, right := range v.right {
				v.terms[0][i] = o.Lambda * (indicator(right) - *ref.ReferenceAccuracy)
				v.terms[1][i] = ref.ReferenceTokens/max(v.tokens[i], 1) - 1
				if code {
					w := v.terms[0][i] + v.terms[1][i]
					v.terms[2][i] = clamp(w, -2, 4) - w
				}
			}
			return nil
		}
		return pl
	},
}

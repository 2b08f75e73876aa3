package rewards

import "pith/policies/advantage"

type kimiParams struct {
	Weight       float64 `key:"weight" default:"1" min:"0" doc:"of the length term; the paper does not state it, a re-implementation takes 0.4"`
	CorrectScore float64 `key:"correct_score" default:"1" doc:"reward of a right answer before the length term"`
	WrongScore   float64 `key:"wrong_score" default:"0" doc:"reward of a wrong answer before the length term"`
}

var kimiLengthSpec = &spec{
	name: "kimi_length", title: "Kimi k1.5 length reward", family: "length", verified: InPaper,
	formula: "λ = 0.5 - (L - min) / (max - min), over all responses of the group; 0 if max = min\n" +
		"r = c + weight · (λ if right, min(0, λ) if wrong)\n" +
		"A = (r - mean) / (sd + 1e-6) over the group",
	source:      "arXiv 2501.12599, section 2.3.3; the weight is not stated there",
	needs:       FieldCorrect | FieldTokens,
	differences: []string{"no code was released; hkust-nlp/Laser's port uses weight 0.4 with base scores 1 and -0.5"},
	notes:       []string{"a wrong answer in the longer half is punished for its length", "the paper switches the term on after an initial phase of unstated length (a schedule of rewards.params.weight)", "with weight above 1 a long right answer can rank below a short wrong one"},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true, PressesWrong: true},
	recommended: Recommended{
		Strategy: "single", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &kimiParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*kimiParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				all := describe(v.tokens, nil)
				for i, right := range v.right {
					lambda := 0.0
					if all.hi > all.lo {
						lambda = 0.5 - (v.tokens[i]-all.lo)/(all.hi-all.lo)
					}
					v.terms[0][i] = o.CorrectScore
					if !right {
						v.terms[0][i], lambda = o.WrongScore, min(0, lambda)
					}
					v.terms[1][i] = o.Weight * lambda
				}
				return nil
			},
		}
	},
}

package rewards

import "pith/policies/advantage"

type adaptThinkParams struct {
	Delta float64 `key:"delta" default:"0.05" min:"0" doc:"what answering without thinking is worth, in accuracy"`
}

var adaptThinkSpec = &spec{
	name: "adaptthink", title: "AdaptThink: think only where it pays", family: "mode", verified: InCode,
	formula:     "r = c;  A = c - c_ref + delta · [mode = no-think], c_ref = accuracy of the frozen reference on the problem",
	source:      "arXiv 2505.13417; THU-KEG/AdaptThink src/adapt_think_*",
	needs:       FieldCorrect | FieldMode | FieldReferenceAccuracy,
	differences: []string{"the paper's loss clips a ratio per token; the code one per sequence, exp(mean log-ratio), and overwrites the first token's old log-probability with that of the forced share"},
	notes:       []string{"half of each group is forced into no-think", "no group normalisation at all"},
	promises:    Promises{Monotone: true, Ordered: true},
	recommended: Recommended{Strategy: "modes", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, Temperature: 0.6, Rate: 2e-6},
	params:      func() any { return &adaptThinkParams{} },
	bind: func(p any, _ string) *plan {
		o := p.(*adaptThinkParams)
		return &plan{
			terms:     []string{"correctness"},
			estimator: &advantage.Reinforce{},
			score:     scorePlain,
			learn: func(v *view) {
				for i, s := range v.s {
					v.learn[i] += o.Delta*indicator(s.Mode == ModeNoThink) - *v.group.Problem.ReferenceAccuracy
				}
			},
		}
	},
}

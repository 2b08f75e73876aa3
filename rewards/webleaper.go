package rewards

import "pith/policies/advantage"

type webLeaperParams struct {
	Omega float64 `key:"omega" default:"1" over:"0" doc:"weight of recall against precision. Unverified: 1 is a safe default"`
}

var webLeaperSpec = &spec{
	name: "webleaper", title: "WebLeaper: graded coverage of the entities that a search has to find", family: "tool", verified: Unverified,
	formula: "r = (1 + ω²) · P · R / (ω² · P + R), 0 if both are 0, P and R soft precision and recall;  A = (r - mean) / (sd + 1e-6) over the group",
	source:  "arXiv 2510.24697 (README and a third-party note): the F-measure is theirs; ω and the rule that matches entities are unverified",
	needs:   FieldPrecision | FieldRecall,
	promises: Promises{
		ZeroSum: true, Monotone: true,
	},
	recommended: Recommended{Strategy: "tools", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2},
	params:      func() any { return &webLeaperParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*webLeaperParams)
		return &plan{
			terms:     []string{"coverage"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				w := o.Omega * o.Omega
				for i, s := range v.s {
					if down := w**s.Precision + *s.Recall; down > 0 {
						v.terms[0][i] = (1 + w) * *s.Precision * *s.Recall / down
					}
				}
				return nil
			},
		}
	},
}

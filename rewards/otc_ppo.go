package rewards

import (
	"math"

	"pith/policies/advantage"
)

type otcPPOParams struct {
	Alpha float64 `key:"alpha" default:"1" min:"0" doc:"reward of a right answer without any call"`
	C     float64 `key:"c" default:"4" over:"0" doc:"smoothing: how slowly calls get expensive. The paper takes the largest number of turns: 4 for search, 3 for code"`
}

var otcPPOSpec = &spec{
	name: "otc_ppo", title: "OTC-PPO: every tool call costs", family: "tool", verified: InPaper,
	formula:  "r = alpha · cos(mπ / (2m + c)) · c_i, m = calls;  A = (r - mean) / (sd + 1e-6) over the group",
	source:   "arXiv 2504.14870v2; no official code",
	needs:    FieldCorrect | FieldToolCalls,
	notes:    []string{"the paper fixes the reward only and trains with PPO and a critic; the group estimator is pith's default"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "tools", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &otcPPOParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*otcPPOParams)
		return &plan{
			terms: []string{"correctness", "tool_calls"}, compose: compose{kind: product},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				for i, s := range v.s {
					v.terms[0][i] = o.Alpha * indicator(v.right[i])
					m := float64(s.ToolCalls)
					v.terms[1][i] = math.Cos(m * math.Pi / (2*m + o.C))
				}
				return nil
			},
		}
	},
}

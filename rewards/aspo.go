package rewards

import (
	"math"

	"pith/policies/advantage"
)

type aspoParams struct {
	Delta float64 `key:"delta" default:"-2" doc:"negative: pay for an earlier first call, in mean lengths"`
	K     float64 `key:"k" default:"0.7" over:"0" under:"1" doc:"the term stays within this share of the advantage"`
}

var aspoSpec = &spec{
	name: "aspo", title: "ASPO: advantage shaping for an earlier first tool call", family: "tool", verified: InPaper,
	formula: "r = c;  A = (r - mean) / (sd + 1e-6) over the group\n" +
		"right answers with a call: A += clip(delta · (p - mean(p)) / mean(L), ±k·|A|), p the position of the first call, means over those answers",
	source:   "arXiv 2508.19201 (text: -2 and 0.7, or -2.5 and 0.9; its figure says 1.5/0.7 and 2/0.9)",
	needs:    FieldCorrect | FieldTokens,
	optional: []string{"first_tool_token"},
	notes:    []string{"the paper bounds by k·A, which is positive there; |A| covers the other estimators", "a trace without first_tool_token called no tool and is left alone"},
	promises: Promises{Ordered: true},
	recommended: Recommended{
		Strategy: "tools", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &aspoParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*aspoParams)
		return &plan{
			terms:     []string{"correctness"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score:     scorePlain,
			shape:     func(v *view) { o.shape(v) },
		}
	},
}

func (o *aspoParams) shape(v *view) {
	n, position, length := 0.0, 0.0, 0.0
	calls := func(i int) bool { return v.right[i] && v.s[i].FirstToolToken != nil }
	for i, s := range v.s {
		if calls(i) {
			n++
			position += float64(*s.FirstToolToken)
			length += v.tokens[i]
		}
	}
	if length == 0 {
		return
	}
	for i, s := range v.s {
		if calls(i) {
			bound := o.K * math.Abs(v.adv[i])
			v.adv[i] += clamp(o.Delta*(float64(*s.FirstToolToken)-position/n)/(length/n), -bound, bound)
		}
	}
}

package rewards

import "pith/policies/advantage"

type dapoParams struct {
	Limit        int     `key:"limit" default:"20480" min:"1" doc:"tokens; a response this long gets the full punishment"`
	Buffer       int     `key:"buffer" default:"4096" min:"1" doc:"tokens before the limit over which the punishment grows from 0 to 1"`
	CorrectScore float64 `key:"correct_score" default:"1" doc:"reward of a right answer"`
	WrongScore   float64 `key:"wrong_score" default:"-1" doc:"reward of a wrong answer"`
	Filter       bool    `key:"filter" default:"true" doc:"drop groups that are all right or all wrong"`
}

var dapoSpec = &spec{
	name: "dapo", title: "DAPO: soft overlong punishment, dynamic sampling", family: "length", verified: InCode,
	formula: "r = (c ? correct_score : wrong_score) + p(L)\n" +
		"p(L) = 0 if L ≤ limit - buffer;  (limit - buffer - L) / buffer up to limit;  -1 beyond\n" +
		"A = (r - mean) / (sd + 1e-6) over the group",
	source: "arXiv 2503.14476, section 3.4; verl recipe/dapo, TRL's soft overlong reward (the ±1 scores are from memory)",
	needs:  FieldCorrect | FieldTokens, optional: []string{"truncated"},
	filter:      "groups all right or all wrong",
	differences: []string{"the code's punishment is not floored at -1: beyond the limit it keeps growing", "the code lets the raw reward of a group of one through"},
	notes:       []string{"the punishment also falls on wrong answers", "limit and buffer hold for the paper's 20k-token setting: set both"},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true, PressesWrong: true},
	recommended: Recommended{
		Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28,
		Temperature: 1, Rate: 1e-6, Dynamic: true,
	},
	params: func() any { return &dapoParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*dapoParams)
		return &plan{
			terms: []string{"correctness", "overlong"},
			estimator: estimator[advantage.GRPO](profile, func(e *advantage.GRPO) {
				if profile == "released_code" {
					e.Singleton = advantage.SingletonRaw
				}
			}),
			keep: mixedFilter(o.Filter, profile),
			score: func(v *view) error {
				for i, right := range v.right {
					v.terms[0][i] = o.WrongScore
					if right {
						v.terms[0][i] = o.CorrectScore
					}
					v.terms[1][i] = o.punishment(v, i, profile == "released_code")
				}
				return nil
			},
		}
	},
}

func (o *dapoParams) punishment(v *view, i int, unbounded bool) float64 {
	excess := v.tokens[i] - float64(o.Limit-o.Buffer)
	penalty := min(-excess/float64(o.Buffer), 0)
	if unbounded {
		return penalty
	}
	if v.over(i, o.Limit) {
		return -1
	}
	return max(penalty, -1)
}

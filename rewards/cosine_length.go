package rewards

import (
	"math"

	"pith/policies/advantage"
)

type cosineParams struct {
	Limit      int     `key:"limit" default:"14336" min:"1" doc:"tokens; a response this long or truncated gets exceed"`
	RightShort float64 `key:"right_short" default:"2" doc:"reward of a right answer of length 0"`
	RightLong  float64 `key:"right_long" default:"1" doc:"reward of a right answer just under the limit"`
	WrongShort float64 `key:"wrong_short" default:"-10" doc:"reward of a wrong answer of length 0"`
	WrongLong  float64 `key:"wrong_long" default:"0" doc:"reward of a wrong answer just under the limit"`
	Exceed     float64 `key:"exceed" default:"-10" doc:"reward of a response that reaches the limit"`
}

var cosineLengthSpec = &spec{
	name: "cosine_length", title: "Cosine length reward: brief when right, persistent when wrong", family: "length", verified: Secondary,
	formula: "r = long + (short - long) · (1 + cos(πL/limit)) / 2, with right_short … right_long or wrong_short … wrong_long;  exceed if L ≥ limit or truncated\n" +
		"A = (r - mean) / (sd + 1e-6) over the group",
	source:      "arXiv 2502.03373, from a secondary source",
	needs:       FieldCorrect | FieldTokens,
	optional:    []string{"truncated"},
	notes:       []string{"a right answer that reaches the limit ranks below a wrong one that does not", "wrong answers are paid for length, so that the policy keeps searching"},
	promises:    Promises{ZeroSum: true, Monotone: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2},
	params:      func() any { return &cosineParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*cosineParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				for i, right := range v.right {
					v.terms[1][i] = o.total(right, v.s[i]) - v.terms[0][i]
				}
				return nil
			},
		}
	},
}

func (o *cosineParams) total(right bool, s *Sample) float64 {
	if s.Tokens >= o.Limit || s.Truncated {
		return o.Exceed
	}
	short, long := o.WrongShort, o.WrongLong
	if right {
		short, long = o.RightShort, o.RightLong
	}
	return long + (short-long)*(1+math.Cos(math.Pi*float64(s.Tokens)/float64(o.Limit)))/2
}

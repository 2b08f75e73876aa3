package rewards

import (
	"fmt"
	"math"

	"pith/policies/advantage"
)

type siriParams struct {
	LimitMax int    `key:"limit_max" default:"16384" min:"1" doc:"tokens; the limit at the expanded end of a cycle"`
	LimitMin int    `key:"limit_min" default:"8192" min:"1" doc:"tokens; the limit at the compressed end"`
	Period   int    `key:"period" default:"640" min:"1" doc:"steps of a cycle"`
	Form     string `key:"form" default:"cosine" enum:"cosine|stair_cosine" doc:"shape of the cycle"`
}

// Validate implements the cross-field check of package params.
func (o *siriParams) Validate() error {
	if o.LimitMin > o.LimitMax {
		return fmt.Errorf("limit_min: want at most limit_max (%d), got %d", o.LimitMax, o.LimitMin)
	}
	return nil
}

// limit is L(t), rounded down; a hair is added so that rounding cannot cost a token.
func (o *siriParams) limit(step int64) int {
	phase := 2 * math.Pi * float64(step%int64(o.Period)) / float64(o.Period)
	mid, half := float64(o.LimitMax+o.LimitMin)/2, float64(o.LimitMax-o.LimitMin)/2
	if o.Form == "stair_cosine" {
		switch quarter := math.Pi / 4; {
		case phase < quarter || phase >= 7*quarter:
			return o.LimitMax
		case phase < 3*quarter:
			phase = 2 * (phase - quarter)
		case phase < 5*quarter:
			return o.LimitMin
		default:
			phase = 2 * (phase - 3*quarter)
		}
	}
	return int(math.Floor(mid + half*math.Cos(phase) + 1e-9))
}

var siriSpec = &spec{
	name: "siri", title: "SIRI: generation limits that shrink and grow in cycles", family: "length", verified: InPaper,
	formula: "L(t) = M + H·cos(2πt/period), M and H the middle and half the range of limit_min … limit_max, rounded down\n" +
		"stair_cosine: limit_max, falls over the second eighth to third eighth of the cycle, limit_min, rises likewise\n" +
		"r = c if L ≤ L(t) and not truncated, else 0;  A = (r - mean) / (sd + 1e-6) over the group",
	source:   "arXiv 2509.25176; no code was released. Rounding is not stated (down here)",
	needs:    FieldCorrect | FieldTokens | FieldStep,
	optional: []string{"truncated"},
	state:    "none: the phase follows from the step",
	notes:    []string{"the answer has to be inside the first L(t) tokens", "the length of responses trails the limit by 100 to 200 steps"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28, Temperature: 1, Rate: 1e-6,
		Schedule: "rollout.max_tokens: the same cycle",
	},
	params: func() any { return &siriParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*siriParams)
		return &plan{
			terms:     []string{"correctness", "truncation"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				limit := o.limit(v.group.Step)
				for i, right := range v.right {
					if right && v.over(i, limit) {
						v.terms[1][i] = -1
					}
				}
				return nil
			},
		}
	},
}

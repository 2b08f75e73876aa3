package rewards

import (
	"math"

	"pith/policies/advantage"
)

type gtalignParams struct {
	Mean string `key:"mean" default:"geometric" enum:"geometric|arithmetic" doc:"how user and model welfare are joined; arithmetic is the paper's ablation"`
}

var gtalignSpec = &spec{
	name: "gtalign", title: "GTAlign: mutual welfare of user and model", family: "mode", verified: InCode,
	formula: "h(x; a, b) = σ(0.005(x - a)) · σ(0.005(b - x))\n" +
		"U = 1e-4 + 0.5·answer + 0.2·h(response words; 20, 500) + 0.3·exp(-reasoning chars / 500)\n" +
		"M = 1e-4 + 0.2·formatted + 0.2·payoff + 0.4·answer + 0.2·h(output words; 500, 1000)\n" +
		"r = √(U·M), or (U + M)/2;  A = (r - mean) / (sd + 1e-6) over the group",
	source:   "arXiv 2510.08872; ulab-uiuc/GTAlign recipe/gamellm/tasks",
	needs:    FieldFormatted | FieldPayoff | FieldResponseWords | FieldReasoningChars | FieldOutputWords,
	optional: []string{"answer_score", "correct"},
	notes:    []string{"answer is answer_score, or correctness where it is absent", "the paper trains with PPO and a critic; the group estimator is pith's default"},
	promises: Promises{ZeroSum: true},
	recommended: Recommended{
		Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, Rate: 1e-6,
	},
	params: func() any { return &gtalignParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*gtalignParams)
		return &plan{
			terms:     []string{"welfare", "user", "model"},
			compose:   compose{kind: sum, weights: []float64{1, 0, 0}},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				for i, s := range v.s {
					if s.AnswerScore == nil && s.Correct == nil {
						return &InputError{Group: v.group.ID, Trace: s.ID, Field: "answer_score", Problem: "missing, and so is correct; gtalign needs one of them"}
					}
					answer := indicator(v.right[i])
					if s.AnswerScore != nil {
						answer = *s.AnswerScore
					}
					user := 1e-4 + 0.5*answer + 0.2*softWindow(s.ResponseWords, 20, 500) + 0.3*math.Exp(-float64(s.ReasoningChars)/500)
					model := 1e-4 + 0.2*indicator(s.Formatted) + 0.2**s.Payoff + 0.4*answer + 0.2*softWindow(s.OutputWords, 500, 1000)
					v.terms[0][i], v.terms[1][i], v.terms[2][i] = math.Sqrt(user*model), user, model
					if o.Mean == "arithmetic" {
						v.terms[0][i] = (user + model) / 2
					}
				}
				return nil
			},
		}
	},
}

// softWindow is near 1 between a and b and falls off on both sides.
func softWindow(x int, a, b float64) float64 {
	const steepness = 0.005
	return sigmoid(steepness*(float64(x)-a)) * sigmoid(steepness*(b-float64(x)))
}

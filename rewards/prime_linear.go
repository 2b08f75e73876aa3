package rewards

import "pith/policies/advantage"

type primeLinearParams struct {
	Output float64 `key:"output" default:"0.25" min:"0" doc:"weight of the response's length, relative to the longest of the group"`
	Prompt float64 `key:"prompt" default:"0.1" min:"0" doc:"weight of the prompt's length, relative to the longest"`
	Turns  float64 `key:"turns" default:"0.1" min:"0" doc:"weight of the number of turns, relative to the most"`
}

var primeLinearSpec = &spec{
	name: "prime_linear", title: "prime-rl's linear length penalty, scaled by the group's success", family: "length", verified: InCode,
	formula:  "r = c - mean(c) · (output · L / L_max + prompt · prompt / prompt_max + turns · turns / turns_max), maxima over the group;  A = r - mean",
	source:   "prime-rl",
	needs:    FieldCorrect | FieldTokens,
	optional: []string{"prompt_tokens", "turns"},
	notes:    []string{"right and wrong answers pay alike, but nothing in a group that is all wrong", "a part that no sample of the group has counts as 0"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true, PressesWrong: true},
	recommended: Recommended{
		Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &primeLinearParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*primeLinearParams)
		return &plan{
			terms:     []string{"correctness", "length", "prompt", "turns"},
			estimator: estimator[advantage.DrGRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				longest, prompt, turns := 0, 0, 0
				for _, s := range v.s {
					longest, prompt, turns = max(longest, s.Tokens), max(prompt, s.PromptTokens), max(turns, s.Turns)
				}
				mean := v.accuracy()
				for i, s := range v.s {
					v.terms[1][i] = -mean * o.Output * ratio(s.Tokens, longest)
					v.terms[2][i] = -mean * o.Prompt * ratio(s.PromptTokens, prompt)
					v.terms[3][i] = -mean * o.Turns * ratio(s.Turns, turns)
				}
				return nil
			},
		}
	},
}

// ratio is part/whole, 0 where the whole is 0.
func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

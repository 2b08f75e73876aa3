package rewards

import "pith/policies/advantage"

type optimaParams struct {
	LambdaTokens float64 `key:"lambda_tokens" default:"0.4" min:"0" doc:"price of the longest conversation of the group"`
	LambdaLoss   float64 `key:"lambda_loss" default:"0.8" min:"0" doc:"worth of readability: divided by the base model's loss"`
}

var optimaSpec = &spec{
	name: "optima", title: "Optima: task score, tokens and readability of a conversation", family: "length", verified: InCode,
	formula: "r = score - lambda_tokens · L / L_max + lambda_loss / base_loss, L_max over the group;  A = (r - mean) / (sd + 1e-6) over the group",
	source:  "arXiv 2410.08115v2; thunlp/Optima",
	needs:   FieldTokens | FieldBaseLoss, optional: []string{"score", "correct"},
	differences: []string{
		"the code forces the token term to its worst at 40 tokens or fewer, and the readability term to -1 above 2000 tokens or for an empty text",
		"the code's loss is the largest over turns of the mean negative log-likelihood",
	},
	notes:       []string{"a ranking reward: the paper fine-tunes on the best conversations or on pairs", "score is correctness where it is absent", "an easily predicted text can outweigh both task and tokens: 1/base_loss has no bound"},
	promises:    Promises{ZeroSum: true, PressesWrong: true},
	recommended: Recommended{Strategy: "single", Loss: "dpo", Aggregation: "group_mean_token_sum"},
	params:      func() any { return &optimaParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*optimaParams)
		code := profile == "released_code"
		return &plan{
			terms:     []string{"score", "tokens", "readability"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				longest := 0
				for _, s := range v.s {
					longest = max(longest, s.Tokens)
				}
				for i, s := range v.s {
					if s.Score == nil && s.Correct == nil {
						return &InputError{Group: v.group.ID, Trace: s.ID, Field: "score", Problem: "missing, and so is correct; optima needs one of them"}
					}
					v.terms[0][i] = task(v, i)
					spent, readable := ratio(s.Tokens, longest), 1 / *s.BaseLoss
					if code && s.Tokens <= 40 {
						spent = 1
					}
					if code && (s.Tokens > 2000 || s.Tokens == 0) {
						readable = -1
					}
					v.terms[1][i] = -o.LambdaTokens * spent
					v.terms[2][i] = o.LambdaLoss * readable
				}
				return nil
			},
		}
	},
}

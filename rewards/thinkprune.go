package rewards

import "pith/policies/advantage"

type thinkPruneParams struct {
	Limit int `key:"limit" default:"4000" min:"1" doc:"tokens; a longer or truncated response earns nothing. Stages: 4000, 3000, 2000"`
}

var thinkPruneSpec = &spec{
	name: "thinkprune", title: "ThinkPrune: generation limits that tighten in stages", family: "length", verified: InCode,
	formula: "r = c if L ≤ limit and not truncated, else 0;  A = (r - mean) / (sd + 1e-6) over the group",
	source:  "arXiv 2504.01296; UCSB-NLP-Chang/ThinkPrune",
	needs:   FieldCorrect | FieldTokens | FieldTruncated,
	notes:   []string{"the limit is stated in the prompt", "a stage starts from about step 180 of the one before"},
	promises: Promises{
		ZeroSum: true, Monotone: true, Ordered: true,
	},
	recommended: Recommended{
		Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, KL: 0.001, KLKind: "k3", Rate: 1e-6,
		Schedule: "rewards.params.limit and rollout.max_tokens: stages 4000, 3000, 2000",
	},
	params: func() any { return &thinkPruneParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*thinkPruneParams)
		return &plan{
			terms:     []string{"correctness", "truncation"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				for i, right := range v.right {
					if right && v.over(i, o.Limit) {
						v.terms[1][i] = -1
					}
				}
				return nil
			},
		}
	},
}

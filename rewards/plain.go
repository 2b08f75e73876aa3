package rewards

import "pith/policies/advantage"

// plain is a method whose reward is correctness alone and whose name is its estimator's.
func plain(name, title, formula, source string, zeroSum bool, bind func(profile string) advantage.Estimator) *spec {
	return &spec{
		name: name, title: title, family: "baseline", verified: InCode,
		formula: formula, source: source,
		needs:    FieldCorrect | FieldTokens,
		promises: Promises{ZeroSum: zeroSum, Monotone: true, Ordered: true},
		recommended: Recommended{
			Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
		},
		bind: func(_ any, profile string) *plan {
			return &plan{terms: []string{"correctness"}, estimator: bind(profile), score: scorePlain}
		},
	}
}

func scorePlain(v *view) error {
	v.correctness(0)
	return nil
}

var grpoSpec = plain("grpo", "Group relative policy optimisation",
	"r = c;  A = (r - mean) / (sd + 1e-6) over the group, sd dividing by n-1",
	"arXiv 2402.03300; verl trainer/ppo/core_algos.py", true,
	func(profile string) advantage.Estimator { return estimator[advantage.GRPO](profile, nil) })

var drGRPOSpec = withAggregation(plain("dr_grpo", "GRPO done right: no deviation, constant length normaliser",
	"r = c;  A = r - mean over the group; token sums divided by a constant",
	"arXiv 2503.20783; verl and TRL", true,
	func(profile string) advantage.Estimator { return estimator[advantage.DrGRPO](profile, nil) }), "dr_grpo")

var rlooSpec = withAggregation(plain("rloo", "REINFORCE leave-one-out",
	"r = c;  A = r - mean of the others = (r - mean) · n/(n-1)",
	"arXiv 2402.14740; verl and TRL", true,
	func(profile string) advantage.Estimator { return estimator[advantage.RLOO](profile, nil) }), "seq_mean_token_mean")

var reinforcePPSpec = plain("reinforce_pp", "REINFORCE++",
	"r = c;  every token's return is r, whitened over the batch's tokens: A = (r - Σ L·r / Σ L) / √(unbiased token variance + 1e-8)",
	"arXiv 2501.03262; verl trainer/ppo/core_algos.py", false,
	func(profile string) advantage.Estimator { return estimator[advantage.ReinforcePP](profile, nil) })

func withAggregation(sp *spec, aggregation string) *spec {
	sp.recommended.Aggregation = aggregation
	return sp
}

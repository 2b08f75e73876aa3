package rewards

import "pith/policies/advantage"

type canonParams struct {
	Mu    float64 `key:"mu" default:"0.5" min:"0" max:"1" doc:"weight of the comparison with the other half; 1 - mu goes to the own half"`
	Alpha float64 `key:"alpha" default:"1" doc:"factor on a success of the discounted half: the long one, or the one of low entropy. Below 1 (0.9) favours the other half"`
	Beta  float64 `key:"beta" default:"0" doc:"shift towards the high half"`
}

func canonSpec(name, title, metric, side, schedule string, needs Field, formula string) *spec {
	return &spec{
		name: name, title: title, family: "objective", verified: InCode,
		formula: "the group is sorted by " + metric + "; low = first ⌊G/2⌋, high = rest, with mean rewards m_low and m_high\n" + formula,
		source:  "arXiv 2509.23962; biuboomc/CANON verl/trainer/ppo/core_algos.py",
		needs:   needs,
		differences: []string{
			"the code lets the raw reward of a group of one through: (mu·alpha + 1 - mu)·r + mu·beta",
		},
		notes: []string{
			"mu = 0.5, alpha = 1, beta = 0 with equal halves is Dr. GRPO",
			"the code's division by the response limit is left to the loss (aggregation dr_grpo)",
			"ties in the metric keep input order",
		},
		promises: Promises{Ordered: true},
		recommended: Recommended{
			Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "dr_grpo", ClipLow: 0.2, ClipHigh: 0.28, Temperature: 1, Rate: 1e-6, Schedule: schedule,
		},
		params: func() any { return &canonParams{} },
		bind: func(p any, profile string) *plan {
			o := p.(*canonParams)
			return &plan{
				terms: []string{"correctness"},
				estimator: estimator[advantage.Canon](profile, func(e *advantage.Canon) {
					e.Mu, e.Alpha, e.Beta, e.Side, e.Metric = o.Mu, o.Alpha, o.Beta, side, metric
					if profile == "released_code" {
						e.Singleton = advantage.SingletonRaw
					}
				}),
				score: scorePlain,
			}
		},
	}
}

var canonLengthSpec = canonSpec("canon_length", "CANON by length: compare the long half with the short half", "length", "high", "", FieldCorrect|FieldTokens,
	"high: mu·(alpha·r - m_low + beta) + (1-mu)·(r - m_high)\nlow:  mu·(r - alpha·m_high - beta) + (1-mu)·(r - m_low)")

var canonEntropySpec = canonSpec("canon_entropy", "CANON by entropy: compare the uncertain half with the certain half", "entropy", "low",
	"rewards.params.mu: a cosine with restarts; the batch's accuracy is the alternative", FieldCorrect|FieldEntropy,
	"high: mu·(r - alpha·m_low + beta) + (1-mu)·(r - m_high)\nlow:  mu·(alpha·r - m_high - beta) + (1-mu)·(r - m_low)")

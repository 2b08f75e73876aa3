package rewards

import "pith/policies/advantage"

type ddcaParams struct {
	Beta float64 `key:"beta" default:"0.2" min:"0" doc:"weight of the length advantage"`
	Form string  `key:"form" default:"grpo" enum:"grpo|rloo" doc:"group means with population deviation, or leave-one-out means, for both advantages"`
}

var ddcaSpec = &spec{
	name: "ddca", title: "DDCA: a length advantage among right answers only, apart from the accuracy advantage", family: "length", verified: InCode,
	formula: "A = A_acc + beta · A_len\n" +
		"A_acc = (c - p) / (sd + 1e-8), sd dividing by n;  p = share right\n" +
		"right answers: s = σ(clip((L - mean) / sd, ±20)) over the right ones, A_len = -(s - mean(s)) · p;  wrong: A_len = 0\n" +
		"form rloo: both against the mean of the others",
	source: "arXiv 2602.02099 (secondary); alphadl/DDCA dca/advantage.py",
	needs:  FieldCorrect | FieldTokens,
	notes:  []string{"reward is the correctness; the length acts on the advantage"},
	promises: Promises{
		ZeroSum: true, Monotone: true, Ordered: true,
	},
	recommended: Recommended{Strategy: "single", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, Temperature: 0.6},
	params:      func() any { return &ddcaParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*ddcaParams)
		pl := &plan{
			terms: []string{"correctness"},
			estimator: estimator[advantage.GRPO](profile, func(e *advantage.GRPO) {
				e.Std, e.Eps = advantage.StdPopulation, 1e-8
			}),
			score: scorePlain,
			shape: func(v *view) { o.shape(v) },
		}
		if o.Form == "rloo" {
			pl.estimator = estimator[advantage.RLOO](profile, nil)
		}
		return pl
	},
}

func (o *ddcaParams) shape(v *view) {
	lengths := describe(v.tokens, v.right)
	if lengths.n < 2 || lengths.lo == lengths.hi {
		return
	}
	soft := func(i int) float64 {
		return sigmoid(clamp((v.tokens[i]-lengths.mean)/lengths.population, -20, 20))
	}
	mean := 0.0
	for i, right := range v.right {
		if right {
			mean += soft(i) / float64(lengths.n)
		}
	}
	scale := v.accuracy()
	if o.Form == "rloo" { // s - mean of the others = (s - mean) · n/(n-1)
		scale *= float64(lengths.n) / float64(lengths.n-1)
	}
	for i, right := range v.right {
		if right {
			v.adv[i] -= o.Beta * scale * (soft(i) - mean)
		}
	}
}

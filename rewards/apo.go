package rewards

import (
	"math"

	"pith/policies/advantage"
)

type apoParams struct {
	Alpha   float64 `key:"alpha" default:"2" over:"0" doc:"how sharply the price of an expensive mode rises with the problem's solve rate"`
	Compose string  `key:"compose" default:"product" enum:"product|sum" doc:"correctness · mode · format, or format · (correctness + mode); a violation of the form zeroes both"`
}

var apoSpec = &spec{
	name: "apo", title: "A²FM with adaptive policy optimisation: expensive modes pay on easy problems", family: "mode", verified: Unverified,
	formula: "p = success rate over the group's instant answers, over all where there are none\n" +
		"m = 1 in mode instant, else 1 - p^alpha;  r = c · m · formatted;  A = (r - mean) / (sd + 1e-6) over the group",
	source:   "arXiv 2510.12838, formulas from a third-party note; how the parts are composed is unverified",
	needs:    FieldCorrect | FieldFormatted | FieldMode,
	notes:    []string{"for each problem some rollouts are forced into each mode and some are free"},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "modes", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &apoParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*apoParams)
		pl := &plan{
			terms: []string{"format", "correctness", "mode"}, compose: compose{kind: product},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				price := math.Pow(instantRate(v), o.Alpha)
				v.correctness(1)
				for i, s := range v.s {
					v.terms[0][i] = indicator(s.Formatted)
					v.terms[2][i] = 1
					if s.Mode != ModeInstant {
						v.terms[2][i] = 1 - price
					}
				}
				return nil
			},
		}
		if o.Compose == "sum" {
			pl.compose.kind = gate
		}
		return pl
	},
}

// instantRate is the success rate of the instant answers, of all where there are none.
func instantRate(v *view) float64 {
	n, right := 0, 0
	for i, s := range v.s {
		if s.Mode == ModeInstant {
			n++
			if v.right[i] {
				right++
			}
		}
	}
	if n == 0 {
		return v.accuracy()
	}
	return float64(right) / float64(n)
}

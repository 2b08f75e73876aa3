package rewards

import "pith/policies/advantage"

type laserParams struct {
	Target int     `key:"target" default:"4096" min:"1" doc:"tokens; a right answer of at most this length earns the bonus"`
	Alpha  float64 `key:"alpha" default:"0.5" min:"0" doc:"size of the step"`
	Form   string  `key:"form" default:"bonus" enum:"bonus|penalty|hybrid" doc:"bonus: +alpha when short; penalty: -alpha when long; hybrid: both"`
}

var laserSpec = &spec{
	name: "laser", title: "LASER: a step bonus for right answers under a target length", family: "length", verified: InCode,
	formula: "base = 1 right, -0.5 wrong, -1 malformed\n" +
		"r = base + alpha if right and L ≤ target (form bonus);  base - alpha if right and longer (penalty);  ±alpha (hybrid)\n" +
		"A = (r - mean) / (sd + 1e-6) over the group",
	source:      "arXiv 2505.15612; hkust-nlp/Laser verl/utils/reward_score/length_penalty.py",
	needs:       FieldCorrect | FieldFormatted | FieldTokens,
	differences: []string{"the code lets the raw reward of a group of one through"},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: laserRecipe,
	params:      func() any { return &laserParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*laserParams)
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: laserEstimator(profile),
			score: func(v *view) error {
				for i := range v.s {
					base := laserBase(v, i)
					v.terms[0][i] = base
					if base == laserRight {
						v.terms[1][i] = laserStep(o.Form, o.Alpha, v.s[i].Tokens <= o.Target)
					}
				}
				return nil
			},
		}
	},
}

var laserRecipe = Recommended{
	Strategy: "single", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28,
	KL: 0.001, KLKind: "k3", Entropy: 0.001, Temperature: 0.6, Rate: 1e-6,
}

// The base scores of the LASER family.
const (
	laserRight     = 1.0
	laserWrong     = -0.5
	laserMalformed = -1.0
)

func laserBase(v *view, i int) float64 {
	switch {
	case !v.s[i].Formatted:
		return laserMalformed
	case v.right[i]:
		return laserRight
	}
	return laserWrong
}

func laserStep(form string, alpha float64, short bool) float64 {
	switch {
	case short && form != "penalty":
		return alpha
	case !short && form != "bonus":
		return -alpha
	}
	return 0
}

func laserEstimator(profile string) advantage.Estimator {
	return estimator[advantage.GRPO](profile, func(e *advantage.GRPO) {
		if profile == "released_code" {
			e.Singleton = advantage.SingletonRaw
		}
	})
}

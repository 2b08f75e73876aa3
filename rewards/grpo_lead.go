package rewards

import (
	"math"
	"slices"

	"pith/policies/advantage"
)

type grpoLeadParams struct {
	Alpha float64 `key:"alpha" default:"0.05" min:"0" doc:"how fast a right answer's reward falls with its standardised length"`
	Gate  int     `key:"gate" default:"0" code:"4000" min:"0" doc:"tokens; the length term acts only if the three shortest responses of the group average more. 0: always"`
}

var grpoLeadSpec = &spec{
	name: "grpo_lead", title: "GRPO-LEAD: length-dependent accuracy, and a weight for difficulty", family: "difficulty", verified: InCode,
	formula: "r = exp(-alpha · z) right, -1 wrong, 0 malformed;  z = (L - mean) / sd over the group's right answers, sd dividing by n-1\n" +
		"A = w(q) · (r - mean) / (sd + 1e-6);  w(q) = 0.4 + 1.1 / (1 + e^{10(q - 0.75)}), q = p where A > 0, else 1 - p;  p = share right",
	source: "arXiv 2504.09696; aeroplanepaper/GRPO-LEAD",
	needs:  FieldCorrect | FieldFormatted | FieldTokens,
	differences: []string{
		"only the code skips the length term unless the three shortest responses of the group average more than 4000 tokens",
	},
	notes:       []string{"a malformed answer ranks above a wrong one"},
	promises:    Promises{Monotone: true, Ordered: true},
	recommended: Recommended{Strategy: "single", GroupSize: 8, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2, Temperature: 0.8, Rate: 1e-6},
	params:      func() any { return &grpoLeadParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*grpoLeadParams)
		l := &lead{o: o}
		return &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score:     l.score,
			shape:     l.shape,
		}
	},
}

type lead struct {
	o      *grpoLeadParams
	good   []bool
	sorted []float64
}

func (l *lead) score(v *view) error {
	l.good = l.good[:0]
	for i, s := range v.s {
		l.good = append(l.good, v.right[i] && s.Formatted)
		switch {
		case !s.Formatted:
		case v.right[i]:
			v.terms[0][i] = 1
		default:
			v.terms[0][i] = -1
		}
	}
	lengths := describe(v.tokens, l.good)
	if lengths.sample == 0 || !l.open(v) {
		return nil
	}
	for i, good := range l.good {
		if good {
			v.terms[1][i] = math.Exp(-l.o.Alpha*(v.tokens[i]-lengths.mean)/lengths.sample) - 1
		}
	}
	return nil
}

// open says whether the gate lets the length term act.
func (l *lead) open(v *view) bool {
	if l.o.Gate == 0 {
		return true
	}
	l.sorted = append(l.sorted[:0], v.tokens...)
	slices.Sort(l.sorted)
	return describe(l.sorted[:min(3, len(l.sorted))], nil).mean > float64(l.o.Gate)
}

func (l *lead) shape(v *view) {
	p := v.accuracy()
	for i, a := range v.adv {
		q := 1 - p
		if a > 0 {
			q = p
		}
		v.adv[i] *= 0.4 + 1.1/(1+math.Exp(10*(q-0.75)))
	}
}

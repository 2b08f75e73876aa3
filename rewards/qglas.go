package rewards

import (
	"slices"

	"pith/policies/advantage"
)

type qglasParams struct {
	BetaMin float64 `key:"beta_min" default:"0.1" min:"0" doc:"smallest weight of the shaping; the largest is twice it. Illustrative: the paper's value was not found"`
	Cap     float64 `key:"cap" default:"1" over:"0" doc:"relative saving at which the bonus is full"`
}

var qglasSpec = &spec{
	name: "qglas", title: "QGLAS: length shaping of positive advantages, gated by the spread of quality", family: "length", verified: InPaper,
	formula: "A = (r - mean) / (sd + 1e-6), sd dividing by n;  P = {A > 0}\n" +
		"h = clip((mean_P(L) - L) / (mean_P(L) + 1e-6), 0, cap) / cap on P, else 0\n" +
		"s_all = r_max - 25th percentile, s_P = max - min of r inside P;  β = β_min · (2 - clip(s_P / (s_all + 1e-6), 0, 1))\n" +
		"A ← A + (s_all / sd) · β · h  (without 1/sd where the estimator does not scale)",
	source:   "QGLAS (2026), paper text",
	needs:    FieldCorrect | FieldTokens,
	optional: []string{"score"},
	notes:    []string{"percentiles interpolate linearly", "reward is score where given, else correctness; the length acts on the advantage"},
	promises: Promises{Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &qglasParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*qglasParams)
		q := &qglas{o: o}
		pl := &plan{
			terms: []string{"correctness"},
			estimator: estimator[advantage.GRPO](profile, func(e *advantage.GRPO) {
				e.Std = advantage.StdPopulation
			}),
			score: func(v *view) error {
				for i := range v.s {
					v.terms[0][i] = task(v, i)
				}
				return nil
			},
		}
		pl.shape = func(v *view) { q.shape(v, pl.estimator) }
		return pl
	},
}

type qglas struct {
	o        *qglasParams
	positive []bool
	sorted   []float64
}

func (q *qglas) shape(v *view, e advantage.Estimator) {
	const eps = 1e-6
	q.positive = q.positive[:0]
	for _, a := range v.adv {
		q.positive = append(q.positive, a > 0)
	}
	lengths, rewards := describe(v.tokens, q.positive), describe(v.reward, q.positive)
	if lengths.n == 0 {
		return
	}
	q.sorted = append(q.sorted[:0], v.reward...)
	slices.Sort(q.sorted)
	all := q.sorted[len(q.sorted)-1] - percentile(q.sorted, 0.25)
	beta := q.o.BetaMin * (2 - clamp((rewards.hi-rewards.lo)/(all+eps), 0, 1))
	lambda := all * beta
	if g, ok := e.(*advantage.GRPO); ok && g.Std != advantage.StdNone {
		lambda /= describe(v.reward, nil).std(string(g.Std)) + eps
	}
	for i, positive := range q.positive {
		if positive {
			h := clamp((lengths.mean-v.tokens[i])/(lengths.mean+eps), 0, q.o.Cap) / q.o.Cap
			v.adv[i] += lambda * h
		}
	}
}

// percentile interpolates linearly between the order statistics of sorted values.
func percentile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

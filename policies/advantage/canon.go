package advantage

import (
	"cmp"
	"slices"
)

// Canon compares a response with the other half of its group and with its own (CANON, arXiv
// 2509.23962; biuboomc/CANON, core_algos.py). The group is sorted by Metric, stably; the low half
// is the first ⌊G/2⌋. With mean rewards m_low and m_high:
//
//	Side "high" (length form; Alpha discounts a high response's success):
//	  high: μ(α·r - m_low + β) + (1-μ)(r - m_high)
//	  low:  μ(r - α·m_high - β) + (1-μ)(r - m_low)
//	Side "low" (entropy form; Alpha discounts a low response's success):
//	  high: μ(r - α·m_low + β) + (1-μ)(r - m_high)
//	  low:  μ(α·r - m_high - β) + (1-μ)(r - m_low)
//
// μ = 0.5, α = 1, β = 0 with equal halves is Dr. GRPO. The code's constant division by the
// response limit is the loss's business and is left out. An empty half has mean 0.
type Canon struct {
	Mu     float64 `key:"mu" default:"0.5" min:"0" max:"1" doc:"weight of the comparison with the other half; 1 - mu goes to the own half"`
	Alpha  float64 `key:"alpha" default:"1" doc:"factor on a success of the discounted half"`
	Beta   float64 `key:"beta" default:"0" doc:"shift towards the high half"`
	Side   string  `key:"side" default:"high" enum:"high|low" doc:"the half that alpha discounts: high (length form) or low (entropy form)"`
	Metric string  `key:"metric" default:"length" enum:"length|entropy" doc:"what splits the group"`
	Alone

	order []int
}

// Estimate implements [Estimator].
func (e *Canon) Estimate(groups []Group) {
	for i := range groups {
		e.group(&groups[i])
	}
}

func (e *Canon) group(g *Group) {
	clear(g.Advantage)
	e.order = e.order[:0]
	for j, r := range g.Reward {
		if r == r {
			e.order = append(e.order, j)
		}
	}
	n := len(e.order)
	if n == 0 || (n == 1 && e.Singleton != SingletonRaw) {
		return
	}
	slices.SortStableFunc(e.order, func(a, b int) int { return cmp.Compare(g.Metric[a], g.Metric[b]) })
	low, high := e.order[:n/2], e.order[n/2:]
	meanLow, meanHigh := meanOf(g.Reward, low), meanOf(g.Reward, high)
	if n == 1 {
		meanHigh = 0 // released code: a group of one is compared with nothing
	}
	lowOwn, highOwn := 1.0, 1.0
	if e.Side == "low" {
		lowOwn = e.Alpha
	} else {
		highOwn = e.Alpha
	}
	for _, j := range high {
		r := g.Reward[j]
		g.Advantage[j] = clean(e.Mu*(highOwn*r-lowOwn*meanLow+e.Beta) + (1-e.Mu)*(r-meanHigh))
	}
	for _, j := range low {
		r := g.Reward[j]
		g.Advantage[j] = clean(e.Mu*(lowOwn*r-highOwn*meanHigh-e.Beta) + (1-e.Mu)*(r-meanLow))
	}
}

func meanOf(xs []float64, at []int) float64 {
	if len(at) == 0 {
		return 0
	}
	sum := 0.0
	equal := true
	for _, j := range at {
		sum += xs[j]
		equal = equal && xs[j] == xs[at[0]]
	}
	if equal {
		return xs[at[0]]
	}
	return sum / float64(len(at))
}

// clean removes what rounding leaves of a difference that is 0 in exact arithmetic.
func clean(a float64) float64 {
	if a < residue && a > -residue {
		return 0
	}
	return a
}

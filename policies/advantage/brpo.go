package advantage

import "math"

// BRPO is the budget-relative advantage of AnytimeReasoner (arXiv 2505.13438v3, section 3; its
// code, brpo.py): scores r_1…r_m at m budgets with prior P, and for the tokens of step j
//
//	R_j = Σ_{k≥j} P_k·r_k
//	V1_j = (Σ_{k<j} λ^{j-k}·r_k / Σ_{k<j} λ^{j-k}) · Σ_{k≥j} P_k, and 0 for j = 1
//	V2_j = mean of R_j over the group, this response included, and 0 for a group of one
//	A_j = R_j - (j-1)/m·V1_j - (m-j+1)/m·V2_j
//
// Along gets A_j for each response and step, Advantage their plain mean. No deviation unless Scale
// asks for it.
type BRPO struct {
	Lambda   float64 `key:"lambda" default:"0.5" over:"0" max:"1" doc:"how fast scores at earlier budgets fade from the baseline"`
	Baseline string  `key:"baseline" default:"brpo" enum:"brpo|v1only|v2only|none|notrain" doc:"what is subtracted: both, one of them, nothing; notrain gives 0 everywhere"`
	Scale    string  `key:"scale" default:"none" enum:"none|batch" doc:"batch divides by the population deviation of all advantages of the batch (ours)"`
}

// Estimate implements [Estimator].
func (e *BRPO) Estimate(groups []Group) {
	for i := range groups {
		e.group(&groups[i])
	}
	if e.Scale == "batch" {
		e.scale(groups)
	}
	for i := range groups {
		for j := range groups[i].Advantage {
			groups[i].Advantage[j] = average(groups[i].Along[j])
		}
	}
}

func (e *BRPO) group(g *Group) {
	m := len(g.Prior)
	n := 0
	for j, r := range g.Reward {
		clear(g.Along[j])
		if r == r {
			n++
		}
	}
	if e.Baseline == "notrain" || n == 0 {
		return
	}
	tail := 0.0
	for step := m - 1; step >= 0; step-- {
		tail += g.Prior[step]
		sum := 0.0
		equal, first := true, math.NaN()
		for j, r := range g.Reward {
			if r != r {
				continue
			}
			ret := 0.0
			for k := m - 1; k >= step; k-- {
				ret += g.Prior[k] * g.Steps[j][k]
			}
			g.Along[j][step] = ret
			sum += ret
			if first != first {
				first = ret
			}
			equal = equal && ret == first
		}
		v2 := sum / float64(n)
		if equal {
			v2 = first
		}
		if n == 1 {
			v2 = 0
		}
		past, future := float64(step)/float64(m), float64(m-step)/float64(m)
		switch e.Baseline {
		case "v1only":
			past, future = 1, 0
		case "v2only":
			past, future = 0, 1
		case "none":
			past, future = 0, 0
		}
		for j, r := range g.Reward {
			if r == r {
				g.Along[j][step] = clean(g.Along[j][step] - past*e.v1(g.Steps[j][:step])*tail - future*v2)
			}
		}
	}
}

// v1 is the mean of earlier scores, the latest weighing most.
func (e *BRPO) v1(earlier []float64) float64 {
	weight, sum, total := 1.0, 0.0, 0.0
	for k := len(earlier) - 1; k >= 0; k-- {
		sum += weight * earlier[k]
		total += weight
		weight *= e.Lambda
	}
	if total == 0 {
		return 0
	}
	return sum / total
}

func (e *BRPO) scale(groups []Group) {
	n, sum := 0.0, 0.0
	each := func(visit func(a *float64)) {
		for i := range groups {
			for j, r := range groups[i].Reward {
				if r == r {
					for k := range groups[i].Along[j] {
						visit(&groups[i].Along[j][k])
					}
				}
			}
		}
	}
	each(func(a *float64) { n, sum = n+1, sum+*a })
	square := 0.0
	each(func(a *float64) { square += (*a - sum/n) * (*a - sum/n) })
	if n == 0 || square <= residue*residue*n {
		return
	}
	scale := 1 / math.Sqrt(square/n)
	each(func(a *float64) { *a *= scale })
}

package advantage

import "math"

// BatchResponse centres in the group and scales over the batch's responses (DLER, arXiv
// 2510.15110, section 3): no deviation of a single group, which would magnify a small one.
type BatchResponse struct {
	Centre string  `key:"centre" default:"group" enum:"group|none" doc:"what is subtracted before the batch statistics: the group's mean, or nothing"`
	Std    Std     `key:"std" default:"sample" enum:"none|sample|population" doc:"deviation over the batch's responses"`
	Eps    float64 `key:"eps" default:"0" min:"0" doc:"added to the deviation"`
	Alone
}

// Estimate implements [Estimator].
func (e *BatchResponse) Estimate(groups []Group) {
	e.Alone.centreGroups(groups, e.Centre != "none")
	n, sum := 0, 0.0
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := range groups {
		for j, r := range groups[i].Reward {
			if r == r {
				a := groups[i].Advantage[j]
				n, sum = n+1, sum+a
				lo, hi = min(lo, a), max(hi, a)
			}
		}
	}
	if n == 0 {
		return
	}
	whole := moments{n: n, mean: sum / float64(n), lo: lo, hi: hi}
	if whole.flat() {
		zero(groups)
		return
	}
	if math.Abs(whole.mean) <= residue*max(1, math.Abs(lo), math.Abs(hi)) {
		whole.mean = 0 // centred groups: what is left is rounding
	}
	for i := range groups {
		for j, r := range groups[i].Reward {
			if r == r {
				d := groups[i].Advantage[j] - whole.mean
				whole.square += d * d
			}
		}
	}
	scale := 1.0
	if e.Std != StdNone {
		deviation := whole.deviation(e.Std)
		if deviation == 0 { // one response in the whole batch
			zero(groups)
			return
		}
		scale = 1 / (deviation + e.Eps)
	}
	rescale(groups, whole.mean, scale)
}

// BatchToken centres in the group and whitens over the batch's tokens (NVlabs/DLER, verl's
// masked whitening): every response weighs by its length in mean and variance, the variance is
// unbiased over tokens and ε stands inside the root. Identical to reinforce_pp_baseline.
type BatchToken struct {
	Eps float64 `key:"eps" default:"1e-8" min:"0" doc:"added to the variance, inside the root"`
	Alone
}

// Estimate implements [Estimator].
func (e *BatchToken) Estimate(groups []Group) {
	e.Alone.centreGroups(groups, true)
	whitenTokens(groups, e.Eps)
}

// ReinforcePP is REINFORCE++ (arXiv 2501.03262): the response's reward as the return of each of
// its tokens, discounted towards the start, whitened over the batch's tokens. With Gamma below 1
// the advantages differ along a response and go to Along.
type ReinforcePP struct {
	Gamma float64 `key:"gamma" default:"1" over:"0" max:"1" doc:"discount per token; below 1 the advantages differ along a response"`
	Eps   float64 `key:"eps" default:"1e-8" min:"0" doc:"added to the variance, inside the root"`
}

// Estimate implements [Estimator].
func (e *ReinforcePP) Estimate(groups []Group) {
	for i := range groups {
		raw(&groups[i])
	}
	if e.Gamma == 1 {
		whitenTokens(groups, e.Eps)
		return
	}
	e.discounted(groups)
}

func (e *ReinforcePP) discounted(groups []Group) {
	n, sum := 0.0, 0.0
	for i := range groups {
		g := &groups[i]
		for j, r := range g.Reward {
			row := g.Along[j]
			if r != r {
				clear(row)
				continue
			}
			back := r
			for t := len(row) - 1; t >= 0; t-- {
				row[t] = back
				sum += back
				back *= e.Gamma
			}
			n += float64(len(row))
		}
	}
	if n == 0 {
		return
	}
	mean, square := sum/n, 0.0
	for i := range groups {
		for j, r := range groups[i].Reward {
			if r == r {
				for _, a := range groups[i].Along[j] {
					square += (a - mean) * (a - mean)
				}
			}
		}
	}
	scale := 0.0
	if n > 1 && square > residue*residue*n*max(1, mean*mean) {
		scale = 1 / math.Sqrt(square/(n-1)+e.Eps)
	}
	for i := range groups {
		g := &groups[i]
		for j, r := range g.Reward {
			if r == r {
				for t := range g.Along[j] {
					g.Along[j][t] = (g.Along[j][t] - mean) * scale
				}
			}
			g.Advantage[j] = average(g.Along[j])
		}
	}
}

// GPG scales the group-centred reward by the share of the batch that earns anything:
// (B / number of non-zero rewards) · (r - mean) / F (arXiv 2504.02546).
type GPG struct {
	F float64 `key:"f" default:"1" over:"0" doc:"constant divisor"`
	Alone
}

// Estimate implements [Estimator].
func (e *GPG) Estimate(groups []Group) {
	e.Alone.centreGroups(groups, true)
	all, paid := 0, 0
	for i := range groups {
		for _, r := range groups[i].Reward {
			if r == r {
				all++
				if r != 0 {
					paid++
				}
			}
		}
	}
	rescale(groups, 0, float64(all)/float64(max(paid, 1))/e.F)
}

// GDPO normalises every component of the reward within the group by itself, adds them with
// weights, and whitens the sum (arXiv 2601.05242): a small length term is not drowned by a large
// correctness term, nor blown up when correctness has no variance.
type GDPO struct {
	Std     Std       `key:"std" default:"sample" enum:"none|sample|population" doc:"deviation of each component in the group"`
	Eps     float64   `key:"eps" default:"1e-6" min:"0" doc:"added to the deviation"`
	Weights []float64 `key:"weights" default:"[]" doc:"one for each component, in the order of the method's terms; empty: all 1"`
	Whiten  string    `key:"whiten" default:"token" enum:"token|response|none" doc:"what the sum is whitened over: the batch's tokens, its responses, or nothing"`
	Alone

	one []float64
}

// Estimate implements [Estimator].
func (e *GDPO) Estimate(groups []Group) {
	each := GRPO{Std: e.Std, Eps: e.Eps, Alone: e.Alone}
	for i := range groups {
		g := &groups[i]
		clear(g.Advantage)
		e.one = grown(e.one, len(g.Reward))
		for k, component := range g.Components {
			weight := 1.0
			if k < len(e.Weights) {
				weight = e.Weights[k]
			}
			part := Group{Reward: component, Advantage: e.one}
			each.group(&part)
			for j, r := range g.Reward {
				if r == r {
					g.Advantage[j] += weight * e.one[j]
				}
			}
		}
	}
	switch e.Whiten {
	case "token":
		whitenTokens(groups, 1e-8)
	case "response":
		whitenResponses(groups, 1e-8)
	}
}

func grown(xs []float64, n int) []float64 {
	if cap(xs) < n {
		return make([]float64, n)
	}
	return xs[:n]
}

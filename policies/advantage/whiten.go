package advantage

import "math"

// centreGroups fills r - mean of the group, or r where centring is off.
func (a Alone) centreGroups(groups []Group, centred bool) {
	for i := range groups {
		g := &groups[i]
		if !centred {
			raw(g)
			continue
		}
		m := measure(g.Reward)
		if a.alone(g, m.n) {
			continue
		}
		if m.flat() {
			clear(g.Advantage)
			continue
		}
		centre(g, m.mean, 1)
	}
}

// whitenTokens subtracts the token-weighted mean of the advantages and divides by
// √(unbiased token variance + ε). A batch without variance, or of at most one token, gives 0.
func whitenTokens(groups []Group, eps float64) {
	whiten(groups, eps, func(g *Group, j int) float64 { return g.Tokens[j] })
}

// whitenResponses does the same with every response weighing 1.
func whitenResponses(groups []Group, eps float64) {
	whiten(groups, eps, func(*Group, int) float64 { return 1 })
}

func whiten(groups []Group, eps float64, weigh func(g *Group, j int) float64) {
	n, sum := 0.0, 0.0
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := range groups {
		g := &groups[i]
		for j, r := range g.Reward {
			if w := weigh(g, j); r == r && w > 0 {
				a := g.Advantage[j]
				n, sum = n+w, sum+w*a
				lo, hi = min(lo, a), max(hi, a)
			}
		}
	}
	if n <= 1 || (moments{lo: lo, hi: hi}).flat() {
		zero(groups)
		return
	}
	mean, square := sum/n, 0.0
	if math.Abs(mean) <= residue*max(1, math.Abs(lo), math.Abs(hi)) {
		mean = 0
	}
	for i := range groups {
		g := &groups[i]
		for j, r := range g.Reward {
			if r == r {
				d := g.Advantage[j] - mean
				square += weigh(g, j) * d * d
			}
		}
	}
	rescale(groups, mean, 1/math.Sqrt(square/(n-1)+eps))
}

// rescale turns every scored advantage a into (a - mean) · scale.
func rescale(groups []Group, mean, scale float64) {
	for i := range groups {
		g := &groups[i]
		for j, r := range g.Reward {
			if r == r {
				g.Advantage[j] = (g.Advantage[j] - mean) * scale
			}
		}
	}
}

func zero(groups []Group) {
	for i := range groups {
		clear(groups[i].Advantage)
	}
}

func average(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

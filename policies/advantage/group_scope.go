package advantage

// GRPO is (r - mean) / (deviation + ε) within the group (arXiv 2402.03300; verl and TRL take the
// sample deviation, with ε 1e-6 and 1e-4).
type GRPO struct {
	Std Std     `key:"std" default:"sample" enum:"none|sample|population" doc:"deviation that scales the group; none leaves it unscaled"`
	Eps float64 `key:"eps" default:"1e-6" min:"0" doc:"added to the deviation, outside the root"`
	Alone
}

// Estimate implements [Estimator].
func (e *GRPO) Estimate(groups []Group) {
	for i := range groups {
		e.group(&groups[i])
	}
}

func (e *GRPO) group(g *Group) {
	m := measure(g.Reward)
	if e.alone(g, m.n) {
		return
	}
	if m.flat() {
		clear(g.Advantage)
		return
	}
	scale := 1.0
	if e.Std != StdNone {
		scale = 1 / (m.deviation(e.Std) + e.Eps)
	}
	centre(g, m.mean, scale)
}

// centre fills (r - mean) · scale, and 0 where there is no score.
func centre(g *Group, mean, scale float64) {
	for i, r := range g.Reward {
		if r == r {
			g.Advantage[i] = (r - mean) * scale
		} else {
			g.Advantage[i] = 0
		}
	}
}

// DrGRPO is r - mean (arXiv 2503.20783): no deviation, no length normaliser.
type DrGRPO struct{ Alone }

// Estimate implements [Estimator].
func (e *DrGRPO) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		m := measure(g.Reward)
		if e.alone(g, m.n) {
			continue
		}
		if m.flat() {
			clear(g.Advantage)
			continue
		}
		centre(g, m.mean, 1)
	}
}

// RLOO is r minus the mean of the other responses (arXiv 2402.14740), which is
// (r - mean) · n/(n-1).
type RLOO struct{ Alone }

// Estimate implements [Estimator].
func (e *RLOO) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		m := measure(g.Reward)
		if e.alone(g, m.n) {
			continue
		}
		if m.flat() {
			clear(g.Advantage)
			continue
		}
		centre(g, m.mean, float64(m.n)/float64(m.n-1))
	}
}

// Reinforce is the reward itself: no baseline.
type Reinforce struct{}

// Estimate implements [Estimator].
func (*Reinforce) Estimate(groups []Group) {
	for i := range groups {
		raw(&groups[i])
	}
}

// OPO subtracts the length-weighted mean reward Σ L·r / Σ L (arXiv 2505.23585), the baseline that
// minimises the variance of the gradient when its norm grows with length.
type OPO struct{ Alone }

// Estimate implements [Estimator].
func (e *OPO) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		m := measure(g.Reward)
		if e.alone(g, m.n) {
			continue
		}
		if m.flat() {
			clear(g.Advantage)
			continue
		}
		weighted, total := 0.0, 0.0
		for j, r := range g.Reward {
			if r == r {
				weighted += r * g.Tokens[j]
				total += g.Tokens[j]
			}
		}
		mean := m.mean // lengths all 0: every weight is the same
		if total > 0 {
			mean = weighted / total
		}
		centre(g, mean, 1)
	}
}

// PassK gives the best response of a group its margin over the second best, divided by
// (deviation + ε), and all others 0: the leave-one-out gradient of the maximum (verl,
// core_algos.py, pass@k form). A tie for the best gives 0.
type PassK struct {
	Std Std     `key:"std" default:"sample" enum:"none|sample|population" doc:"deviation that scales the margin"`
	Eps float64 `key:"eps" default:"1e-6" min:"0" doc:"added to the deviation"`
	Alone
}

// Estimate implements [Estimator].
func (e *PassK) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		m := measure(g.Reward)
		if e.alone(g, m.n) {
			continue
		}
		clear(g.Advantage)
		if m.flat() {
			continue
		}
		best, second := -1, -1
		for j, r := range g.Reward {
			switch {
			case r != r:
			case best < 0 || r > g.Reward[best]:
				best, second = j, best
			case second < 0 || r > g.Reward[second]:
				second = j
			}
		}
		scale := 1.0
		if e.Std != StdNone {
			scale = 1 / (m.deviation(e.Std) + e.Eps)
		}
		g.Advantage[best] = (g.Reward[best] - g.Reward[second]) * scale
	}
}

// MaxRL is (r - mean) / mean, and 0 for the whole group where the mean is not positive
// (arXiv 2602.02710): rare successes weigh more.
type MaxRL struct{ Alone }

// Estimate implements [Estimator].
func (e *MaxRL) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		m := measure(g.Reward)
		if e.alone(g, m.n) {
			continue
		}
		if m.flat() || m.mean <= residue*max(1, m.hi) {
			clear(g.Advantage)
			continue
		}
		centre(g, m.mean, 1/m.mean)
	}
}

// DrSAF is the boundary-preserving advantage of DR. SAF (sfasfaffa/DR_SAF, core_algos.py): a
// response with r above Threshold is measured against min(mean, smallest reward above Threshold),
// so that it is never pushed down; the others against the mean.
type DrSAF struct {
	Std       Std     `key:"std" default:"sample" enum:"none|sample|population" doc:"deviation that scales the group"`
	Eps       float64 `key:"eps" default:"1e-6" min:"0" doc:"added to the deviation"`
	Threshold float64 `key:"threshold" default:"0.5" doc:"a reward above this counts as a success"`
	Alone
}

// Estimate implements [Estimator].
func (e *DrSAF) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		m := measure(g.Reward)
		if e.alone(g, m.n) {
			continue
		}
		if m.flat() {
			clear(g.Advantage)
			continue
		}
		bar := m.mean
		for _, r := range g.Reward {
			if r > e.Threshold {
				bar = min(bar, r)
			}
		}
		scale := 1.0
		if e.Std != StdNone {
			scale = 1 / (m.deviation(e.Std) + e.Eps)
		}
		for j, r := range g.Reward {
			switch {
			case r != r:
				g.Advantage[j] = 0
			case r > e.Threshold:
				g.Advantage[j] = (r - bar) * scale
			default:
				g.Advantage[j] = (r - m.mean) * scale
			}
		}
	}
}

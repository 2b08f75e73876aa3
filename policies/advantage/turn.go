package advantage

// Turn gives every turn of a response an advantage of its own: that of the outcome, and beside it
// how well the turn itself did against the same turn of the other responses,
//
//	A_{i,k} = (r_i - mean r) / (sd r + ε) + weight · (s_{i,k} - mean_k) / (sd_k + ε),
//
// where s_{i,k} is the score of turn k of response i and the statistics of turn k are over the
// responses that have one. A turn that only one response has, or whose scores are all equal, adds
// nothing; weight 0 is GRPO. Outcome plus turn advantage is MT-GRPO (arXiv 2505.11821), from memory;
// comparing turns by their number, for any number of turns, is ours. MinD (arXiv 2505.19788) names no
// estimator.
//
// Along gets A_{i,k} for each response and turn, Advantage their plain mean.
type Turn struct {
	Weight float64 `key:"weight" default:"1" min:"0" doc:"of a turn's own advantage beside the outcome's"`
	Std    Std     `key:"std" default:"sample" enum:"none|sample|population" doc:"deviation that scales both; none leaves them unscaled"`
	Eps    float64 `key:"eps" default:"1e-6" min:"0" doc:"added to the deviation, outside the root"`
	Alone

	column []float64 // scratch: one turn of all responses
	out    []float64
}

// Estimate implements [Estimator].
func (e *Turn) Estimate(groups []Group) {
	outcome := GRPO{Std: e.Std, Eps: e.Eps, Alone: e.Alone}
	for i := range groups {
		g := &groups[i]
		outcome.group(g)
		if g.Along != nil {
			e.turns(g)
		}
	}
}

func (e *Turn) turns(g *Group) {
	most := 0
	for j, r := range g.Reward {
		for k := range g.Along[j] {
			g.Along[j][k] = g.Advantage[j]
		}
		if r == r {
			most = max(most, len(g.Along[j]))
		}
	}
	within := GRPO{Std: e.Std, Eps: e.Eps, Alone: Alone{SingletonZero}}
	for k := range most {
		e.column, e.out = e.column[:0], e.out[:0]
		for j, r := range g.Reward {
			if r == r && k < len(g.Along[j]) {
				e.column, e.out = append(e.column, g.Steps[j][k]), append(e.out, 0)
			}
		}
		within.group(&Group{Reward: e.column, Advantage: e.out})
		next := 0
		for j, r := range g.Reward {
			if r == r && k < len(g.Along[j]) {
				g.Along[j][k] += e.Weight * e.out[next]
				next++
			}
		}
	}
	for j := range g.Advantage {
		if len(g.Along[j]) > 0 {
			g.Advantage[j] = average(g.Along[j])
		}
	}
}

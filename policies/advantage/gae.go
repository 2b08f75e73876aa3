package advantage

// GAE is generalised advantage estimation (arXiv 1506.02438): δ_t = r_t + γ·V_{t+1} - V_t and
// A_t = δ_t + γλ·A_{t+1}, with the reward on the last token and V = 0 after it. Along gets A_t,
// Advantage the plain mean over the response's tokens.
type GAE struct {
	Gamma  float64 `key:"gamma" default:"1" min:"0" max:"1" doc:"discount per token"`
	Lambda float64 `key:"lambda" default:"1" min:"0" max:"1" doc:"1 trusts rewards, 0 trusts the critic (verl 1, TRL 0.95)"`
}

// Estimate implements [Estimator].
func (e *GAE) Estimate(groups []Group) {
	for i := range groups {
		g := &groups[i]
		for j, r := range g.Reward {
			if r != r {
				clear(g.Along[j])
			} else {
				e.Trace(g.Values[j], r, g.Along[j])
			}
			g.Advantage[j] = average(g.Along[j])
		}
	}
}

// Trace fills out with the advantages of one response: values [tokens], the reward standing on the
// last of them.
func (e *GAE) Trace(values []float64, reward float64, out []float64) {
	next, following := 0.0, 0.0
	for t := len(values) - 1; t >= 0; t-- {
		delta := reward + e.Gamma*following - values[t]
		out[t] = delta + e.Gamma*e.Lambda*next
		next, following, reward = out[t], values[t], 0
	}
}

package loss

import (
	"fmt"
	"math"
)

// composite is every loss that the registry builds: an objective, corrections of its token
// weights, and additional terms.
type composite struct {
	name      string
	set       settings
	scope     Scope
	objective objective
	policy    bool // a policy-gradient objective: reads advantages and, unless onPolicy, a denominator
	onPolicy  bool // no ratio: reads no denominator
}

// objective is the main part of a loss. It adds Σ w_t · dℓ_t/dlogp to p.grad and returns
// Σ w_t · ℓ_t, where w are the corrected weights in p.weight.
type objective interface {
	eval(p *pass) (float64, error)
}

// workspace is the memory of one Eval. It lives in the Result so that a reused Result makes Eval
// free of allocations and a Fn stays free of state.
type workspace struct {
	pass  pass
	float []float64
	ints  []int32
}

// pass is one evaluation in progress. All slices have an entry per token.
type pass struct {
	b       *Batch
	old     []float32 // denominator of the ratio; nil if the objective has none
	clamp   float64   // bound of the log-ratio before exponentiation
	weight  []float64 // Weight × correction
	diff    []float64 // log π_θ - log π_denominator, unclamped
	ratio   []float64 // exp(clamp(diff))
	grad    []float64 // dValue / dLogProbs so far
	spare   []float64 // scratch
	indices []int32   // scratch
	metrics *Metrics
}

// inside reports whether the clamp leaves token t's ratio differentiable.
func (p *pass) inside(t int) bool { return math.Abs(p.diff[t]) <= p.clamp }

// Eval implements Fn.
func (c *composite) Eval(b *Batch, out *Result) error {
	if err := c.check(b); err != nil {
		return fmt.Errorf("loss %s: %w", c.name, err)
	}
	p := c.begin(b, out)
	c.metrics(p)
	value := 0.0
	if err := c.correct(p); err != nil {
		return fmt.Errorf("loss %s: %w", c.name, err)
	}
	v, err := c.objective.eval(p)
	if err != nil {
		return fmt.Errorf("loss %s: %w", c.name, err)
	}
	value += v
	if c.set.KLCoef != 0 {
		value += c.addKL(p)
	}
	if c.set.SFTCoef != 0 {
		value += c.addSFT(p)
	}
	if c.set.EntropyCoef != 0 {
		value += c.addEntropy(p, out)
	}
	for t, g := range p.grad {
		out.GradLogProb[t] = saturate(g)
	}
	out.Value = value
	p.b, p.old, p.metrics = nil, nil, nil
	return nil
}

// Separable reports whether the batch may be cut between any two sequences.
func (c *composite) Separable() bool { return c.scope == ScopeToken || c.scope == ScopeSequence }

// Scope returns the smallest unit whose tokens depend on each other under these settings.
func (c *composite) Scope() Scope { return c.scope }

// HasEntropy reports whether the loss has an entropy term, so that a learner knows that it must
// supply Batch.Entropy and propagate GradEntropy.
func (c *composite) HasEntropy() bool { return c.set.EntropyCoef != 0 }

// begin prepares the result and the workspace, and computes ratios.
func (c *composite) begin(b *Batch, out *Result) *pass {
	n := len(b.LogProbs)
	if out.work == nil {
		out.work = &workspace{}
	}
	w := out.work
	w.float = resize(w.float, 5*n)
	w.ints = resize(w.ints, n)
	clear(w.float)
	out.GradLogProb = resize(out.GradLogProb, n)
	if c.HasEntropy() {
		out.GradEntropy = resize(out.GradEntropy, n)
	} else {
		out.GradEntropy = nil
	}
	out.Metrics = Metrics{}
	part := func(i int) []float64 { return w.float[i*n : (i+1)*n : (i+1)*n] }
	w.pass = pass{
		b: b, old: c.denominator(b), clamp: c.set.LogRatioClamp,
		weight: part(0), diff: part(1), ratio: part(2), grad: part(3), spare: part(4),
		indices: w.ints, metrics: &out.Metrics,
	}
	p := &w.pass
	for t, weight := range b.Weight {
		p.weight[t] = float64(weight)
		if weight == 0 {
			continue
		}
		p.ratio[t] = 1
		if p.old != nil {
			d := float64(b.LogProbs[t]) - float64(p.old[t])
			p.diff[t] = d
			p.ratio[t] = math.Exp(min(max(d, -p.clamp), p.clamp))
		}
	}
	return p
}

// denominator is the policy that ratios are taken against, nil where the objective has no ratio.
func (c *composite) denominator(b *Batch) []float32 {
	switch {
	case !c.policy || c.onPolicy:
		return nil
	case c.set.Denominator == denominatorProximal:
		return b.Proximal
	}
	return b.Behavior
}

// metrics fills in what does not depend on the objective.
func (c *composite) metrics(p *pass) {
	b, m := p.b, p.metrics
	againstBehavior := p.old != nil && c.set.Denominator != denominatorProximal
	for t, weight := range b.Weight {
		if weight == 0 {
			continue
		}
		m.Tokens++
		m.RatioMax = max(m.RatioMax, p.ratio[t])
		switch {
		case againstBehavior:
			// 2e-16 of rounding in exp(Δ) - 1 - Δ is far below any KL that matters in a metric.
			d := min(max(p.diff[t], -p.clamp), p.clamp)
			m.KL += max(p.ratio[t]-1-d, 0)
		case b.Behavior != nil:
			kl, _ := K3.At(float64(b.Behavior[t]) - float64(b.LogProbs[t]))
			m.KL += kl
		}
		if b.Entropy != nil {
			m.Entropy += float64(b.Entropy[t])
		}
	}
}

// addKL adds coef · Σ Weight · k(log π_θ - log π_other). The term has the plain weights: neither
// importance weights nor rejections touch it.
func (c *composite) addKL(p *pass) float64 {
	other := p.b.Reference
	switch c.set.KLAgainst {
	case againstBehavior:
		other = p.b.Behavior
	case againstProximal:
		other = p.b.Proximal
	}
	kind := KL(c.set.KLKind)
	sum := 0.0
	for t, weight := range p.b.Weight {
		if weight == 0 {
			continue
		}
		value, grad := kind.At(float64(p.b.LogProbs[t]) - float64(other[t]))
		if limit := c.set.KLValueClamp; limit > 0 && math.Abs(value) > limit {
			value, grad = math.Copysign(limit, value), 0
		}
		p.metrics.RefKL += value
		sum += float64(weight) * value
		p.grad[t] += c.set.KLCoef * float64(weight) * grad
	}
	return c.set.KLCoef * sum
}

// addSFT adds -coef · Σ Weight · log π_θ over tokens with a positive advantage: imitation of the
// rollouts that succeeded (PDR, arXiv 2510.01123, J_CISPO + α·J_SFT).
func (c *composite) addSFT(p *pass) float64 {
	sum := 0.0
	for t, weight := range p.b.Weight {
		if weight == 0 || p.b.Advantage[t] <= 0 {
			continue
		}
		sum -= float64(weight) * float64(p.b.LogProbs[t])
		p.grad[t] -= c.set.SFTCoef * float64(weight)
	}
	return c.set.SFTCoef * sum
}

// addEntropy adds -coef · Σ Weight · H.
func (c *composite) addEntropy(p *pass, out *Result) float64 {
	sum := 0.0
	for t, weight := range p.b.Weight {
		out.GradEntropy[t] = saturate(-c.set.EntropyCoef * float64(weight))
		if weight != 0 {
			sum -= float64(weight) * float64(p.b.Entropy[t])
		}
	}
	return c.set.EntropyCoef * sum
}

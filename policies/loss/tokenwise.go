package loss

import "math"

// tokenLoss is a loss of one token with ratio rho, log-probability lp and advantage a. grad is the
// derivative with respect to lp where the ratio is differentiable.
type tokenLoss interface {
	token(rho, lp, a float64) (value, grad float64, hit bound)
}

// bound says which bound removed a token's gradient.
type bound uint8

const (
	free bound = iota
	atLow
	atHigh
	atDual
)

func (m *Metrics) count(hit bound) {
	switch hit {
	case atLow:
		m.ClipLow++
	case atHigh:
		m.ClipHigh++
	case atDual:
		m.ClipDual++
	}
}

// tokenwise evaluates a loss in which every token stands alone.
type tokenwise struct{ loss tokenLoss }

func (o tokenwise) eval(p *pass) (float64, error) {
	sum := 0.0
	for t, w := range p.weight {
		if w == 0 {
			continue
		}
		value, grad, hit := o.loss.token(p.ratio[t], float64(p.b.LogProbs[t]), float64(p.b.Advantage[t]))
		if !p.inside(t) && !isDetached(o.loss) {
			grad = 0
		}
		sum += w * value
		p.grad[t] += w * grad
		p.metrics.count(hit)
	}
	return sum, nil
}

// isDetached reports losses whose gradient does not run through the ratio.
func isDetached(l tokenLoss) bool {
	switch l.(type) {
	case cispo, reinforce:
		return true
	}
	return false
}

// ppo is the clipped surrogate of PPO with ratio bounds low and high, and for A < 0 a loss of at
// most -A·dual (dual 0: off). TRL's two-sided option, which caps the ratio of the unclipped branch at
// delta, is the same function with dual = delta.
type ppo struct{ low, high, dual float64 }

func (o ppo) token(rho, _, a float64) (value, grad float64, hit bound) {
	switch {
	case a > 0 && rho > o.high:
		return -a * o.high, 0, atHigh
	case a < 0 && rho < o.low:
		return -a * o.low, 0, atLow
	case a < 0 && o.dual > 0 && rho > o.dual:
		return -a * o.dual, 0, atDual
	}
	return -a * rho, -a * rho, free
}

// cispo weights log π by the detached ratio, clipped to [low, high]: no token loses its gradient.
type cispo struct{ low, high float64 }

func (o cispo) token(rho, lp, a float64) (value, grad float64, hit bound) {
	c := min(max(rho, o.low), o.high)
	return -c * a * lp, -c * a, free
}

// sapo passes the ratio through a sigmoid gate whose slope at ratio 1 is that of the plain ratio.
type sapo struct{ positive, negative float64 }

func (o sapo) token(rho, _, a float64) (value, grad float64, hit bound) {
	tau := o.negative
	if a > 0 {
		tau = o.positive
	}
	s := sigmoid(tau * (rho - 1))
	return -a * 4 / tau * s, -a * 4 * s * (1 - s) * rho, free
}

// importance is the plain importance-weighted surrogate.
type importance struct{}

func (importance) token(rho, _, a float64) (value, grad float64, hit bound) {
	return -a * rho, -a * rho, free
}

// reinforce is the score-function estimator for tokens of the current policy.
type reinforce struct{}

func (reinforce) token(_, lp, a float64) (value, grad float64, hit bound) { return -a * lp, -a, free }

// dro pulls log-ratios to 0 quadratically. It reads the unclamped log-ratio: the pull must not end
// where it is needed most.
type dro struct{ beta float64 }

func (o dro) eval(p *pass) (float64, error) {
	sum := 0.0
	for t, w := range p.weight {
		if w == 0 {
			continue
		}
		a, d := float64(p.b.Advantage[t]), p.diff[t]
		sum += w * (-a*float64(p.b.LogProbs[t]) + o.beta/2*d*d)
		p.grad[t] += w * (-a + o.beta*d)
	}
	return sum, nil
}

// dppo masks tokens that have left a trust region of the policy itself: the chosen token's
// probability (or the Bernoulli KL of choosing it) has moved too far in the direction of the
// advantage. Rare tokens, whose ratios are large at tiny probabilities, keep learning.
type dppo struct {
	kl             bool
	low, high, cap float64
}

func (o dppo) eval(p *pass) (float64, error) {
	sum := 0.0
	for t, w := range p.weight {
		if w == 0 {
			continue
		}
		lp, a := float64(p.b.LogProbs[t]), float64(p.b.Advantage[t])
		pi, old := probability(lp), probability(float64(p.old[t]))
		move := math.Abs(pi - old)
		if o.kl {
			move = bernoulliKL(old, pi)
		}
		switch {
		case a > 0 && pi > old && move > o.high:
			p.metrics.ClipHigh++
			continue
		case a <= 0 && pi < old && move > o.low:
			p.metrics.ClipLow++
			continue
		}
		c := min(p.ratio[t], o.cap)
		sum -= w * c * a * lp
		p.grad[t] -= w * c * a
	}
	return sum, nil
}

// probability exponentiates a log-probability; an engine's rounding above 0 is taken as 1.
func probability(lp float64) float64 { return math.Exp(min(lp, 0)) }

// bernoulliKL is KL(Bernoulli(p) ‖ Bernoulli(q)) in nats; +Inf only where q excludes what p allows.
func bernoulliKL(p, q float64) float64 {
	kl := 0.0
	if p > 0 {
		kl += p * math.Log(p/q)
	}
	if p < 1 {
		kl += (1 - p) * math.Log((1-p)/(1-q))
	}
	return kl
}

// sft is the negative log-likelihood, of all trained tokens or of those with a positive advantage.
type sft struct{ positiveOnly bool }

func (o sft) eval(p *pass) (float64, error) {
	sum := 0.0
	for t, w := range p.weight {
		if w == 0 || (o.positiveOnly && p.b.Advantage[t] <= 0) {
			continue
		}
		sum -= w * float64(p.b.LogProbs[t])
		p.grad[t] -= w
	}
	return sum, nil
}

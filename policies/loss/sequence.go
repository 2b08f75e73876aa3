package loss

import "math"

// gspo clips one ratio a sequence, s = exp(mean of Δ over its trained tokens). The value is the
// same with and without perToken. The gradient of the plain form runs through the mean, so every
// token of a sequence gets the same; perToken gives each token the gradient of its own term with the
// sequence's ratio detached (GSPO-token, and verl's way). Both agree where a sequence has one
// advantage and one weight.
type gspo struct {
	low, high   float64
	lengthScale bool
	perToken    bool
}

func (o gspo) eval(p *pass) (float64, error) {
	total := 0.0
	clip := ppo{low: o.low, high: o.high}
	for i := range len(p.b.Offsets) - 1 {
		from, to := int(p.b.Offsets[i]), int(p.b.Offsets[i+1])
		var n, sum float64
		for t := from; t < to; t++ {
			if p.weight[t] != 0 {
				n++
				sum += p.diff[t]
			}
		}
		if n == 0 {
			continue
		}
		mean := sum / n
		s := math.Exp(min(max(mean, -p.clamp), p.clamp))
		scale := 1.0
		if o.lengthScale {
			scale = n
		}
		shared := 0.0
		for t := from; t < to; t++ {
			w := p.weight[t] * scale
			if w == 0 {
				continue
			}
			value, grad, hit := clip.token(s, 0, float64(p.b.Advantage[t]))
			if math.Abs(mean) > p.clamp {
				grad = 0
			}
			p.metrics.count(hit)
			total += w * value
			if o.perToken {
				p.grad[t] += w * grad
			} else {
				shared += w * grad
			}
		}
		if o.perToken {
			continue
		}
		for t := from; t < to; t++ {
			if p.weight[t] != 0 {
				p.grad[t] += shared / n
			}
		}
	}
	return total, nil
}

// gmpo is -A · exp(mean Δ') with the log-ratios clipped on the side that the advantage pushes
// towards. Advantages that differ along a sequence pick their side token by token.
type gmpo struct{ low, high float64 }

func (o gmpo) eval(p *pass) (float64, error) {
	total := 0.0
	for i := range len(p.b.Offsets) - 1 {
		from, to := int(p.b.Offsets[i]), int(p.b.Offsets[i+1])
		var n, sum, pull float64
		for t := from; t < to; t++ {
			w := p.weight[t]
			if w == 0 {
				continue
			}
			a := float64(p.b.Advantage[t])
			d, hit, _ := o.clip(p.diff[t], a, p.clamp)
			p.metrics.count(hit)
			n++
			sum += d
			pull -= w * a
		}
		if n == 0 {
			continue
		}
		value := pull * math.Exp(sum/n)
		total += value
		for t := from; t < to; t++ {
			if p.weight[t] == 0 {
				continue
			}
			if _, _, moves := o.clip(p.diff[t], float64(p.b.Advantage[t]), p.clamp); moves {
				p.grad[t] += value / n
			}
		}
	}
	return total, nil
}

// clip returns the clipped log-ratio, the bound that was hit, and whether it still moves with d.
func (o gmpo) clip(d, a, clamp float64) (clipped float64, hit bound, moves bool) {
	switch {
	case a > 0 && d > o.high:
		return o.high, atHigh, false
	case a < 0 && d < o.low:
		return o.low, atLow, false
	}
	c := min(max(d, -clamp), clamp)
	return c, free, c == d
}

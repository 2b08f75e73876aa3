package loss

import (
	"fmt"
	"math"
)

// dpo compares two sequences of a group: the chosen one has a positive advantage on its trained
// tokens, the rejected one a negative. Log-ratios are sums over tokens of weight ≠ 0; to compare from
// the first diverging token on, as MCTS-DPO does, leave the shared prefix untrained. A pair's weight
// is the mean weight of its trained tokens: aggregation group_mean_token_sum gives the mean over
// pairs.
type dpo struct {
	beta, smoothing float64
	fromAdvantage   bool
}

// side is one sequence of a pair.
type side struct {
	sequence             int
	n, logRatio, weight  float64
	advantage, direction float64
}

func (o dpo) eval(p *pass) (float64, error) {
	sequences := len(p.b.Offsets) - 1
	total := 0.0
	// Sequences of a group need not be neighbours; a pair is evaluated where its first one stands.
	for i := range sequences {
		group := p.b.Group[i]
		first, err := o.side(p, i)
		if err != nil {
			return 0, err
		}
		if first.n == 0 {
			continue
		}
		var second side
		earlier := false
		for j := range sequences {
			if j == i || p.b.Group[j] != group {
				continue
			}
			other, err := o.side(p, j)
			if err != nil {
				return 0, err
			}
			if other.n == 0 {
				continue
			}
			if second.n != 0 {
				return 0, fmt.Errorf("group %d has more than two trained sequences; give each pair a group of its own", group)
			}
			second, earlier = other, j < i
		}
		switch {
		case second.n == 0:
			return 0, fmt.Errorf("group %d has only one trained sequence (%d); a pair needs a chosen and a rejected one", group, i)
		case first.direction == second.direction:
			return 0, fmt.Errorf("group %d: sequences %d and %d have advantages of the same sign; one must be chosen (> 0), one rejected (< 0)", group, first.sequence, second.sequence)
		case earlier:
			continue
		}
		total += o.pair(p, first, second)
	}
	return total, nil
}

// pair adds the loss of one pair, in either order.
func (o dpo) pair(p *pass, chosen, rejected side) float64 {
	if chosen.direction < 0 {
		chosen, rejected = rejected, chosen
	}
	weight := (chosen.weight + rejected.weight) / (chosen.n + rejected.n)
	smoothing := o.smoothing
	if o.fromAdvantage {
		smoothing = min(max(1-chosen.advantage, 0), 0.5)
	}
	margin := o.beta * (chosen.logRatio - rejected.logRatio)
	value := -(1-smoothing)*logSigmoid(margin) - smoothing*logSigmoid(-margin)
	grad := weight * o.beta * (-(1-smoothing)*sigmoid(-margin) + smoothing*sigmoid(margin))
	for _, s := range [...]side{chosen, rejected} {
		for t := int(p.b.Offsets[s.sequence]); t < int(p.b.Offsets[s.sequence+1]); t++ {
			if p.weight[t] != 0 {
				p.grad[t] += grad * s.direction
			}
		}
	}
	return weight * value
}

// side sums up one sequence.
func (o dpo) side(p *pass, i int) (side, error) {
	s := side{sequence: i}
	for t := int(p.b.Offsets[i]); t < int(p.b.Offsets[i+1]); t++ {
		if p.weight[t] == 0 {
			continue
		}
		a := float64(p.b.Advantage[t])
		if a == 0 || (s.n > 0 && math.Signbit(a) != math.Signbit(s.advantage)) {
			return s, fmt.Errorf("sequence %d: advantages must all be positive (chosen) or all negative (rejected)", i)
		}
		s.n++
		s.weight += p.weight[t]
		s.logRatio += float64(p.b.LogProbs[t]) - float64(p.b.Reference[t])
		s.advantage = a
	}
	s.direction = math.Copysign(1, s.advantage)
	return s, nil
}

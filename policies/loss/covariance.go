package loss

import (
	"math"
)

// Covariance of advantage and log-probability, token by token, is what drives a policy's entropy
// down (Cui et al., "The entropy mechanism of reinforcement learning", arXiv 2505.22617). Both losses
// here look for the few tokens where it is large. Which tokens those are is decided from detached
// values; means are over the trained tokens of the whole batch.

// covariance fills p.spare with (A - mean A)(log π - mean log π) and returns the number of trained
// tokens.
func covariance(p *pass) int {
	var n, advantage, logProb float64
	for t, w := range p.weight {
		if w != 0 {
			n++
			advantage += float64(p.b.Advantage[t])
			logProb += float64(p.b.LogProbs[t])
		}
	}
	if n == 0 {
		return 0
	}
	advantage /= n
	logProb /= n
	for t, w := range p.weight {
		if w != 0 {
			p.spare[t] = (float64(p.b.Advantage[t]) - advantage) * (float64(p.b.LogProbs[t]) - logProb)
		}
	}
	return int(n)
}

// picks is how many of n tokens a share means: at least one.
func picks(share float64, n int) int { return max(int(share*float64(n)), 1) }

// klCov is the plain importance-weighted loss, plus coef·|Δ| on the tokens with the largest
// covariance. Ties go to the earlier token. At Δ = 0 exactly, where |Δ| has no derivative, the
// penalty's gradient is 0.
type klCov struct{ share, coef float64 }

func (o klCov) eval(p *pass) (float64, error) {
	n := covariance(p)
	if n == 0 {
		return 0, nil
	}
	heap := p.indices[:0] // of the k best so far, the worst of them on top
	k := picks(o.share, n)
	for t, w := range p.weight {
		if w == 0 {
			continue
		}
		heap = offer(heap, int32(t), k, p.spare)
	}
	sum := 0.0
	for t, w := range p.weight {
		if w == 0 {
			continue
		}
		value, grad, _ := importance{}.token(p.ratio[t], 0, float64(p.b.Advantage[t]))
		if !p.inside(t) {
			grad = 0
		}
		sum += w * value
		p.grad[t] += w * grad
	}
	// The penalty is added in heap order, which is a function of the batch alone.
	for _, t := range heap {
		w, d := p.weight[t], p.diff[t]
		sum += w * o.coef * math.Abs(d)
		if d != 0 {
			p.grad[t] += w * o.coef * math.Copysign(1, d)
		}
	}
	p.metrics.Selected += float64(len(heap))
	return sum, nil
}

// offer keeps the k indices with the largest scores in a binary heap with the worst on top.
func offer(heap []int32, t int32, k int, score []float64) []int32 {
	worse := func(a, b int32) bool {
		if score[a] != score[b] {
			return score[a] < score[b]
		}
		return a > b
	}
	if len(heap) < k {
		heap = append(heap, t)
		for i := len(heap) - 1; i > 0; {
			parent := (i - 1) / 2
			if !worse(heap[i], heap[parent]) {
				break
			}
			heap[i], heap[parent] = heap[parent], heap[i]
			i = parent
		}
		return heap
	}
	if !worse(heap[0], t) {
		return heap
	}
	heap[0] = t
	for i := 0; ; {
		child := 2*i + 1
		if child >= k {
			return heap
		}
		if child+1 < k && worse(heap[child+1], heap[child]) {
			child++
		}
		if !worse(heap[child], heap[i]) {
			return heap
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// clipCov is PPO with the loss of a random few high-covariance tokens set to 0. Tokens that the
// ratio clip has already silenced are no candidates: the share is meant for live ones. The pick is a
// pure function of the seed and the batch, so that a repeated evaluation repeats it while updates
// differ.
type clipCov struct {
	ppo              ppo
	share, low, high float64
	seed             uint64
}

func (o clipCov) eval(p *pass) (float64, error) {
	n := covariance(p)
	if n == 0 {
		return 0, nil
	}
	state := o.seed
	candidates := p.indices[:0]
	for t, w := range p.weight {
		if w == 0 {
			continue
		}
		state = mix(state ^ uint64(math.Float32bits(p.b.LogProbs[t])))
		_, _, hit := o.ppo.token(p.ratio[t], 0, float64(p.b.Advantage[t]))
		if hit == free && p.spare[t] > o.low && p.spare[t] < o.high {
			candidates = append(candidates, int32(t))
		}
	}
	// A partial Fisher-Yates shuffle draws without replacement; p.spare then marks the drawn.
	k := min(picks(o.share, n), len(candidates))
	for i := range k {
		state = mix(state + 0x9e3779b97f4a7c15)
		j := i + int(state%uint64(len(candidates)-i))
		candidates[i], candidates[j] = candidates[j], candidates[i]
	}
	clear(p.spare)
	for _, t := range candidates[:k] {
		p.spare[t] = 1
	}
	p.metrics.Selected += float64(k)
	sum := 0.0
	for t, w := range p.weight {
		if w == 0 || p.spare[t] == 1 {
			continue
		}
		value, grad, hit := o.ppo.token(p.ratio[t], 0, float64(p.b.Advantage[t]))
		if !p.inside(t) {
			grad = 0
		}
		sum += w * value
		p.grad[t] += w * grad
		p.metrics.count(hit)
	}
	return sum, nil
}

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

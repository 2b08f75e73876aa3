package generate

import (
	"cmp"
	"math"
	"slices"

	"pith/policies/kernel"
)

// drawer is the scratch of a draw. Not safe for concurrent use.
type drawer struct {
	z    []float32 // logits of the distribution drawn from, -Inf where a filter removed the token
	e    []float32 // weights, e^(z - max)
	rank []int32   // token ids, likeliest first
	kept []float32 // their weights, for a while
}

// drawn is one token with the log-probability and the entropy, in nats, of its distribution.
type drawn struct {
	token    int32
	logprob  float32
	entropy  float32
	nonsense bool // the logits held no finite distribution
}

// draw picks a token from the logits, which it leaves alone. u in [0, 1) is the random number;
// stops says whether a stop token may be drawn.
//
// The order is that of the common inference servers: forbidden tokens, temperature, min-p, top-k,
// top-p, each renormalising. The log-probability and the entropy are of what is left. With
// temperature 0 the token is the likeliest of those left, the lowest id among equals, and the
// distribution is that of temperature 1.
func (d *drawer) draw(logits []float32, p *Params, stops bool, u float64) drawn {
	n := len(logits)
	d.z, d.e = grow(d.z, n), grow(d.e, n)
	copy(d.z, logits)
	if !stops {
		for _, t := range p.Stop {
			d.z[t] = negInf
		}
	}
	if p.Temperature != 0 && p.Temperature != 1 {
		kernel.Scale(float32(1/p.Temperature), d.z)
	}
	top := kernel.Max(d.z)
	sum := kernel.ExpSumShift(d.e, d.z, top)
	if !(sum > 0) || math.IsInf(float64(sum), 0) {
		return drawn{nonsense: true}
	}
	if p.MinP > 0 || (p.TopK > 0 && p.TopK < n) || p.TopP < 1 {
		d.filter(p)
		sum = kernel.Sum(d.e)
	}
	// Entropy is log(sum) - Σ e·(z - top) / sum; what was removed weighs nothing, where 0 times
	// minus infinity would be no number.
	for i, e := range d.e {
		if d.z[i] -= top; e == 0 {
			d.z[i] = 0
		}
	}
	logSum := kernel.Log(sum)
	entropy := logSum - kernel.Dot(d.e, d.z)/sum
	var at int
	if p.Temperature == 0 {
		at = slices.Index(d.e, kernel.Max(d.e))
	} else {
		at = pick(d.e, u)
	}
	if d.e[at] == 0 {
		return drawn{nonsense: true}
	}
	out := drawn{token: int32(at), logprob: min(0, d.z[at]-logSum), entropy: max(0, entropy)}
	switch tempered := p.Temperature != 0 && p.Temperature != 1; {
	case p.Logprobs == Raw && (tempered || p.Filtered()):
		out.logprob = d.logprob(logits, at, 1)
	case p.Logprobs == Tempered && p.Filtered() && tempered:
		out.logprob = d.logprob(logits, at, float32(1/p.Temperature))
	case p.Logprobs == Tempered && p.Filtered():
		out.logprob = d.logprob(logits, at, 1)
	}
	return out
}

// logprob is that of one token when the logits are scaled and nothing is removed. It uses the scratch.
func (d *drawer) logprob(logits []float32, at int, scale float32) float32 {
	copy(d.z, logits)
	if scale != 1 {
		kernel.Scale(scale, d.z)
	}
	top := kernel.Max(d.z)
	return min(0, d.z[at]-top-kernel.Log(kernel.ExpSumShift(d.e, d.z, top)))
}

var negInf = float32(math.Inf(-1))

// pick returns the index at which the running sum of e first exceeds u times the total, added in
// float64 in order of the index. The total is the same sum, so rounding cannot run past the end.
func pick(e []float32, u float64) int {
	total := 0.0
	for _, x := range e {
		total += float64(x)
	}
	goal, run, last := u*total, 0.0, 0
	for i, x := range e {
		if x == 0 {
			continue
		}
		run += float64(x)
		if last = i; run > goal {
			break
		}
	}
	return last
}

// filter sets the weight of removed tokens to zero: min-p, then top-k, then top-p.
func (d *drawer) filter(p *Params) {
	// Weights are relative to the likeliest token, whose weight is 1: min-p is a bound on them.
	low, total := float32(p.MinP), 0.0
	for i, e := range d.e {
		if e < low {
			d.e[i] = 0
		} else {
			total += float64(e)
		}
	}
	topK := p.TopK > 0 && p.TopK < len(d.e)
	if !topK && p.TopP >= 1 {
		return
	}
	if topK {
		total = d.likeliest(p.TopK)
	} else {
		// Tokens that together weigh less than what top-p may drop need not be ranked. The factor of
		// a half keeps rounding on the safe side.
		bound := float32((1 - p.TopP) * total / float64(2*len(d.e)))
		d.rank = grow(d.rank, len(d.e))[:0]
		for i, e := range d.e {
			if e > bound {
				d.rank = append(d.rank, int32(i))
			} else {
				d.e[i] = 0
			}
		}
		slices.SortFunc(d.rank, d.compare)
	}
	if p.TopP < 1 {
		run := 0.0
		for k, i := range d.rank {
			if run >= p.TopP*total { // the set before it is enough
				for _, j := range d.rank[k:] {
					d.e[j] = 0
				}
				break
			}
			run += float64(d.e[i])
		}
	}
}

// compare orders tokens by falling logit, equal ones by id.
func (d *drawer) compare(a, b int32) int {
	return cmp.Or(cmp.Compare(d.z[b], d.z[a]), cmp.Compare(a, b))
}

// likeliest ranks the k likeliest tokens, removes the others, and returns the weight of what is
// left.
func (d *drawer) likeliest(k int) float64 {
	d.rank = grow(d.rank, k)[:0]
	for i, e := range d.e {
		full := len(d.rank) == k
		if e == 0 || (full && d.z[i] <= d.z[d.rank[k-1]]) {
			continue
		}
		at, _ := slices.BinarySearchFunc(d.rank, int32(i), d.compare)
		if full {
			d.rank = d.rank[:k-1]
		}
		d.rank = slices.Insert(d.rank, at, int32(i))
	}
	total := 0.0
	kept := d.kept[:0] // weights, in the order of the ranks
	for _, i := range d.rank {
		kept = append(kept, d.e[i])
		total += float64(d.e[i])
	}
	clear(d.e)
	for n, i := range d.rank {
		d.e[i] = kept[n]
	}
	d.kept = kept
	return total
}

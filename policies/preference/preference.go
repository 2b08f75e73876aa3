// Package preference makes pairs of the responses of a group, one to be preferred to the other, for
// the losses that learn from pairs (policies/loss: dpo, and sft on the preferred ones). It is pure:
// which responses take part, and what becomes of the pairs, is the caller's business.
package preference

import (
	"cmp"
	"slices"
)

// The ways to make pairs.
const (
	ShortestLongest = "shortest_longest"
	RightWrong      = "right_wrong"
	BestWorst       = "best_worst"
)

// Rule says how. Its tagged fields are settings; see package rewards/params.
type Rule struct {
	Rule     string  `key:"rule" default:"shortest_longest" enum:"shortest_longest|right_wrong|best_worst" doc:"shortest_longest: the shortest right response before much longer right ones and wrong ones (Kimi k1.5 long2short, arXiv 2501.12599, section 2.4; AdaR1's pairs of instances, arXiv 2504.21659); right_wrong: the shortest right one before wrong ones; best_worst: the highest reward before the lowest (Optima, arXiv 2410.08115)"`
	PerGroup int     `key:"per_group" default:"2" min:"1" doc:"most pairs of a group"`
	Ratio    float64 `key:"ratio" default:"1.5" min:"1" doc:"shortest_longest: a right response is rejected from this many times the length of the chosen one"`
	Wrong    bool    `key:"wrong" default:"true" doc:"shortest_longest: wrong responses are rejected too"`
	Above    float64 `key:"above" default:"-1000000" doc:"best_worst: the chosen reward must exceed it (Optima: 0.4)"`
	Gap      float64 `key:"gap" default:"0" min:"0" doc:"best_worst: the two rewards must differ by more (Optima: 0.2)"`
}

// Response is what a rule reads of one response. One that is neither right nor wrong has no score
// and is in no pair.
type Response struct {
	Right, Wrong bool
	Tokens       int // length
	Reward       float64
}

// Pair names two responses of a group by their index.
type Pair struct{ Chosen, Rejected int }

// Pairs makes the pairs of one group: all with the same chosen response, the rejected ones from the
// furthest away on, ties in the order of the group. Leaving out responses that are in no pair
// changes nothing.
func (r *Rule) Pairs(group []Response) []Pair {
	chosen := r.choose(group)
	if chosen < 0 {
		return nil
	}
	var rejected []int
	for i := range group {
		if i != chosen && r.rejects(group[chosen], group[i]) {
			rejected = append(rejected, i)
		}
	}
	slices.SortStableFunc(rejected, func(a, b int) int {
		if r.Rule == BestWorst {
			return cmp.Compare(group[a].Reward, group[b].Reward)
		}
		return cmp.Compare(group[b].Tokens, group[a].Tokens)
	})
	var out []Pair
	for _, i := range rejected[:min(len(rejected), r.PerGroup)] {
		out = append(out, Pair{chosen, i})
	}
	return out
}

// choose finds the response to be preferred; -1 where there is none.
func (r *Rule) choose(group []Response) int {
	best := -1
	for i, x := range group {
		switch {
		case r.Rule == BestWorst:
			if (x.Right || x.Wrong) && x.Reward > r.Above && (best < 0 || x.Reward > group[best].Reward) {
				best = i
			}
		case x.Right && (best < 0 || x.Tokens < group[best].Tokens):
			best = i
		}
	}
	return best
}

// rejects says whether x may stand against the chosen response.
func (r *Rule) rejects(chosen, x Response) bool {
	switch r.Rule {
	case BestWorst:
		return (x.Right || x.Wrong) && chosen.Reward-x.Reward > r.Gap
	case RightWrong:
		return x.Wrong
	}
	return x.Wrong && r.Wrong || x.Right && x.Tokens > chosen.Tokens && float64(x.Tokens) >= r.Ratio*float64(chosen.Tokens)
}

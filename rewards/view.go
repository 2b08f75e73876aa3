package rewards

import (
	"math"
)

// view is one group as a method sees it: its scored samples in input order, and one column per
// quantity. Columns are scratch memory of the Method.
type view struct {
	group  *Group
	s      []*Sample
	right  []bool // verdict is right; false throughout where no verdict was asked for
	tokens []float64
	terms  [][]float64 // [term][sample]
	reward []float64
	learn  []float64 // what the estimator reads
	adv    []float64
	why    []string // reason per sample, "" mostly

	index   []int32 // position in group.Samples
	dropped string  // why the group takes no part; "" where it does
	memory  *scratch
}

func (v *view) n() int { return len(v.s) }

// rights counts the right samples.
func (v *view) rights() int {
	n := 0
	for _, r := range v.right {
		if r {
			n++
		}
	}
	return n
}

// accuracy is the share of right samples among the scored ones; 0 for none.
func (v *view) accuracy() float64 {
	if v.n() == 0 {
		return 0
	}
	return float64(v.rights()) / float64(v.n())
}

// over says that sample i ran past a limit: by its length, or because the engine cut it.
func (v *view) over(i, limit int) bool {
	return v.s[i].Tokens > limit || v.s[i].Truncated
}

// correctness fills a term column with 1 for right and 0 for wrong.
func (v *view) correctness(term int) {
	for i, r := range v.right {
		v.terms[term][i] = indicator(r)
	}
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// stats are the statistics of some of a group's values.
type stats struct {
	n          int
	mean       float64
	population float64 // standard deviation, dividing by n
	sample     float64 // dividing by n-1; 0 for one value
	lo, hi     float64
}

func (s stats) std(kind string) float64 {
	if kind == "sample" {
		return s.sample
	}
	return s.population
}

// describe measures the values whose mask is set; mask nil takes all.
func describe(xs []float64, mask []bool) stats {
	s := stats{lo: math.Inf(1), hi: math.Inf(-1)}
	total := 0.0
	for i, x := range xs {
		if mask == nil || mask[i] {
			s.n++
			total += x
			s.lo, s.hi = min(s.lo, x), max(s.hi, x)
		}
	}
	if s.n == 0 {
		return stats{}
	}
	s.mean = total / float64(s.n)
	if s.lo == s.hi {
		s.mean = s.lo
		return s
	}
	square := 0.0
	for i, x := range xs {
		if mask == nil || mask[i] {
			square += (x - s.mean) * (x - s.mean)
		}
	}
	s.population = math.Sqrt(square / float64(s.n))
	s.sample = math.Sqrt(square / float64(s.n-1))
	return s
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func clamp(x, lo, hi float64) float64 { return min(max(x, lo), hi) }

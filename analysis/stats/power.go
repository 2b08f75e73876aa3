package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// at scales the two variances and the number of problems to n seeds. The part of problems that all
// seeds share does not shrink with more seeds; that of problems which each seed brings along does.
func (s Spread) at(n int) (seed, problem, problems float64) {
	seen := float64(s.Seeds) / float64(n)
	return s.Seed * seen, s.Problem * (s.Shared + (1-s.Shared)*seen), float64(s.asked) * (s.Shared + (1-s.Shared)/seen)
}

// half is the half-width over n seeds, with factors from the two distributions: the seeds' part and
// that of the problems which all seeds share as the legs of a right triangle, and at least the
// problems' part alone.
func (s Spread) half(n int, factor func(distuv.StudentsT) float64) float64 {
	seed, problem, problems := s.at(n)
	var bySeed, byProblem float64
	if n > 1 && seed > 0 {
		bySeed = factor(student(float64(n-1))) * math.Sqrt(seed)
	}
	if problem > 0 {
		byProblem = factor(student(max(problems-1, 1))) * math.Sqrt(problem)
	}
	if n < 2 {
		return byProblem
	}
	shared := s.Shared
	if whole := s.Problem * s.Shared; problem > 0 { // of what is left at n seeds
		shared = whole / problem
	}
	return max(math.Hypot(bySeed, byProblem*math.Sqrt(shared)), byProblem)
}

// p is the two-sided probability of a mean at least this far from 0 where the truth is 0: that of the
// widest interval which leaves 0 out.
func (s Spread) p(distance float64) float64 {
	if s.Seed <= 0 && s.Problem <= 0 {
		if distance == 0 {
			return 1
		}
		return 0
	}
	low, high := 0.0, 1.0
	for range 30 {
		middle := (low + high) / 2
		half := s.half(s.Seeds, func(t distuv.StudentsT) float64 { return t.Quantile(1 - middle/2) })
		if half > distance {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// Power is the probability with which [Spread.SeedsToTell] wants a difference to be told.
const Power = 0.8

// MostSeeds is where [Spread.SeedsToTell] gives up.
const MostSeeds = 1000

// SeedsToTell is the smallest number of seeds at which a true difference delta would be told from 0 at
// the 5 % level with probability [Power], if seeds and problems vary as they were seen to. ok is
// false where not even [MostSeeds] would: the problems that all seeds share set a floor, and more of
// them are needed. The spread is itself estimated from few seeds, so the answer is a rough one; with
// one seed there is none.
func (s Spread) SeedsToTell(delta float64) (n int, ok bool) {
	if s.Seeds < 2 || !(delta > 0) {
		return 0, false
	}
	for n := 2; n <= MostSeeds; n++ {
		if s.Tells(n) <= delta {
			return n, true
		}
	}
	return 0, false
}

// Tells is the smallest true difference that n seeds would tell at the 5 % level with probability
// [Power].
func (s Spread) Tells(n int) float64 {
	if s.Seeds < 2 || n < 2 {
		return math.NaN()
	}
	return s.half(n, func(t distuv.StudentsT) float64 { return t.Quantile(0.5+Level/2) + t.Quantile(Power) })
}

package stats

import "math"

// at is the variance of a mean over n seeds and its degrees of freedom, from what was seen. The part
// of problems that all seeds share does not shrink with more seeds; that of problems which each
// seed brings along does.
func (s Spread) at(n int) (variance, df float64) {
	seen := float64(s.Seeds) / float64(n)
	seed, problem := s.Seed*seen, s.Problem*(s.Shared+(1-s.Shared)*seen)
	asked := float64(s.asked) * (s.Shared + (1-s.Shared)/seen)
	variance = seed + problem
	if variance == 0 {
		return 0, max(float64(n-1), 1)
	}
	part := problem * problem / max(asked-1, 1)
	if n > 1 {
		part += seed * seed / float64(n-1)
	}
	if part == 0 {
		return variance, math.Inf(1)
	}
	return variance, variance * variance / part
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
		variance, df := s.at(n)
		t := student(df)
		if (t.Quantile(0.5+Level/2)+t.Quantile(Power))*math.Sqrt(variance) <= delta {
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
	variance, df := s.at(n)
	t := student(df)
	return (t.Quantile(0.5+Level/2) + t.Quantile(Power)) * math.Sqrt(variance)
}

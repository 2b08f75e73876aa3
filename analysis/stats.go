package analysis

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is the two ends of a 95 % interval.
type Interval [2]float64

// z is the 97.5 % quantile of the normal distribution.
const z = 1.959963984540054

// Wilson returns the score interval of a share k of n (Wilson 1927): it stays within [0, 1] and is
// meaningful at 0 and n, where the textbook interval has no width. n may be fractional, as a count of
// independent answers that is known only through a share; without any answer it is [0, 1].
func Wilson(k, n float64) Interval {
	if n <= 0 {
		return Interval{0, 1}
	}
	p := k / n
	centre := p + z*z/(2*n)
	spread := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	scale := 1 + z*z/n
	return Interval{max((centre-spread)/scale, 0), min((centre+spread)/scale, 1)}
}

// difference returns the interval of q - p for shares of n and m independent answers, from the
// Wilson intervals of both (Newcombe 1998, method 10).
func difference(p, n, q, m float64) Interval {
	a, b := Wilson(p*n, n), Wilson(q*m, m)
	return Interval{
		q - p - math.Hypot(q-b[0], a[1]-p),
		q - p + math.Hypot(b[1]-q, p-a[0]),
	}
}

// meanInterval returns the mean of independent values and its interval by Student's t; with fewer
// than two values the interval is unknown.
func meanInterval(values []float64) (mean float64, interval *Interval) {
	n := float64(len(values))
	if n == 0 {
		return 0, nil
	}
	for _, v := range values {
		mean += v
	}
	mean /= n
	if n < 2 {
		return mean, nil
	}
	squares := 0.0
	for _, v := range values {
		squares += (v - mean) * (v - mean)
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975)
	half := t * math.Sqrt(squares/(n-1)/n)
	return mean, &Interval{mean - half, mean + half}
}

// meanLength is the mean length of all responses with its interval. A problem may have several
// responses, which are not independent: problems are the clusters of a ratio estimator, whose
// variance is the linearised one (Cochran 1977, Sampling Techniques, section 6.4).
func meanLength(problems []outcome) *Interval {
	n := float64(len(problems))
	if n < 2 {
		return nil
	}
	var all outcome
	for _, p := range problems {
		all.add(p)
	}
	mean, squares := all.mean(), 0.0
	for _, p := range problems {
		residual := p.tokens - mean*p.length
		squares += residual * residual
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(0.975)
	half := t * math.Sqrt(squares*n/(n-1)) / all.length
	return &Interval{mean - half, mean + half}
}

// outcome is what one problem's responses add up to.
type outcome struct {
	right, scored  float64 // responses
	tokens, length float64 // sum of response tokens, and of how many responses
}

// pairedOutcome is one problem before and after.
type pairedOutcome struct{ before, after outcome }

// Resamples is how often the bootstrap draws the problems anew.
const Resamples = 2000

// bootstrap resamples problems with replacement (Efron 1979) and returns percentile intervals of
// the change in accuracy and of the relative change in mean tokens. The draws have a fixed seed: the
// same log gives the same interval.
func bootstrap(pairs []pairedOutcome) (accuracy, tokens *Interval) {
	if len(pairs) < 2 {
		return nil, nil
	}
	random := rand.New(rand.NewPCG(20260101, uint64(len(pairs))))
	var points, ratios []float64
	for range Resamples {
		var before, after outcome
		for range pairs {
			p := &pairs[random.IntN(len(pairs))]
			before.add(p.before)
			after.add(p.after)
		}
		if before.scored > 0 && after.scored > 0 {
			points = append(points, after.accuracy()-before.accuracy())
		}
		if before.tokens > 0 && after.length > 0 {
			ratios = append(ratios, after.mean()/before.mean()-1)
		}
	}
	return percentiles(points), percentiles(ratios)
}

func (o *outcome) add(x outcome) {
	o.right += x.right
	o.scored += x.scored
	o.tokens += x.tokens
	o.length += x.length
}

func (o outcome) accuracy() float64 { return o.right / o.scored }
func (o outcome) mean() float64     { return o.tokens / o.length }

// percentiles returns the 2.5 % and 97.5 % quantiles, interpolated.
func percentiles(values []float64) *Interval {
	if len(values) < Resamples/2 {
		return nil // most resamples had nothing to compare
	}
	slices.Sort(values)
	return &Interval{quantile(values, 0.025), quantile(values, 0.975)}
}

// quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	share := at - float64(low)
	return sorted[low]*(1-share) + sorted[low+1]*share
}

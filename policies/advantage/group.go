package advantage

import "math"

// Group holds the responses to one prompt. All slices have one entry per response. An estimator
// reads Reward and whatever its [Kind] says it needs, and fills Advantage, which the caller owns.
type Group struct {
	Reward []float64 // NaN: no score, takes no part
	Tokens []float64 // response lengths; token-weighted estimators
	Metric []float64 // what canon splits a group by
	// Components are the parts of the reward, [component][response]; gdpo normalises each alone.
	Components [][]float64
	// Steps are scores at successive points of a response, [response][step], and Prior their
	// weights, [step]; brpo. For turn they are those of its turns, which differ in number.
	Steps [][]float64
	Prior []float64
	// Values are a critic's estimates, [response][token], the reward standing on the last token; gae.
	Values [][]float64

	Advantage []float64 // out
	// Along holds advantages that differ along a response: [response][step] for brpo and turn,
	// [response][token] for gae and for reinforce_pp with a discount. The caller provides the rows
	// with the right lengths; Advantage then holds their plain mean.
	Along [][]float64
}

// Estimator computes the advantages of a batch. Most look at one group at a time; those of
// [ScopeBatch] use the statistics of all groups they are given.
type Estimator interface {
	Estimate(groups []Group)
}

// Std names a standard deviation.
type Std string

// The kinds of deviation: none leaves the centred value unscaled; sample divides the sum of
// squares by n-1, population by n.
const (
	StdNone       Std = "none"
	StdSample     Std = "sample"
	StdPopulation Std = "population"
)

// Singleton says what a group with one scored response gives: 0, or its raw reward (as verl's
// implementation does: mean 0, deviation 1).
type Singleton string

// The two rules for groups of one.
const (
	SingletonZero Singleton = "zero"
	SingletonRaw  Singleton = "raw"
)

// Alone is the option shared by every estimator that compares a response with its group.
type Alone struct {
	Singleton Singleton `key:"singleton" default:"zero" enum:"zero|raw" doc:"what a group of one scored response gives: 0, or its raw reward (verl lets it through)"`
}

// moments are the statistics of the entries that are not NaN.
type moments struct {
	n      int
	mean   float64
	square float64 // sum of squared deviations from the mean
	lo, hi float64
}

// measure takes two passes, so that large common offsets cost no precision.
func measure(xs []float64) moments {
	m := moments{lo: math.Inf(1), hi: math.Inf(-1)}
	sum := 0.0
	for _, x := range xs {
		if x != x {
			continue
		}
		m.n++
		sum += x
		m.lo, m.hi = min(m.lo, x), max(m.hi, x)
	}
	if m.n == 0 {
		return moments{}
	}
	m.mean = sum / float64(m.n)
	if m.flat() {
		return m
	}
	for _, x := range xs {
		if x == x {
			m.square += (x - m.mean) * (x - m.mean)
		}
	}
	return m
}

// residue bounds what rounding leaves of a difference that is 0 in exact arithmetic, relative to
// the larger of 1 and the values' magnitude: some fifty roundings.
const residue = 1e-14

// flat says that the values are equal but for float residue.
func (m moments) flat() bool {
	return m.hi-m.lo <= residue*max(1, math.Abs(m.lo), math.Abs(m.hi))
}

func (m moments) deviation(kind Std) float64 {
	switch {
	case kind == StdPopulation && m.n > 0:
		return math.Sqrt(m.square / float64(m.n))
	case kind == StdSample && m.n > 1:
		return math.Sqrt(m.square / float64(m.n-1))
	}
	return 0
}

// raw copies the rewards of a group of one (or of any group) into its advantages.
func raw(g *Group) {
	for i, r := range g.Reward {
		if r != r {
			r = 0
		}
		g.Advantage[i] = r
	}
}

// alone handles groups of at most one scored response and says whether it did.
func (a Alone) alone(g *Group, n int) bool {
	if n > 1 {
		return false
	}
	if a.Singleton == SingletonRaw {
		raw(g)
	} else {
		clear(g.Advantage)
	}
	return true
}

package stats

import (
	"encoding/json"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is the two ends of a 95 % interval.
type Interval [2]float64

// Level is the coverage of every interval here.
const Level = 0.95

// Estimate is a figure and how sure it is.
type Estimate struct {
	Mean     float64   `json:"mean"`
	Interval *Interval `json:"interval"` // null where it is unknown
	P        *float64  `json:"p"`        // two-sided, of a true value of 0; null where it is unknown
	Seeds    int       `json:"seeds"`
	Problems int       `json:"problems"` // distinct
	Spread   Spread    `json:"spread"`
}

// Spread is where the uncertainty of a mean over seeds comes from, as variances of that mean.
type Spread struct {
	Seeds   int     `json:"seeds"`
	Seed    float64 `json:"seed"`    // as seen between runs; with one seed 0, and unknown
	Problem float64 `json:"problem"` // as seen between problems
	Shared  float64 `json:"shared"`  // share of the problems that all seeds have in common, 0 to 1
	asked   int     // distinct problems
}

// MarshalJSON writes an unknown mean as null.
func (e Estimate) MarshalJSON() ([]byte, error) {
	type plain Estimate // without this method
	var mean *float64
	if !math.IsNaN(e.Mean) && !math.IsInf(e.Mean, 0) {
		mean = &e.Mean
	}
	return json.Marshal(struct {
		Mean *float64 `json:"mean"`
		plain
	}{mean, plain(e)})
}

// OverSeeds says whether the interval speaks of another seed, or only of these runs.
func (e Estimate) OverSeeds() bool { return e.Seeds > 1 }

// Excludes says whether the interval is known and does not hold x.
func (e Estimate) Excludes(x float64) bool {
	return e.Interval != nil && (x < e.Interval[0] || x > e.Interval[1])
}

// Contrast estimates the mean over seeds of f(means of the columns). Its uncertainty has two parts:
// the spread of f between seeds, and the spread between problems of f linearised at each run's means
// (the delta method), clustered by problem so that problems which all seeds share are not counted as
// new ones for each. Each gives a half-width by Student's t, with seeds - 1 and problems - 1 degrees
// of freedom. Where seeds bring their own problems the spread between seeds holds that of the problems
// already; the part of problems that all seeds share is joined to it as the other leg of a right
// triangle (the method of variance estimates recovery; Zou and Donner 2008). The interval is never
// narrower than the problems alone allow, however alike three seeds happen to be. One t on the sum
// of the variances with Satterthwaite's degrees of freedom would be narrower, and with three seeds
// covers 92 % instead of 95.
//
// With one seed the interval is over problems only; with one problem, or where a mean is NaN, it is
// unknown.
func Contrast(units []Unit, f func(means []float64) float64) Estimate {
	e := Estimate{Mean: math.NaN(), Seeds: len(units)}
	if len(units) == 0 {
		return e
	}
	n := float64(len(units))
	values := make([]float64, len(units))
	residuals := map[int]float64{}
	var order []int // so that sums run in one order
	asked := 0
	for s := range units {
		u := &units[s]
		m := u.means()
		values[s] = f(m)
		asked += len(u.Problems)
		effect := influence(u, m, f)
		for i, p := range u.Problems {
			if _, ok := residuals[p]; !ok {
				order = append(order, p)
			}
			residuals[p] += effect[i] / n
		}
	}
	e.Mean = 0
	for _, v := range values {
		e.Mean += v / n
	}
	e.Problems = len(order)
	if math.IsNaN(e.Mean) || math.IsInf(e.Mean, 0) {
		return e
	}
	e.Spread = Spread{Seeds: len(units), asked: len(order)}
	for _, p := range order {
		e.Spread.Problem += residuals[p] * residuals[p]
	}
	if q := float64(len(order)); q > 1 {
		e.Spread.Problem *= q / (q - 1)
	}
	if len(units) > 1 {
		for _, v := range values {
			e.Spread.Seed += (v - e.Mean) * (v - e.Mean) / (n - 1) / n
		}
		if len(order) > 0 {
			e.Spread.Shared = min(max((float64(asked)/float64(len(order))-1)/(n-1), 0), 1)
		}
	}
	if len(order) < 2 || math.IsNaN(e.Spread.Problem) {
		return e
	}
	e.conclude()
	return e
}

// conclude fills interval and p from the spread.
func (e *Estimate) conclude() {
	half := e.Spread.half(e.Spread.Seeds, func(t distuv.StudentsT) float64 { return t.Quantile(0.5 + Level/2) })
	e.Interval = &Interval{e.Mean - half, e.Mean + half}
	e.P = new(float64)
	*e.P = e.Spread.p(math.Abs(e.Mean))
}

func student(df float64) distuv.StudentsT { return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: df} }

// influence is what each problem adds to f beyond its share: the gradient of f at the run's means
// times the residuals of the ratios.
func influence(u *Unit, m []float64, f func([]float64) float64) []float64 {
	out := make([]float64, len(u.Problems))
	for k := range m {
		var den float64
		for _, d := range u.Den[k] {
			den += d
		}
		g := slope(m, k, f)
		if g == 0 {
			continue
		}
		for i := range out {
			out[i] += g * (u.Num[k][i] - m[k]*u.Den[k][i]) / den
		}
	}
	return out
}

// slope is the derivative of f by its k-th argument, by central difference.
func slope(m []float64, k int, f func([]float64) float64) float64 {
	h := 1e-5 * max(1, math.Abs(m[k]))
	x := append([]float64(nil), m...)
	x[k] = m[k] + h
	up := f(x)
	x[k] = m[k] - h
	return (up - f(x)) / (2 * h)
}

// Mean estimates the mean of one figure a seed, with Student's interval over seeds: for what has no
// parts by problem. With fewer than two it has no interval.
func Mean(values []float64) Estimate {
	e := Estimate{Seeds: len(values), Mean: math.NaN()}
	if len(values) == 0 {
		return e
	}
	e.Mean = 0
	n := float64(len(values))
	for _, v := range values {
		e.Mean += v / n
	}
	if len(values) < 2 || math.IsNaN(e.Mean) {
		return e
	}
	e.Spread.Seeds = len(values)
	for _, v := range values {
		e.Spread.Seed += (v - e.Mean) * (v - e.Mean) / (n - 1) / n
	}
	e.conclude()
	return e
}

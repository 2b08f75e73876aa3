// Package forecast fits a learning curve, acc(t) = a - b·t^(-c), and says where it leads, with an
// interval, or refuses: an extrapolation from too little is worse than none.
//
// The family is the usual power law of learning curves. For a fixed exponent the other two
// coefficients are linear least squares, so the fit is a search over one number; the interval is a
// seeded bootstrap over residuals. Everything is pure and deterministic.
package forecast

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Point is a measured accuracy after t > 0 steps (or tokens, or hours: any amount of training).
type Point struct{ T, Accuracy float64 }

// Curve is acc(t) = A - B·t^(-C), A within (0, 1], B and C positive.
type Curve struct{ A, B, C float64 }

// At is the accuracy after t.
func (c Curve) At(t float64) float64 { return c.A - c.B*math.Pow(t, -c.C) }

// Until is the amount of training after which less than eps is left to gain: (B/eps)^(1/C).
func (c Curve) Until(eps float64) float64 { return math.Pow(c.B/eps, 1/c.C) }

// Doubling is the gain that as much training again would bring at t: B·t^(-C)·(1 - 2^(-C)).
func (c Curve) Doubling(t float64) float64 {
	return c.B * math.Pow(t, -c.C) * (1 - math.Pow(2, -c.C))
}

// Forecast is a fitted curve with a 95 % interval of its asymptote.
type Forecast struct {
	Curve
	Asymptote [2]float64 // of A
	Residual  float64    // root mean square
	Points    int
}

// ErrRefused says that the points do not carry an extrapolation; the error tells why.
var ErrRefused = errors.New("no forecast")

// Resamples is how often the bootstrap refits.
const Resamples = 400

// Geometric is the curve through three points in geometric progression t, q·t, q²·t with accuracies
// y1, y2, y3. It refuses where the gains do not shrink by a ratio within (0, 1).
func Geometric(t, q, y1, y2, y3 float64) (Curve, error) {
	rho := (y3 - y2) / (y2 - y1)
	if !(rho > 0 && rho < 1-1e-9) || !(q > 1) || !(t > 0) {
		return Curve{}, fmt.Errorf("%w: the gain from each point to the next must shrink (ratio %.3g, needs to be within 0 and 1)", ErrRefused, rho)
	}
	c := -math.Log(rho) / math.Log(q)
	a := (y1*y3 - y2*y2) / (y1 + y3 - 2*y2)
	return Curve{A: a, B: (a - y1) * math.Pow(t, c), C: c}, nil
}

// Fit fits at least 4 points with T > 0, in any order. It refuses (an error that wraps [ErrRefused])
// fewer points, accuracies that do not rise along a flattening curve, an asymptote outside (0, 1],
// and one whose 95 % interval is wider than the gain seen so far.
func Fit(points []Point) (Forecast, error) {
	points = slices.Clone(points)
	for _, p := range points {
		if !(p.T > 0) || math.IsInf(p.T, 0) || math.IsNaN(p.Accuracy) || math.IsInf(p.Accuracy, 0) {
			return Forecast{}, fmt.Errorf("%w: point (%g, %g) needs a positive amount of training and a finite accuracy", ErrRefused, p.T, p.Accuracy)
		}
	}
	if len(points) < 4 {
		return Forecast{}, fmt.Errorf("%w: %d evaluations, need at least 4 after the start", ErrRefused, len(points))
	}
	slices.SortFunc(points, func(a, b Point) int { return int(math.Copysign(1, a.T-b.T)) })
	g := grid(points)
	curve, residual, err := best(points, g)
	if err != nil {
		return Forecast{}, err
	}
	f := Forecast{Curve: curve, Residual: residual, Points: len(points)}
	f.Asymptote, err = interval(points, g, curve)
	if err != nil {
		return Forecast{}, err
	}
	gain := points[len(points)-1].Accuracy - points[0].Accuracy
	if width := f.Asymptote[1] - f.Asymptote[0]; width > gain {
		return Forecast{}, fmt.Errorf("%w: the interval of the asymptote (%.3f to %.3f) is wider than the gain so far (%.3f)",
			ErrRefused, f.Asymptote[0], f.Asymptote[1], gain)
	}
	return f, nil
}

// Exponents searched. At either end the curve is a straight line in log t or a step: neither has an
// asymptote that the points speak of.
const (
	minExponent, maxExponent = 0.02, 8.0
	cells                    = 120
)

func exponent(cell float64) float64 {
	return minExponent * math.Exp(math.Log(maxExponent/minExponent)*cell/cells)
}

// design is t^(-c) of all points for one exponent, centred.
type design struct {
	c, mean, squares float64
	x                []float64
}

func newDesign(points []Point, c float64) design {
	d := design{c: c, x: make([]float64, len(points))}
	for i, p := range points {
		d.x[i] = math.Pow(p.T, -c)
		d.mean += d.x[i]
	}
	d.mean /= float64(len(points))
	for i := range d.x {
		d.x[i] -= d.mean
		d.squares += d.x[i] * d.x[i]
	}
	return d
}

// fit gives A and B by linear least squares under A ≤ 1, and the squared error.
func (d *design) fit(points []Point) (Curve, float64) {
	if d.squares == 0 {
		return Curve{C: d.c}, math.Inf(1)
	}
	my, product := 0.0, 0.0
	for _, p := range points {
		my += p.Accuracy
	}
	my /= float64(len(points))
	for i, p := range points {
		product += d.x[i] * (p.Accuracy - my)
	}
	slope := product / d.squares
	curve := Curve{A: my - slope*d.mean, B: -slope, C: d.c}
	if curve.A > 1 { // the best line through A = 1
		above, below := 0.0, 0.0
		for i, p := range points {
			x := d.x[i] + d.mean
			above += x * (1 - p.Accuracy)
			below += x * x
		}
		curve.A, curve.B = 1, above/below
	}
	e := 0.0
	for i, p := range points {
		r := p.Accuracy - curve.A + curve.B*(d.x[i]+d.mean)
		e += r * r
	}
	return curve, e
}

// grid is the designs of all searched exponents; the points of a resample share it.
func grid(points []Point) []design {
	g := make([]design, cells+1)
	for i := range g {
		g[i] = newDesign(points, exponent(float64(i)))
	}
	return g
}

// best takes the best exponent of the grid and refines it by golden section.
func best(points []Point, g []design) (Curve, float64, error) {
	low, lowest := 0, math.Inf(1)
	for i := range g {
		if _, e := g[i].fit(points); e < lowest {
			low, lowest = i, e
		}
	}
	if low == 0 || low == cells {
		return Curve{}, 0, fmt.Errorf("%w: the accuracies do not follow a flattening curve", ErrRefused)
	}
	at := func(cell float64) (Curve, float64) {
		d := newDesign(points, exponent(cell))
		return d.fit(points)
	}
	golden := (math.Sqrt(5) - 1) / 2
	a, b := float64(low-1), float64(low+1)
	m, n := b-golden*(b-a), a+golden*(b-a)
	_, em := at(m)
	_, en := at(n)
	for range 32 {
		if em < en {
			b, n, en = n, m, em
			m = b - golden*(b-a)
			_, em = at(m)
		} else {
			a, m, em = m, n, en
			n = a + golden*(b-a)
			_, en = at(n)
		}
	}
	curve, e := at((a + b) / 2)
	switch {
	case !(curve.B > 0):
		return Curve{}, 0, fmt.Errorf("%w: the accuracy does not rise", ErrRefused)
	case !(curve.A > 0):
		return Curve{}, 0, fmt.Errorf("%w: the fitted asymptote %.3f is no accuracy", ErrRefused, curve.A)
	}
	return curve, math.Sqrt(e / float64(len(points))), nil
}

// interval is the percentile interval of the asymptote when residuals, scaled for the three fitted
// coefficients, are drawn anew. A resample that fits no curve counts as an asymptote without bound.
func interval(points []Point, g []design, fitted Curve) ([2]float64, error) {
	scale := math.Sqrt(float64(len(points)) / float64(len(points)-3))
	residuals := make([]float64, len(points))
	for i, p := range points {
		residuals[i] = (p.Accuracy - fitted.At(p.T)) * scale
	}
	random := rand.New(rand.NewPCG(20260209, uint64(len(points))))
	asymptotes := make([]float64, 0, Resamples)
	drawn := slices.Clone(points)
	failed := 0
	for range Resamples {
		for i, p := range points {
			drawn[i].Accuracy = fitted.At(p.T) + residuals[random.IntN(len(residuals))]
		}
		curve, _, err := best(drawn, g)
		if err != nil {
			failed++
			continue
		}
		asymptotes = append(asymptotes, curve.A)
	}
	if failed > Resamples/20 {
		return [2]float64{}, fmt.Errorf("%w: %d of %d resamples of the points follow no flattening curve", ErrRefused, failed, Resamples)
	}
	slices.Sort(asymptotes)
	last := float64(len(asymptotes) - 1)
	return [2]float64{asymptotes[int(0.025*last)], asymptotes[int(math.Ceil(0.975*last))]}, nil
}

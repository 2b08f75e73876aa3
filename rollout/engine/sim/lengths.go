package sim

import (
	"fmt"
	"math"
	"slices"

	"pith/traces"
)

// Lengths is a distribution of response lengths in tokens, before any limit. At is its quantile
// function: u in [0, 1).
type Lengths interface {
	At(u float64) int
	String() string
}

// Fixed is one length.
type Fixed int

// At is the length.
func (f Fixed) At(float64) int { return int(f) }
func (f Fixed) String() string { return fmt.Sprintf("fixed at %d", int(f)) }

// LogNormal has a median and the standard deviation of the logarithm. Response lengths of reasoning
// models are about so, with a sigma of 0.5 to 1.
type LogNormal struct{ Median, Sigma float64 }

// At is the quantile.
func (l LogNormal) At(u float64) int {
	u = min(max(u, 1e-12), 1-1e-12)
	return max(1, int(math.Round(l.Median*math.Exp(l.Sigma*math.Sqrt2*math.Erfinv(2*u-1)))))
}

func (l LogNormal) String() string {
	return fmt.Sprintf("lognormal, median %g, sigma %g", l.Median, l.Sigma)
}

// Geometric ends with the same chance at every token.
type Geometric struct{ Mean float64 }

// At is the quantile.
func (g Geometric) At(u float64) int {
	if g.Mean <= 1 {
		return 1
	}
	return max(1, int(math.Ceil(math.Log1p(-u)/math.Log1p(-1/g.Mean))))
}

func (g Geometric) String() string { return fmt.Sprintf("geometric, mean %g", g.Mean) }

// Empirical is what was seen, in rising order.
type Empirical struct {
	Name   string
	Sorted []int
}

// At is the quantile.
func (e Empirical) At(u float64) int {
	return e.Sorted[min(int(u*float64(len(e.Sorted))), len(e.Sorted)-1)]
}

func (e Empirical) String() string { return fmt.Sprintf("%d lengths of %s", len(e.Sorted), e.Name) }

// FromRun takes the lengths that the policy sampled in the training traces of a run directory.
// Answers that were cut at the limit count with the limit: how long they would have been is not
// known, so a plan with a larger limit is too optimistic.
func FromRun(dir string) (Empirical, error) {
	run, err := traces.OpenRun(dir)
	if err != nil {
		return Empirical{}, err
	}
	type row struct {
		Length int32 `parquet:"length_tokens"`
	}
	e := Empirical{Name: dir}
	for r, err := range traces.Scan[row](run, traces.Filter{}) {
		if err != nil {
			return Empirical{}, err
		}
		if r.Length > 0 {
			e.Sorted = append(e.Sorted, int(r.Length))
		}
	}
	if len(e.Sorted) == 0 {
		return Empirical{}, fmt.Errorf("%s holds no trace with a length", dir)
	}
	slices.Sort(e.Sorted)
	return e, nil
}

// unit turns a hash into a number in [0, 1).
func unit(h uint64) float64 { return float64(h>>11) / (1 << 53) }

// hash mixes numbers; the finaliser is splitmix64's (Steele, Lea, Flood, OOPSLA 2014).
func hash(parts ...uint64) uint64 {
	h := uint64(0x243f6a8885a308d3)
	for _, p := range parts {
		h ^= p
		h += 0x9e3779b97f4a7c15
		h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
		h = (h ^ h>>27) * 0x94d049bb133111eb
		h ^= h >> 31
	}
	return h
}

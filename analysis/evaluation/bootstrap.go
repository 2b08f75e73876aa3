package evaluation

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Resamples of the bootstrap.
const Resamples = 1000

// bootstrap holds the resampled problems, drawn once so that all estimates share them.
type bootstrap struct{ draws [][]int32 }

func newBootstrap(n int) *bootstrap {
	random := rand.New(rand.NewPCG(20260402, uint64(n)))
	b := &bootstrap{draws: make([][]int32, Resamples)}
	for i := range b.draws {
		d := make([]int32, n)
		for j := range d {
			d[j] = int32(random.IntN(n))
		}
		b.draws[i] = d
	}
	return b
}

// ratio estimates the sum of above over the sum of below.
func (b *bootstrap) ratio(problems []*problem, f func(*problem) (above, below float64)) Estimate {
	above, below := make([]float64, len(problems)), make([]float64, len(problems))
	var a, c float64
	for i, p := range problems {
		above[i], below[i] = f(p)
		a, c = a+above[i], c+below[i]
	}
	values := make([]float64, 0, len(b.draws))
	for _, draw := range b.draws {
		var a, c float64
		for _, i := range draw {
			a, c = a+above[i], c+below[i]
		}
		if c > 0 {
			values = append(values, a/c)
		}
	}
	return Estimate{a / c, percentiles(values)}
}

// mean estimates the mean of n values, one for each problem.
func (b *bootstrap) mean(n int, f func(i int) float64) Estimate {
	values := make([]float64, n)
	sum := 0.0
	for i := range values {
		values[i] = f(i)
		sum += values[i]
	}
	means := make([]float64, len(b.draws))
	for k, draw := range b.draws {
		s := 0.0
		for _, i := range draw {
			s += values[i]
		}
		means[k] = s / float64(n)
	}
	return Estimate{sum / float64(n), percentiles(means)}
}

func percentiles(v []float64) [2]float64 {
	if len(v) == 0 {
		return [2]float64{}
	}
	slices.Sort(v)
	last := float64(len(v) - 1)
	return [2]float64{v[int(0.025*last)], v[int(math.Ceil(0.975*last))]}
}

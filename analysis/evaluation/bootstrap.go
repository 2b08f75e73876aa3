package evaluation

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Resamples of the bootstrap.
const Resamples = 1000

// bootstrap holds the resampled problems, drawn once so that all estimates share them. A unit is one
// drawing of a problem; drawings of the same problem go together.
type bootstrap struct {
	cluster []int // of each unit
	draws   [][]int32
	n       int // clusters
}

func newBootstrap(units []*problem) *bootstrap {
	b := &bootstrap{cluster: make([]int, len(units)), draws: make([][]int32, Resamples)}
	known := map[string]int{}
	for i, u := range units {
		if _, ok := known[u.name]; !ok {
			known[u.name] = len(known)
		}
		b.cluster[i] = known[u.name]
	}
	b.n = len(known)
	random := rand.New(rand.NewPCG(20260402, uint64(b.n)))
	for i := range b.draws {
		d := make([]int32, b.n)
		for j := range d {
			d[j] = int32(random.IntN(b.n))
		}
		b.draws[i] = d
	}
	return b
}

// ratio estimates the sum of above over the sum of below, where f gives both for each unit.
func (b *bootstrap) ratio(f func(unit int) (above, below float64)) Estimate {
	above, below := make([]float64, b.n), make([]float64, b.n)
	var all, whole float64
	for i, c := range b.cluster {
		x, y := f(i)
		above[c], below[c] = above[c]+x, below[c]+y
		all, whole = all+x, whole+y
	}
	values := make([]float64, 0, len(b.draws))
	for _, draw := range b.draws {
		var x, y float64
		for _, c := range draw {
			x, y = x+above[c], y+below[c]
		}
		if y > 0 {
			values = append(values, x/y)
		}
	}
	return Estimate{all / whole, percentiles(values)}
}

// mean estimates the mean over units.
func (b *bootstrap) mean(f func(unit int) float64) Estimate {
	return b.ratio(func(i int) (float64, float64) { return f(i), 1 })
}

func percentiles(v []float64) [2]float64 {
	if len(v) == 0 {
		return [2]float64{}
	}
	slices.Sort(v)
	last := float64(len(v) - 1)
	return [2]float64{v[int(0.025*last)], v[int(math.Ceil(0.975*last))]}
}

package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Bootstrap draws the means of all arms anew, together, and returns them as [draw][arm][column].
// Problems are resampled with replacement (Efron 1979), the same ones for every arm and seed that
// was asked them. Seeds, which are too few to resample, are varied by multipliers: the deviation of
// each run from its arm's mean times a normal number that all arms share for that seed, over the root
// of a χ² with seeds - 1 degrees of freedom, so that the seeds' part of an arm's draws, and of the
// difference of two arms, is Student's t. An arm with one seed has no such part. Equal arguments give
// equal draws.
func Bootstrap(arms [][]Unit, draws int, seed uint64) [][][]float64 {
	var problems []int
	var seeds []uint64
	most := 0
	for _, units := range arms {
		most = max(most, len(units))
		for i := range units {
			problems = append(problems, units[i].Problems...)
			seeds = append(seeds, units[i].Seed)
		}
	}
	slices.Sort(problems)
	problems = slices.Compact(problems)
	slices.Sort(seeds)
	seeds = slices.Compact(seeds)
	place := make(map[int]int, len(problems))
	for i, p := range problems {
		place[p] = i
	}
	centres := make([][]float64, len(arms))
	deviations := make([][][]float64, len(arms)) // [arm][unit][column]
	places := make([][][]int, len(arms))
	for a, units := range arms {
		centres[a] = Means(units)
		for i := range units {
			m := units[i].means()
			for k := range m {
				m[k] -= centres[a][k]
			}
			deviations[a] = append(deviations[a], m)
			at := make([]int, len(units[i].Problems))
			for j, p := range units[i].Problems {
				at[j] = place[p]
			}
			places[a] = append(places[a], at)
		}
	}
	random := rand.New(rand.NewPCG(seed, uint64(len(problems))))
	counts := make([]float64, len(problems))
	multipliers, squares := make([]float64, len(seeds)), make([]float64, max(most, 1))
	out := make([][][]float64, draws)
	for d := range out {
		clear(counts)
		for range problems {
			counts[random.IntN(len(problems))]++
		}
		for i := range multipliers {
			multipliers[i] = random.NormFloat64()
		}
		for i := 1; i < len(squares); i++ {
			x := random.NormFloat64()
			squares[i] = squares[i-1] + x*x // χ² with i degrees of freedom
		}
		out[d] = make([][]float64, len(arms))
		for a, units := range arms {
			mean := make([]float64, len(centres[a]))
			n := float64(len(units))
			for i := range units {
				for k, v := range units[i].weighted(counts, places[a][i]) {
					mean[k] += v / n
				}
			}
			if len(units) > 1 {
				scale := 1 / math.Sqrt(n*(n-1)) / math.Sqrt(squares[len(units)-1]/(n-1))
				for i := range units {
					at, _ := slices.BinarySearch(seeds, units[i].Seed)
					for k := range mean {
						mean[k] += scale * multipliers[at] * deviations[a][i][k]
					}
				}
			}
			out[d][a] = mean
		}
	}
	return out
}

func (u *Unit) weighted(counts []float64, places []int) []float64 {
	out := make([]float64, len(u.Num))
	for k := range u.Num {
		var num, den float64
		for i, at := range places {
			num += counts[at] * u.Num[k][i]
			den += counts[at] * u.Den[k][i]
		}
		out[k] = math.NaN()
		if den > 0 {
			out[k] = num / den
		}
	}
	return out
}

// Percentile is the 95 % interval of draws; nil where more than half of them are no number.
func Percentile(draws []float64) *Interval {
	kept := slices.DeleteFunc(slices.Clone(draws), math.IsNaN)
	if len(kept) == 0 || 2*len(kept) < len(draws) {
		return nil
	}
	slices.Sort(kept)
	return &Interval{quantile(kept, 0.5-Level/2), quantile(kept, 0.5+Level/2)}
}

// quantile of sorted values, interpolated.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	share := at - float64(low)
	return sorted[low]*(1-share) + sorted[low+1]*share
}

package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Holm corrects p values for being several (Holm 1979): the smallest is multiplied by their number,
// the next by one less, and none falls below an earlier one. The order is kept; ties keep theirs.
// NaN is no test: it stays NaN and does not count.
func Holm(p []float64) []float64 {
	var order []int
	out := slices.Clone(p)
	for i, v := range p {
		if !math.IsNaN(v) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	floor := 0.0
	for rank, i := range order {
		floor = max(floor, min(1, p[i]*float64(len(order)-rank)))
		out[i] = floor
	}
	return out
}

// SignFlip is the two-sided permutation test of paired differences: under no difference each could
// as well have had the other sign (Fisher 1935). It speaks of these runs on other problems, not of
// other seeds. p is the share of flips, the observed one counted, whose sum is at least as far from
// 0; differences of 0 change nothing. Of nothing it is NaN.
func SignFlip(differences []float64, flips int, seed uint64) float64 {
	if len(differences) == 0 || flips < 1 {
		return math.NaN()
	}
	observed := 0.0
	for _, d := range differences {
		observed += d
	}
	// Sums in another order differ in their last bits; what is equal must count as equal.
	bar := math.Abs(observed) - 1e-9*float64(len(differences))
	random := rand.New(rand.NewPCG(seed, uint64(len(differences))))
	far := 1
	for range flips {
		sum := 0.0
		var bits uint64
		for i, d := range differences {
			if i%64 == 0 {
				bits = random.Uint64()
			}
			if bits&1 == 0 {
				d = -d
			}
			bits >>= 1
			sum += d
		}
		if math.Abs(sum) >= bar {
			far++
		}
	}
	return float64(far) / float64(flips+1)
}

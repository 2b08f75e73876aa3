package analysis

import (
	"cmp"
	"math"
	"slices"
)

// AES is the accuracy-efficiency score against a baseline: the relative saving in tokens, plus 3
// times a relative gain in accuracy or minus 5 times a loss (O1-Pruner, arXiv 2501.12570, with
// α = 1, β = 3, γ = 5). The published table has the sign of losses wrong; this is the formula.
func AES(accuracy, tokens, baseAccuracy, baseTokens float64) float64 {
	if baseTokens == 0 || baseAccuracy == 0 {
		return math.NaN()
	}
	saving := (baseTokens - tokens) / baseTokens
	gain := (accuracy - baseAccuracy) / baseAccuracy
	if gain >= 0 {
		return saving + 3*gain
	}
	return saving + 5*gain
}

// TokensPerRight is the tokens spent, on right and wrong responses, for each right answer: cost of
// pass with a price of 1 a token (arXiv 2504.13359). It is infinite where nothing is right.
func TokensPerRight(accuracy, tokens float64) float64 {
	if accuracy == 0 {
		return math.Inf(1)
	}
	return tokens / accuracy
}

// PlanePoint is a policy in the accuracy-length plane.
type PlanePoint struct{ Tokens, Accuracy float64 }

// Frontier returns the indices of the points that no other one dominates (no more tokens, no less
// accuracy, one of them strictly), by rising tokens. Of equal points the first is kept.
func Frontier(points []PlanePoint) []int {
	order := make([]int, len(points))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(points[a].Tokens, points[b].Tokens), cmp.Compare(points[b].Accuracy, points[a].Accuracy))
	})
	var kept []int
	best := math.Inf(-1)
	for _, i := range order {
		if points[i].Accuracy > best {
			best = points[i].Accuracy
			kept = append(kept, i)
		}
	}
	return kept
}

package analysis

import (
	"cmp"
	"math"
	"slices"
)

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

package stats

import (
	"cmp"
	"math"
	"slices"
)

// Point is a policy in the accuracy-length plane.
type Point struct{ Tokens, Accuracy float64 }

// Front returns the indices of points that no other dominates (no more tokens, no less accuracy, one
// of them strictly), by rising tokens. Of equal points the first is kept; NaN is on no front.
func Front(points []Point) []int {
	var order []int
	for i, p := range points {
		if !math.IsNaN(p.Tokens) && !math.IsNaN(p.Accuracy) {
			order = append(order, i)
		}
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

// Hypervolume is the share of the rectangle from (0 tokens, accuracy 1) to (limit tokens, accuracy 0)
// that a set of points dominates (Zitzler and Thiele 1999, in two dimensions). Points beyond the
// limit add nothing.
func Hypervolume(points []Point, limit float64) float64 {
	if limit <= 0 {
		return math.NaN()
	}
	area, from, height := 0.0, 0.0, 0.0
	for _, i := range Front(points) {
		p := points[i]
		if p.Tokens >= limit {
			break
		}
		at := max(p.Tokens, 0)
		area += height * (at - from)
		from, height = at, min(max(p.Accuracy, 0), 1)
	}
	return (area + height*(limit-from)) / limit
}

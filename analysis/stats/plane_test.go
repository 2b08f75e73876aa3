package stats

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFrontHoldsExactlyWhatNothingDominates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		points := make([]Point, n)
		for i := range points {
			points[i] = Point{float64(rapid.IntRange(0, 6).Draw(t, "tokens")), float64(rapid.IntRange(0, 6).Draw(t, "accuracy"))}
		}
		kept := Front(points)
		for i, p := range points {
			dominated := slices.ContainsFunc(points, func(o Point) bool {
				return o.Tokens <= p.Tokens && o.Accuracy >= p.Accuracy && o != p
			})
			first := slices.Index(points, p) == i
			if want := !dominated && first; slices.Contains(kept, i) != want {
				t.Fatalf("point %d %v of %v: kept %v", i, p, points, !want)
			}
		}
	})
}

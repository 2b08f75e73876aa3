package preference

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func right(tokens int) Response { return Response{Right: true, Tokens: tokens, Reward: 1} }
func wrong(tokens int) Response { return Response{Wrong: true, Tokens: tokens} }
func worth(reward float64) Response {
	return Response{Right: true, Tokens: 5, Reward: reward}
}

func TestPairsFollowTheirRule(t *testing.T) {
	unscored := Response{Tokens: 1, Reward: 9}
	for _, c := range []struct {
		name  string
		rule  Rule
		group []Response
		want  []Pair
	}{
		{"the shortest right one before much longer ones and wrong ones", Rule{Rule: ShortestLongest, PerGroup: 9, Ratio: 1.5, Wrong: true},
			[]Response{right(20), right(10), wrong(5), right(15), right(14), unscored}, []Pair{{1, 0}, {1, 3}, {1, 2}}},
		{"right ones only", Rule{Rule: ShortestLongest, PerGroup: 9, Ratio: 1.5}, []Response{right(20), right(10), wrong(50)}, []Pair{{1, 0}}},
		{"a response is not paired with one of its length", Rule{Rule: ShortestLongest, PerGroup: 9, Ratio: 1}, []Response{right(10), right(10)}, nil},
		{"only so many pairs", Rule{Rule: ShortestLongest, PerGroup: 1, Ratio: 1}, []Response{right(11), right(10), right(12)}, []Pair{{1, 2}}},
		{"none right", Rule{Rule: ShortestLongest, PerGroup: 2, Ratio: 1.5, Wrong: true}, []Response{wrong(1), wrong(2)}, nil},
		{"right before wrong, whatever the length", Rule{Rule: RightWrong, PerGroup: 2}, []Response{wrong(3), right(10), wrong(4), right(99)}, []Pair{{1, 2}, {1, 0}}},
		{"the best before the worst", Rule{Rule: BestWorst, PerGroup: 2, Above: -1e6}, []Response{worth(0.2), worth(0.9), worth(0.1), unscored}, []Pair{{1, 2}, {1, 0}}},
		{"not good enough to imitate", Rule{Rule: BestWorst, PerGroup: 2, Above: 0.95}, []Response{worth(0.2), worth(0.9)}, nil},
		{"not different enough", Rule{Rule: BestWorst, PerGroup: 2, Above: 0.4, Gap: 0.2}, []Response{worth(0.8), worth(0.9), worth(0.6)}, []Pair{{1, 2}}},
		{"alone", Rule{Rule: BestWorst, PerGroup: 2}, []Response{worth(1)}, nil},
	} {
		if diff := cmp.Diff(c.want, c.rule.Pairs(c.group)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestLeavingOutWhatIsInNoPairChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rule := Rule{
			Rule:     rapid.SampledFrom([]string{ShortestLongest, RightWrong, BestWorst}).Draw(rt, "rule"),
			PerGroup: rapid.IntRange(1, 4).Draw(rt, "most"), Ratio: rapid.Float64Range(1, 2).Draw(rt, "ratio"),
			Wrong: rapid.Bool().Draw(rt, "wrong"), Above: rapid.Float64Range(-1, 1).Draw(rt, "above"), Gap: rapid.Float64Range(0, 1).Draw(rt, "gap"),
		}
		group := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Response {
			kind := rapid.IntRange(0, 2).Draw(rt, "kind")
			return Response{Right: kind == 1, Wrong: kind == 2, Tokens: rapid.IntRange(1, 9).Draw(rt, "tokens"), Reward: float64(rapid.IntRange(-2, 2).Draw(rt, "reward"))}
		}), 0, 12).Draw(rt, "group")
		var used []int
		for _, p := range rule.Pairs(group) {
			if p.Chosen == p.Rejected {
				rt.Fatal("paired with itself")
			}
			used = append(used, p.Chosen, p.Rejected)
		}
		slices.Sort(used)
		used = slices.Compact(used)
		var rest []Response
		for _, i := range used {
			rest = append(rest, group[i])
		}
		var again []Pair
		for _, p := range rule.Pairs(rest) {
			again = append(again, Pair{used[p.Chosen], used[p.Rejected]})
		}
		if diff := cmp.Diff(rule.Pairs(group), again); diff != "" {
			rt.Fatalf("(-all +paired):\n%s", diff)
		}
	})
}

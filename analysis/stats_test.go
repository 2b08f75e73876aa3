package analysis

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func within(tolerance float64) cmp.Option { return cmpopts.EquateApprox(0, tolerance) }

func TestWilsonMatchesPublishedIntervals(t *testing.T) {
	// Newcombe 1998 (Statistics in Medicine 17, 857), table I, method 3.
	for _, tc := range []struct {
		k, n float64
		want Interval
	}{
		{81, 263, Interval{.2553, .3662}},
		{15, 148, Interval{.0624, .1605}},
		{0, 20, Interval{0, .1611}},
		{1, 29, Interval{.0061, .1718}},
		{0, 0, Interval{0, 1}},
	} {
		if diff := cmp.Diff(tc.want, Wilson(tc.k, tc.n), within(5e-5)); diff != "" {
			t.Errorf("%v of %v: %s", tc.k, tc.n, diff)
		}
	}
}

func TestDifferenceOfSharesMatchesPublishedIntervals(t *testing.T) {
	// Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10: p1 - p2.
	for _, tc := range []struct {
		a, m, b, n float64
		want       Interval
	}{
		{56, 70, 48, 80, Interval{.0524, .3339}},
		{9, 10, 3, 10, Interval{.1705, .8090}},
		{5, 56, 0, 29, Interval{-.0381, .1926}},
	} {
		if diff := cmp.Diff(tc.want, difference(tc.b/tc.n, tc.n, tc.a/tc.m, tc.m), within(5e-5)); diff != "" {
			t.Errorf("%v: %s", tc, diff)
		}
	}
}

func TestWilsonHoldsTheShareAndStaysAShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := float64(rapid.IntRange(1, 2000).Draw(t, "n"))
		k := float64(rapid.IntRange(0, int(n)).Draw(t, "k"))
		i := Wilson(k, n)
		if !(0 <= i[0] && i[0] <= k/n+1e-12 && k/n <= i[1]+1e-12 && i[1] <= 1) {
			t.Fatalf("%v of %v: %v", k, n, i)
		}
		if mirrored := Wilson(n-k, n); math.Abs(mirrored[0]-(1-i[1])) > 1e-12 {
			t.Fatalf("%v of %v is not the mirror of its complement", k, n)
		}
	})
}

func TestMeanIntervalUsesStudentsT(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		mean   float64
		want   *Interval
	}{
		{nil, 0, nil},
		{[]float64{3}, 3, nil},
		// t(0.975, 4) = 2.7764, sd = 1.5811, n = 5.
		{[]float64{1, 2, 3, 4, 5}, 3, &Interval{3 - 1.96324, 3 + 1.96324}},
		// t(0.975, 1) = 12.7062.
		{[]float64{0, 1}, .5, &Interval{.5 - 6.3531, .5 + 6.3531}},
	} {
		mean, got := meanInterval(tc.values)
		if diff := cmp.Diff(tc.want, got, within(1e-4)); diff != "" || mean != tc.mean {
			t.Errorf("%v: mean %v, %s", tc.values, mean, diff)
		}
	}
}

func TestBootstrapComesNearTheTextbookAndIsTheSameEveryTime(t *testing.T) {
	// 400 problems: half of the wrong ones become right, lengths go from 100 ± 10 to 50 ± 5.
	var pairs []pairedOutcome
	for i := range 400 {
		before := outcome{scored: 1, tokens: 90 + 20*float64(i%2), length: 1, right: float64(i % 4 / 2)}
		after := outcome{scored: 1, tokens: 45 + 10*float64(i/2%2), length: 1, right: float64((i%4 + 1) / 2)}
		after.right = min(after.right, 1)
		pairs = append(pairs, pairedOutcome{before, after})
	}
	accuracy, tokens := bootstrap(pairs)
	again, _ := bootstrap(slices.Clone(pairs))
	if diff := cmp.Diff(accuracy, again); diff != "" {
		t.Error("two bootstraps of the same data differ:", diff)
	}
	// The difference is 1 with probability 1/4 in a problem: .25 ± 1.96·√(.25·.75/400).
	if diff := cmp.Diff(&Interval{.2076, .2924}, accuracy, within(6e-3)); diff != "" {
		t.Error(diff)
	}
	// Ratio of means by the delta method: -.5 ± 1.96·.5·√(2·.1²/400).
	if diff := cmp.Diff(&Interval{-.5069, -.4931}, tokens, within(1.5e-3)); diff != "" {
		t.Error(diff)
	}
}

func TestBootstrapOfTooLittleKnowsNothing(t *testing.T) {
	for _, pairs := range [][]pairedOutcome{nil, {{outcome{1, 1, 5, 1}, outcome{1, 1, 5, 1}}}, make([]pairedOutcome, 9)} {
		if a, b := bootstrap(pairs); a != nil || b != nil {
			t.Errorf("%d pairs: %v, %v", len(pairs), a, b)
		}
	}
}

func TestQuantilesInterpolate(t *testing.T) {
	for q, want := range map[float64]float64{0: 1, .5: 2.5, 1: 4, .25: 1.75} {
		if got := quantile([]float64{1, 2, 3, 4}, q); got != want {
			t.Errorf("%v: %v, want %v", q, got, want)
		}
	}
}

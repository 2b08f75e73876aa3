package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func within(x float64) cmp.Option { return cmpopts.EquateApprox(0, x) }

// runs makes units with one column: values[seed][problem], problems numbered from first[seed].
func runs(values [][]float64, first func(seed int) int) []Unit {
	var out []Unit
	for s, row := range values {
		u := Unit{Seed: uint64(s + 1), Num: [][]float64{slices.Clone(row)}, Den: [][]float64{make([]float64, len(row))}}
		for i := range row {
			u.Problems = append(u.Problems, first(s)+i)
			u.Den[0][i] = 1
		}
		out = append(out, u)
	}
	return out
}

func shared(int) int { return 0 }
func own(s int) int  { return s * 1000 }

func mean(m []float64) float64 { return m[0] }

func TestContrastMatchesVectors(t *testing.T) {
	// Two seeds with means 1 and 3: between seeds ((1-2)² + (3-2)²)/1/2 = 1. Every problem of a seed
	// alike: between problems 0. One degree of freedom: t = 12.7062.
	e := Contrast(runs([][]float64{{1, 1, 1}, {3, 3, 3}}, own), mean)
	if diff := cmp.Diff(&Interval{2 - 12.706205, 2 + 12.706205}, e.Interval, within(1e-5)); diff != "" || e.Mean != 2 {
		t.Error(e.Mean, diff)
	}
	// One seed with values 0 0 1 1: variance of the mean 1/3/4 with 3 degrees of freedom, t = 3.182446.
	e = Contrast(runs([][]float64{{0, 0, 1, 1}}, own), mean)
	half := 3.182446 * math.Sqrt(1.0/12)
	if diff := cmp.Diff(&Interval{.5 - half, .5 + half}, e.Interval, within(1e-5)); diff != "" || e.OverSeeds() {
		t.Error(diff)
	}
	// Two seeds with the same problems and the same answers: problems are clusters, not new ones.
	twice := Contrast(runs([][]float64{{0, 0, 1, 1}, {0, 0, 1, 1}}, shared), mean)
	if diff := cmp.Diff(e.Spread.Problem, twice.Spread.Problem, within(1e-12)); diff != "" || twice.Spread.Shared != 1 || twice.Spread.Seed != 0 {
		t.Error(diff, twice.Spread)
	}
	apart := Contrast(runs([][]float64{{0, 0, 1, 1}, {0, 0, 1, 1}}, own), mean)
	if apart.Spread.Shared != 0 || apart.Spread.Problem >= twice.Spread.Problem {
		t.Error("problems of their own count as shared:", apart.Spread)
	}
}

func TestContrastOfARatioFollowsTheDeltaMethod(t *testing.T) {
	// Tokens 100 ± 10 and 50 ± 5, independent over 400 problems: the ratio's standard error is
	// .5·√(.1²+.1²)/√400.
	u := Unit{Seed: 1, Num: make([][]float64, 2), Den: make([][]float64, 2)}
	for i := range 400 {
		u.Problems = append(u.Problems, i)
		u.Num[0], u.Den[0] = append(u.Num[0], 90+20*float64(i%2)), append(u.Den[0], 1)
		u.Num[1], u.Den[1] = append(u.Num[1], 45+10*float64(i/2%2)), append(u.Den[1], 1)
	}
	e := Contrast([]Unit{u}, func(m []float64) float64 { return m[1]/m[0] - 1 })
	if diff := cmp.Diff(.5*math.Sqrt(.02)/20, math.Sqrt(e.Spread.Problem), within(1e-5)); diff != "" || math.Abs(e.Mean+.5) > 1e-12 {
		t.Error(e.Mean, diff)
	}
}

func TestWhatIsNotScoredIsInNoAccuracy(t *testing.T) {
	u := runs([][]float64{{1, 0, 0, 1}}, own)[0]
	u.Den[0][1], u.Den[0][2] = 0, 0
	if e := Contrast([]Unit{u}, mean); e.Mean != 1 {
		t.Errorf("mean %v, want that of the two scored", e.Mean)
	}
	for i := range u.Den[0] {
		u.Num[0][i], u.Den[0][i] = 0, 0
	}
	e := Contrast([]Unit{u}, mean)
	if !math.IsNaN(e.Mean) || e.Interval != nil || e.P != nil {
		t.Errorf("of nothing scored: %+v", e)
	}
	text, err := json.Marshal(e)
	if err != nil || string(text[:12]) != `{"mean":null` {
		t.Errorf("%s %v", text, err)
	}
}

func TestTooLittleKnowsNoInterval(t *testing.T) {
	for name, e := range map[string]Estimate{
		"nothing":     Contrast(nil, mean),
		"one problem": Contrast(runs([][]float64{{1}}, own), mean),
		"one value":   Mean([]float64{1}),
		"no value":    Mean(nil),
	} {
		if e.Interval != nil || e.P != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestPairKeepsTheProblemsOfBoth(t *testing.T) {
	a := Unit{Seed: 3, Problems: []int{5, 6, 7}, Num: [][]float64{{1, 2, 3}}, Den: [][]float64{{1, 1, 1}}}
	b := Unit{Seed: 3, Problems: []int{7, 5, 9}, Num: [][]float64{{30, 10, 0}}, Den: [][]float64{{1, 2, 1}}}
	want := Unit{Seed: 3, Problems: []int{5, 7}, Num: [][]float64{{1, 3}, {10, 30}}, Den: [][]float64{{1, 1}, {2, 1}}}
	if diff := cmp.Diff(want, Pair(a, b)); diff != "" {
		t.Error(diff)
	}
}

// world is what a simulated comparison is drawn from.
type world struct {
	seeds, problems       int
	shared                bool    // all seeds are asked the same problems
	seed, problem, answer float64 // standard deviations
}

func (w world) draw(random *rand.Rand, truth float64) []Unit {
	common := make([]float64, w.problems)
	for i := range common {
		common[i] = w.problem * random.NormFloat64()
	}
	values := make([][]float64, w.seeds)
	for s := range values {
		shift := truth + w.seed*random.NormFloat64()
		for i := range w.problems {
			hard := common[i]
			if !w.shared {
				hard = w.problem * random.NormFloat64()
			}
			values[s] = append(values[s], shift+hard+w.answer*random.NormFloat64())
		}
	}
	if w.shared {
		return runs(values, shared)
	}
	return runs(values, own)
}

var worlds = map[string]world{
	"seeds matter, problems are shared":     {3, 60, true, 1, 1, 2},
	"seeds matter, problems are their own":  {3, 60, false, 1, 1, 2},
	"seeds do not matter, problems shared":  {3, 60, true, 0, 2, 2},
	"seeds do not matter, problems own":     {3, 60, false, 0, 2, 2},
	"seeds are all that matters":            {3, 60, true, 1, .1, .1},
	"as much from each, five seeds, shared": {5, 60, true, .3, 2, 1},
	"two seeds":                             {2, 60, false, .5, 1, 1},
	"one seed, over problems only":          {1, 60, false, 0, 1, 1},
}

// The coverage of the intervals: at least what they claim, and not uselessly more. Where the two
// parts of the variance overlap the interval is wide on purpose, up to 99 %.
func TestIntervalsCoverTheTruthAsOftenAsTheySay(t *testing.T) {
	rounds := 600.0
	if testing.Short() {
		rounds = 400
	}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			covered, told := 0, 0
			for range int(rounds) {
				e := Contrast(w.draw(random, 7), mean)
				if e.Interval[0] <= 7 && 7 <= e.Interval[1] {
					covered++
				}
				if e := Contrast(w.draw(random, 0), mean); e.Excludes(0) {
					told++
				}
			}
			// Binomial: 600 rounds know a share of .95 to ±.018.
			if share := float64(covered) / rounds; share < .925 || share > .997 {
				t.Errorf("covers %.3f, claims .95", share)
			}
			if share := float64(told) / rounds; share > .07 {
				t.Errorf("tells a difference that is none in %.3f, at most .05", share)
			}
		})
	}
}

func TestBootstrapDrawsCoverTheTruthAsOftenAsTheySay(t *testing.T) {
	rounds, draws := 400, 400
	if testing.Short() {
		rounds = 150
	}
	for _, name := range []string{"seeds matter, problems are shared", "seeds do not matter, problems own"} {
		w := worlds[name]
		random := rand.New(rand.NewPCG(3, 4))
		covered := 0
		for range rounds {
			// A difference of two arms whose seeds and problems are paired.
			a, b := w.draw(random, 7), w.draw(random, 2)
			var differences []float64
			for _, d := range Bootstrap([][]Unit{a, b}, draws, 9) {
				differences = append(differences, d[0][0]-d[1][0])
			}
			if i := Percentile(differences); i[0] <= 5 && 5 <= i[1] {
				covered++
			}
		}
		if share := float64(covered) / float64(rounds); share < .92 {
			t.Errorf("%s: covers %.3f, claims .95", name, share)
		}
	}
}

func TestBootstrapIsSeededPairedAndAgreesWithTheFormula(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	w := world{5, 80, true, .5, 1, 1}
	a := w.draw(random, 3)
	draws := Bootstrap([][]Unit{a, a}, 4000, 1)
	if diff := cmp.Diff(draws, Bootstrap([][]Unit{a, a}, 4000, 1)); diff != "" {
		t.Error("two bootstraps of the same data differ")
	}
	var values []float64
	for _, d := range draws {
		if math.Abs(d[0][0]-d[1][0]) > 1e-12 {
			t.Fatal("an arm differs from itself: draws are not paired")
		}
		values = append(values, d[0][0])
	}
	e, i := Contrast(a, mean), Percentile(values)
	if width := (i[1] - i[0]) / (e.Interval[1] - e.Interval[0]); width < .85 || width > 1.2 {
		t.Errorf("bootstrap %v, formula %v", *i, *e.Interval)
	}
	if Percentile([]float64{math.NaN(), math.NaN(), 1}) != nil {
		t.Error("draws that are mostly unknown have an interval")
	}
}

func TestPAndIntervalSayTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 3))
	for name, w := range worlds {
		for range 10 {
			e := Contrast(w.draw(random, .5), mean)
			if e.Excludes(0) != (*e.P < 0.05) {
				t.Errorf("%s: interval %v, p %v", name, *e.Interval, *e.P)
			}
		}
	}
}

func TestSeedsToTellKeepsItsPromise(t *testing.T) {
	// From a spread that is known well, the number of seeds tells the difference 4 times in 5.
	w := world{200, 60, false, 1, 1, 2}
	random := rand.New(rand.NewPCG(7, 8))
	const delta = 1.2
	spread := Contrast(w.draw(random, 0), mean).Spread
	n, ok := spread.SeedsToTell(delta)
	if !ok || n < 4 || n > 20 {
		t.Fatalf("%d seeds, %v", n, ok)
	}
	told := func(n int) float64 {
		w.seeds = n
		hits := 0
		for range 600 {
			if e := Contrast(w.draw(random, delta), mean); e.Excludes(0) {
				hits++
			}
		}
		return float64(hits) / 600
	}
	if share := told(n); share < Power-.05 {
		t.Errorf("%d seeds tell %.3f of the time, promised %.2f", n, share, Power)
	}
	if share := told(max(2, n/2)); share > Power {
		t.Errorf("half as many tell %.3f of the time: %d was too many", share, n)
	}
	if tells := spread.Tells(n); tells > delta || spread.Tells(n-1) <= delta {
		t.Errorf("%d seeds tell %v, one less %v, asked for %v", n, tells, spread.Tells(n-1), delta)
	}
}

func TestSharedProblemsSetAFloorThatNoNumberOfSeedsGoesBelow(t *testing.T) {
	spread := Contrast((world{3, 20, true, 0, 5, .1}).draw(rand.New(rand.NewPCG(1, 1)), 0), mean).Spread
	if n, ok := spread.SeedsToTell(.5); ok {
		t.Errorf("%d seeds would do, with %v", n, spread)
	}
	if _, ok := (Spread{Seeds: 1}).SeedsToTell(1); ok {
		t.Error("one seed knows how many would do")
	}
}

func TestHolmMatchesVectors(t *testing.T) {
	nan := math.NaN()
	for name, tc := range map[string]struct{ p, want []float64 }{
		"textbook":        {[]float64{.01, .04, .03, .005}, []float64{.03, .06, .06, .02}},
		"never above 1":   {[]float64{.9, .8}, []float64{1, 1}},
		"ties":            {[]float64{.02, .02}, []float64{.04, .04}},
		"what is no test": {[]float64{nan, .02, .01}, []float64{nan, .02, .02}},
		"nothing":         {nil, nil},
	} {
		if diff := cmp.Diff(tc.want, Holm(tc.p), within(1e-12), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestSignFlipMatchesTheExactDistribution(t *testing.T) {
	// Five differences of one sign: 2 of 32 flips are as far from 0.
	if p := SignFlip([]float64{1, 1, 1, 1, 1}, 100_000, 1); math.Abs(p-2.0/32) > .003 {
		t.Errorf("p = %v, want %v", p, 2.0/32)
	}
	if p := SignFlip([]float64{1, -1, 0, 0}, 1000, 1); p != 1 {
		t.Errorf("a sum of 0: p = %v", p)
	}
	if !math.IsNaN(SignFlip(nil, 10, 1)) {
		t.Error("a test of nothing")
	}
	random := rand.New(rand.NewPCG(1, 9))
	small := 0
	for range 600 {
		d := make([]float64, 30)
		for i := range d {
			d[i] = float64(random.IntN(3) - 1)
		}
		if SignFlip(d, 199, 3) <= .05 {
			small++
		}
	}
	if share := float64(small) / 600; share > .075 {
		t.Errorf("rejects %.3f of the time where there is nothing", share)
	}
}

func TestFrontMatchesVector(t *testing.T) {
	points := []Point{{100, .5}, {200, .6}, {200, .55}, {300, .6}, {400, .8}, {100, .5}, {math.NaN(), 1}}
	if diff := cmp.Diff([]int{0, 1, 4}, Front(points)); diff != "" {
		t.Error(diff)
	}
}

func TestHypervolumeMatchesVectors(t *testing.T) {
	for name, tc := range map[string]struct {
		points []Point
		want   float64
	}{
		"one point":        {[]Point{{25, .8}}, .8 * .75},
		"two steps":        {[]Point{{20, .5}, {60, .9}}, (.5*40 + .9*40) / 100},
		"a dominated one":  {[]Point{{20, .5}, {60, .9}, {70, .6}}, (.5*40 + .9*40) / 100},
		"beyond the limit": {[]Point{{120, 1}}, 0},
		"none":             {nil, 0},
		"all":              {[]Point{{0, 1}}, 1},
	} {
		if got := Hypervolume(tc.points, 100); math.Abs(got-tc.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestMorePointsNeverDominateLess(t *testing.T) {
	point := rapid.Custom(func(t *rapid.T) Point {
		return Point{rapid.Float64Range(0, 120).Draw(t, "tokens"), rapid.Float64Range(0, 1).Draw(t, "accuracy")}
	})
	rapid.Check(t, func(t *rapid.T) {
		points := rapid.SliceOfN(point, 0, 8).Draw(t, "points")
		before, after := Hypervolume(points, 100), Hypervolume(append(points, point.Draw(t, "more")), 100)
		if before < 0 || after > 1 || after < before-1e-12 {
			t.Fatalf("%v, with one more %v", before, after)
		}
	})
}

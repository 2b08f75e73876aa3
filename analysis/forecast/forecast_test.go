package forecast

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: got %.9g, want %.9g", what, got, want)
	}
}

// The vectors of reference part 2.9.
func TestThreePointsInProgressionGiveTheCurve(t *testing.T) {
	c, err := Geometric(1, 4, .3, .55, .675)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "a", c.A, .8, 1e-12)
	near(t, "b", c.B, .5, 1e-12)
	near(t, "c", c.C, .5, 1e-12)
	for at, want := range map[float64]float64{1: .3, 4: .55, 16: .675, 64: .7375, 100: .75} {
		near(t, "accuracy", c.At(at), want, 1e-12)
	}
	for eps, want := range map[float64]float64{.01: 2500, .02: 625, .05: 100} {
		near(t, "until", c.Until(eps), want, 1e-6)
	}
	near(t, "doubling at 16", c.Doubling(16), .036612, 5e-7)
	near(t, "doubling at 64", c.Doubling(64), .018306, 5e-7)
}

func TestThreePointsThatDoNotFlattenAreRefused(t *testing.T) {
	for name, y := range map[string][3]float64{
		"accelerating": {.1, .2, .4}, "falling back": {.1, .3, .2}, "level at once": {.1, .3, .3}, "straight": {.1, .2, .3},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Geometric(1, 2, y[0], y[1], y[2]); !errors.Is(err, ErrRefused) {
				t.Errorf("got %v, want a refusal", err)
			}
		})
	}
}

func TestPointsOfACurveAreFittedExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Curve{A: rapid.Float64Range(.4, .95).Draw(t, "a"), C: rapid.Float64Range(.2, 2).Draw(t, "c")}
		want.B = rapid.Float64Range(.1, want.A).Draw(t, "b")
		var points []Point
		for i := range rapid.IntRange(4, 12).Draw(t, "points") {
			at := float64(1 + 3*i)
			points = append(points, Point{at, want.At(at)})
		}
		f, err := Fit(points)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(f.A-want.A) > 1e-4 || math.Abs(f.C-want.C) > 1e-3*want.C+1e-4 {
			t.Fatalf("got %+v, want %+v", f.Curve, want)
		}
		if f.Asymptote[0] > f.A+1e-6 || f.Asymptote[1] < f.A-1e-6 {
			t.Fatalf("interval %v does not hold %g", f.Asymptote, f.A)
		}
	})
}

func TestAnAccuracyIsNeverForecastAboveOne(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	truth := Curve{A: 1, B: .6, C: .8}
	var points []Point
	for i := range 20 {
		at := float64(2 * (i + 1))
		points = append(points, Point{at, min(truth.At(at)+.01*random.NormFloat64(), 1)})
	}
	f, err := Fit(points)
	if err != nil {
		t.Fatal(err)
	}
	if f.A > 1 || f.Asymptote[1] > 1 || f.A < .95 {
		t.Errorf("got %+v", f)
	}
}

func TestPointsThatCarryNoExtrapolationAreRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	noise := make([]Point, 8)
	for i := range noise {
		noise[i] = Point{float64(i + 1), .5 + .2*random.NormFloat64()}
	}
	tests := map[string][]Point{
		"too few":          {{1, .3}, {4, .55}, {16, .675}},
		"falling":          {{1, .8}, {2, .7}, {3, .6}, {4, .55}, {5, .5}},
		"level":            {{1, .5}, {2, .5}, {3, .5}, {4, .5}},
		"noise":            noise,
		"straight":         {{1, .1}, {2, .2}, {3, .3}, {4, .4}, {5, .5}},
		"no training":      {{0, .1}, {1, .2}, {2, .25}, {3, .27}},
		"an accuracy lost": {{1, .1}, {2, .2}, {3, math.NaN()}, {4, .27}},
	}
	for name, points := range tests {
		t.Run(name, func(t *testing.T) {
			if f, err := Fit(points); !errors.Is(err, ErrRefused) {
				t.Errorf("got %+v, %v; want a refusal", f, err)
			}
		})
	}
}

// Coverage: with noise, where a forecast is given, its interval holds the true asymptote nearly as
// often as it claims. The bootstrap of few residuals is known to be somewhat short.
func TestTheIntervalHoldsTheAsymptoteAboutAsOftenAsItSays(t *testing.T) {
	runs := 120
	if testing.Short() {
		runs = 40
	}
	truth := Curve{A: .9, B: .6, C: .8}
	random := rand.New(rand.NewPCG(7, 7))
	given, held := 0, 0
	for range runs {
		var points []Point
		for i := range 12 {
			at := float64(2 * (i + 1))
			points = append(points, Point{at, truth.At(at) + .006*random.NormFloat64()})
		}
		f, err := Fit(points)
		if err != nil {
			continue
		}
		given++
		if f.Asymptote[0] <= truth.A && truth.A <= f.Asymptote[1] {
			held++
		}
	}
	if given < runs/2 {
		t.Fatalf("only %d of %d forecasts were given", given, runs)
	}
	if share := float64(held) / float64(given); share < .8 {
		t.Errorf("the interval held the asymptote in %.0f %% of %d forecasts, want at least 80 %%", 100*share, given)
	}
}

package curriculum

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var near = cmpopts.EquateApprox(0, 1e-6)

func TestAGroupIsKeptOnlyIfItsCorrectnessIsMixed(t *testing.T) {
	for name, c := range map[string]struct {
		o       Outcome
		singles bool
		want    Reason
		kept    bool
	}{
		"mixed":                              {Outcome{Right: 3, Wrong: 1}, false, Mixed, true},
		"mixed with no score":                {Outcome{Right: 1, Wrong: 1, NoScore: 6}, false, Mixed, true},
		"all right":                          {Outcome{Right: 4}, false, AllRight, false},
		"all right of those scored":          {Outcome{Right: 3, NoScore: 1}, false, AllRight, false},
		"all wrong":                          {Outcome{Wrong: 4}, false, AllWrong, false},
		"nothing scored":                     {Outcome{NoScore: 4}, false, NoScores, false},
		"empty":                              {Outcome{}, true, NoScores, false},
		"a single one":                       {Outcome{Right: 1}, false, AllRight, false},
		"a single one where they stay":       {Outcome{Wrong: 1}, true, Single, true},
		"one scored of several is no single": {Outcome{Right: 1, NoScore: 3}, true, AllRight, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Judge(c.o, c.singles); got != c.want || got.Kept() != c.kept {
				t.Errorf("got %q, kept %v; want %q, %v", got, got.Kept(), c.want, c.kept)
			}
		})
	}
}

func TestTheCollectorSaysHowManyMoreToDraw(t *testing.T) {
	c, err := NewCollector(4, 12)
	if err != nil {
		t.Fatal(err)
	}
	offer := func(o Outcome, want Reason) {
		t.Helper()
		if got, err := c.Offer(o); err != nil || got != want {
			t.Fatalf("offered %+v: got %q, %v, want %q", o, got, err, want)
		}
	}
	draw := func(factor float64, pending, want int) {
		t.Helper()
		if got := c.Draw(factor, pending); got != want {
			t.Fatalf("with %d of %d kept and %d examined: draw %d, want %d", c.Kept, c.Want, c.Examined, got, want)
		}
	}
	draw(1.5, 0, 6)
	draw(1.5, 2, 4) // two are on their way
	draw(1.5, 9, 0)
	draw(9, 0, 12)  // never more than may be examined
	draw(0.1, 0, 4) // a group is never more than one kept group
	offer(Outcome{Right: 1, Wrong: 1}, Mixed)
	offer(Outcome{Right: 2}, AllRight)
	offer(Outcome{Wrong: 2}, AllWrong)
	offer(Outcome{NoScore: 2}, NoScores)
	draw(1.5, 0, 4) // ⌊3 · 1.5⌋
	for range 3 {
		offer(Outcome{Right: 1, Wrong: 1}, Mixed)
	}
	draw(5, 0, 0)
	if !c.Full() || c.Missing() != 0 || c.Share() != 4.0/7 {
		t.Errorf("full %v, missing %d, share %v", c.Full(), c.Missing(), c.Share())
	}
	if d := cmp.Diff(map[Reason]int{Mixed: 4, AllRight: 1, AllWrong: 1, NoScores: 1}, c.Reasons); d != "" {
		t.Error(d)
	}
	if _, err := c.Offer(Outcome{Right: 1, Wrong: 1}); err == nil {
		t.Error("a full collector took another group")
	}
	c.Next()
	if c.Full() || c.Missing() != 4 || c.Share() != 0 {
		t.Errorf("after Next: %+v", c)
	}
	if _, err := NewCollector(4, 3); err == nil {
		t.Error("a limit below what is wanted is accepted")
	}
}

func TestTheCollectorAlwaysEndsAndCountsEveryGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.IntRange(1, 20).Draw(t, "want")
		limit := want * rapid.IntRange(1, 5).Draw(t, "rounds")
		c, err := NewCollector(want, limit)
		if err != nil {
			t.Fatal(err)
		}
		offered, kept := 0, 0
		for !c.Full() {
			n := c.Draw(rapid.Float64Range(0, 6).Draw(t, "factor"), 0)
			if n < 1 || n > limit-offered || n < min(c.Missing(), limit-offered) {
				t.Fatalf("draw %d with %d missing and %d left", n, c.Missing(), limit-offered)
			}
			for range n {
				if c.Full() {
					break
				}
				r, err := c.Offer(Outcome{Right: rapid.IntRange(0, 2).Draw(t, "right"), Wrong: rapid.IntRange(0, 2).Draw(t, "wrong")})
				if err != nil {
					t.Fatal(err)
				}
				offered++
				if r.Kept() {
					kept++
				}
			}
			// A state that was written and read goes on alike.
			raw, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			c = &Collector{}
			if err := json.Unmarshal(raw, c); err != nil {
				t.Fatal(err)
			}
		}
		sum := 0
		for _, n := range c.Reasons {
			sum += n
		}
		if offered != c.Examined || kept != c.Kept || sum != offered || offered > limit || kept > want {
			t.Fatalf("offered %d, kept %d: %+v", offered, kept, c)
		}
	})
}

// Methods-length section 9.1: f = clip((1/m)(1+s), 1.2, 5.0), first 1.5, m = 0 ⇒ 5.0.
func TestOverGenerationFollowsDOT(t *testing.T) {
	for name, c := range map[string]struct {
		shares [][2]int // kept of examined
		want   float64
		batch  int
		rounds int
	}{
		"nothing observed":          {nil, 1.5, 128, 192},
		"half survives, steadily":   {[][2]int{{64, 128}, {96, 192}}, 2, 128, 256},
		"all survive":               {[][2]int{{128, 128}}, 1.2, 128, 153},
		"nothing survives":          {[][2]int{{0, 128}, {0, 128}}, 5, 128, 640},
		"hardly any survive":        {[][2]int{{1, 128}}, 5, 128, 640},
		"a quarter and three":       {[][2]int{{1, 4}, {3, 4}}, (1 / 0.5) * (1 + 0.25), 10, 25},
		"examining none is no news": {[][2]int{{0, 0}}, 1.5, 10, 15},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewPredictor(DefaultPredictorOptions())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.shares {
				if err := p.Observe(s[0], s[1]); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.Factor(); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("factor %v, want %v", got, c.want)
			}
			if got := p.Prompts(c.batch); got != c.rounds {
				t.Errorf("%d prompts for a batch of %d, want %d", got, c.batch, c.rounds)
			}
		})
	}
}

func TestOverGenerationForgetsWhatIsOlderThanItsWindow(t *testing.T) {
	p, err := NewPredictor(DefaultPredictorOptions())
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		_ = p.Observe(0, 10)
	}
	for range 20 {
		_ = p.Observe(5, 10)
	}
	if got := p.Factor(); got != 2 || len(p.Shares) != 20 {
		t.Errorf("factor %v over %d updates, want 2 over 20", got, len(p.Shares))
	}
	if err := p.Observe(3, 2); err == nil {
		t.Error("more survivors than groups are accepted")
	}
	if _, err := NewPredictor(PredictorOptions{Min: 0.5, Max: 0.1, First: 7}); err == nil ||
		strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("violations are not reported at once: %v", err)
	}
}

func TestFillKeepsTheFirstAndRepeatsCyclically(t *testing.T) {
	for _, c := range []struct {
		n, want int
		out     []int
	}{{5, 3, []int{0, 1, 2}}, {2, 5, []int{0, 1, 0, 1, 0}}, {3, 3, []int{0, 1, 2}}, {0, 4, nil}} {
		if d := cmp.Diff(c.out, Fill(c.n, c.want)); d != "" {
			t.Errorf("%d survivors, %d wanted: %s", c.n, c.want, d)
		}
	}
}

// Methods-length section 7, test vectors.
func TestPosteriorMeansOfCurES(t *testing.T) {
	for _, c := range []struct {
		right, n int
		want     float64
	}{{0, 8, .1}, {4, 8, .5}, {8, 8, .9}, {2, 4, .5}} {
		b := UniformPrior().Observe(c.right, c.n-c.right)
		if got := b.Mean(); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%d of %d: got %v, want %v", c.right, c.n, got, c.want)
		}
	}
	if got := UniformPrior().SD(); math.Abs(got-math.Sqrt(1.0/12)) > 1e-12 {
		t.Errorf("deviation of the uniform distribution: got %v, want √(1/12)", got)
	}
}

func TestSamplingDistributionOfCurES(t *testing.T) {
	for name, c := range map[string]struct {
		tau  float64
		want []float64
	}{
		"tau .1":    {.1, []float64{.106507, .786986, .106507}},
		"tau 1":     {1, []float64{.310424, .379152, .310424}},
		"tau tiny":  {1e-6, []float64{0, 1, 0}},
		"tau large": {1e9, []float64{1.0 / 3, 1.0 / 3, 1.0 / 3}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Distribution([]float64{.1, .5, .9}, c.tau)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got, near); d != "" {
				t.Error(d)
			}
		})
	}
	if got := Tau(2, 0.02); math.Abs(got-10) > 1e-12 {
		t.Errorf("tau of α 2, δ .02: got %v, want 2/√.04 = 10", got)
	}
	if _, err := Distribution([]float64{.5}, 0); err == nil {
		t.Error("tau 0 is accepted")
	}
	if _, err := Distribution([]float64{.5, math.NaN()}, 1); err == nil {
		t.Error("a rate that is no number is accepted")
	}
}

func TestRolloutAllocationOfCurES(t *testing.T) {
	sigmas := []float64{Sigma([]float64{2, 4}, []float64{3, 1}), Sigma([]float64{2}, []float64{1, 1, 4}), Sigma([]float64{1, 2, 3, 4}, nil)}
	if d := cmp.Diff([]float64{1.346291, .918559, 0}, sigmas, near); d != "" {
		t.Errorf("sigmas: %s", d)
	}
	for name, c := range map[string]struct {
		total, multiple int
		sigmas          []float64
		want            []int
	}{
		"the vector":                 {24, 0, sigmas, []int{14, 10, 0}},
		"to a multiple, by the most": {24, 16, sigmas, []int{22, 10, 0}},
		"a multiple already":         {24, 8, sigmas, []int{14, 10, 0}},
		"nobody has spread":          {24, 8, []float64{0, 0}, []int{0, 0}},
		"halves to even":             {5, 0, []float64{1, 1}, []int{2, 2}},
		"nothing to share":           {0, 8, sigmas, []int{0, 0, 0}},
		"no prompt":                  {8, 8, nil, []int{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Allocate(c.total, c.sigmas, c.multiple)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for _, bad := range [][]float64{{-1}, {math.NaN()}, {math.Inf(1)}} {
		if _, err := Allocate(8, bad, 0); err == nil {
			t.Errorf("sigma %v is accepted", bad)
		}
	}
}

func TestAllocationStaysNearItsTotalAndFollowsTheSigmas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sigmas := rapid.SliceOfN(rapid.Float64Range(0, 3), 1, 40).Draw(t, "sigmas")
		total, multiple := rapid.IntRange(0, 2000).Draw(t, "total"), rapid.IntRange(0, 16).Draw(t, "multiple")
		got, err := Allocate(total, sigmas, multiple)
		if err != nil {
			t.Fatal(err)
		}
		sum, spread := 0, 0.0
		for i, n := range got {
			sum += n
			spread += sigmas[i]
			for j, m := range got {
				if multiple <= 1 && sigmas[i] < sigmas[j] && n > m {
					t.Fatalf("sigma %v gets %d, sigma %v gets %d", sigmas[i], n, sigmas[j], m)
				}
			}
			if n < 0 || sigmas[i] == 0 && n > 0 {
				t.Fatalf("sigma %v gets %d", sigmas[i], n)
			}
		}
		if multiple > 1 && sum%multiple != 0 {
			t.Fatalf("the sum %d is no multiple of %d", sum, multiple)
		}
		if spread > 0 && math.Abs(float64(sum-total)) > float64(len(sigmas))/2+float64(multiple) {
			t.Fatalf("%d of %d given", sum, total)
		}
	})
}

func TestTheDistributionIsOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 50).Draw(t, "p")
		rho, err := Distribution(p, math.Exp(rapid.Float64Range(-20, 10).Draw(t, "log tau")))
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for i, x := range rho {
			if !(x >= 0 && x <= 1) {
				t.Fatalf("probability %v", x)
			}
			sum += x
			for j := range rho {
				if Spread(p[i]) < Spread(p[j]) && rho[i] > rho[j] {
					t.Fatalf("rates %v and %v have %v and %v", p[i], p[j], rho[i], rho[j])
				}
			}
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Fatalf("sum %v", sum)
		}
	})
}

func ExamplePredictor() {
	p, _ := NewPredictor(DefaultPredictorOptions())
	fmt.Println("first round:", p.Prompts(128))
	_ = p.Observe(64, 192)
	fmt.Println("after a third survived:", p.Prompts(128))
	// Output:
	// first round: 192
	// after a third survived: 384
}

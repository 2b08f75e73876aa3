package advantage

import (
	"math"
	"testing"
)

// near compares within the precision of the printed vectors.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-6*max(1, math.Abs(want)) }

func wantAll(t *testing.T, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if !near(got[i], want[i]) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func groupOf(rewards, tokens []float64) Group {
	return Group{Reward: rewards, Tokens: tokens, Metric: tokens, Advantage: make([]float64, len(rewards))}
}

// ML 8.9 and the sections of the methods that own an estimator.
func TestVectorsOfOneGroup(t *testing.T) {
	zero := Alone{Singleton: SingletonZero}
	lengths := []float64{100, 200, 300, 400}
	for _, c := range []struct {
		name    string
		e       Estimator
		rewards []float64
		want    []float64
	}{
		{"GRPO", &GRPO{Std: StdSample, Eps: 1e-6, Alone: zero}, []float64{1, 0, 0, 1}, []float64{.866024, -.866024, -.866024, .866024}},
		{"GRPO eps 1e-4", &GRPO{Std: StdSample, Eps: 1e-4, Alone: zero}, []float64{1, 0, 0, 1}, []float64{.865875, -.865875, -.865875, .865875}},
		{"GRPO population", &GRPO{Std: StdPopulation, Eps: 1e-6, Alone: zero}, []float64{1, 0, 0, 1}, []float64{.999998, -.999998, -.999998, .999998}},
		{"GRPO, tiny bonuses of an all-right group", &GRPO{Std: StdSample, Eps: 1e-6, Alone: zero}, []float64{1.08, 1.08, 1.01, 1.03}, []float64{.842904, .842904, -1.123871, -.561936}},
		{"GRPO without deviation", &GRPO{Std: StdNone, Alone: zero}, []float64{1, 1, 1, 0}, []float64{.25, .25, .25, -.75}},
		{"Dr.GRPO", &DrGRPO{Alone: zero}, []float64{1, 1, 1, 0}, []float64{.25, .25, .25, -.75}},
		{"RLOO", &RLOO{Alone: zero}, []float64{1, 1, 1, 0}, []float64{.333333, .333333, .333333, -1}},
		{"OPO", &OPO{Alone: zero}, []float64{1, 1, 1, 0}, []float64{.4, .4, .4, -.6}},
		{"pass@k", &PassK{Std: StdSample, Eps: 1e-6, Alone: zero}, []float64{1, 0, 0, .5}, []float64{1.044464, 0, 0, 0}},
		{"pass@k, a tie for the best", &PassK{Std: StdSample, Eps: 1e-6, Alone: zero}, []float64{1, 0, 0, 1}, []float64{0, 0, 0, 0}},
		{"MaxRL", &MaxRL{Alone: zero}, []float64{1, 0, 0, 0}, []float64{3, -1, -1, -1}},
		{"MaxRL, mean not positive", &MaxRL{Alone: zero}, []float64{-1, 1, 0, 0}, []float64{0, 0, 0, 0}},
		{"GPG: half of the rewards are zero", &GPG{F: 1, Alone: zero}, []float64{1, 0, 0, 1}, []float64{1, -1, -1, 1}},
		{"REINFORCE", &Reinforce{}, []float64{1, -2, 0, .5}, []float64{1, -2, 0, .5}},
		{"CANON, half of each, is Dr.GRPO", &Canon{Mu: .5, Alpha: 1, Side: "high", Alone: zero}, []float64{1, 0, 1, 1}, []float64{.25, -.75, .25, .25}},
		{"CANON beta", &Canon{Mu: 1, Alpha: 1, Beta: .1, Side: "high", Alone: zero}, []float64{1, 0, 1, 1}, []float64{-.1, -1.1, .6, .6}},
		{"DR. SAF", &DrSAF{Std: StdSample, Eps: 1e-6, Threshold: .5, Alone: zero}, []float64{1.08, 1.08, 1.01, 1.03}, []float64{1.966775, 1.966775, 0, .561936}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := groupOf(c.rewards, lengths)
			c.e.Estimate([]Group{g})
			wantAll(t, g.Advantage, c.want)
		})
	}
}

func TestVectorsOfABatch(t *testing.T) {
	zero := Alone{Singleton: SingletonZero}
	// ML TV-DLER-2.
	batch := func() []Group {
		return []Group{groupOf([]float64{1, 0}, []float64{2, 4}), groupOf([]float64{1, 1}, []float64{1, 3})}
	}
	for _, c := range []struct {
		name string
		e    Estimator
		want [][]float64
	}{
		{"over tokens", &BatchToken{Eps: 1e-8, Alone: zero}, [][]float64{{1.521278, -1.014185}, {.253546, .253546}}},
		{"over responses, population", &BatchResponse{Centre: "group", Std: StdPopulation, Alone: zero}, [][]float64{{1.414214, -1.414214}, {0, 0}}},
		{"over responses, sample", &BatchResponse{Centre: "group", Std: StdSample, Alone: zero}, [][]float64{{1.224745, -1.224745}, {0, 0}}},
		{"over responses, nothing centred", &BatchResponse{Centre: "none", Std: StdPopulation, Alone: zero}, [][]float64{{.577350, -1.732051}, {.577350, .577350}}},
		{"GPG: a quarter of the rewards is zero", &GPG{F: 2, Alone: zero}, [][]float64{{.333333, -.333333}, {0, 0}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			groups := batch()
			c.e.Estimate(groups)
			for i := range groups {
				wantAll(t, groups[i].Advantage, c.want[i])
			}
		})
	}
	t.Run("REINFORCE++, lengths 2 and 3", func(t *testing.T) {
		groups := []Group{groupOf([]float64{1}, []float64{2}), groupOf([]float64{0}, []float64{3})}
		(&ReinforcePP{Gamma: 1, Eps: 1e-8}).Estimate(groups)
		wantAll(t, groups[0].Advantage, []float64{1.095445})
		wantAll(t, groups[1].Advantage, []float64{-.730297})
	})
}

func TestReinforcePPDiscountsTowardsTheStart(t *testing.T) {
	g := groupOf([]float64{1, 0}, []float64{2, 2})
	g.Along = [][]float64{make([]float64, 2), make([]float64, 2)}
	(&ReinforcePP{Gamma: .5}).Estimate([]Group{g})
	// Returns .5, 1, 0, 0: mean .375, unbiased variance .229167.
	wantAll(t, g.Along[0], []float64{.261116, 1.305582})
	wantAll(t, g.Along[1], []float64{-.783349, -.783349})
	wantAll(t, g.Advantage, []float64{.783349, -.783349})
}

// ML 8.9, before whitening.
func TestGDPONormalisesEveryComponentByItself(t *testing.T) {
	g := groupOf([]float64{1, 0, 1, 1}, []float64{1, 1, 1, 1})
	g.Components = [][]float64{{1, 0, 1, 0}, {0, 0, 0, 1}}
	e := &GDPO{Std: StdSample, Eps: 1e-6, Whiten: "none", Alone: Alone{Singleton: SingletonZero}}
	e.Estimate([]Group{g})
	wantAll(t, g.Advantage, []float64{.366025, -1.366023, .366025, .633973})
	e.Weights = []float64{1, 0}
	e.Estimate([]Group{g})
	wantAll(t, g.Advantage, []float64{.866024, -.866024, .866024, -.866024})
	for _, whiten := range []string{"token", "response"} { // equal lengths: the same
		e := &GDPO{Std: StdSample, Eps: 1e-6, Whiten: whiten, Alone: Alone{Singleton: SingletonZero}}
		e.Estimate([]Group{g})
		wantAll(t, g.Advantage, []float64{.398113, -1.485777, .398113, .689551})
	}
}

// MB 1.1, TV 1 and 2.
func TestBRPOAlongTheBudgets(t *testing.T) {
	uniform, linear, base := []float64{.25, .25, .25, .25}, []float64{.1, .2, .3, .4}, []float64{0, 0, 0, 1}
	two := [][]float64{{0, .5, 1, 1}, {0, 0, 0, .5}}
	for _, c := range []struct {
		name  string
		prior []float64
		steps [][]float64
		want  [][]float64
	}{
		{"TV 1 uniform", uniform, two, [][]float64{{.25, .34375, .260417, .069196}, {-.25, -.15625, -.03125, .078125}}},
		{"TV 1 linear", linear, two, [][]float64{{.3, .425, .358333, .110714}, {-.3, -.175, -.025, .125}}},
		{"TV 1 base", base, two, [][]float64{{.25, .4375, .458333, .276786}, {-.25, -.0625, .125, .3125}}},
		{"TV 2 one chain", uniform, [][]float64{{.25, .75, 1, .75}}, [][]float64{{.6875, .578125, .291667, .033482}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := brpoGroup(c.prior, c.steps)
			(&BRPO{Lambda: .5, Baseline: "brpo"}).Estimate([]Group{g})
			for i := range c.want {
				wantAll(t, g.Along[i], c.want[i])
			}
		})
	}
	for baseline, want := range map[string][]float64{
		"none":    {.625, .625, .5, .25},
		"v1only":  {.625, .625, .333333, .071429},
		"v2only":  {.25, .25, .1875, .0625},
		"notrain": {0, 0, 0, 0},
	} {
		t.Run(baseline, func(t *testing.T) {
			g := brpoGroup(uniform, two)
			(&BRPO{Lambda: .5, Baseline: baseline}).Estimate([]Group{g})
			wantAll(t, g.Along[0], want)
		})
	}
	t.Run("scaled over the batch", func(t *testing.T) {
		g := brpoGroup([]float64{1}, [][]float64{{1}, {0}})
		(&BRPO{Lambda: .5, Baseline: "brpo", Scale: "batch"}).Estimate([]Group{g})
		wantAll(t, g.Advantage, []float64{1, -1})
	})
}

func brpoGroup(prior []float64, steps [][]float64) Group {
	g := groupOf(make([]float64, len(steps)), nil)
	g.Prior, g.Steps = prior, steps
	for range steps {
		g.Along = append(g.Along, make([]float64, len(prior)))
	}
	return g
}

// ML 8.9.
func TestGAE(t *testing.T) {
	for _, c := range []struct {
		name          string
		gamma, lambda float64
		want          []float64
	}{
		{"γ 1, λ 1", 1, 1, []float64{.5, .4, .2}},
		{"γ 1, λ .95", 1, .95, []float64{.4705, .39, .2}},
		{"γ .9, λ .95", .9, .95, []float64{.288805, .291, .2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := groupOf([]float64{1}, []float64{3})
			g.Values, g.Along = [][]float64{{.5, .6, .8}}, [][]float64{make([]float64, 3)}
			(&GAE{Gamma: c.gamma, Lambda: c.lambda}).Estimate([]Group{g})
			wantAll(t, g.Along[0], c.want)
			wantAll(t, g.Advantage, []float64{average(c.want)})
		})
	}
}

// Three responses of one, two and three turns. Outcomes 1, 0, 1: mean 2/3, deviation .577350, so
// .577350, -1.154701, .577350. Turn 1 scores 1, 0, 0: mean 1/3, the same deviation, 1.154701, -.577350,
// -.577350. Turn 2, of two responses, scores 0, 1: ∓.707107. Turn 3 is alone and adds nothing.
func TestVectorsOfTurns(t *testing.T) {
	group := func() Group {
		g := groupOf([]float64{1, 0, 1}, nil)
		g.Steps = [][]float64{{1}, {0, 0}, {0, 1, 1}}
		g.Along = [][]float64{make([]float64, 1), make([]float64, 2), make([]float64, 3)}
		return g
	}
	for _, c := range []struct {
		name  string
		e     Turn
		want  [][]float64
		means []float64
	}{
		{"outcome and turns", Turn{Weight: 1, Std: StdSample}, [][]float64{{1.732051}, {-1.732051, -1.861807}, {0, 1.284457, .577350}}, []float64{1.732051, -1.796929, .620602}},
		{"half the weight", Turn{Weight: .5, Std: StdSample}, [][]float64{{1.154701}, {-1.443376, -1.508254}, {.288675, .930904, .577350}}, []float64{1.154701, -1.475815, .598976}},
		{"the outcome alone is GRPO", Turn{Std: StdSample}, [][]float64{{.577350}, {-1.154701, -1.154701}, {.577350, .577350, .577350}}, []float64{.577350, -1.154701, .577350}},
		{"unscaled", Turn{Weight: 1, Std: StdNone}, [][]float64{{1}, {-1, -1.166667}, {0, .833333, .333333}}, []float64{1, -1.083333, .388889}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := group()
			c.e.Estimate([]Group{g})
			for j := range c.want {
				wantAll(t, g.Along[j], c.want[j])
			}
			wantAll(t, g.Advantage, c.means)
		})
	}
	g := group()
	g.Reward[2] = math.NaN()
	(&Turn{Weight: 1, Std: StdSample, Alone: Alone{SingletonZero}}).Estimate([]Group{g})
	wantAll(t, g.Along[2], []float64{0, 0, 0})
	wantAll(t, g.Along[0], []float64{1.414214})
}

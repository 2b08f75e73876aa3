package advantage

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// estimators are all kinds, with the options that their tags give as defaults.
func estimators() map[string]Estimator {
	zero := Alone{Singleton: SingletonZero}
	return map[string]Estimator{
		"grpo": &GRPO{Std: StdSample, Eps: 1e-6, Alone: zero}, "dr_grpo": &DrGRPO{Alone: zero}, "rloo": &RLOO{Alone: zero},
		"reinforce": &Reinforce{}, "reinforce_pp": &ReinforcePP{Gamma: 1, Eps: 1e-8},
		"reinforce_pp_baseline": &BatchToken{Eps: 1e-8, Alone: zero}, "batch_token": &BatchToken{Eps: 1e-8, Alone: zero},
		"batch_response": &BatchResponse{Centre: "group", Std: StdSample, Alone: zero},
		"gdpo":           &GDPO{Std: StdSample, Eps: 1e-6, Whiten: "token", Alone: zero}, "opo": &OPO{Alone: zero},
		"passk": &PassK{Std: StdSample, Eps: 1e-6, Alone: zero}, "maxrl": &MaxRL{Alone: zero}, "gpg": &GPG{F: 1, Alone: zero},
		"canon":  &Canon{Mu: 0.5, Alpha: 1, Side: "high", Metric: "length", Alone: zero},
		"turn":   &Turn{Weight: 1, Std: StdSample, Eps: 1e-6, Alone: zero},
		"brpo":   &BRPO{Lambda: 0.5, Baseline: "brpo", Scale: "none"},
		"dr_saf": &DrSAF{Std: StdSample, Eps: 1e-6, Threshold: 0.5, Alone: zero}, "gae": &GAE{Gamma: 1, Lambda: 0.95},
	}
}

func TestEveryKindIsTested(t *testing.T) {
	all := estimators()
	for _, k := range Kinds() {
		if all[k.Name] == nil {
			t.Errorf("kind %s has no property test", k.Name)
		}
		if k.Formula == "" || k.Source == "" || k.Scope == "" {
			t.Errorf("kind %s is not described", k.Name)
		}
	}
}

func drawGroup(t *rapid.T) Group {
	n := rapid.IntRange(1, 10).Draw(t, "n")
	g := Group{Advantage: make([]float64, n), Prior: []float64{.25, .75}}
	reward := rapid.OneOf(rapid.SampledFrom([]float64{0, 1}), rapid.Float64Range(-10, 10), rapid.Just(math.NaN()))
	for range n {
		length := rapid.IntRange(0, 5).Draw(t, "length")
		g.Reward = append(g.Reward, reward.Draw(t, "reward"))
		g.Tokens = append(g.Tokens, float64(length))
		g.Metric = append(g.Metric, rapid.Float64Range(0, 3).Draw(t, "metric"))
		g.Steps = append(g.Steps, []float64{rapid.Float64Range(0, 1).Draw(t, "s1"), rapid.Float64Range(0, 1).Draw(t, "s2")})
		g.Values = append(g.Values, make([]float64, length))
	}
	g.Components = [][]float64{slices.Clone(g.Reward), slices.Clone(g.Reward)}
	return g
}

// along gives the rows that a kind needs.
func along(kind Kind, g *Group) {
	g.Along = nil
	for j := range g.Reward {
		switch {
		case kind.Needs&NeedTurns != 0:
			g.Along = append(g.Along, make([]float64, j%3)) // some responses have fewer turns, some none
		case kind.Needs&NeedSteps != 0:
			g.Along = append(g.Along, make([]float64, len(g.Prior)))
		case kind.Needs&NeedValues != 0:
			g.Along = append(g.Along, make([]float64, len(g.Values[j])))
		}
	}
}

func TestEstimatesAreFiniteAndZeroWithoutAScore(t *testing.T) {
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			e := estimators()[kind.Name]
			rapid.Check(t, func(t *rapid.T) {
				groups := []Group{drawGroup(t), drawGroup(t)}
				for i := range groups {
					along(kind, &groups[i])
				}
				e.Estimate(groups)
				for _, g := range groups {
					for j, a := range g.Advantage {
						if math.IsNaN(a) || math.IsInf(a, 0) {
							t.Fatalf("advantage %v for rewards %v", a, g.Reward)
						}
						if math.IsNaN(g.Reward[j]) && a != 0 {
							t.Fatalf("no score, but advantage %v", a)
						}
					}
				}
			})
		})
	}
}

func TestAdvantagesAddUpToZeroWherePromised(t *testing.T) {
	for _, kind := range Kinds() {
		if !kind.ZeroSum {
			continue
		}
		t.Run(kind.Name, func(t *testing.T) {
			e := estimators()[kind.Name]
			rapid.Check(t, func(t *rapid.T) {
				groups := []Group{drawGroup(t), drawGroup(t)}
				e.Estimate(groups)
				for _, g := range groups {
					sum, size := 0.0, 1.0
					for _, a := range g.Advantage {
						sum += a
						size = max(size, math.Abs(a))
					}
					if math.Abs(sum) > 1e-9*size {
						t.Fatalf("advantages %v add up to %v", g.Advantage, sum)
					}
				}
			})
		})
	}
}

func TestFloatResidueNeverBecomesAnAdvantage(t *testing.T) {
	// Three ways to write 0.3, and values whose mean is not exact.
	for _, rewards := range [][]float64{{0.3, 0.1 + 0.2, 0.3}, {0.1, 0.1, 0.1}, {1e9 + 0.3, 1e9 + 0.3}, {0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7}} {
		for _, kind := range Kinds() {
			switch kind.Name {
			case "reinforce", "reinforce_pp", "gae", "brpo", "canon":
				continue // no group baseline, or one of another kind
			}
			g := groupOf(rewards, make([]float64, len(rewards)))
			for j := range g.Tokens {
				g.Tokens[j] = float64(3 + j)
			}
			g.Components = [][]float64{rewards}
			e := estimators()[kind.Name]
			e.Estimate([]Group{g})
			if !slices.Equal(g.Advantage, make([]float64, len(rewards))) {
				t.Errorf("%s on %v gives %v", kind.Name, rewards, g.Advantage)
			}
		}
	}
}

func TestDeviationsOfTinyEpsilonDoNotBlowUpResidueAcrossABatch(t *testing.T) {
	a, b := groupOf([]float64{0.1, 0.1, 0.1}, nil), groupOf([]float64{0.3, 0.1 + 0.2}, nil)
	(&BatchResponse{Centre: "group", Std: StdSample}).Estimate([]Group{a, b})
	wantAll(t, a.Advantage, []float64{0, 0, 0})
	wantAll(t, b.Advantage, []float64{0, 0})
}

func TestGroupsOfOne(t *testing.T) {
	for _, c := range []struct {
		singleton Singleton
		want      float64
	}{{SingletonZero, 0}, {SingletonRaw, 0.7}} {
		alone := Alone{Singleton: c.singleton}
		for name, e := range map[string]Estimator{
			"grpo": &GRPO{Std: StdSample, Eps: 1e-6, Alone: alone}, "dr_grpo": &DrGRPO{Alone: alone}, "rloo": &RLOO{Alone: alone},
			"opo": &OPO{Alone: alone}, "passk": &PassK{Std: StdSample, Alone: alone}, "maxrl": &MaxRL{Alone: alone}, "dr_saf": &DrSAF{Std: StdSample, Alone: alone},
			"turn": &Turn{Weight: 1, Std: StdSample, Eps: 1e-6, Alone: alone}, "canon": &Canon{Mu: 1, Alpha: 1, Side: "high", Alone: alone},
		} {
			g := groupOf([]float64{math.NaN(), 0.7}, []float64{3, 4})
			e.Estimate([]Group{g})
			if !near(g.Advantage[1], c.want) || g.Advantage[0] != 0 {
				t.Errorf("%s, %s: %v", name, c.singleton, g.Advantage)
			}
		}
	}
}

func TestTokenWhiteningOfNothingGivesZero(t *testing.T) {
	for name, groups := range map[string][]Group{
		"no tokens": {groupOf([]float64{1, 0}, []float64{0, 0})},
		"one token": {groupOf([]float64{1, 0}, []float64{1, 0})},
		"no score":  {groupOf([]float64{math.NaN()}, []float64{5})},
		"no groups": {},
	} {
		(&ReinforcePP{Gamma: 1, Eps: 1e-8}).Estimate(groups)
		for _, g := range groups {
			if slices.ContainsFunc(g.Advantage, func(a float64) bool { return a != 0 }) {
				t.Errorf("%s: %v", name, g.Advantage)
			}
		}
	}
}

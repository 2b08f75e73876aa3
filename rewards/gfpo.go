package rewards

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"pith/policies/advantage"
)

type gfpoParams struct {
	Keep int `key:"keep" default:"8" min:"1" doc:"responses of each group that are trained on"`
}

type gfpoAdaptiveParams struct {
	Keep       int `key:"keep" default:"8" min:"1" doc:"responses kept before quartiles are known, and of the hardest groups"`
	KeepEasy   int `key:"keep_easy" default:"4" min:"1" doc:"of groups in the top quarter by mean reward"`
	KeepMedium int `key:"keep_medium" default:"6" min:"1" doc:"of groups in the second quarter"`
	KeepHard   int `key:"keep_hard" default:"8" min:"1" doc:"of groups in the third quarter"`
	Warmup     int `key:"warmup" default:"64" min:"1" doc:"groups to observe before the quartiles count"`
}

func gfpoSpec(name, title, rank string) *spec {
	return &spec{
		name: name, title: title, family: "length", verified: InPaper,
		formula: "S = the keep best responses of the group by " + rank + "\n" +
			"r = c;  A = (r - mean of S) / (sd of S) in S, sd dividing by n;  A = 0 outside S, and everywhere if sd = 0",
		source: "arXiv 2508.09726; no code was released",
		needs:  FieldCorrect | FieldTokens,
		notes:  []string{"responses that are not kept stay in the batch with advantage 0", "ties keep input order", "an empty response counts as one token"},
		promises: Promises{
			ZeroSum: true, Monotone: true, Ordered: true,
		},
		recommended: Recommended{
			Strategy: "single", GroupSize: 24, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.2,
			KL: 0.001, Entropy: 0.001, Temperature: 1, Rate: 1e-7,
		},
	}
}

// gfpoPlan keeps the best k(v) responses by a rank in which smaller is better.
func gfpoPlan(profile string, k func(v *view) int, rank func(v *view, i int) float64) *plan {
	var order []int
	return &plan{
		terms: []string{"correctness"},
		estimator: estimator[advantage.GRPO](profile, func(e *advantage.GRPO) {
			e.Std, e.Eps = advantage.StdPopulation, 0
		}),
		score: scorePlain,
		learn: func(v *view) {
			order = order[:0]
			for i := range v.s {
				order = append(order, i)
			}
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(v, a), rank(v, b)) })
			for _, i := range order[min(k(v), len(order)):] {
				v.learn[i] = math.NaN()
				v.why[i] = "not among the kept"
			}
		},
	}
}

func byLength(v *view, i int) float64 { return v.tokens[i] }

func byEfficiency(v *view, i int) float64 { return -v.reward[i] / max(v.tokens[i], 1) }

func gfpoFixed(name, title, rankWords string, rank func(v *view, i int) float64) *spec {
	sp := gfpoSpec(name, title, rankWords)
	sp.params = func() any { return &gfpoParams{} }
	sp.bind = func(p any, profile string) *plan {
		o := p.(*gfpoParams)
		pl := gfpoPlan(profile, func(*view) int { return o.Keep }, rank)
		pl.fits = func(s Setting) error { return keepsFewer(o.Keep, s.GroupSize) }
		return pl
	}
	return sp
}

// keepsFewer refuses a filter that can never remove anything.
func keepsFewer(keep, groupSize int) error {
	if groupSize > 0 && keep >= groupSize {
		return fmt.Errorf("keep %d of %d responses filters nothing; sample more, or set method.keep below the group size", keep, groupSize)
	}
	return nil
}

var gfpoShortestSpec = gfpoFixed("gfpo_shortest", "GFPO: train on the shortest responses of a larger group", "length, shortest first", byLength)

var gfpoEfficientSpec = gfpoFixed("gfpo_efficient", "GFPO: train on the responses with most reward per token", "reward / length, largest first", byEfficiency)

var gfpoAdaptiveSpec = func() *spec {
	sp := gfpoSpec("gfpo_adaptive", "GFPO: keep fewer responses of easier problems", "length, shortest first; keep depends on difficulty")
	sp.family = "difficulty"
	sp.recommended.GroupSize = 16
	sp.formula = "quartiles of the groups' mean rewards so far;  keep = keep_easy in the top quarter, then keep_medium, keep_hard, keep; keep during warm-up\n" + sp.formula
	sp.source = "arXiv 2508.09726; no code was released. The length of the warm-up is not stated (64 groups here)"
	sp.optional = []string{"problem.history_accuracy"}
	sp.state = "the distribution of the groups' mean rewards, exact (the paper uses a t-digest)"
	sp.notes = append(sp.notes, "difficulty is the group's own mean reward, or problem.history_accuracy where it is given")
	sp.params = func() any { return &gfpoAdaptiveParams{} }
	sp.bind = func(p any, profile string) *plan {
		o := p.(*gfpoAdaptiveParams)
		seen := &meanRewards{}
		pl := gfpoPlan(profile, func(v *view) int {
			if seen.total() < o.Warmup {
				return o.Keep
			}
			mean := v.accuracy()
			if known := v.group.Problem.HistoryAccuracy; known != nil {
				mean = *known
			}
			switch {
			case mean >= seen.quantile(0.75):
				return o.KeepEasy
			case mean >= seen.quantile(0.5):
				return o.KeepMedium
			case mean >= seen.quantile(0.25):
				return o.KeepHard
			}
			return o.Keep
		}, byLength)
		pl.memory = seen
		pl.fits = func(s Setting) error {
			return keepsFewer(min(o.Keep, o.KeepEasy, o.KeepMedium, o.KeepHard), s.GroupSize)
		}
		return pl
	}
	return sp
}()

// meanRewards counts the mean rewards of observed groups. With 0/1 rewards they are few distinct
// values, so the distribution can be kept exactly.
type meanRewards struct {
	Means  []float64 `json:"means"` // increasing
	Counts []int     `json:"counts"`
}

func (m *meanRewards) observe(views []view) {
	for i := range views {
		v := &views[i]
		if v.n() == 0 {
			continue
		}
		at, found := slices.BinarySearch(m.Means, v.accuracy())
		if !found {
			m.Means = slices.Insert(m.Means, at, v.accuracy())
			m.Counts = slices.Insert(m.Counts, at, 0)
		}
		m.Counts[at]++
	}
}

func (m *meanRewards) total() int {
	n := 0
	for _, c := range m.Counts {
		n += c
	}
	return n
}

// quantile is the smallest observed mean that at least a share q of the groups do not exceed.
func (m *meanRewards) quantile(q float64) float64 {
	need, seen := q*float64(m.total()), 0
	for i, c := range m.Counts {
		seen += c
		if float64(seen) >= need {
			return m.Means[i]
		}
	}
	return 0
}

func (m *meanRewards) save() ([]byte, error) { return json.Marshal(m) }

func (m *meanRewards) load(state []byte) error { return loadJSON(state, m) }

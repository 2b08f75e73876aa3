package rewards

import (
	"encoding/json"
	"math"

	"pith/policies/advantage"
)

type ceehParams struct {
	Beta         float64 `key:"beta" default:"0.1" min:"0" doc:"price of one historical shortest length beyond it"`
	Least        float64 `key:"least" default:"0.01" min:"0" max:"1" doc:"what a right answer earns at least: the total stays positive"`
	RateUp       float64 `key:"rate_up" default:"0.2" over:"0" max:"1" doc:"step of the running accuracy when it rises"`
	RateDown     float64 `key:"rate_down" default:"0.05" over:"0" max:"1" doc:"step of the running accuracy when it falls"`
	EntropyAlpha float64 `key:"entropy_alpha" default:"0" min:"0" doc:"weight of an entropy term in the advantage of problems below the mean accuracy; 0: off (the loss can carry the bonus instead)"`
	EntropyKappa float64 `key:"entropy_kappa" default:"2" over:"0" doc:"the entropy term stays below |A| / entropy_kappa"`
}

var ceehSpec = &spec{
	name: "ceeh", title: "CEEH: press on length only while a problem does better than it used to", family: "difficulty", verified: InPaper,
	formula: "L_x = shortest right answer to the problem so far;  active if the group's accuracy exceeds the problem's running accuracy\n" +
		"r = c - beta · c · (L - L_x) / L_x where active, at least `least`;  r = c otherwise;  A = r - mean over the group",
	source:   "CEEH (2026), paper text",
	needs:    FieldCorrect | FieldTokens,
	optional: []string{"problem.history_accuracy", "problem.history_shortest", "entropy"},
	state:    "running accuracy (rates 0.2 up, 0.05 down) and shortest right answer of each problem",
	notes: []string{
		"a problem's own history wins over the remembered one; without history the penalty is inactive",
		"the paper also gives hard problems an entropy bonus, in the loss with a weight ∝ cos(πt/T), or as the advantage term min(αH, |A|/κ)",
	},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{Strategy: "single", Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28},
	params:      func() any { return &ceehParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*ceehParams)
		h := &problemHistory{o: o, Problems: map[string]problemRecord{}}
		pl := &plan{
			terms:     []string{"correctness", "length"},
			estimator: estimator[advantage.DrGRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				accuracy, shortest, known := h.of(v)
				if !known || shortest == 0 || v.accuracy() <= accuracy {
					return nil
				}
				for i, right := range v.right {
					if right {
						v.terms[1][i] = max(-o.Beta*(v.tokens[i]-shortest)/shortest, o.Least-1)
					}
				}
				return nil
			},
			memory: h,
		}
		if o.EntropyAlpha > 0 {
			pl.needs = FieldEntropy
			pl.shape = func(v *view) { h.explore(v) }
		}
		return pl
	},
}

type problemRecord struct {
	Accuracy float64 `json:"accuracy"`
	Shortest float64 `json:"shortest"` // tokens; 0: never solved
}

// problemHistory is what CEEH remembers of each problem.
type problemHistory struct {
	o        *ceehParams
	Problems map[string]problemRecord `json:"problems"`
	Sum      float64                  `json:"sum"` // of the running accuracies
}

func (h *problemHistory) of(v *view) (accuracy, shortest float64, known bool) {
	p := &v.group.Problem
	record, known := h.Problems[p.ID]
	accuracy, shortest = record.Accuracy, record.Shortest
	if p.HistoryAccuracy != nil {
		accuracy, known = *p.HistoryAccuracy, true
	}
	if p.HistoryShortest > 0 {
		shortest = p.HistoryShortest
	}
	return accuracy, shortest, known
}

// explore adds the entropy term to a problem that does worse than the mean of all.
func (h *problemHistory) explore(v *view) {
	accuracy, _, known := h.of(v)
	if !known || len(h.Problems) == 0 || accuracy >= h.Sum/float64(len(h.Problems)) {
		return
	}
	for i, s := range v.s {
		v.adv[i] += min(h.o.EntropyAlpha*max(*s.Entropy, 0), math.Abs(v.adv[i])/h.o.EntropyKappa)
	}
}

func (h *problemHistory) observe(views []view) {
	for i := range views {
		v := &views[i]
		id := v.group.Problem.ID
		if id == "" || v.n() == 0 {
			continue
		}
		accuracy, shortest, known := h.of(v)
		h.Sum -= h.Problems[id].Accuracy
		now := v.accuracy()
		switch {
		case !known:
			accuracy = now
		case now > accuracy:
			accuracy += h.o.RateUp * (now - accuracy)
		default:
			accuracy += h.o.RateDown * (now - accuracy)
		}
		if lengths := describe(v.tokens, v.right); lengths.n > 0 && (shortest == 0 || lengths.lo < shortest) {
			shortest = max(lengths.lo, 1)
		}
		h.Problems[id] = problemRecord{Accuracy: accuracy, Shortest: shortest}
		h.Sum += accuracy
	}
}

func (h *problemHistory) save() ([]byte, error) { return json.Marshal(h) }

func (h *problemHistory) load(state []byte) error { return loadJSON(state, h) }

package rewards

import (
	"errors"
	"fmt"

	"pith/policies/advantage"
)

type dlerParams struct {
	Limit  int  `key:"limit" default:"4000" min:"1" doc:"tokens; a longer or truncated response earns nothing"`
	Filter bool `key:"filter" default:"true" doc:"drop groups that are all right or all wrong before the batch is scaled"`
}

var dlerSpec = &spec{
	name: "dler", title: "DLER: truncation, with batch-wise scaling, a higher clip and dynamic sampling", family: "length", verified: InCode,
	formula: "r = c if L ≤ limit and not truncated, else 0\n" +
		"A = (a - mean(a)) / sd(a) over the batch's responses, a = r - mean of the group; sd divides by n-1",
	source: "arXiv 2510.15110, sections 3-4 and appendix C; NVlabs/DLER",
	needs:  FieldCorrect | FieldTokens | FieldTruncated,
	filter: "groups all right or all wrong, before truncation",
	differences: []string{
		"the code multiplies the score of a truncated response by 0.1 instead of 0",
		"the code whitens over the batch's tokens, so that long responses weigh more",
		"the code's filter keeps a group of one, and its reward passes unchanged into the whitening",
		"the code's dual clip is 10 and its KL the k3 estimate; the paper's KL is the squared log-ratio",
	},
	promises:    Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: dlerRecipe,
	params:      func() any { return &dlerParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*dlerParams)
		return dlerPlan(profile, o.Filter, func(*view) int { return o.Limit })
	},
}

var dlerRecipe = Recommended{
	Strategy: "single", GroupSize: 16, Loss: "ppo", Aggregation: "token_mean", ClipLow: 0.2, ClipHigh: 0.28,
	DualClip: 10, KL: 0.0005, KLKind: "k2", Temperature: 1, Rate: 1e-6, Dynamic: true,
}

// dlerPlan is shared by the fixed and the difficulty-aware form, which differ in the group's limit.
func dlerPlan(profile string, filter bool, limit func(v *view) int) *plan {
	pl := &plan{terms: []string{"correctness", "truncation"}, keep: mixedFilter(filter, profile)}
	lost := 1.0 // share of the score that running over takes
	if profile == "released_code" {
		lost = 0.9
		pl.estimator = estimator[advantage.BatchToken](profile, func(e *advantage.BatchToken) { e.Singleton = advantage.SingletonRaw })
	} else {
		pl.estimator = estimator[advantage.BatchResponse](profile, nil)
	}
	pl.score = func(v *view) error {
		v.correctness(0)
		l := limit(v)
		for i, right := range v.right {
			if right && v.over(i, l) {
				v.terms[1][i] = -lost
			}
		}
		return nil
	}
	return pl
}

type daDLERParams struct {
	Thresholds []float64 `key:"thresholds" default:"[0.5]" min:"0" max:"1" doc:"increasing shares of right answers; a group at or above one of them gets the next, tighter limit"`
	Limits     []int     `key:"limits" default:"[4000,2000]" min:"1" doc:"tokens, one more than thresholds, harder groups first"`
	Filter     bool      `key:"filter" default:"true" doc:"drop groups that are all right or all wrong before the batch is scaled"`
}

// Validate implements the cross-field check of package params.
func (o *daDLERParams) Validate() error {
	if len(o.Limits) != len(o.Thresholds)+1 {
		return fmt.Errorf("limits: want one more than thresholds, got %d for %d", len(o.Limits), len(o.Thresholds))
	}
	for i := 1; i < len(o.Thresholds); i++ {
		if o.Thresholds[i] <= o.Thresholds[i-1] {
			return errors.New("thresholds: want increasing shares")
		}
	}
	return nil
}

var daDLERSpec = &spec{
	name: "da_dler", title: "DA-DLER: DLER with a tighter limit on easier problems", family: "difficulty", verified: InPaper,
	formula: "q = share of right answers in the group, before truncation\n" +
		"limit = limits[number of thresholds ≤ q];  reward and advantage as in dler",
	source: "arXiv 2510.15110; no released code. Unstated in the paper: whether q is taken before truncation (it is here), and the side of equality (easy here)",
	needs:  FieldCorrect | FieldTokens | FieldTruncated,
	filter: "groups all right or all wrong, before truncation",
	notes:  []string{"continues from a model that DLER has trained, 150 steps", "profile released_code borrows dler's code conventions; none was released for this form"},
	promises: Promises{
		ZeroSum: true, Monotone: true, Ordered: true,
	},
	recommended: dlerRecipe,
	params:      func() any { return &daDLERParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*daDLERParams)
		return dlerPlan(profile, o.Filter, func(v *view) int {
			q, at := v.accuracy(), 0
			for at < len(o.Thresholds) && q >= o.Thresholds[at] {
				at++
			}
			return o.Limits[at]
		})
	},
}

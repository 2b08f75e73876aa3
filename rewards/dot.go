package rewards

import (
	"fmt"
	"math"

	"pith/policies/advantage"
)

type dotParams struct {
	Alpha  float64 `key:"alpha" default:"3" over:"0" doc:"sample deviations above the mean length at which an outlier starts"`
	Margin float64 `key:"margin" default:"32" over:"0" doc:"tokens that must lie beyond the threshold; below 1 a share of the response's length, at least 16 tokens"`
	Filter bool    `key:"filter" default:"true" doc:"drop groups whose final rewards are all equal"`
}

var dotSpec = &spec{
	name: "dot", title: "DOT: dynamic outlier truncation in fully solved groups", family: "length", verified: InCode,
	formula: "only if every answer of the group is right:  T = ⌊mean(L) + alpha · sd(L)⌋, sd dividing by n-1\n" +
		"L - T ≥ margin: the tokens beyond T are cut, and the answer, lost with them, counts as wrong\n" +
		"r = c after the cut;  A = (r - mean) / (sd + 1e-6) over the group",
	source: "arXiv 2601.03969; U-rara/DOT projects/dot",
	needs:  FieldCorrect | FieldTokens,
	filter: "groups whose rewards after the cut are all equal",
	notes: []string{
		"the largest z-score in a group of G is (G-1)/√G: with alpha 3 nothing can be cut below G = 11",
		"KL-Cov does not clip the ratio, so the script's clip range of 0.2 and its dual clip are inert",
		"the code grades the cut text again; offline the answer is taken as lost",
		"token_advantages hold the response's advantage up to T and 0 beyond, where tokens left the update",
	},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: true},
	recommended: Recommended{
		Strategy: "single", GroupSize: 32, Loss: "kl_cov", Aggregation: "seq_mean_token_mean", Temperature: 1, Rate: 1e-6,
		Curriculum: "over-generate by clip((1 + sd/mean)/mean of the share that survives the filter over 20 steps, 1.2, 5)",
	},
	params: func() any { return &dotParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*dotParams)
		pl := &plan{
			terms:     []string{"correctness", "truncation"},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(0)
				threshold := o.threshold(v)
				for i := range v.s {
					if o.outlier(v.tokens[i], threshold) {
						v.terms[1][i] = -1
						v.why[i] = "cut as an outlier"
					}
				}
				return nil
			},
			spread: func(v *view, i int, _ []float64, out []tokenRange) []tokenRange {
				if v.why[i] == "" {
					return nil
				}
				cut := int(o.threshold(v))
				return append(out, tokenRange{end: cut, value: v.adv[i]}, tokenRange{start: cut, end: v.s[i].Tokens})
			},
			fits: func(s Setting) error {
				if n := float64(s.GroupSize); s.GroupSize > 0 && (n-1)/math.Sqrt(n) <= o.Alpha {
					return fmt.Errorf("in a group of %d no response can lie %g deviations above the mean, so nothing is ever cut; sample more, or set method.alpha below %.3g", s.GroupSize, o.Alpha, (n-1)/math.Sqrt(n))
				}
				return nil
			},
		}
		if o.Filter {
			pl.keep = keepVaried
		}
		return pl
	},
}

// threshold is T for a group that is fully solved, and +Inf for any other.
func (o *dotParams) threshold(v *view) float64 {
	if v.rights() < v.n() {
		return math.Inf(1)
	}
	lengths := describe(v.tokens, nil)
	return math.Floor(lengths.mean + o.Alpha*lengths.sample)
}

func (o *dotParams) outlier(tokens, threshold float64) bool {
	margin := o.Margin
	if margin < 1 {
		margin = max(margin*tokens, 16)
	}
	return tokens-threshold >= margin
}

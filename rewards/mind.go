package rewards

import (
	"fmt"
	"strings"

	"pith/policies/advantage"
)

type mindParams struct {
	Weights []float64 `key:"weights" default:"[1,1,1]" min:"0" doc:"of format (0 or -1), accuracy (1 or 0) and unit (0 or -1). Ours: the paper's were not found"`
}

// Validate implements the cross-field check of package params.
func (o *mindParams) Validate() error {
	if len(o.Weights) != 3 {
		return fmt.Errorf("weights: want three, for format, accuracy and unit, got %d", len(o.Weights))
	}
	return nil
}

var mindSpec = &spec{
	name: "mind", title: "MinD: one thought a turn", family: "mode", verified: Ours,
	formula: "r = w₁ · (formatted ? 0 : -1) + w₂ · c + w₃ · (every turn one trajectory ? 0 : -1);  A = (r - mean) / (sd + 1e-6) over the group",
	source: "our reading of arXiv 2505.19788 (abstract and peer review): the three parts are theirs; their sizes and the way in which a second " +
		"trajectory is detected are ours (a word such as wait, alternatively or aha inside a turn)",
	needs:    FieldCorrect | FieldFormatted | FieldTurns,
	optional: []string{"text", "turn_ends", "turn_scores"},
	notes: []string{
		"advantage.kind turn gives each turn its own: w₂ · the score of its answer + w₃ · (one trajectory ? 0 : -1), beside the outcome's",
		"a response with more trajectories than turns violates the unit; without text nothing is detected", "sum over parts: shortening comes from the per-sequence normaliser of the loss, which favours short right answers",
	},
	promises: Promises{ZeroSum: true, Monotone: true, Ordered: false},
	recommended: Recommended{
		Strategy: "turns", Loss: "ppo", Aggregation: "seq_mean_token_mean", ClipLow: 0.2, ClipHigh: 0.2,
	},
	params: func() any { return &mindParams{} },
	bind: func(p any, profile string) *plan {
		o := p.(*mindParams)
		return &plan{
			terms: []string{"format", "correctness", "unit"}, compose: compose{kind: sum, weights: o.Weights},
			estimator: estimator[advantage.GRPO](profile, nil),
			score: func(v *view) error {
				v.correctness(1)
				for i, s := range v.s {
					if !s.Formatted {
						v.terms[0][i] = -1
					}
					if s.Text != "" && 1+restarts(s.Text) > max(s.Turns, 1) {
						v.terms[2][i] = -1
					}
				}
				return nil
			},
			turn: func(v *view, i, k int) float64 { return o.turn(v.s[i], v.right[i], k) },
		}
	},
}

// turn scores turn k alone: its answer, where it was graded, and whether it is one trajectory.
func (o *mindParams) turn(s *Sample, right bool, k int) float64 {
	score, text := 0.0, ""
	switch {
	case k < len(s.TurnScores):
		score = o.Weights[1] * s.TurnScores[k]
	case k == s.turnCount()-1:
		score = o.Weights[1] * indicator(right)
	}
	switch {
	case k < len(s.TurnTexts):
		text = s.TurnTexts[k]
	case s.TurnEnds == nil:
		text = s.Text
	}
	if restarts(text) > 0 {
		score -= o.Weights[2]
	}
	return score
}

// restarts counts the words with which a response sets out anew.
func restarts(text string) int {
	n := 0
	for word := range strings.FieldsSeq(text) {
		word = strings.Trim(word, `.,;:!?"'()[]*_`)
		for _, marker := range [...]string{"wait", "alternatively", "aha"} {
			if strings.EqualFold(word, marker) {
				n++
			}
		}
	}
	return n
}

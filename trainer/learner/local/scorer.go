package local

import (
	"context"
	"fmt"

	"pith/policies/model"
	"pith/policies/model/graph"
	"pith/trainer/learner"
)

// Scorer gives the log-probabilities of weights that nobody changes: a reference policy. It holds
// neither gradients nor moments. It is not safe for concurrent use.
type Scorer struct {
	machine   *graph.Machine[float32]
	maxTokens int
	pack      packer
}

var _ learner.Scorer = (*Scorer)(nil)

// NewScorer makes a scorer of w, which must not change any more. maxTokens bounds the tokens that
// go through the graph at once, as in [Options].
func NewScorer(w *model.Weights, maxTokens int) (*Scorer, error) {
	if maxTokens < 1 {
		return nil, fmt.Errorf("local scorer: max_tokens is %d, want at least 1", maxTokens)
	}
	m, err := graph.New(w.Config, w.Flat(), nil)
	if err != nil {
		return nil, fmt.Errorf("local scorer: %w", err)
	}
	return &Scorer{machine: m, maxTokens: maxTokens}, nil
}

// Forward implements learner.Scorer. Only trained tokens are scored; the others are NaN.
func (s *Scorer) Forward(ctx context.Context, d []learner.Datum) ([][]float32, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	out := nans(d)
	for _, part := range cut(d, contributing(d, false), s.maxTokens) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := s.pack.sequences(d, part)
		scores, err := s.machine.Score(b)
		if err != nil {
			return nil, fmt.Errorf("local scorer: forward: %w", err)
		}
		scatter(out, scores.LogProb, scores.Targets, b.Offsets, part)
	}
	return out, nil
}

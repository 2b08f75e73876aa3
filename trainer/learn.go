package trainer

import (
	"context"
	"fmt"
	"math"

	"pith/policies/loss"
	"pith/traces"
	"pith/trainer/learner"
)

// improver takes the optimiser steps of a learner step and measures them.
type improver struct {
	learner     learner.Learner
	aggregation loss.Aggregation
	constant    float64
	epochs      int
	miniBatches int
	warmup      int64
	columns     columns
	pairs       *pairing // nil: the loss compares no responses
}

// update is what one optimiser step reads: data[i] was made of rows[i].
type update struct {
	rows []*traces.Trace
	data []learner.Datum
}

// updates cuts the trained traces of a step into mini-batches, as data with everything that the
// loss reads. The policy must be the one from before the step: its log-probabilities are the
// proximal ones.
func (im *improver) updates(ctx context.Context, rows []*traces.Trace) ([]update, error) {
	var out []update
	for b, part := range cut(rows, im.miniBatches) {
		group, advantage := indexed(part), []float32(nil)
		if im.pairs != nil {
			part, group, advantage = im.pairs.lay(part)
		}
		if len(part) == 0 {
			continue // no pair in it
		}
		data, err := datums(part, group, im.aggregation, im.constant)
		if err == nil {
			for i, a := range advantage {
				for t := len(part[i].PromptTokens); t < len(data[i].Tokens); t++ {
					data[i].Advantage[t] = a
				}
			}
			err = im.columns.fill(ctx, im.learner, data)
		}
		if err != nil {
			return nil, fmt.Errorf("mini-batch %d: %w", b+1, err)
		}
		out = append(out, update{part, data})
	}
	return out, nil
}

// improvement is what the optimiser steps of one learner step did.
type improvement struct {
	updates       int64
	loss          float64 // mean over updates
	gradNorm      float64 // mean over updates
	metrics       loss.Metrics
	mismatch      mean // |Δ log p| of fresh tokens, before the first update
	mismatchMax   float64
	learningRate  float64 // of the last update
	trainedTokens int64
}

// improve runs epochs × mini-batches of optimiser steps over the trained traces of a step. version
// is the learner step of the policy before them; taken counts the optimiser steps so far.
func (im *improver) improve(ctx context.Context, rows []*traces.Trace, fn loss.Fn, rate float64, version, taken int64) (improvement, error) {
	var out improvement
	updates, err := im.updates(ctx, rows)
	if err != nil {
		return out, err
	}
	for epoch := range im.epochs {
		for b, u := range updates {
			o, err := im.learner.Accumulate(ctx, u.data, fn)
			if err != nil {
				return out, fmt.Errorf("epoch %d, mini-batch %d: %w", epoch+1, b+1, err)
			}
			if epoch == 0 && b == 0 {
				out.compare(u.rows, u.data, o.LogProbs, version)
			}
			out.learningRate = rate * min(1, float64(taken+out.updates+1)/float64(max(im.warmup, 1)))
			s, err := im.learner.Step(ctx, learner.OptimStep{LR: out.learningRate})
			if err != nil {
				return out, fmt.Errorf("epoch %d, optimiser step after mini-batch %d: %w", epoch+1, b+1, err)
			}
			out.updates++
			out.loss += o.Loss
			out.gradNorm += s.GradNorm
			out.metrics.Add(o.Metrics)
			if epoch == 0 {
				for _, d := range u.data {
					for _, w := range d.Train {
						if w != 0 {
							out.trainedTokens++
						}
					}
				}
			}
		}
	}
	if out.updates > 0 {
		out.loss /= float64(out.updates)
		out.gradNorm /= float64(out.updates)
	}
	return out, nil
}

// compare measures train/sample agreement: the learner's log-probability against the sampler's, on
// trained tokens that the learner's present policy drew.
func (o *improvement) compare(rows []*traces.Trace, batch []learner.Datum, logProbs [][]float32, version int64) {
	for i, t := range rows {
		if i >= len(logProbs) || logProbs[i] == nil {
			continue // skipped: nothing in it carries a gradient
		}
		for _, s := range t.Spans {
			if s.Version != version {
				continue
			}
			for j := s.Start; j < s.End; j++ {
				at := len(t.PromptTokens) + int(j)
				if batch[i].Train[at] == 0 || t.KindAt(j) == traces.Forced || math.IsNaN(float64(logProbs[i][at])) {
					continue
				}
				d := math.Abs(float64(logProbs[i][at]) - float64(t.LogProbs[j]))
				o.mismatch.add(d)
				o.mismatchMax = max(o.mismatchMax, d)
			}
		}
	}
}

// record copies what was measured into a step's row.
func (o *improvement) record(s *traces.Step) {
	tokens := max(o.metrics.Tokens, 1)
	s.Updates, s.Loss, s.GradNorm, s.LearningRate = o.updates, o.loss, o.gradNorm, o.learningRate
	s.Entropy, s.KL = o.metrics.Entropy/tokens, o.metrics.KL/tokens
	s.ReferenceKL = o.metrics.RefKL / tokens
	s.ClipLow, s.ClipHigh = o.metrics.ClipLow/tokens, o.metrics.ClipHigh/tokens
	s.MismatchMean, s.MismatchMax = o.mismatch.value(), o.mismatchMax
	s.TrainedTokens = o.trainedTokens
}

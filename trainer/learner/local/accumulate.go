package local

import (
	"context"
	"errors"
	"fmt"

	"pith/policies/loss"
	"pith/policies/model/graph"
	"pith/trainer/learner"
)

// Accumulate implements learner.Learner. A batch within the token budget is one pass. A longer one
// is cut between sequences: where the loss is separable each part is evaluated on its own;
// otherwise a forward pass over all parts comes first, the loss is evaluated once over
// everything, and a second pass feeds its gradients back. The gradient is the same, to the bit
// except for what the loss itself computes over the batch.
func (l *Learner) Accumulate(ctx context.Context, d []learner.Datum, fn loss.Fn) (learner.StepOutput, error) {
	if err := check(d); err != nil {
		return learner.StepOutput{}, err
	}
	chosen := contributing(d, loss.IgnoresZeroAdvantage(fn))
	out := learner.StepOutput{LogProbs: nans(d), Entropies: nans(d), Skipped: len(d) - len(chosen)}
	for _, i := range chosen {
		out.Tokens += len(d[i].Tokens)
	}
	parts := cut(d, chosen, l.options.MaxTokens)
	run := l.separately
	if len(parts) > 1 && !loss.Separable(fn) {
		run = l.together
	}
	if err := run(ctx, d, parts, fn, &out); err != nil {
		return learner.StepOutput{}, fmt.Errorf("local learner: accumulate: %w", err)
	}
	return out, nil
}

// contributing lists the data that can have a gradient.
func contributing(d []learner.Datum, ignoresZeroAdvantage bool) []int {
	var chosen []int
	for i := range d {
		for t, w := range d[i].Train {
			if w != 0 && (!ignoresZeroAdvantage || (d[i].Advantage != nil && d[i].Advantage[t] != 0)) {
				chosen = append(chosen, i)
				break
			}
		}
	}
	return chosen
}

// separately evaluates the loss part by part.
func (l *Learner) separately(ctx context.Context, d []learner.Datum, parts [][]int, fn loss.Fn, out *learner.StepOutput) error {
	var result loss.Result
	for _, part := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, columns := l.pack.sequences(d, part), l.pack.columns(d, part)
		s, err := l.machine.Accumulate(b, func(logProb, entropy, gradLogProb, gradEntropy []float32) (float32, error) {
			spread(columns.LogProbs, logProb, b.Targets)
			spread(columns.Entropy, entropy, b.Targets)
			if err := evaluate(fn, columns, &result); err != nil {
				return 0, err
			}
			collect(gradLogProb, result.GradLogProb, b.Targets)
			if result.GradEntropy != nil {
				collect(gradEntropy, result.GradEntropy, b.Targets)
			}
			return float32(result.Value), nil
		})
		if err != nil {
			return err
		}
		scatter(out.LogProbs, s.LogProb, s.Targets, b.Offsets, part)
		scatter(out.Entropies, s.Entropy, s.Targets, b.Offsets, part)
		out.Loss += result.Value
		out.Metrics.Add(result.Metrics)
	}
	return nil
}

// together evaluates the loss once over all parts.
func (l *Learner) together(ctx context.Context, d []learner.Datum, parts [][]int, fn loss.Fn, out *learner.StepOutput) error {
	var all []int
	for _, part := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := l.pack.sequences(d, part)
		s, err := l.machine.Score(b)
		if err != nil {
			return err
		}
		scatter(out.LogProbs, s.LogProb, s.Targets, b.Offsets, part)
		scatter(out.Entropies, s.Entropy, s.Targets, b.Offsets, part)
		all = append(all, part...)
	}
	columns := l.pack.columns(d, all)
	at := 0
	for _, i := range all {
		for t, w := range d[i].Train {
			if w != 0 {
				columns.LogProbs[at+t], columns.Entropy[at+t] = out.LogProbs[i][t], out.Entropies[i][t]
			}
		}
		at += len(d[i].Tokens)
	}
	var result loss.Result
	if err := evaluate(fn, columns, &result); err != nil {
		return err
	}
	out.Loss, out.Metrics = result.Value, result.Metrics
	at = 0
	for _, part := range parts {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := l.pack.sequences(d, part)
		_, err := l.machine.Accumulate(b, given(&result, at, b))
		if err != nil {
			return err
		}
		at += len(b.Tokens)
	}
	return nil
}

// given is an objective whose gradients are known already; the part begins at token at.
func given(r *loss.Result, at int, b *graph.Batch) graph.Objective[float32] {
	return func(_, _, gradLogProb, gradEntropy []float32) (float32, error) {
		collect(gradLogProb, r.GradLogProb[at:], b.Targets)
		if r.GradEntropy != nil {
			collect(gradEntropy, r.GradEntropy[at:], b.Targets)
		}
		return 0, nil
	}
}

// evaluate runs the loss and refuses a result that does not fit.
func evaluate(fn loss.Fn, b *loss.Batch, r *loss.Result) error {
	if err := fn.Eval(b, r); err != nil {
		return err
	}
	if len(r.GradLogProb) != len(b.LogProbs) || (r.GradEntropy != nil && len(r.GradEntropy) != len(b.LogProbs)) {
		return errors.New("the loss returned gradients of another length than the batch")
	}
	return nil
}

// spread writes packed values to their positions.
func spread(to, values []float32, targets []int32) {
	for k, t := range targets {
		to[t] = values[k]
	}
}

// collect reads packed values from their positions.
func collect(to, values []float32, targets []int32) {
	for k, t := range targets {
		to[k] = values[t]
	}
}

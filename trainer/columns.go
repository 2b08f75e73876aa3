package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"

	"pith/configs"
	"pith/policies/loss"
	"pith/traces"
	"pith/trainer/learner"
)

// columns fill the data of an update with what only some losses read: log-probabilities of the
// frozen base policy and of the policy at the start of the step.
type columns struct {
	reference learner.Scorer // the base policy; nil where the loss reads none
	proximal  bool
}

// lossNeeds lists the columns that a run's loss reads at any step: a coefficient that a schedule
// sets counts as set.
func lossNeeds(c configs.Config) ([]string, error) {
	params := map[string]any{}
	for k, v := range c.Loss.Params {
		params[k] = v
	}
	for _, s := range c.Schedule {
		if s.Target == targetLoss+"kl_coef" {
			params["kl_coef"] = 1.0
		}
	}
	_, d, err := loss.New(c.Loss.Kind, params)
	return d.Needs, err
}

// fill adds the columns to data, which the policy of l has not been improved on yet.
func (c columns) fill(ctx context.Context, l learner.Learner, data []learner.Datum) error {
	if c.reference != nil {
		values, err := c.reference.Forward(ctx, data)
		if err != nil {
			return fmt.Errorf("log-probabilities of the base policy: %w", err)
		}
		for i := range data {
			data[i].Reference = known(values[i])
		}
	}
	if c.proximal {
		values, err := l.Forward(ctx, data)
		if err != nil {
			return fmt.Errorf("log-probabilities at the start of the step: %w", err)
		}
		for i := range data {
			data[i].Proximal = known(values[i])
		}
	}
	return nil
}

// known writes 0 where nothing was computed, at tokens that no loss reads.
func known(values []float32) []float32 {
	for i, v := range values {
		if math.IsNaN(float64(v)) {
			values[i] = 0
		}
	}
	return values
}

// minBaseLoss keeps the loss of a response that the base policy was certain of above 0: methods
// divide by it.
const minBaseLoss = 1e-6

// compareToBase fills what a method reads of a trace and only the frozen base policy can tell: the
// loss under it, and the divergence from it. It is logged, so that rewards follow from the log.
func (t *Trainer) compareToBase(ctx context.Context, rows []traces.Trace) error {
	needs := t.parts.method.Needs()
	wantsLoss, wantsKL := slices.Contains(needs, "base_loss"), slices.Contains(needs, "reference_kl")
	if !wantsLoss && !wantsKL {
		return nil
	}
	var chosen []*traces.Trace
	for i := range rows {
		if rows[i].Status == "" && len(rows[i].Tokens) > 0 {
			chosen = append(chosen, &rows[i])
		}
	}
	data, err := datums(chosen, indexed(chosen), loss.TokenMean, 1)
	if err != nil {
		return err
	}
	values, err := t.improver.columns.reference.Forward(ctx, data)
	if err != nil {
		return fmt.Errorf("log-probabilities of the responses under the base policy: %w", err)
	}
	for i, x := range chosen {
		base, train := values[i][len(x.PromptTokens):], data[i].Train[len(x.PromptTokens):]
		if wantsLoss {
			worst := max(negativeLogLikelihood(base, train), minBaseLoss)
			for _, r := range x.TurnRanges {
				worst = max(worst, negativeLogLikelihood(base[r.Start:r.End], train[r.Start:r.End]))
			}
			x.BaseLoss = &worst
		}
		if wantsKL {
			kl := divergence(loss.KL(t.config.Rewards.KL.Kind), x, base, train)
			x.ReferenceKL = &kl
		}
	}
	return nil
}

// divergence is Σ k(log π - log π_base) over the trained tokens that a policy drew.
func divergence(kind loss.KL, x *traces.Trace, base, train []float32) float64 {
	sum := 0.0
	for i, w := range train {
		if w != 0 && x.KindAt(int32(i)) != traces.Forced {
			value, _ := kind.At(float64(x.LogProbs[i]) - float64(base[i]))
			sum += value
		}
	}
	return sum
}

// negativeLogLikelihood is the mean over trained tokens, in nats; 0 of none.
func negativeLogLikelihood(logProbs, train []float32) float64 {
	var m mean
	for i, w := range train {
		if w != 0 {
			m.add(-float64(logProbs[i]))
		}
	}
	return m.value()
}

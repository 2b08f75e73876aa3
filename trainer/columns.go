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

// baseLoss fills Trace.BaseLoss of all traces that have tokens to train on.
func (t *Trainer) baseLoss(ctx context.Context, rows []traces.Trace) error {
	if !slices.Contains(t.parts.method.Needs(), "base_loss") {
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
		return fmt.Errorf("loss of the responses under the base policy: %w", err)
	}
	for i, x := range chosen {
		prompt := len(x.PromptTokens)
		worst := negativeLogLikelihood(values[i][prompt:], data[i].Train[prompt:])
		for _, r := range x.TurnRanges {
			worst = max(worst, negativeLogLikelihood(values[i][prompt+int(r.Start):prompt+int(r.End)], data[i].Train[prompt+int(r.Start):prompt+int(r.End)]))
		}
		worst = max(worst, minBaseLoss)
		x.BaseLoss = &worst
	}
	return nil
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

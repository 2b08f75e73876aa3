package pretrain

import (
	"context"
	"errors"
	"fmt"

	"pith/policies/loss"
	"pith/policies/model"
	"pith/rollout/engine"
	"pith/trainer/learner"
	"pith/trainer/learner/local"
	"pith/trainer/schedule"
)

// Source yields examples as a pure function of the step and the row, both from 0: the ids of a whole
// sequence and, for each, whether the loss includes it as a target. datasets/clock's Teacher and
// Course are Sources.
type Source interface {
	Example(step, row int) (ids []int32, train []bool, err error)
}

// Progress is one finished step.
type Progress struct {
	Step     int // from 1
	Steps    int
	Loss     float64 // mean over the trained tokens, before the step
	GradNorm float64 // before clipping
	LR       float64
	Tokens   int // that went through the model
	Trained  int // of them targets
}

// Run trains w in place and returns it. A checkpoint directory that is not "" receives the state
// from time to time; where it holds one of the same run already, training goes on from there and w
// is overwritten. progress may be nil. On an error w is left in the middle.
func Run(ctx context.Context, w *model.Weights, source Source, c Config, checkpoint string, progress func(Progress)) (*model.Weights, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l, err := local.New(w, engine.PolicyRef{ID: "pretrain"}, c.options())
	if err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	defer func() { _ = l.Close() }()
	state, err := open(checkpoint, w, c)
	if err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	if err := state.load(l); err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	nll, _, err := loss.New("sft", nil)
	if err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	lr, err := c.Schedule()
	if err != nil {
		return nil, fmt.Errorf("pretrain: %w", err)
	}
	for step := int(l.Updates()); step < c.Steps; step++ {
		p, err := advance(ctx, l, nll, source, c, lr, step)
		if err != nil {
			return nil, fmt.Errorf("pretrain: step %d: %w", step+1, err)
		}
		last := step+1 == c.Steps
		if last || (c.CheckpointEvery > 0 && (step+1)%c.CheckpointEvery == 0) {
			if err := state.save(l); err != nil {
				return nil, fmt.Errorf("pretrain: step %d: %w", step+1, err)
			}
		}
		if progress != nil {
			progress(p)
		}
	}
	return w, nil
}

// advance takes one optimiser step.
func advance(ctx context.Context, l *local.Learner, fn loss.Fn, source Source, c Config, s schedule.Schedule, step int) (Progress, error) {
	data, trained, err := collect(source, step, c.Rows)
	if err != nil {
		return Progress{}, err
	}
	out, err := l.Accumulate(ctx, data, fn)
	if err != nil {
		return Progress{}, err
	}
	lr := s.At(int64(step) + 1)
	stats, err := l.Step(ctx, learner.OptimStep{LR: lr})
	if err != nil {
		return Progress{}, err
	}
	return Progress{
		Step: step + 1, Steps: c.Steps,
		Loss: out.Loss, GradNorm: stats.GradNorm, LR: lr, Tokens: out.Tokens, Trained: trained,
	}, nil
}

// collect draws the examples of a step, each target with weight 1/targets.
func collect(source Source, step, rows int) (data []learner.Datum, trained int, err error) {
	data = make([]learner.Datum, rows)
	for row := range rows {
		ids, train, err := source.Example(step, row)
		if err != nil {
			return nil, 0, fmt.Errorf("example in row %d: %w", row, err)
		}
		if len(train) != len(ids) {
			return nil, 0, fmt.Errorf("example in row %d has %d tokens but a mask of %d", row, len(ids), len(train))
		}
		weights := make([]float32, len(ids))
		for t, on := range train {
			if on && t > 0 { // nothing predicts the first token
				weights[t] = 1
				trained++
			}
		}
		data[row] = learner.Datum{Tokens: ids, Train: weights, Tag: fmt.Sprintf("step %d row %d", step, row)}
	}
	if trained == 0 {
		return nil, 0, errors.New("no token of the step is a target; the source masks everything")
	}
	for _, d := range data {
		for t, w := range d.Train {
			d.Train[t] = w / float32(trained)
		}
	}
	return data, trained, nil
}

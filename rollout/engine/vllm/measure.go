package vllm

import (
	"context"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// measures are what no endpoint tells.
type measures struct {
	mode   wire.Mode
	seeded bool
}

// Kind is of which distribution log-probabilities are.
func (m measures) Kind(p engine.Params) engine.LogprobKind { return m.mode.Kind(p) }

// known is what has been measured so far.
func (e *Engine) known() measures {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.measured == nil {
		return measures{}
	}
	return *e.measured
}

// measure finds out, once, with samples of the base weights.
func (e *Engine) measure(ctx context.Context, has *features) (measures, error) {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	done := e.measured
	e.mu.Unlock()
	if done != nil || !has.exact() {
		if done == nil {
			return measures{}, nil
		}
		return *done, nil
	}
	sample := func(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
		return e.client.Draw(ctx, "measure", r, has.maxContext, func(ctx context.Context, i int) (wire.Sampled, error) {
			a, err := e.ask(ctx, "measure", has, has.base, r, i)
			return e.sampled("measure", has, has.base, r, a, engine.LogprobUnknown, err)
		})
	}
	var m measures
	var err error
	if m.mode, err = wire.MeasureMode(ctx, engine.PolicyRef{}, sample); err != nil {
		return m, err
	}
	if m.seeded, err = wire.MeasureSeeds(ctx, engine.PolicyRef{}, sample); err != nil {
		return m, err
	}
	e.mu.Lock()
	e.measured = &m
	e.mu.Unlock()
	return m, nil
}

package strategy

import (
	"context"
	"encoding/json"

	"pith/rollout/engine"
	"pith/rollout/task"
)

// single asks for all samples of the task in one call.
type single struct{}

func openSingle(options json.RawMessage) (Strategy, error) {
	return single{}, decode(options, &struct{}{})
}

func (single) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	rs, err := firstTurn(ctx, env, t, t.Params)
	if err != nil {
		return nil, err
	}
	return rollouts(rs), nil
}

// rollouts finishes all responses.
func rollouts(rs []*response) []Rollout {
	out := make([]Rollout, len(rs))
	for i, r := range rs {
		out[i] = r.rollout()
	}
	return out
}

// firstTurn makes the first engine call of every sample of t, together, under params.
func firstTurn(ctx context.Context, env *Env, t *task.Task, params engine.Params) ([]*response, error) {
	rs := newResponses(env, t)
	return rs, advance(ctx, env, rs, params, 0)
}

// newResponses begins a response for each sample of t.
func newResponses(env *Env, t *task.Task) []*response {
	rs := make([]*response, t.N)
	for i := range rs {
		rs[i] = newResponse(env, t, t.First+i)
	}
	return rs
}

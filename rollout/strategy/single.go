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
	out := make([]Rollout, len(rs))
	for i, r := range rs {
		out[i] = r.rollout()
	}
	return out, nil
}

// firstTurn makes the first engine call of every sample of t, together, under params.
func firstTurn(ctx context.Context, env *Env, t *task.Task, params engine.Params) ([]*response, error) {
	rs := make([]*response, t.N)
	for i := range rs {
		rs[i] = newResponse(env, t, t.First+i)
	}
	d, err := env.sample(ctx, engine.SampleRequest{ID: t.ID(), Prompt: t.Prompt, N: t.N, First: t.First, Params: params})
	if err != nil {
		return nil, err
	}
	for i, r := range rs {
		r.take(d, i)
	}
	return rs, nil
}

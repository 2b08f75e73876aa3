package strategy

import (
	"context"
	"errors"
	"slices"
	"sync"

	"pith/rollout/engine"
)

// advance samples one continuation of every response, each of which must have tokens left. Samples
// that stand side by side and have the same context share a call. The limit of params counts what
// the policy sampled, not what was inserted; limit, if not 0, bounds this continuation further.
func advance(ctx context.Context, env *Env, rs []*response, params engine.Params, limit int) error {
	var calls [][]*response
	for i, r := range rs {
		if i > 0 && r.continues(rs[i-1]) {
			calls[len(calls)-1] = append(calls[len(calls)-1], r)
			continue
		}
		calls = append(calls, []*response{r})
	}
	return each(calls, func(rs []*response) error {
		first, p := rs[0], params
		left := params.MaxTokens - first.sampled
		if limit > 0 {
			left = min(left, limit)
		}
		p.MaxTokens = len(first.tokens) + left
		id := first.t.ID()
		if len(rs) < first.t.N {
			id = first.t.TraceID(first.sample)
		}
		if first.turns > 0 {
			p.MinTokens = 0 // was the first turn's
		} else if p.MinTokens > 0 {
			p.MinTokens += len(first.tokens)
		}
		d, err := env.sample(ctx, engine.SampleRequest{
			ID: id, Prompt: first.prompt, Prefix: slices.Clone(first.tokens), N: len(rs), First: first.sample, Params: p,
		})
		if err != nil {
			return err
		}
		for i, r := range rs {
			r.take(d, i)
		}
		return nil
	})
}

// continues says that r is the sample after other and has the same context.
func (r *response) continues(other *response) bool {
	return r.sample == other.sample+1 && r.sampled == other.sampled && r.turns == other.turns &&
		slices.Equal(r.prompt, other.prompt) && slices.Equal(r.tokens, other.tokens)
}

// each runs f on all items at once and joins the errors, in order. A panic is an error, since the
// worker's own recovery cannot see the goroutine.
func each[T any](items []T, f func(T) error) error {
	if len(items) == 1 {
		return f(items[0])
	}
	errs := make([]error, len(items))
	var wg sync.WaitGroup
	for i, item := range items {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					errs[i] = &PanicError{p}
				}
			}()
			errs[i] = f(item)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

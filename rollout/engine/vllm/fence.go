package vllm

import (
	"context"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

var pauses = map[engine.FenceMode]string{engine.FenceDrain: "wait", engine.FenceAbort: "abort", engine.FenceFreeze: "keep"}

// Pause holds new requests back; what happens to running ones is the mode's business. It returns
// when the server has come to rest.
func (e *Engine) Pause(ctx context.Context, m engine.FenceMode) error {
	if err := e.needDev(ctx, "pause"); err != nil {
		return err
	}
	return e.client.Do(ctx, wire.Request{Op: "pause", Path: "/pause?mode=" + pauses[m] + "&clear_cache=false", Body: []byte("{}"), Admin: true, Limit: e.o.LoadTimeout}, nil)
}

// Resume lets requests run.
func (e *Engine) Resume(ctx context.Context) error {
	if err := e.needDev(ctx, "resume"); err != nil {
		return err
	}
	return e.client.Do(ctx, wire.Request{Op: "resume", Path: "/resume", Body: []byte("{}"), Admin: true, Limit: e.wait()}, nil)
}

// ResetCache forgets the prefixes that were computed with earlier weights.
func (e *Engine) ResetCache(ctx context.Context) error {
	if err := e.needDev(ctx, "reset the cache"); err != nil {
		return err
	}
	const op = "reset the cache"
	return e.client.Do(ctx, wire.Request{Op: op, Path: "/reset_prefix_cache", Body: []byte("{}"), Admin: true, Limit: e.wait()}, func(body []byte) error {
		failed := false
		s := wire.NewScanner(body)
		if s.Kind() == '{' { // newer servers say how it went, under status 200
			s.Fields(func(key []byte) {
				if string(key) == "success" {
					failed = !s.Bool()
				}
			})
		}
		if failed {
			return &engine.Error{Class: engine.Transient, Op: op, Msg: "requests are using it; pause first"}
		}
		return nil
	})
}

func (e *Engine) needDev(ctx context.Context, op string) error {
	has, err := e.connect(ctx)
	if err != nil {
		return err
	}
	if !has.dev {
		return wire.Missing(op, "this server has no such call; start vLLM with VLLM_SERVER_DEV_MODE=1")
	}
	return nil
}

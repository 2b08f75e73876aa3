package sglang

import (
	"context"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// begin waits until samples may run.
func (e *Engine) begin(ctx context.Context, op string) error {
	for {
		e.mu.Lock()
		gate := e.gate
		select {
		case <-gate:
			e.running++
			e.mu.Unlock()
			return nil
		default:
		}
		e.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
			return &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller while the engine was paused", Err: context.Cause(ctx)}
		}
	}
}

func (e *Engine) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running--; e.running == 0 && e.still != nil {
		close(e.still)
		e.still = nil
	}
}

// Pause holds new requests back. SGLang can abort or freeze what runs; to drain, this engine's own
// requests are let finish before the server is paused, and those of other clients are frozen.
func (e *Engine) Pause(ctx context.Context, m engine.FenceMode) error {
	const op = "pause"
	if _, err := e.connect(ctx); err != nil {
		return err
	}
	mode := "in_place"
	switch m {
	case engine.FenceAbort:
		mode = "abort"
	case engine.FenceDrain:
		if err := e.drain(ctx, op); err != nil {
			return err
		}
	}
	_, err := e.control(ctx, op, "/pause_generation", []byte(`{"mode":"`+mode+`"}`), true)
	if err != nil && m == engine.FenceDrain {
		e.open()
	}
	return err
}

// drain shuts the gate and waits for what runs.
func (e *Engine) drain(ctx context.Context, op string) error {
	e.mu.Lock()
	select {
	case <-e.gate: // it was open
		e.gate = make(chan struct{})
	default:
	}
	if e.running == 0 {
		e.mu.Unlock()
		return nil
	}
	if e.still == nil {
		e.still = make(chan struct{})
	}
	still := e.still
	e.mu.Unlock()
	select {
	case <-still:
		return nil
	case <-ctx.Done():
		e.open()
		return &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller while requests drained", Err: context.Cause(ctx)}
	}
}

func (e *Engine) open() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.gate:
	default:
		close(e.gate)
	}
}

// Resume lets requests run.
func (e *Engine) Resume(ctx context.Context) error {
	if _, err := e.connect(ctx); err != nil {
		return err
	}
	_, err := e.control(ctx, "resume", "/continue_generation", []byte("{}"), false)
	if err == nil {
		e.open()
	}
	return err
}

// ResetCache forgets the prefixes that were computed with earlier weights. SGLang refuses while
// requests run.
func (e *Engine) ResetCache(ctx context.Context) error {
	const op = "reset the cache"
	if _, err := e.connect(ctx); err != nil {
		return err
	}
	err := e.client.Do(ctx, wire.Request{Op: op, Path: "/flush_cache", Body: []byte("{}"), Admin: true, Limit: e.o.ControlTimeout}, nil)
	if class, _ := engine.ClassOf(err); class == engine.User {
		return &engine.Error{Class: engine.Transient, Op: op, Msg: "requests are running; pause first", Err: err}
	}
	return err
}

package sim

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"pith/rollout/engine"
)

// Accepts lists all kinds: nothing is loaded.
func (e *Engine) Accepts() []engine.ArtifactKind {
	return []engine.ArtifactKind{engine.ArtifactMemory, engine.ArtifactModelDir, engine.ArtifactLoRADir, engine.ArtifactSession}
}

// Publish makes a policy servable; decoding stands still for Options.LoadSeconds.
func (e *Engine) Publish(ctx context.Context, a engine.Artifact) (engine.PolicyRef, error) {
	op := fmt.Sprintf("publish %q", a.Policy.ID)
	fail := func(c engine.Class, format string, args ...any) (engine.PolicyRef, error) {
		return engine.PolicyRef{}, &engine.Error{Class: c, Op: op, Msg: fmt.Sprintf(format, args...)}
	}
	if a.Policy.ID == "" {
		return fail(engine.User, "the policy has no id")
	}
	if err := ctx.Err(); err != nil {
		return fail(engine.Transient, "%v", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now()
	if e.closed {
		return engine.PolicyRef{}, closedError(op)
	}
	if e.core.Down(now) {
		return fail(engine.Transient, "%v", errFailed)
	}
	if old, ok := e.policies[a.Policy.ID]; ok {
		if old.Policy != a.Policy || old.Digest != a.Digest || old.Path != a.Path || old.Kind != a.Kind {
			return fail(engine.User, "other weights (step %d) are live under this id; a policy is immutable, publish under a new one", old.Policy.Step)
		}
		return a.Policy, nil
	}
	if len(e.policies) >= e.o.MaxPolicies {
		return fail(engine.User, "%d policies are live, which is the limit; retire one first", len(e.policies))
	}
	a.Handle = nil // weights are not kept
	e.policies[a.Policy.ID] = a
	if e.frozen < 0 && e.o.LoadSeconds > 0 {
		e.finish(e.core.Hold(now, e.o.LoadSeconds, false))
	}
	e.nudge()
	return a.Policy, nil
}

// Live lists the policies, by step and id.
func (e *Engine) Live(context.Context) ([]engine.PolicyRef, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, closedError("live")
	}
	if e.core.Down(e.now()) {
		return nil, &engine.Error{Class: engine.Transient, Op: "live", Err: errFailed}
	}
	refs := make([]engine.PolicyRef, 0, len(e.policies))
	for _, p := range e.policies {
		refs = append(refs, p.Policy)
	}
	slices.SortFunc(refs, func(a, b engine.PolicyRef) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.ID, b.ID))
	})
	return refs, nil
}

// Retire ends a policy; running calls finish on it.
func (e *Engine) Retire(_ context.Context, p engine.PolicyRef) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.policies[p.ID]; !ok {
		return goneError(fmt.Sprintf("retire %q", p.ID), p)
	}
	delete(e.policies, p.ID)
	return nil
}

func goneError(op string, p engine.PolicyRef) error {
	return &engine.Error{Class: engine.PolicyGone, Op: op, Msg: fmt.Sprintf("policy %q is not live; publish it first", p.ID)}
}

// Pause lets running calls end, aborts them, or stops time for them; new ones wait for Resume.
func (e *Engine) Pause(ctx context.Context, m engine.FenceMode) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return closedError("pause")
	}
	if e.paused == nil {
		e.paused = make(chan struct{})
	}
	switch m {
	case engine.FenceAbort:
		for c := range e.open {
			e.abort(c, errFenced)
		}
	case engine.FenceFreeze:
		if e.frozen < 0 {
			now := e.now()
			e.finish(e.core.Advance(now))
			e.frozen = now
		}
	default:
		for len(e.open) > 0 {
			quiet := e.quiet
			e.mu.Unlock()
			select {
			case <-quiet:
				e.mu.Lock()
			case <-ctx.Done():
				e.mu.Lock()
				return &engine.Error{Class: engine.Transient, Op: "pause", Msg: fmt.Sprintf("%d calls are still running", len(e.open)), Err: context.Cause(ctx)}
			}
		}
	}
	return nil
}

// Resume ends a pause.
func (e *Engine) Resume(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.frozen >= 0 {
		at := e.frozen
		e.frozen = -1
		e.finish(e.core.Hold(at, max(0, e.now()-at), false))
	}
	if e.paused != nil {
		close(e.paused)
		e.paused = nil
	}
	e.nudge()
	return nil
}

// ResetCache has nothing to empty: prefixes are not shared between calls here.
func (e *Engine) ResetCache(context.Context) error { return nil }

package local

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"pith/policies/model"
	"pith/policies/model/generate"
	"pith/rollout/engine"
)

// published is a live policy.
type published struct {
	ref    engine.PolicyRef
	policy *generate.Policy
	digest string
}

// Accepts lists the kinds of artifact that Publish takes.
func (e *Engine) Accepts() []engine.ArtifactKind {
	return []engine.ArtifactKind{engine.ArtifactMemory, engine.ArtifactModelDir}
}

// Publish makes a policy servable under its id. An in-memory artifact is a *model.Weights, which is
// copied and may change afterwards. Where the artifact has a digest, the weights must have it.
// Publishing the same weights under the same id again does nothing; other weights under a live id
// are refused, because a policy is immutable.
func (e *Engine) Publish(ctx context.Context, a engine.Artifact) (engine.PolicyRef, error) {
	op := fmt.Sprintf("publish %q", a.Policy.ID)
	user := func(format string, args ...any) (engine.PolicyRef, error) {
		return engine.PolicyRef{}, &engine.Error{Class: engine.User, Op: op, Msg: fmt.Sprintf(format, args...)}
	}
	if a.Policy.ID == "" {
		return user("the policy has no id")
	}
	if err := ctx.Err(); err != nil {
		return engine.PolicyRef{}, &engine.Error{Class: engine.Transient, Op: op, Err: err}
	}
	var w *model.Weights
	switch a.Kind {
	case engine.ArtifactMemory:
		var ok bool
		if w, ok = a.Handle.(*model.Weights); !ok || w == nil {
			return user("the handle is %T, want *model.Weights", a.Handle)
		}
	case engine.ArtifactModelDir:
		var err error
		if w, err = model.Load(a.Path); err != nil {
			return engine.PolicyRef{}, &engine.Error{Class: engine.User, Op: op, Err: err}
		}
	default:
		return engine.PolicyRef{}, &engine.Error{Class: engine.Unsupported, Op: op,
			Msg: fmt.Sprintf("artifact kind %d; the local engine takes weights in memory or a Hugging Face directory", a.Kind)}
	}
	digest := w.Digest()
	if a.Digest != "" && a.Digest != digest {
		return user("the weights have digest %s, announced was %s", digest, a.Digest)
	}
	if ref, done, err := e.admit(op, a.Policy, digest); done {
		return ref, err
	}
	p := &published{ref: a.Policy, policy: generate.Pack(w), digest: digest}
	e.mu.Lock()
	defer e.mu.Unlock()
	// Another call may have been faster.
	if ref, done, err := e.admitLocked(op, a.Policy, digest); done {
		return ref, err
	}
	e.policies[a.Policy.ID] = p
	return a.Policy, nil
}

// admit says whether publishing has been decided already: done before, or impossible.
func (e *Engine) admit(op string, ref engine.PolicyRef, digest string) (engine.PolicyRef, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.admitLocked(op, ref, digest)
}

func (e *Engine) admitLocked(op string, ref engine.PolicyRef, digest string) (engine.PolicyRef, bool, error) {
	if e.closed {
		return engine.PolicyRef{}, true, closedError(op)
	}
	if p, ok := e.policies[ref.ID]; ok {
		if p.digest != digest || p.ref != ref {
			return engine.PolicyRef{}, true, &engine.Error{Class: engine.User, Op: op,
				Msg: fmt.Sprintf("other weights (step %d, digest %.12s…) are live under this id; a policy is immutable, publish under a new one", p.ref.Step, p.digest)}
		}
		return ref, true, nil
	}
	if len(e.policies) >= e.o.MaxPolicies {
		return engine.PolicyRef{}, true, &engine.Error{Class: engine.User, Op: op,
			Msg: fmt.Sprintf("%d policies are live, which is the limit; retire one first", len(e.policies))}
	}
	return engine.PolicyRef{}, false, nil
}

// Live lists the policies that can be asked for, by step and id.
func (e *Engine) Live(context.Context) ([]engine.PolicyRef, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, closedError("live")
	}
	refs := make([]engine.PolicyRef, 0, len(e.policies))
	for _, p := range e.policies {
		refs = append(refs, p.ref)
	}
	slices.SortFunc(refs, func(a, b engine.PolicyRef) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.ID, b.ID))
	})
	return refs, nil
}

// Retire ends a policy: new calls for it are refused, running ones finish on it.
func (e *Engine) Retire(_ context.Context, ref engine.PolicyRef) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.policies[ref.ID]
	if !ok {
		return goneError(fmt.Sprintf("retire %q", ref.ID), ref)
	}
	delete(e.policies, ref.ID)
	e.retired = append(e.retired, p.policy)
	e.nudge()
	return nil
}

// find returns a live policy.
func (e *Engine) find(op string, ref engine.PolicyRef) (*published, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, closedError(op)
	}
	p, ok := e.policies[ref.ID]
	if !ok {
		return nil, goneError(op, ref)
	}
	return p, nil
}

func goneError(op string, ref engine.PolicyRef) error {
	return &engine.Error{Class: engine.PolicyGone, Op: op,
		Msg: fmt.Sprintf("policy %q is not live; publish it first", ref.ID)}
}

func closedError(op string) error {
	return &engine.Error{Class: engine.Fatal, Op: op, Msg: "the engine is closed"}
}

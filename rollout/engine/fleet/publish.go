package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"pith/rollout/engine"
)

// Accepts lists the kinds of artifact that every publisher of the fleet takes.
func (f *Fleet) Accepts() []engine.ArtifactKind {
	var out []engine.ArtifactKind
	first := true
	for _, r := range f.replicas {
		if r.Publisher == nil {
			continue
		}
		kinds := r.Publisher.Accepts()
		if first {
			out, first = slices.Clone(kinds), false
			continue
		}
		out = slices.DeleteFunc(out, func(k engine.ArtifactKind) bool { return !slices.Contains(kinds, k) })
	}
	return out
}

// Publish makes a policy servable on all replicas, or on none. A replica that cannot be reached
// does not stop the others: it is out of service until it has caught up, so whatever replica a
// request reaches has the policy. One that refuses the artifact does: it is taken back from those
// that took it.
func (f *Fleet) Publish(ctx context.Context, a engine.Artifact) (engine.PolicyRef, error) {
	f.publishing.Lock()
	defer f.publishing.Unlock()
	op := fmt.Sprintf("publish %q", a.Policy.ID)
	targets, before, err := f.targets(op, a)
	if err != nil {
		return engine.PolicyRef{}, err
	}
	errs := make([]error, len(targets))
	var wg sync.WaitGroup
	for i, r := range targets {
		wg.Go(func() { errs[i] = f.publishPatiently(ctx, r, a) })
	}
	wg.Wait()
	var took, missed []*replica
	var refusal error
	for i, r := range targets {
		class, isEngine := engine.ClassOf(errs[i])
		switch {
		case errs[i] == nil:
			took = append(took, r)
		case isEngine && (class == engine.User || class == engine.Unsupported || class == engine.Malformed):
			refusal = &engine.Error{Class: class, Op: op, Msg: "replica " + r.Name, Err: errs[i]}
		default:
			missed = append(missed, r)
		}
	}
	if refusal == nil && len(took) < f.o.Quorum {
		refusal = &engine.Error{Class: engine.Transient, Op: op, Err: errors.Join(errs...),
			Msg: fmt.Sprintf("%d of %d replicas took it, %d must", len(took), len(f.replicas), f.o.Quorum)}
	}
	if refusal != nil {
		return engine.PolicyRef{}, errors.Join(refusal, f.takeBack(ctx, took, a, before))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return engine.PolicyRef{}, closedError(op)
	}
	f.remember(a, f.inPlace())
	for _, r := range took {
		f.note(r, a)
		r.controller.Published(f.now())
	}
	for _, r := range missed {
		f.o.Log.Warn("fleet: replica missed a publish and is out until it has caught up", "replica", r.Name, "policy", a.Policy.ID)
		r.suspect = true
	}
	for _, r := range f.replicas {
		if r.Publisher != nil && !r.has[a.Policy.ID] {
			f.suspectLocked(r)
		}
	}
	f.dispatch()
	return a.Policy, nil
}

// targets are the replicas that a publish concerns: those that can be expected to take it. before
// is what the fleet serves; where the artifact is among it nothing is taken back on failure.
func (f *Fleet) targets(op string, a engine.Artifact) (targets []*replica, before []engine.Artifact, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, nil, closedError(op)
	}
	publishers := 0
	for _, r := range f.replicas {
		if r.Publisher == nil {
			continue
		}
		publishers++
		if !r.unhealthy && !r.suspect && r.caps != nil {
			targets = append(targets, r)
		}
	}
	if publishers == 0 {
		return nil, nil, &engine.Error{Class: engine.Unsupported, Op: op, Msg: "no replica can be published to"}
	}
	if len(targets) == 0 { // all are in trouble: ask them all the same
		for _, r := range f.replicas {
			if r.Publisher != nil {
				targets = append(targets, r)
			}
		}
	}
	return targets, slices.Clone(f.published), nil
}

// publishPatiently tries a few times where the trouble may pass.
func (f *Fleet) publishPatiently(ctx context.Context, r *replica, a engine.Artifact) error {
	const tries = 3
	for try := 1; ; try++ {
		err := f.publishOn(ctx, r, a)
		class, ok := engine.ClassOf(err)
		if err == nil || try == tries || !ok || (class != engine.Transient && class != engine.Busy) || !f.pause(ctx, r.Name+a.Policy.ID, try, err) {
			return err
		}
	}
}

// publishOn publishes on one replica. Engines whose weights change in place fence themselves.
func (f *Fleet) publishOn(ctx context.Context, r *replica, a engine.Artifact) error {
	ctx, cancel := context.WithTimeout(ctx, f.o.PublishTimeout)
	defer cancel()
	ref, err := r.Publisher.Publish(ctx, a)
	if err == nil && ref != a.Policy {
		return &engine.Error{Class: engine.Malformed, Op: fmt.Sprintf("publish %q", a.Policy.ID), Msg: fmt.Sprintf("the replica calls it %q of step %d", ref.ID, ref.Step)}
	}
	return err
}

// takeBack undoes a publish on the replicas that took it.
func (f *Fleet) takeBack(ctx context.Context, took []*replica, a engine.Artifact, before []engine.Artifact) error {
	if slices.ContainsFunc(before, func(b engine.Artifact) bool { return b.Policy == a.Policy }) {
		return nil // it was live already
	}
	ctx = context.WithoutCancel(ctx)
	f.mu.Lock()
	inPlace := f.inPlace()
	f.mu.Unlock()
	errs := make([]error, len(took))
	var wg sync.WaitGroup
	for i, r := range took {
		wg.Go(func() {
			if inPlace && len(before) > 0 {
				errs[i] = f.publishOn(ctx, r, before[len(before)-1])
			} else {
				errs[i] = r.Publisher.Retire(ctx, a.Policy)
			}
		})
	}
	wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, r := range took {
		if errs[i] != nil {
			f.suspectLocked(r)
			errs[i] = fmt.Errorf("take policy %s back from replica %s: %w", a.Policy.ID, r.Name, errs[i])
		}
	}
	return errors.Join(errs...)
}

// inPlace says that publishing replaces the one policy that an engine serves.
func (f *Fleet) inPlace() bool {
	return slices.ContainsFunc(f.replicas, func(r *replica) bool { return r.caps != nil && r.caps.ConcurrentPolicy == 1 })
}

// remember notes what the fleet serves from now on.
func (f *Fleet) remember(a engine.Artifact, inPlace bool) {
	if inPlace {
		f.published = f.published[:0]
	}
	if i := f.known(a.Policy.ID); i >= 0 {
		f.published[i] = a
		return
	}
	f.published = append(f.published, a)
}

// note says that a replica serves an artifact.
func (f *Fleet) note(r *replica, a engine.Artifact) {
	if r.caps != nil && r.caps.ConcurrentPolicy == 1 {
		clear(r.has)
	}
	r.has[a.Policy.ID] = true
}

// Live lists the policies that every replica in service has, as the replicas themselves say.
func (f *Fleet) Live(ctx context.Context) ([]engine.PolicyRef, error) {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, closedError("live")
	}
	var asked []*replica
	for _, r := range f.replicas {
		if r.Publisher != nil && r.caps != nil && !r.unhealthy && !r.suspect {
			asked = append(asked, r)
		}
	}
	f.mu.Unlock()
	if len(asked) == 0 {
		return nil, &engine.Error{Class: engine.Transient, Op: "live", Msg: "no replica that can be published to is in service"}
	}
	all := make([][]engine.PolicyRef, len(asked))
	errs := make([]error, len(asked))
	var wg sync.WaitGroup
	for i, r := range asked {
		wg.Go(func() { all[i], errs[i] = r.Publisher.Live(ctx) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all[0], func(p engine.PolicyRef) bool {
		return slices.ContainsFunc(all[1:], func(other []engine.PolicyRef) bool { return !slices.Contains(other, p) })
	}), nil
}

// Retire ends a policy everywhere. A replica that does not have it, or that is away, is no error: it
// is not brought back there.
func (f *Fleet) Retire(ctx context.Context, p engine.PolicyRef) error {
	f.publishing.Lock()
	defer f.publishing.Unlock()
	op := fmt.Sprintf("retire %q", p.ID)
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return closedError(op)
	}
	f.published = slices.DeleteFunc(f.published, func(a engine.Artifact) bool { return a.Policy.ID == p.ID })
	var on []*replica
	for _, r := range f.replicas {
		delete(r.has, p.ID)
		if r.Publisher != nil {
			on = append(on, r)
		}
	}
	f.mu.Unlock()
	errs := make([]error, len(on))
	var wg sync.WaitGroup
	for i, r := range on {
		wg.Go(func() { errs[i] = r.Publisher.Retire(ctx, p) })
	}
	wg.Wait()
	gone, missing := 0, 0
	var other error
	for i, r := range on {
		class, ok := engine.ClassOf(errs[i])
		switch {
		case errs[i] == nil:
			gone++
		case ok && class == engine.PolicyGone:
			missing++
		default:
			other = errors.Join(other, errs[i])
			f.o.Log.Warn("fleet: policy not retired", "replica", r.Name, "policy", p.ID, "err", errs[i])
		}
	}
	if gone > 0 || other == nil && missing == 0 {
		return nil
	}
	if missing > 0 && other == nil {
		return &engine.Error{Class: engine.PolicyGone, Op: op, Msg: "no replica serves it"}
	}
	return other
}

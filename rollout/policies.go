package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"pith/rollout/engine"
	"pith/rollout/stream"
)

// keepLoaded is how many policies stay loaded that no task uses: the newest, and the one before
// it, which evaluations may still want.
const keepLoaded = 2

// policies knows what has been announced and keeps the engine supplied with what tasks want.
type policies struct {
	w       *Worker
	mu      sync.Mutex
	known   []stream.Policy // in the order of announcement
	loaded  []*loaded       // in the order of loading
	changed chan struct{}   // closed and replaced at every announcement

	loading chan struct{} // holds a token: one load at a time
}

// loaded is a policy that the engine serves.
type loaded struct {
	ref    engine.PolicyRef
	digest string
	users  int
}

func newPolicies(w *Worker) *policies {
	return &policies{w: w, changed: make(chan struct{}), loading: make(chan struct{}, 1)}
}

// follow notes announcements as they come.
func (p *policies) follow(ctx context.Context) error {
	return p.w.Queue.Policies(ctx, func(a stream.Policy) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		// A resumed run announces a policy again.
		p.known = slices.DeleteFunc(p.known, func(k stream.Policy) bool { return k.Ref.ID == a.Ref.ID })
		p.known = append(p.known, a)
		close(p.changed)
		p.changed = make(chan struct{})
		return nil
	})
}

// goneError says that a task wants a policy that is no longer announced.
type goneError struct{ want engine.PolicyRef }

func (e *goneError) Error() string {
	return fmt.Sprintf("policy %s (step %d) is gone: newer ones have replaced it", e.want.ID, e.want.Step)
}

// await returns a policy that the task accepts, ready to be sampled from until release is called.
func (p *policies) await(ctx context.Context, t *Task) (ref engine.PolicyRef, release func(), err error) {
	slow := time.NewTicker(30 * time.Second)
	defer slow.Stop()
	for {
		p.mu.Lock()
		chosen, ok, gone := choose(p.known, t)
		changed := p.changed
		p.mu.Unlock()
		if gone {
			return ref, nil, &goneError{t.Policy}
		}
		if ok {
			release, err := p.use(ctx, chosen)
			return chosen.Ref, release, err
		}
		select {
		case <-ctx.Done():
			return ref, nil, fmt.Errorf("waiting for policy %s of step %d: %w", t.Policy.ID, t.Policy.Step, ctx.Err())
		case <-slow.C:
			p.w.Log.Warn("worker: still waiting for a policy", "task", t.ID(), "policy", t.Policy.ID, "step", t.Policy.Step)
		case <-changed:
		}
	}
}

// choose picks the newest known policy that t accepts. gone says that there will never be one.
func choose(known []stream.Policy, t *Task) (best stream.Policy, ok, gone bool) {
	newest := int64(-1)
	for _, k := range known {
		newest = max(newest, k.Ref.Step)
		if t.Exact {
			if k.Ref == t.Policy {
				return k, true, false
			}
		} else if k.Ref.Step >= t.Policy.Step && (!ok || k.Ref.Step >= best.Ref.Step) {
			best, ok = k, true
		}
	}
	return best, ok, t.Exact && newest > t.Policy.Step
}

// use makes sure that the engine serves a policy, and holds it there.
func (p *policies) use(ctx context.Context, a stream.Policy) (release func(), err error) {
	if p.w.Load == nil {
		return func() {}, nil
	}
	select {
	case p.loading <- struct{}{}:
		defer func() { <-p.loading }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to load policy %s: %w", a.Ref.ID, ctx.Err())
	}
	l, err := p.hold(a)
	if err != nil {
		return nil, err
	}
	if l == nil {
		weights, err := p.w.Queue.Weights(ctx, a)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := p.w.Load(ctx, a.Ref, weights); err != nil {
			return nil, &brokenError{fmt.Errorf("load policy %s: %w", a.Ref.ID, err)}
		}
		p.w.Log.Info("worker: policy loaded", "policy", a.Ref.ID, "bytes", len(weights), "took", time.Since(began))
		l = &loaded{ref: a.Ref, digest: a.Digest, users: 1}
		p.mu.Lock()
		p.loaded = append(p.loaded, l)
		p.mu.Unlock()
		p.unload(ctx)
	}
	return func() {
		p.mu.Lock()
		l.users--
		p.mu.Unlock()
	}, nil
}

// hold takes a policy that is loaded; nil where it is not.
func (p *policies) hold(a stream.Policy) (*loaded, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.loaded {
		if l.ref != a.Ref {
			continue
		}
		if l.digest != a.Digest {
			return nil, &brokenError{fmt.Errorf("policy %s was loaded as %.12s and is announced as %.12s: an id names one set of weights; start the worker anew", a.Ref.ID, l.digest, a.Digest)}
		}
		l.users++
		return l, nil
	}
	return nil, nil
}

// unload ends the oldest policies that nobody uses. The caller holds loading.
func (p *policies) unload(ctx context.Context) {
	p.mu.Lock()
	var old []*loaded
	excess := len(p.loaded) - keepLoaded
	p.loaded = slices.DeleteFunc(p.loaded, func(l *loaded) bool {
		if excess > 0 && l.users == 0 {
			excess--
			old = append(old, l)
			return true
		}
		return false
	})
	p.mu.Unlock()
	for _, l := range old {
		if p.w.Unload == nil {
			continue
		}
		if err := p.w.Unload(ctx, l.ref); err != nil {
			p.w.Log.Warn("worker: policy not unloaded", "policy", l.ref.ID, "err", err)
		}
	}
}

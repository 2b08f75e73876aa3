package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"pith/rollout/engine"
)

// Pause holds new requests back in the fleet and fences the replicas. Replicas without a fence of
// their own are drained, or have their calls taken off and held here; what they run cannot be
// frozen.
func (f *Fleet) Pause(ctx context.Context, m engine.FenceMode) error {
	f.publishing.Lock()
	defer f.publishing.Unlock()
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return closedError("pause")
	}
	f.held = true
	if m == engine.FenceAbort {
		for _, r := range f.replicas {
			if r.Fencer == nil {
				f.takeOff(r, r.inFlight)
			}
		}
	}
	f.mu.Unlock()
	err := f.fence(func(r *replica) error {
		switch {
		case r.Fencer != nil:
			return r.Fencer.Pause(ctx, m)
		case m == engine.FenceFreeze:
			return &engine.Error{Class: engine.Unsupported, Op: "pause", Msg: fmt.Sprintf("replica %s cannot keep running requests; drain or abort", r.Name)}
		}
		return f.drained(ctx, func() int { return r.inFlight })
	})
	if err != nil {
		return errors.Join(err, f.resume(context.WithoutCancel(ctx)))
	}
	return nil
}

// Resume ends a pause.
func (f *Fleet) Resume(ctx context.Context) error {
	f.publishing.Lock()
	defer f.publishing.Unlock()
	return f.resume(ctx)
}

func (f *Fleet) resume(ctx context.Context) error {
	err := f.fence(func(r *replica) error {
		if r.Fencer == nil {
			return nil
		}
		return r.Fencer.Resume(ctx)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = false
	f.dispatch()
	return err
}

// ResetCache empties the prefix caches of the replicas that can.
func (f *Fleet) ResetCache(ctx context.Context) error {
	return f.fence(func(r *replica) error {
		if r.Fencer == nil {
			return nil
		}
		return r.Fencer.ResetCache(ctx)
	})
}

// fence does something to every replica at the same time.
func (f *Fleet) fence(do func(*replica) error) error {
	errs := make([]error, len(f.replicas))
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		wg.Go(func() {
			if err := do(r); err != nil {
				errs[i] = fmt.Errorf("replica %s: %w", r.Name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// drained waits until a count, read under the lock, is 0.
func (f *Fleet) drained(ctx context.Context, left func() int) error {
	for {
		f.mu.Lock()
		n, changed := left(), f.changed
		f.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return &engine.Error{Class: engine.Transient, Op: "drain", Msg: fmt.Sprintf("%d sequences are still running", n), Err: context.Cause(ctx)}
		}
	}
}

// Drain sends nothing new to a replica and waits until what it runs has ended, so that it can be
// taken down. It stays out until [Fleet.Restore].
func (f *Fleet) Drain(ctx context.Context, name string) error {
	r, err := f.find(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	r.draining = true
	f.mu.Unlock()
	return f.drained(ctx, func() int { return r.inFlight })
}

// Restore takes a drained replica back in, once it has what was published meanwhile.
func (f *Fleet) Restore(name string) error {
	r, err := f.find(name)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.draining = false
	f.suspectLocked(r)
	f.dispatch()
	return nil
}

// Stats is one snapshot per replica, asked now. A replica that does not answer is not healthy; one
// without metrics is described by what the fleet knows.
func (f *Fleet) Stats(ctx context.Context) ([]engine.Stats, error) {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return nil, closedError("stats")
	}
	out := make([]engine.Stats, len(f.replicas))
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		wg.Go(func() { out[i] = f.stats(ctx, r) })
	}
	wg.Wait()
	return out, nil
}

func (f *Fleet) stats(ctx context.Context, r *replica) engine.Stats {
	out := engine.Stats{Healthy: true, Raw: map[string]float64{}}
	observed := false
	if r.Observer != nil {
		ctx, cancel := context.WithTimeout(ctx, f.o.ReadTimeout)
		defer cancel()
		all, err := r.Observer.Stats(ctx)
		class, ok := engine.ClassOf(err)
		observed = err == nil
		out.Healthy = err == nil || ok && class == engine.Unsupported
		for _, s := range all {
			out.Healthy = out.Healthy && s.Healthy
			out.Running, out.Waiting = out.Running+s.Running, out.Waiting+s.Waiting
			out.CacheUse = max(out.CacheUse, s.CacheUse)
			out.PromptTokens, out.OutputTokens = out.PromptTokens+s.PromptTokens, out.OutputTokens+s.OutputTokens
			out.Idle = max(out.Idle, s.Idle)
			for k, v := range s.Raw {
				out.Raw[k] += v
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !observed {
		out.Running = r.inFlight
	}
	if r.unhealthy {
		out.Healthy = false
	}
	out.Raw["fleet_in_flight"], out.Raw["fleet_limit"] = float64(r.inFlight), float64(r.controller.Limit())
	return out
}

package fleet

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pith/rollout/engine"
)

// watch looks after one replica until the fleet closes: reads its metrics, adapts its limit, and
// brings it up to date where it has missed a publish.
func (f *Fleet) watch(r *replica) {
	ctx := f.life
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-r.nudge:
		}
		f.mu.Lock()
		unknown := r.caps == nil
		f.mu.Unlock()
		if unknown {
			if err := f.readCaps(ctx, r); err != nil && ctx.Err() == nil {
				f.o.Log.Debug("fleet: replica does not answer", "replica", r.Name, "err", err)
			}
		}
		f.read(ctx, r)
		f.catchUp(ctx, r)
		// A little apart from the others, so that they are not read in step.
		t.Reset(f.o.Poll - time.Duration(float64(f.o.Poll/10)*jitter(r.Name, int(f.now()/f.o.Poll))))
	}
}

// read takes a reading and applies what the controller makes of it.
func (f *Fleet) read(ctx context.Context, r *replica) {
	if r.Observer == nil {
		f.mu.Lock()
		f.dispatch()
		f.mu.Unlock()
		return
	}
	readCtx, cancel := context.WithTimeout(ctx, f.o.ReadTimeout)
	stats, err := r.Observer.Stats(readCtx)
	cancel()
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.dispatch()
	if class, ok := engine.ClassOf(err); err != nil && ok && class == engine.Unsupported {
		if !r.unobserved {
			f.o.Log.Warn("fleet: replica has no metrics; its limit stays as it is", "replica", r.Name, "limit", r.controller.Limit(), "err", err)
		}
		r.unobserved = true
		return
	}
	if err != nil || len(stats) == 0 || !healthy(stats) {
		f.unread(r, err)
		return
	}
	if r.unhealthy {
		f.o.Log.Info("fleet: replica is back", "replica", r.Name)
		f.suspectLocked(r)
	}
	r.missed, r.unhealthy = 0, false
	d := r.controller.Observe(reading(stats, r, f.now()))
	r.heldBack = false
	if d.Reason != "" {
		f.o.Log.Debug("fleet: limit changed", "replica", r.Name, "limit", d.Limit, "why", d.Reason)
	}
	f.takeOff(r, d.Cancel)
}

// unread notes a reading that failed or speaks of ill health.
func (f *Fleet) unread(r *replica, err error) {
	r.missed++
	if err == nil {
		r.missed = f.o.Missed
		err = errors.New("it says so itself")
	}
	if r.missed >= f.o.Missed && !r.unhealthy {
		r.unhealthy, r.reason = true, err.Error()
		f.o.Log.Warn("fleet: replica is unhealthy", "replica", r.Name, "err", err)
		f.suspectLocked(r)
	}
}

func healthy(stats []engine.Stats) bool {
	return !slices.ContainsFunc(stats, func(s engine.Stats) bool { return !s.Healthy })
}

// reading sums the engines behind one replica; the fullest cache counts.
func reading(stats []engine.Stats, r *replica, at time.Duration) Reading {
	out := Reading{At: at, InFlight: r.inFlight, Ended: r.ended, HeldBack: r.heldBack}
	for _, s := range stats {
		out.CacheUse = max(out.CacheUse, s.CacheUse)
		out.Waiting += s.Waiting
		for k, v := range s.Raw {
			if strings.Contains(k, "preempt") {
				out.Preemptions += int64(v)
			}
		}
	}
	return out
}

// takeOff cancels the youngest calls of a replica until n sequences are off it, where they go on
// elsewhere as the same samples.
func (f *Fleet) takeOff(r *replica, n int) {
	if n <= 0 || r.caps == nil || !(r.caps.Seeded || r.caps.PartialOnAbort) {
		return
	}
	young := make([]*attempt, 0, len(r.calls))
	for a := range r.calls {
		young = append(young, a)
	}
	slices.SortFunc(young, func(a, b *attempt) int { return cmp.Compare(b.order, a.order) })
	for _, a := range young {
		if a.n > n {
			break
		}
		n -= a.n
		a.cancel(errMoved)
	}
}

// catchUp publishes what the replica lacks, in the order of publishing, and lets it back in.
func (f *Fleet) catchUp(ctx context.Context, r *replica) {
	f.mu.Lock()
	suspect := r.suspect
	f.mu.Unlock()
	if !suspect {
		return
	}
	if err := f.compare(ctx, r); err != nil {
		return // not up yet
	}
	for {
		f.mu.Lock()
		i := slices.IndexFunc(f.published, func(a engine.Artifact) bool { return !r.has[a.Policy.ID] })
		if i < 0 {
			r.suspect = false
			f.dispatch()
			f.mu.Unlock()
			return
		}
		a := f.published[i]
		f.mu.Unlock()
		err := f.publishOn(ctx, r, a)
		if err != nil {
			f.o.Log.Warn("fleet: replica has not caught up", "replica", r.Name, "policy", a.Policy.ID, "err", err)
			return
		}
		f.o.Log.Info("fleet: replica has caught up", "replica", r.Name, "policy", a.Policy.ID)
		f.mu.Lock()
		f.note(r, a)
		f.mu.Unlock()
	}
}

// compare asks a replica which policies it serves.
func (f *Fleet) compare(ctx context.Context, r *replica) error {
	ctx, cancel := context.WithTimeout(ctx, f.o.ReadTimeout)
	defer cancel()
	live, err := r.Publisher.Live(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.has = map[string]bool{}
	for _, p := range live {
		r.has[p.ID] = true
	}
	return nil
}

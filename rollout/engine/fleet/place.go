package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pith/rollout/engine"
)

// waiter is a call that wants room on a replica.
type waiter struct {
	n       int // sequences
	key     uint64
	policy  string
	avoid   *replica // where another would do
	since   time.Duration
	granted chan struct{}
	on      *replica // set before granted is closed
	err     error    // likewise
}

// attempt is a call on a replica.
type attempt struct {
	n      int
	order  int64 // larger = younger
	cancel context.CancelCauseFunc
}

// place waits until a replica takes n sequences, and books them there.
func (f *Fleet) place(ctx context.Context, op string, w *waiter) (*replica, error) {
	w.granted = make(chan struct{})
	w.since = f.now()
	f.mu.Lock()
	if len(f.waiting) >= f.o.MaxWaiting {
		f.account.Refused++
		f.mu.Unlock()
		return nil, &engine.Error{Class: engine.Busy, Op: op, Wait: time.Second,
			Msg: fmt.Sprintf("%d calls wait for room in the fleet already", f.o.MaxWaiting)}
	}
	f.waiting = append(f.waiting, w)
	f.dispatch()
	f.mu.Unlock()
	select {
	case <-w.granted:
	case <-ctx.Done():
		f.mu.Lock()
		if i := slices.Index(f.waiting, w); i >= 0 {
			f.waiting = slices.Delete(f.waiting, i, i+1)
			f.dispatch() // it may have been the first, and in the way
			f.mu.Unlock()
			return nil, &engine.Error{Class: engine.Transient, Op: op, Msg: "waiting for room in the fleet", Err: context.Cause(ctx)}
		}
		f.mu.Unlock() // granted at the same moment: the caller books out
	}
	if e, ok := errors.AsType[*engine.Error](w.err); ok {
		e.Op = op
	}
	return w.on, w.err
}

// dispatch lets waiting calls go, in their order, as far as there is room. It is called, with mu
// held, whenever something has changed.
func (f *Fleet) dispatch() {
	at := f.now()
	for len(f.waiting) > 0 {
		w := f.waiting[0]
		switch {
		case f.closed:
			w.err = closedError("")
		case f.held:
			return
		default:
			r := f.pick(w, at)
			switch {
			case r == nil && at-w.since > f.o.Patience && !f.anyReady(at):
				w.err = &engine.Error{Class: engine.Busy, Wait: time.Second, Msg: fmt.Sprintf("no replica has been ready for %v: %s", f.o.Patience, f.troubles())}
			case r == nil:
				return
			default:
				w.on = r
				r.breaker.Begin()
				r.inFlight += w.n
				f.inFlight += w.n
			}
		}
		f.waiting[0] = nil
		f.waiting = f.waiting[1:]
		close(w.granted)
	}
}

// pick chooses a replica for a call, or nil while none has room.
func (f *Fleet) pick(w *waiter, at time.Duration) *replica {
	var few [16]candidate
	all := few[:0]
	not := -1
	for i, r := range f.replicas {
		c := candidate{name: r.Name, inFlight: r.inFlight, limit: r.controller.Limit()}
		c.ready = f.ready(r, at) && !f.lacks(r, w.policy)
		if r == w.avoid {
			not = i
		}
		all = append(all, c)
	}
	i := choose(all, w.key, w.n, not)
	if i >= 0 {
		return f.replicas[i]
	}
	for k, c := range all {
		if c.ready {
			f.replicas[k].heldBack = true
		}
	}
	return nil
}

// ready says whether a replica may be asked at all.
func (f *Fleet) ready(r *replica, at time.Duration) bool {
	return r.caps != nil && !r.unhealthy && !r.draining && !r.suspect && at >= r.pausedTill && r.breaker.Ready(at)
}

func (f *Fleet) anyReady(at time.Duration) bool {
	return slices.ContainsFunc(f.replicas, func(r *replica) bool { return f.ready(r, at) })
}

// lacks says that the fleet published a policy which the replica does not have.
func (f *Fleet) lacks(r *replica, policy string) bool {
	return r.Publisher != nil && f.known(policy) >= 0 && !r.has[policy]
}

// known is the index of a policy among those published here, or -1.
func (f *Fleet) known(policy string) int {
	return slices.IndexFunc(f.published, func(a engine.Artifact) bool { return a.Policy.ID == policy })
}

// troubles says for each replica why it is not ready.
func (f *Fleet) troubles() string {
	at := f.now()
	out := ""
	for _, r := range f.replicas {
		why := "ready"
		switch {
		case r.caps == nil:
			why = "has not answered yet"
		case r.unhealthy:
			why = "unhealthy: " + r.reason
		case r.draining:
			why = "draining"
		case r.suspect:
			why = "catching up with what was published"
		case at < r.pausedTill:
			why = "busy"
		case r.breaker.Open():
			why = "calls fail"
		}
		out += fmt.Sprintf("%s %s; ", r.Name, why)
	}
	return out
}

// begin books an attempt in, so that it can be cancelled from here.
func (f *Fleet) begin(ctx context.Context, r *replica, n int) (context.Context, *attempt) {
	ctx, cancel := context.WithCancelCause(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	r.order++
	a := &attempt{n: n, order: r.order, cancel: cancel}
	r.calls[a] = struct{}{}
	return ctx, a
}

// end books an attempt out and tells the breaker how it went.
func (f *Fleet) end(r *replica, a *attempt, o outcome) {
	a.cancel(nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(r.calls, a)
	r.inFlight -= a.n
	f.inFlight -= a.n
	r.ended += int64(a.n)
	at := f.now()
	opened := r.breaker.Open()
	switch o.kind {
	case answered:
		r.breaker.Succeeded()
		r.missed, r.unhealthy = 0, false
	case abandoned:
		r.breaker.Abandoned()
	case failed:
		r.breaker.Failed(at, jitter(r.Name, int(r.ended)))
	case hopeless:
		r.breaker.Trip(at, jitter(r.Name, int(r.ended)))
	}
	if r.breaker.Open() && !opened {
		f.o.Log.Warn("fleet: replica is not asked for a while", "replica", r.Name, "err", o.err)
		f.suspectLocked(r)
	}
	if wait := r.breaker.wait(at); wait > 0 {
		f.later(wait)
	}
	if o.wait > 0 {
		r.pausedTill = max(r.pausedTill, at+o.wait)
		f.later(o.wait)
	}
	close(f.changed)
	f.changed = make(chan struct{})
	f.dispatch()
}

// later looks at the queue again after a while.
func (f *Fleet) later(d time.Duration) {
	time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.dispatch()
	})
}

// suspectLocked has the replica's policies looked at before it is used again.
func (f *Fleet) suspectLocked(r *replica) {
	if r.Publisher == nil || len(f.published) == 0 {
		return
	}
	r.suspect = true
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

// outcome is how an attempt went, as the replica's record has it.
type outcome struct {
	kind outcomeKind
	wait time.Duration // it asked to be left alone
	err  error
}

type outcomeKind uint8

const (
	answered  outcomeKind = iota // with whatever answer
	abandoned                    // by us
	failed
	hopeless // no other call would fare better
)

// judge says what an attempt's error tells about the replica.
func judge(err error, ours bool) outcome {
	class, ok := engine.ClassOf(err)
	switch {
	case err == nil:
		return outcome{kind: answered}
	case ours:
		return outcome{kind: abandoned, err: err}
	case !ok:
		return outcome{kind: failed, err: err}
	case class == engine.Fatal:
		return outcome{kind: hopeless, err: err}
	case class == engine.Busy:
		return outcome{kind: answered, wait: max(asked(err), 50*time.Millisecond), err: err}
	case blames(err):
		return outcome{kind: failed, err: err}
	}
	return outcome{kind: answered, err: err}
}

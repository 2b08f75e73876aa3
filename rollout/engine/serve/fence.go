package serve

import (
	"context"
	"net/http"
	"slices"

	"pith/rollout/engine"
)

// admit reserves room for n sequences, or refuses.
func (s *Server) admit(n int) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.draining:
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "the server is shutting down"}
	case n > s.o.MaxSequences:
		return nil, badf("n", "%d samples in one request, at most %d are served at a time", n, s.o.MaxSequences)
	case s.admitted+n > s.o.MaxSequences:
		return nil, &problem{status: http.StatusTooManyRequests, msg: "too many sequences are waiting; send the request again later"}
	}
	if s.admitted == 0 {
		s.empty = make(chan struct{})
	}
	s.admitted += n
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.admitted -= n; s.admitted == 0 {
			close(s.empty)
		}
	}, nil
}

// enter waits while the server is paused, holds the policy that the name means, and makes the attempt
// known to the control calls.
func (s *Server) enter(ctx context.Context, model string, r *running) (p *policy, actx context.Context, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.paused && r.ended == nil && !s.draining {
		s.waitLocked(ctx, r)
		if ctx.Err() != nil {
			return nil, nil, nil, context.Cause(ctx)
		}
	}
	if r.ended == nil && (s.cut || s.paused) { // no resume will come any more
		r.ended = errGone
	}
	if p, err = s.findLocked(model); err != nil {
		return nil, nil, nil, err
	}
	actx, cancel := context.WithCancelCause(ctx)
	if r.ended != nil {
		cancel(r.ended)
	}
	r.cancel = cancel
	p.users++
	if len(s.running) == 0 {
		s.idle = make(chan struct{})
	}
	s.running[r] = struct{}{}
	return p, actx, func() {
		cancel(nil)
		s.mu.Lock()
		r.cancel = nil
		delete(s.running, r)
		if len(s.running) == 0 {
			close(s.idle)
		}
		retire := s.releaseLocked(p)
		s.mu.Unlock()
		s.retire(retire)
	}, nil
}

// waitLocked waits for a resume, the end of the request, or a word from a control call. It gives the
// lock up meanwhile.
func (s *Server) waitLocked(ctx context.Context, r *running) {
	resumed, wake := s.resumed, make(chan struct{})
	r.wake = wake
	s.waiting[r] = struct{}{}
	s.mu.Unlock()
	select {
	case <-resumed:
	case <-wake:
	case <-ctx.Done():
	}
	s.mu.Lock()
	r.wake = nil
	delete(s.waiting, r)
}

// Pause stops requests from being begun and deals with those that run as m says: it waits for them,
// ends them with what they have, or freezes them until Resume, after which they continue on the
// weights that their name then means.
func (s *Server) Pause(ctx context.Context, m engine.FenceMode) error {
	s.mu.Lock()
	if !s.paused {
		s.paused, s.resumed = true, make(chan struct{})
	}
	for r := range s.running {
		switch m {
		case engine.FenceAbort:
			r.end(errAborted)
		case engine.FenceFreeze:
			if r.cancel != nil {
				r.cancel(errFrozen)
			}
		}
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end lets no further attempt begin. The server's lock is held.
func (r *running) end(cause error) {
	if r.ended != nil {
		return
	}
	r.ended = cause
	if r.cancel != nil {
		r.cancel(cause)
	}
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

// Resume undoes Pause.
func (s *Server) Resume(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused {
		s.paused = false
		close(s.resumed)
	}
	return nil
}

// isPaused says whether requests are held back.
func (s *Server) isPaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// abort ends the requests with one of the ids, or all, with what they have. It returns how many.
func (s *Server) abort(all bool, ids ...string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endLocked(errAborted, func(r *running) bool { return all || slices.Contains(ids, r.id) })
}

// endLocked ends the requests that are chosen, running or held back.
func (s *Server) endLocked(cause error, chosen func(*running) bool) int {
	n := 0
	for _, set := range []map[*running]struct{}{s.running, s.waiting} {
		for r := range set {
			if chosen(r) {
				r.end(cause)
				n++
			}
		}
	}
	return n
}

// Drain refuses new requests and waits for those under way; where ctx ends first, they are ended.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	s.draining = true
	if s.paused { // what is held back will see no resume
		s.endLocked(errGone, func(r *running) bool { return r.wake != nil })
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.cut = true
	s.endLocked(errGone, func(*running) bool { return true })
	s.mu.Unlock()
	<-empty
	return context.Cause(ctx)
}

// Close ends the requests under way with an error and refuses new ones. The engine stays.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Drain(ctx) // it says that it was cut short
	return nil
}

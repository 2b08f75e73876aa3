package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pith/rollout/engine"
)

// Replica is one engine of a fleet. Only Name and Sampler must be set. Where Publisher is nil the
// engine serves what it serves; where Observer is nil its limit stays at Controller.Start.
type Replica struct {
	Name      string // unique; what results call it
	Sampler   engine.Sampler
	Publisher engine.Publisher
	Fencer    engine.Fencer
	Observer  engine.Observer
}

// Options tune a fleet. The zero value is the default.
type Options struct {
	Controller ControllerOptions // of each replica
	Breaker    BreakerOptions    // of each replica
	// Poll is how often metrics are read and absent replicas are looked after. Default 1 s.
	Poll time.Duration
	// ReadTimeout bounds one reading of metrics or capabilities; Missed readings in a row take a
	// replica out until one succeeds or a call does. Defaults 5 s and 3.
	ReadTimeout time.Duration
	Missed      int
	// CallTimeout bounds one attempt on one replica, for servers that hang. Default 0: none.
	CallTimeout time.Duration
	// Attempts bounds how often one request is sent. Default 8.
	Attempts int
	// First and Longest bound the pause before an attempt is repeated, which doubles and is jittered
	// by the request's id. Defaults 100 ms and 10 s.
	First, Longest time.Duration
	// MaxWaiting is how many calls may wait for room before others are answered with Busy; Patience
	// is how long one may wait while no replica is ready. Defaults 65536 and 1 minute.
	MaxWaiting int
	Patience   time.Duration
	// Quorum is how many replicas must take a publish; the others are out until they have caught up.
	// Default 1.
	Quorum int
	// PublishTimeout bounds one publish on one replica. Default 15 minutes.
	PublishTimeout time.Duration
	Log            *slog.Logger // nil = none
}

func (o Options) withDefaults() Options {
	o.Controller, o.Breaker = o.Controller.withDefaults(), o.Breaker.withDefaults()
	o.Poll = cmp.Or(o.Poll, time.Second)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, 5*time.Second)
	o.Missed = cmp.Or(o.Missed, 3)
	o.Attempts = cmp.Or(o.Attempts, 8)
	o.First = cmp.Or(o.First, 100*time.Millisecond)
	o.Longest = max(cmp.Or(o.Longest, 10*time.Second), o.First)
	o.MaxWaiting = cmp.Or(o.MaxWaiting, 1<<16)
	o.Patience = cmp.Or(o.Patience, time.Minute)
	o.Quorum = max(o.Quorum, 1)
	o.PublishTimeout = cmp.Or(o.PublishTimeout, 15*time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Fleet is several replicas as one engine. It is safe for concurrent use. Close it.
type Fleet struct {
	o        Options
	start    time.Time
	replicas []*replica

	publishing sync.Mutex // one Publish, Retire, Pause or Resume at a time

	mu        sync.Mutex
	waiting   []*waiter // first come, first served
	published []engine.Artifact
	held      bool // paused: nothing is dispatched
	closed    bool
	account   Account
	inFlight  int           // sequences on replicas
	changed   chan struct{} // closed and replaced whenever a sequence ends

	life   context.Context
	stop   context.CancelCauseFunc
	loops  sync.WaitGroup
	closer sync.Once
	failed error // of Close
}

var (
	_ engine.Sampler   = (*Fleet)(nil)
	_ engine.Publisher = (*Fleet)(nil)
	_ engine.Fencer    = (*Fleet)(nil)
	_ engine.Observer  = (*Fleet)(nil)
)

var errClosed = errors.New("the fleet is closed")

// New starts a fleet, which owns the samplers of its replicas from now on. A replica that is down
// joins when it comes up.
func New(replicas []Replica, o Options) (*Fleet, error) {
	if len(replicas) == 0 {
		return nil, &engine.Error{Class: engine.User, Op: "fleet", Msg: "no replica; give at least one"}
	}
	f := &Fleet{o: o.withDefaults(), start: time.Now(), changed: make(chan struct{})}
	f.life, f.stop = context.WithCancelCause(context.Background())
	names := map[string]bool{}
	for _, r := range replicas {
		if r.Name == "" || names[r.Name] || r.Sampler == nil {
			return nil, &engine.Error{Class: engine.User, Op: "fleet", Msg: fmt.Sprintf("replica %q needs a sampler and a name of its own", r.Name)}
		}
		names[r.Name] = true
		f.replicas = append(f.replicas, &replica{
			Replica: r, controller: NewController(f.o.Controller), breaker: NewBreaker(f.o.Breaker),
			has: map[string]bool{}, nudge: make(chan struct{}, 1), calls: map[*attempt]struct{}{},
		})
	}
	for _, r := range f.replicas {
		f.loops.Go(func() { f.watch(r) })
	}
	return f, nil
}

// replica is a [Replica] with what the fleet knows of it. Everything below the embedded part is
// guarded by Fleet.mu.
type replica struct {
	Replica
	controller *Controller
	breaker    *Breaker
	nudge      chan struct{} // one token: look after this replica now

	caps       *engine.SamplerCaps // nil: not known yet
	missed     int                 // readings in a row
	unhealthy  bool
	reason     string // why it is unhealthy
	draining   bool
	pausedTill time.Duration   // it answered Busy
	has        map[string]bool // ids of the fleet's policies that it serves
	suspect    bool            // what it has must be asked before it is used again
	unobserved bool            // it has no metrics

	inFlight int   // sequences
	ended    int64 // sequences
	heldBack bool  // since the last reading
	calls    map[*attempt]struct{}
	order    int64 // of attempts
}

// now is the time since the fleet started.
func (f *Fleet) now() time.Duration { return time.Since(f.start) }

func (f *Fleet) find(name string) (*replica, error) {
	i := slices.IndexFunc(f.replicas, func(r *replica) bool { return r.Name == name })
	if i < 0 {
		return nil, &engine.Error{Class: engine.User, Op: "fleet", Msg: fmt.Sprintf("no replica is called %q", name)}
	}
	return f.replicas[i], nil
}

// Close ends every call under way with a fatal error, closes the replicas' samplers and waits for
// the fleet's goroutines.
func (f *Fleet) Close() error {
	f.closer.Do(func() {
		f.mu.Lock()
		f.closed = true
		f.stop(errClosed)
		f.dispatch()
		f.mu.Unlock()
		errs := make([]error, len(f.replicas))
		var wg sync.WaitGroup
		for i, r := range f.replicas {
			wg.Go(func() { errs[i] = r.Sampler.Close() })
		}
		wg.Wait()
		f.loops.Wait()
		f.failed = errors.Join(errs...)
	})
	return f.failed
}

func closedError(op string) error {
	return &engine.Error{Class: engine.Fatal, Op: op, Err: errClosed}
}

// Caps is what every replica can do whose capabilities are known: the weakest of each. A fleet of
// which no replica has answered yet asks them.
func (f *Fleet) Caps(ctx context.Context) (engine.SamplerCaps, error) {
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return engine.SamplerCaps{}, closedError("caps")
	}
	errs := make([]error, len(f.replicas))
	var wg sync.WaitGroup
	for i, r := range f.replicas {
		wg.Go(func() { errs[i] = f.readCaps(ctx, r) })
	}
	wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []engine.SamplerCaps
	for _, r := range f.replicas {
		if r.caps != nil {
			all = append(all, *r.caps)
		}
	}
	if len(all) == 0 {
		return engine.SamplerCaps{}, errors.Join(errs...)
	}
	return weakest(all), nil
}

// readCaps asks a replica what it can do; an answer from before stays where it does not say.
func (f *Fleet) readCaps(ctx context.Context, r *replica) error {
	ctx, cancel := context.WithTimeout(ctx, f.o.ReadTimeout)
	defer cancel()
	caps, err := r.Sampler.Caps(ctx)
	if err != nil {
		return fmt.Errorf("replica %s: %w", r.Name, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r.caps = &caps
	f.dispatch()
	return nil
}

// weakest is what all of them can do.
func weakest(all []engine.SamplerCaps) engine.SamplerCaps {
	least := func(a, b int) int { // 0 = unknown
		if a == 0 || b == 0 {
			return max(a, b)
		}
		return min(a, b)
	}
	out := all[0]
	for _, c := range all[1:] {
		out.Exact = out.Exact && c.Exact
		out.MaxContext = least(out.MaxContext, c.MaxContext)
		out.MaxN = least(out.MaxN, c.MaxN)
		out.PromptLogprobs = out.PromptLogprobs && c.PromptLogprobs
		out.Seeded = out.Seeded && c.Seeded
		out.Resumable = out.Resumable && c.Resumable
		out.MinTokens = out.MinTokens && c.MinTokens
		out.StopTokens = out.StopTokens && c.StopTokens
		out.PartialOnAbort = out.PartialOnAbort && c.PartialOnAbort
		out.PerTokenVersion = out.PerTokenVersion && c.PerTokenVersion
		out.ConcurrentPolicy = least(out.ConcurrentPolicy, c.ConcurrentPolicy)
		if out.Kernel != c.Kernel {
			out.Kernel = ""
		}
	}
	out.LogprobKind = func(p engine.Params) engine.LogprobKind {
		kind := engine.LogprobUnknown
		for i, c := range all {
			if c.LogprobKind == nil {
				return engine.LogprobUnknown
			}
			k := c.LogprobKind(p)
			if i > 0 && k != kind {
				return engine.LogprobUnknown
			}
			kind = k
		}
		return kind
	}
	return out
}

// jitter is a number from 0 to 1 for a name, the same in every run.
func jitter(name string, attempt int) float64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, uint64(attempt))).Float64()
}

package sim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"pith/rollout/engine"
)

// Options describe a simulated engine. Lengths and Vocab must be set; the rest has defaults.
type Options struct {
	Name    string // what results call this replica. Default "sim"
	Speed   Speed  // default: a step of 10 ms, whatever the batch
	Limits  Limits // default: 256 slots, an unbounded cache
	Faults  Faults
	Lengths Lengths // of responses that may stop
	Vocab   int     // token ids are below it
	Seed    uint64  // of faults, and of everything where Unseeded

	MaxContext  int     // prompt and response together. Default 1<<20
	MaxPolicies int     // default 16
	LoadSeconds float64 // decoding stands still for so long at a publish

	// Pace is how many simulated seconds pass in a second of the clock. 0 waits for nothing: whenever
	// all calls wait, time jumps to the next event.
	Pace float64
	// Unseeded makes every attempt another sample, as on a server that takes no seed.
	Unseeded bool
	// Partial returns what was drawn beside the error of a call that broke off.
	Partial bool
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "sim"
	}
	if o.Speed == (Speed{}) {
		o.Speed.Step = 0.01
	}
	if o.Limits.Slots < 1 {
		o.Limits.Slots = 256
	}
	if o.MaxContext < 1 {
		o.MaxContext = 1 << 20
	}
	if o.MaxPolicies < 1 {
		o.MaxPolicies = 16
	}
	return o
}

// Engine is a simulated replica as an engine. It is safe for concurrent use. Close it.
type Engine struct {
	o     Options
	start time.Time

	mu       sync.Mutex
	core     *Replica
	virtual  float64 // the time, where nothing is waited for
	frozen   float64 // since then; < 0: not
	policies map[string]engine.Artifact
	open     map[*call]struct{}
	paused   chan struct{} // closed at Resume; nil: not paused
	quiet    chan struct{} // closed and replaced whenever a call ends
	attempts uint64
	closed   bool

	wake    chan struct{}
	stopped chan struct{}
}

var (
	_ engine.Sampler   = (*Engine)(nil)
	_ engine.Publisher = (*Engine)(nil)
	_ engine.Fencer    = (*Engine)(nil)
	_ engine.Observer  = (*Engine)(nil)
)

var (
	errClosed = errors.New("the engine is closed")
	errFailed = errors.New("the simulated replica failed")
	errFenced = errors.New("aborted by a fence")
)

// New starts a simulated replica.
func New(o Options) (*Engine, error) {
	o = o.withDefaults()
	if o.Lengths == nil || o.Vocab < 2 {
		return nil, &engine.Error{Class: engine.User, Op: "sim", Msg: fmt.Sprintf("it needs a distribution of lengths and a vocabulary of at least 2 (%d)", o.Vocab)}
	}
	e := &Engine{
		o: o, start: time.Now(), core: NewReplica(o.Speed, o.Limits, o.Faults, o.Seed), frozen: -1,
		policies: map[string]engine.Artifact{}, open: map[*call]struct{}{}, quiet: make(chan struct{}),
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	go e.loop()
	return e, nil
}

// now is the simulated time. The caller holds mu.
func (e *Engine) now() float64 {
	if e.o.Pace > 0 {
		return time.Since(e.start).Seconds() * e.o.Pace
	}
	return e.virtual
}

// loop lets time pass and answers calls that have ended, until the engine closes.
func (e *Engine) loop() {
	defer close(e.stopped)
	var timer <-chan time.Time
	for {
		e.mu.Lock()
		if e.closed {
			e.mu.Unlock()
			return
		}
		next := math.Inf(1)
		if e.frozen < 0 {
			e.finish(e.core.Advance(e.now()))
			next = e.core.Next()
		}
		wait := next - e.now()
		if e.o.Pace == 0 && !math.IsInf(next, 1) {
			e.virtual = max(e.virtual, next)
		}
		e.mu.Unlock()
		switch {
		case math.IsInf(next, 1):
			timer = nil
		case e.o.Pace == 0:
			runtime.Gosched() // let calls in that are about to come
			continue
		default:
			// A little late rather than early, so that the event has come.
			timer = time.After(time.Duration(wait/e.o.Pace*1e9) + 1)
		}
		select {
		case <-e.wake:
		case <-timer:
		}
	}
}

func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// finish answers the calls whose last job has ended. The caller holds mu.
func (e *Engine) finish(ended []*Job) {
	for _, j := range ended {
		c := j.Owner.(*call)
		c.left--
		if j.Failed {
			c.err = errFailed
		}
		if c.left == 0 {
			e.answer(c)
		}
	}
}

func (e *Engine) answer(c *call) {
	delete(e.open, c)
	close(e.quiet)
	e.quiet = make(chan struct{})
	close(c.done)
}

// abort ends a call with what it has. The caller holds mu.
func (e *Engine) abort(c *call, why error) {
	if _, open := e.open[c]; !open {
		return
	}
	at := e.now()
	if e.frozen >= 0 {
		at = e.frozen
	}
	for _, j := range c.jobs {
		if j.Ended == 0 {
			e.finish(e.core.Abort(at, j))
		}
	}
	if _, open := e.open[c]; open {
		c.err = why
		e.answer(c)
	}
}

// Close answers every call under way with a fatal error and waits for the engine's goroutine.
func (e *Engine) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		for c := range e.open {
			e.abort(c, errClosed)
		}
		if e.paused != nil {
			close(e.paused)
			e.paused = nil
		}
	}
	e.mu.Unlock()
	e.nudge()
	<-e.stopped
	return nil
}

func closedError(op string) error {
	return &engine.Error{Class: engine.Fatal, Op: op, Err: errClosed}
}

// Caps says what a simulated engine can do. Its log-probabilities are made up, so it is not exact
// and nothing can be learnt from it.
func (e *Engine) Caps(context.Context) (engine.SamplerCaps, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return engine.SamplerCaps{}, closedError("caps")
	}
	return engine.SamplerCaps{
		LogprobKind: func(engine.Params) engine.LogprobKind { return engine.LogprobRaw },
		MaxContext:  e.o.MaxContext, MaxN: 1 << 20, Seeded: !e.o.Unseeded, StopTokens: true, MinTokens: true, PartialOnAbort: e.o.Partial,
		PerTokenVersion: true, ConcurrentPolicy: e.o.MaxPolicies,
	}, nil
}

// Score is not simulated.
func (e *Engine) Score(_ context.Context, p engine.PolicyRef, _ [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, engine.LogprobUnknown, &engine.Error{Class: engine.Unsupported, Op: fmt.Sprintf("score under %q", p.ID), Msg: "a simulated engine has no model"}
}

// Stats is one snapshot. Times in it are simulated.
func (e *Engine) Stats(context.Context) ([]engine.Stats, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, closedError("stats")
	}
	now := e.now()
	if e.frozen < 0 {
		e.finish(e.core.Advance(now))
	}
	if e.core.Down(now) {
		return nil, &engine.Error{Class: engine.Transient, Op: "stats", Err: errFailed}
	}
	return []engine.Stats{{
		Healthy: true, Running: e.core.Running(), Waiting: e.core.Waiting(), CacheUse: e.core.Cache(),
		PromptTokens: e.core.PromptTokens, OutputTokens: e.core.Output, Idle: time.Duration(max(0, now-e.core.Busy) * 1e9),
		Raw: map[string]float64{"preemptions": float64(e.core.Preemptions), "failures": float64(e.core.Failures), "seconds": now},
	}}, nil
}

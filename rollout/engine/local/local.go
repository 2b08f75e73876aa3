// Package local is the in-process engine: it samples from a policy in this process's memory, on
// its processor cores, and needs nothing else. It implements Sampler, Streamer, Publisher and Observer of
// package engine.
//
// One goroutine owns the batch. Calls put requests into its inbox and wait; the goroutine merges
// whatever is there into one batch, sequences join and leave at every step, and several policies
// may be decoding side by side. Results do not depend on which requests met in the batch.
//
// The arithmetic is in policies/model/generate; here are the callers' queue, policies by name,
// cancellation, clocks and counters.
package local

import (
	"context"
	"sync"
	"time"

	"pith/policies/kernel"
	"pith/policies/model/generate"
	"pith/rollout/engine"
)

// Options bound the engine. The zero value is usable.
type Options struct {
	// Slots is how many sequences decode at the same time. Default 128.
	Slots int
	// MaxContext bounds prompt and response together. Default: the policy's own context.
	MaxContext int
	// CacheBytes bounds the memory of keys and values; a request waits until its worst case fits.
	// Default: enough for every slot at the full context.
	CacheBytes int64
	// Keep is how many ended sequences stay in the cache while there is room, so that calls which
	// continue them need not read them again. 0 keeps twice Slots while continuations come in;
	// negative keeps none.
	Keep int
	// MaxPolicies is how many policies may be live. Default 16.
	MaxPolicies int
	// MaxWaiting is how many samples may wait for a slot before a call is answered with Busy.
	// Default 1<<20.
	MaxWaiting int
	// Name is what results call this replica. Default "local".
	Name string
}

func (o Options) withDefaults() Options {
	or := func(v *int, otherwise int) {
		if *v < 1 {
			*v = otherwise
		}
	}
	or(&o.Slots, 128)
	or(&o.MaxPolicies, 16)
	or(&o.MaxWaiting, 1<<20)
	if o.Name == "" {
		o.Name = "local"
	}
	return o
}

// decoder is the part of the options that bounds the batch.
func (o Options) decoder() generate.Options {
	return generate.Options{Slots: o.Slots, MaxContext: o.MaxContext, CacheBytes: o.CacheBytes, Keep: o.Keep}
}

// Engine samples in this process. It is safe for concurrent use. Close it.
type Engine struct {
	o Options

	mu       sync.Mutex
	inbox    []*call
	cancels  []*call
	retired  []*generate.Policy // what the batch may forget
	closed   bool
	policies map[string]*published
	live     int // samples in calls that have not been answered
	counts   counters

	wake    chan struct{} // one token: there is something in the inbox
	stopped chan struct{} // the loop has returned
}

// counters are what Stats reports, as of the end of the last step.
type counters struct {
	running   int
	batch     generate.Stats
	idle      time.Duration
	idleSince time.Time // zero while sequences run
}

// New starts an engine without policies.
func New(o Options) *Engine {
	e := &Engine{
		o:        o.withDefaults(),
		policies: map[string]*published{},
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	e.counts.idleSince = time.Now()
	go e.loop(generate.NewDecoder(e.o.decoder()))
	return e
}

// Close answers every call that is under way with what it has and an error, and waits for the
// engine's goroutine.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.nudge()
	<-e.stopped
	return nil
}

// nudge wakes the loop.
func (e *Engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Caps says what this engine can do.
func (e *Engine) Caps(context.Context) (engine.SamplerCaps, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return engine.SamplerCaps{}, closedError("caps")
	}
	most := e.o.MaxContext
	for _, p := range e.policies {
		if c := p.policy.Config().MaxContext; most == 0 || c < most {
			most = c
		}
	}
	return engine.SamplerCaps{
		LogprobKind:      logprobKind,
		Exact:            true,
		MaxContext:       most,
		MaxN:             e.o.MaxWaiting,
		PromptLogprobs:   true,
		Seeded:           true,
		Resumable:        true,
		StopTokens:       true,
		MinTokens:        true,
		PartialOnAbort:   true,
		PerTokenVersion:  true,
		ConcurrentPolicy: e.o.MaxPolicies,
		Kernel:           kernel.Name(),
	}, nil
}

// logprobKind is of which distribution the log-probabilities are: with temperature 0 the model's,
// with filters (a minimum length is one) the filtered, else the tempered one.
func logprobKind(p engine.Params) engine.LogprobKind {
	switch {
	case p.Temperature == 0:
		return engine.LogprobRaw
	case params(p).Filtered():
		return engine.LogprobProcessed
	}
	return engine.LogprobTempered
}

// distributions are the decoder's names of what a caller may want.
var distributions = [...]generate.Distribution{
	engine.LogprobUnknown: generate.Drawn, engine.LogprobRaw: generate.Raw,
	engine.LogprobTempered: generate.Tempered, engine.LogprobProcessed: generate.Drawn,
}

// kindOf is of which distribution the log-probabilities of a call are.
func kindOf(r engine.SampleRequest) engine.LogprobKind {
	if r.Kind != engine.LogprobUnknown {
		return r.Kind
	}
	return logprobKind(r.Params)
}

func params(p engine.Params) generate.Params {
	return generate.Params{
		MaxTokens: p.MaxTokens, MinTokens: p.MinTokens, Temperature: p.Temperature,
		TopP: p.TopP, TopK: p.TopK, MinP: p.MinP, Stop: p.StopTokens, Seed: p.Seed,
	}
}

// Stats is one snapshot: this process is the only replica.
func (e *Engine) Stats(context.Context) ([]engine.Stats, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.counts
	idle := c.idle
	if !c.idleSince.IsZero() {
		idle += time.Since(c.idleSince)
	}
	s := engine.Stats{
		Healthy:      !e.closed,
		Running:      c.running,
		Waiting:      max(0, e.live-c.running),
		PromptTokens: c.batch.PromptTokens,
		OutputTokens: c.batch.OutputTokens,
		Idle:         idle,
		Raw: map[string]float64{
			"steps":         float64(c.batch.Steps),
			"policies":      float64(len(e.policies)),
			"slots":         float64(e.o.Slots),
			"cached_tokens": float64(c.batch.CachedTokens),
		},
	}
	if c.batch.PageLimit > 0 {
		s.CacheUse = float64(c.batch.PagesUsed) / float64(c.batch.PageLimit)
	}
	return []engine.Stats{s}, nil
}

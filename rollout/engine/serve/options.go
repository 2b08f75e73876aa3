package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"pith/policies/tokenizer"
	"pith/rollout/engine"
)

// Options say what is served and within which bounds. Sampler, Model and Base are required.
type Options struct {
	// Sampler draws the tokens. The server does not close it.
	Sampler engine.Sampler
	// Publisher changes what can be asked for. Nil: weights cannot change. The server retires the
	// policies that it published, and Base once other weights have taken its name.
	Publisher engine.Publisher
	// Observer feeds /metrics and /slots. Nil: only the server's own counters.
	Observer engine.Observer
	// Tokenizer turns text into ids and back. Nil: prompts must be ids, and answers have no text.
	Tokenizer tokenizer.Tokenizer
	// Chat renders conversations. Nil: chats are refused.
	Chat ChatTemplate
	// BOS is put before prompts given as text, unless the request says not to.
	BOS []int32
	// EOS are the tokens that end a sequence unless the request ignores them.
	EOS []int32
	// Model is the name of the base policy in requests and answers.
	Model string
	// Base is the policy served under Model at the start; it must be live.
	Base engine.PolicyRef
	// BaseVersion labels its tokens. Default "default", as vLLM and SGLang say until they are told.
	BaseVersion string
	// ModelPath is what clients are told the weights came from. Default: Model.
	ModelPath string
	// APIKey, where set, must come with every request but those that ask for health, as a bearer token.
	APIKey string
	// Roots are the directories that weights may be loaded from. None: no loading from disk.
	Roots []string
	// VLLMLogprobs is of which distribution vLLM's endpoints tell log-probabilities, as its flag
	// --logprobs-mode says: LogprobRaw, the default, or LogprobProcessed. SGLang's tell the tempered
	// ones and llama-server's the raw ones, as those servers do.
	VLLMLogprobs engine.LogprobKind
	// Version is what /version says. Default "pith".
	Version string

	// MaxBody bounds a request's body in bytes. Default 32 MiB.
	MaxBody int64
	// MaxBodies bounds the bodies of all requests in flight together. Default 1 GiB.
	MaxBodies int64
	// MaxN bounds the samples of one prompt. Default 1024.
	MaxN int
	// MaxPrompts bounds the prompts of one request. Default 1024.
	MaxPrompts int
	// MaxSequences bounds the sequences admitted at a time, running and waiting; beyond it a request
	// is answered with 429. Default 8192.
	MaxSequences int
	// MaxRequests bounds the requests for samples in flight; beyond it the answer is 503. Default 8192.
	MaxRequests int
	// RetryAfter is what a refused client is told to wait. Default one second.
	RetryAfter time.Duration
	// Log gets a line per request at level Info, and one per change of weights. Nil: no log.
	Log *slog.Logger
}

func (o *Options) complete() error {
	var errs []error
	if o.Sampler == nil {
		errs = append(errs, errors.New("no sampler"))
	}
	if o.Model == "" {
		errs = append(errs, errors.New("no model name"))
	}
	if o.Base.ID == "" {
		errs = append(errs, errors.New("no base policy"))
	}
	for i, r := range o.Roots {
		abs, err := filepath.Abs(r)
		if err == nil {
			abs, err = filepath.EvalSymlinks(abs)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("root %q: %w", r, err))
		}
		o.Roots[i] = abs
	}
	or(&o.ModelPath, o.Model)
	or(&o.BaseVersion, unlabelled)
	or(&o.Version, "pith")
	or(&o.VLLMLogprobs, engine.LogprobRaw)
	or(&o.MaxBody, 32<<20)
	or(&o.MaxBodies, 1<<30)
	or(&o.MaxN, 1024)
	or(&o.MaxPrompts, 1024)
	or(&o.MaxSequences, 8192)
	or(&o.MaxRequests, 8192)
	or(&o.RetryAfter, time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// or sets what was left at its zero value.
func or[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Server is an http.Handler. It is safe for concurrent use. Close it to end the requests under way.
type Server struct {
	o       Options
	mux     *http.ServeMux
	caps    engine.SamplerCaps
	special map[int32]bool // tokens that a detokeniser may leave out
	started time.Time

	mu       sync.Mutex
	names    map[string]*policy    // what requests can ask for
	loads    int                   // policies published so far, part of their ids
	requests int                   // for samples, in flight
	bodies   int64                 // bytes of their bodies
	admitted int                   // sequences admitted
	running  map[*running]struct{} // attempts under way
	waiting  map[*running]struct{} // held back by a pause
	empty    chan struct{}         // closed while nothing is admitted
	idle     chan struct{}         // closed while nothing runs
	paused   bool
	resumed  chan struct{} // closed at resume
	draining bool
	cut      bool // nothing is to be begun any more

	update  staged
	loading chan struct{} // holds a token: one change of weights at a time
	count   counters
}

// New makes a server of an engine in which o.Base is live.
func New(o Options) (*Server, error) {
	o.Roots = append([]string(nil), o.Roots...)
	if err := o.complete(); err != nil {
		return nil, err
	}
	caps, err := o.Sampler.Caps(context.Background())
	if err != nil {
		return nil, fmt.Errorf("serve: capabilities of the engine: %w", err)
	}
	s := &Server{
		o: o, caps: caps, special: specials(o), started: time.Now(),
		names:   map[string]*policy{},
		running: map[*running]struct{}{}, waiting: map[*running]struct{}{}, idle: closedChannel(), empty: closedChannel(), resumed: closedChannel(),
		loading: make(chan struct{}, 1),
	}
	s.names[o.Model] = &policy{name: o.Model, ref: o.Base, label: o.BaseVersion, path: o.ModelPath}
	s.mux = s.routes()
	return s, nil
}

// specials are the tokens without a text of their own: those that end a sequence, and those that the
// tokenizer names.
func specials(o Options) map[int32]bool {
	out := map[int32]bool{}
	for _, t := range o.EOS {
		out[t] = true
	}
	if m, ok := o.Tokenizer.(interface{ Special(int32) bool }); ok {
		for id := range int32(o.Tokenizer.VocabSize()) {
			if m.Special(id) {
				out[id] = true
			}
		}
	}
	w, ok := o.Tokenizer.(interface{ Roles() tokenizer.Roles })
	if !ok {
		return out
	}
	r := w.Roles()
	for _, name := range append([]string{r.BOS, r.EOS, r.PAD}, r.Special...) {
		if id, ok := o.Tokenizer.ID(name); ok {
			out[id] = true
		}
	}
	return out
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

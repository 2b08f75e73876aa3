// Package vllm samples from and publishes to a vLLM server over HTTP, token ids in and out.
//
// It prefers POST /inference/v1/generate, which vLLM serves when started with --enable-scale-out,
// and falls back to /v1/completions with return_token_ids. What a server has is found by asking it,
// once, at first use: nothing is assumed from a version number.
//
// A policy is an adapter with a name of its own, loaded from a directory that the server can read;
// then the model that an answer names is the version of its tokens, and requests under way are not
// disturbed. Where the artifact is a whole model, the weights are replaced in place: the server is
// paused until its requests are done, reads the directory, and goes on under a new version label.
// A reload that fails half-way leaves the label "torn", under which nothing is sampled.
//
// `pith serve` speaks this dialect too. It is recognised, and given the caller's seeds unchanged, so
// that sampling through it gives the bits that sampling in process gives.
package vllm

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Options say where the server is; see [wire.Options].
type Options = wire.Options

// Engine is a Sampler, Publisher, Fencer and Observer. It is safe for concurrent use. Close it.
type Engine struct {
	o      Options
	client *wire.Client

	connecting sync.Mutex // one asks what the server has
	changing   sync.Mutex // one changes weights

	mu       sync.Mutex
	has      *features                   // nil until connected
	measured *measures                   // nil until measured
	current  engine.PolicyRef            // what the base weights are
	path     string                      // where those were read from, "" where that is not known
	adapters map[string]string           // name to path, as the server last said
	refs     map[string]engine.PolicyRef // of what was published here
	replaced map[string]bool             // were current once
	retired  map[string]bool
}

// New makes an engine. It sends nothing yet.
func New(o Options) (*Engine, error) {
	o.Classify = classify
	c, err := wire.NewClient(o)
	if err != nil {
		return nil, err
	}
	return &Engine{o: c.Options(), client: c, adapters: map[string]string{}, refs: map[string]engine.PolicyRef{}, replaced: map[string]bool{}, retired: map[string]bool{}}, nil
}

// Close ends the calls under way and lets the connections go.
func (e *Engine) Close() error { return e.client.Close() }

// Account says what became of the samples asked for.
func (e *Engine) Account() wire.Account { return e.client.Account() }

// disabled is how vLLM says that a route needs a flag.
const disabled = "disabled"

// classify knows what vLLM means by statuses that it uses for several things.
func classify(status int, msg string) (engine.Class, bool) {
	low := strings.ToLower(msg)
	switch {
	case status == http.StatusForbidden && strings.Contains(low, disabled):
		return engine.Unsupported, true
	case status == http.StatusBadRequest && strings.Contains(low, "unable to get tokenizer"):
		return engine.Unsupported, true
	case status == http.StatusNotFound && strings.Contains(low, "no adapter found"):
		return engine.Transient, true // a shared file system may be slow
	case status == http.StatusInternalServerError && strings.Contains(low, "lora rank"):
		return engine.User, true
	case status >= 500 && strings.Contains(low, "enginedead"):
		return engine.Transient, true // this replica is gone; another may not be
	}
	return 0, false
}

// Caps asks the server what it can do; what no endpoint tells is measured with a few short samples.
func (e *Engine) Caps(ctx context.Context) (engine.SamplerCaps, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SamplerCaps{}, err
	}
	m, err := e.measure(ctx, has)
	if err != nil {
		return engine.SamplerCaps{}, err
	}
	policies := 1
	if has.lora {
		policies = adaptersAtATime
	}
	return engine.SamplerCaps{
		LogprobKind:      m.mode.Kind,
		Exact:            has.exact(),
		MaxContext:       has.maxContext,
		MaxN:             e.o.MaxInFlight,
		PromptLogprobs:   has.exact() && !e.o.NoScore,
		Seeded:           has.pith || m.seeded,
		StopTokens:       true,
		MinTokens:        true,
		Resumable:        has.pith,
		PartialOnAbort:   e.o.Stream,
		PerTokenVersion:  has.versions,
		ConcurrentPolicy: policies,
	}, nil
}

// adaptersAtATime is how many policies a run should keep live with adapters: more than --max-loras
// take turns, more than --max-cpu-loras are read from disk anew; no endpoint tells either.
const adaptersAtATime = 4

// Version is the server's, as it says it.
func (e *Engine) Version(ctx context.Context) (string, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return "", err
	}
	return has.version, nil
}

// Stats is one snapshot, of this server.
func (e *Engine) Stats(ctx context.Context) ([]engine.Stats, error) {
	return e.client.Stats(ctx, wire.MetricNames{
		Running: []string{"vllm:num_requests_running"}, Waiting: []string{"vllm:num_requests_waiting"},
		Prompt:   []string{"vllm:prompt_tokens_total", "vllm:prompt_tokens"},
		Output:   []string{"vllm:generation_tokens_total", "vllm:generation_tokens"},
		CacheUse: []string{"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
	})
}

// wait is a bound on calls that change nothing.
func (e *Engine) wait() time.Duration { return e.o.ControlTimeout }

// Package sglang samples from and publishes to an SGLang server over HTTP, token ids in and out,
// through POST /generate.
//
// A cancelled call is aborted by its id, and the answer that the server then gives holds the tokens
// drawn so far: nothing has to be streamed to keep them, and nothing is.
//
// Policies are adapters with names of their own where the server has adapters enabled. A whole model
// is read from disk in place of the base weights; SGLang lets the requests that run end first, and
// answers name the version label that the weights were given.
package sglang

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Options say where the server is; see [wire.Options]. Stream has no effect.
type Options = wire.Options

// Engine is a Sampler, Publisher, Fencer and Observer. It is safe for concurrent use. Close it.
type Engine struct {
	o      Options
	client *wire.Client

	connecting sync.Mutex // one asks what the server has
	changing   sync.Mutex // one changes weights

	mu       sync.Mutex
	has      *features
	mode     wire.Mode
	seeded   bool
	measured bool
	current  engine.PolicyRef            // what the base weights are
	path     string                      // where those were read from
	adapters map[string]string           // name to path
	lists    bool                        // the server lists adapters
	refs     map[string]engine.PolicyRef // of what was published here
	replaced map[string]bool
	retired  map[string]bool

	gate    chan struct{} // closed: samples may begin
	running int
	still   chan struct{} // closed when running falls to 0; nil while nobody waits
}

// features are what the server was found to have.
type features struct {
	version    string
	pith       bool
	base, path string
	maxContext int
	label      bool // it keeps a version label
	versions   bool // answers hold spans of versions
	lora       bool
	reload     bool
	exact      bool
}

// New makes an engine. It sends nothing yet.
func New(o Options) (*Engine, error) {
	o.Classify = classify
	c, err := wire.NewClient(o)
	if err != nil {
		return nil, err
	}
	open := make(chan struct{})
	close(open)
	return &Engine{o: c.Options(), client: c, adapters: map[string]string{}, refs: map[string]engine.PolicyRef{},
		replaced: map[string]bool{}, retired: map[string]bool{}, gate: open}, nil
}

// Close ends the calls under way and lets the connections go.
func (e *Engine) Close() error { return e.client.Close() }

// Account says what became of the samples asked for.
func (e *Engine) Account() wire.Account { return e.client.Account() }

// classify knows what SGLang means by 400, which it uses for everything that is not right.
func classify(status int, msg string) (engine.Class, bool) {
	low := strings.ToLower(msg)
	if status != http.StatusBadRequest {
		return 0, false
	}
	switch {
	case strings.Contains(low, "lora is not enabled"), strings.Contains(low, "enable-lora"):
		return engine.Unsupported, true
	case strings.Contains(low, "never been loaded"), strings.Contains(low, "has not been loaded"),
		strings.Contains(low, "does not exist"), strings.Contains(low, "not loaded"):
		return engine.PolicyGone, true
	case strings.Contains(low, "queue is full"):
		return engine.Busy, true
	}
	return 0, false
}

// unlabelled is the version of weights that nobody has named; torn is that of weights of which
// nobody knows what they are.
const (
	unlabelled = "default"
	torn       = "torn"
)

// connect asks the server what it has, unless that is known.
func (e *Engine) connect(ctx context.Context) (*features, error) {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	has := e.has
	e.mu.Unlock()
	if has != nil {
		return has, e.client.Closed("connect")
	}
	has = &features{}
	label, err := e.info(ctx, has)
	if err != nil {
		return nil, err
	}
	models, err := e.client.Models(ctx)
	if err != nil {
		return nil, err
	}
	base, err := wire.PickBase(models, e.o.Model)
	if err != nil {
		return nil, err
	}
	has.base, has.maxContext, has.pith = base.ID, base.MaxContext, base.OwnedBy == "pith"
	if e.o.MaxContext > 0 {
		has.maxContext = e.o.MaxContext
	}
	if err := e.serverVersion(ctx, has); err != nil {
		return nil, err
	}
	if has.lora, err = e.client.There(ctx, wire.Request{Path: "/load_lora_adapter", Body: []byte("{}"), Admin: true}); err != nil {
		return nil, err
	}
	if has.reload, err = e.client.There(ctx, wire.Request{Path: "/update_weights_from_disk", Body: []byte("{}"), Admin: true}); err != nil {
		return nil, err
	}
	r := engine.SampleRequest{ID: "pith-probe", Prompt: []int32{1}, N: 1, Params: engine.Params{MaxTokens: 1, Temperature: 1, TopP: 1}}
	a, err := e.ask(ctx, "try /generate", has, "", r, 0)
	if class, _ := engine.ClassOf(err); err != nil && class != engine.Malformed {
		return nil, err
	}
	has.exact, has.versions = err == nil && len(a.tokens) == 1 && len(a.logprobs) == 1, len(a.spans) > 0
	e.mu.Lock()
	defer e.mu.Unlock()
	e.has = has
	if e.current.ID == "" {
		e.current, e.path = e.started(has), has.path
		if has.label && label != unlabelled {
			e.current, e.path = wire.RefOf(label), ""
		}
	}
	return has, nil
}

// started is the policy that the server's own weights are until somebody names them.
func (e *Engine) started(has *features) engine.PolicyRef {
	if e.o.Base.ID != "" {
		return e.o.Base
	}
	return engine.PolicyRef{ID: has.base}
}

// info reads /model_info, under its old name on older servers.
func (e *Engine) info(ctx context.Context, has *features) (label string, err error) {
	label = unlabelled
	for _, path := range []string{"/model_info", "/get_model_info"} {
		err = e.client.Do(ctx, wire.Request{Op: "model info", Path: path, Limit: e.o.ControlTimeout}, func(body []byte) error {
			s := wire.NewScanner(body)
			s.Fields(func(key []byte) {
				switch string(key) {
				case "model_path":
					if s.Kind() == '"' {
						has.path = s.Text()
					}
				case "weight_version":
					if s.Kind() == '"' {
						label, has.label = s.Text(), true
					}
				}
			})
			if err := s.End(); err != nil {
				return wire.Malformed("model info", "%s is no JSON: %v", path, err)
			}
			return nil
		})
		if class, _ := engine.ClassOf(err); err == nil || class != engine.Unsupported && class != engine.PolicyGone {
			break
		}
	}
	return label, err
}

// serverVersion asks for the version, which a server need not tell.
func (e *Engine) serverVersion(ctx context.Context, has *features) error {
	return wire.Optional(e.client.Do(ctx, wire.Request{Op: "server info", Path: "/server_info", Limit: e.o.ControlTimeout}, func(body []byte) error {
		s := wire.NewScanner(body)
		s.Fields(func(key []byte) {
			switch string(key) {
			case "version":
				if s.Kind() == '"' {
					has.version = s.Text()
				}
			case "context_length":
				if n := s.Kind(); n-'0' <= 9 && has.maxContext == 0 {
					has.maxContext = int(s.Int())
				}
			}
		})
		return nil
	}))
}

// Version is the server's, as it says it.
func (e *Engine) Version(ctx context.Context) (string, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return "", err
	}
	return has.version, nil
}

// adaptersAtATime is how many policies a run should keep live with adapters: half of SGLang's
// default of --max-loras-per-batch.
const adaptersAtATime = 4

// Caps asks the server what it can do; what no endpoint tells is measured with a few short samples.
func (e *Engine) Caps(ctx context.Context) (engine.SamplerCaps, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SamplerCaps{}, err
	}
	if err := e.measure(ctx, has); err != nil {
		return engine.SamplerCaps{}, err
	}
	policies := 1
	if has.lora {
		policies = adaptersAtATime
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return engine.SamplerCaps{
		LogprobKind:      e.mode.Kind,
		Exact:            has.exact,
		MaxContext:       has.maxContext,
		MaxN:             e.o.MaxInFlight,
		PromptLogprobs:   has.exact && !e.o.NoScore,
		Seeded:           has.pith || e.seeded,
		Resumable:        has.pith,
		StopTokens:       true,
		MinTokens:        true,
		PartialOnAbort:   true,
		PerTokenVersion:  has.versions,
		ConcurrentPolicy: policies,
	}, nil
}

func (e *Engine) measure(ctx context.Context, has *features) error {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	done := e.measured || !has.exact
	e.mu.Unlock()
	if done {
		return nil
	}
	sample := func(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
		return e.draw(ctx, "measure", has, "", r, engine.LogprobUnknown)
	}
	mode, err := wire.MeasureMode(ctx, engine.PolicyRef{}, sample)
	if err != nil {
		return err
	}
	seeded, err := wire.MeasureSeeds(ctx, engine.PolicyRef{}, sample)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.mode, e.seeded, e.measured = mode, seeded, true
	e.mu.Unlock()
	return nil
}

// Stats is one snapshot, of this server. Counters need SGLang's --enable-metrics.
func (e *Engine) Stats(ctx context.Context) ([]engine.Stats, error) {
	return e.client.Stats(ctx, wire.MetricNames{
		Running: []string{"sglang:num_running_reqs"}, Waiting: []string{"sglang:num_queue_reqs"},
		Prompt: []string{"sglang:prompt_tokens_total"}, Output: []string{"sglang:generation_tokens_total"},
		CacheUse: []string{"sglang:token_usage"},
	})
}

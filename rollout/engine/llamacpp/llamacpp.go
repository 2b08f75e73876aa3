// Package llamacpp samples from llama.cpp's llama-server over HTTP, token ids in and out, through
// POST /completion.
//
// A llama-server holds one file of weights for as long as it runs, so it serves one policy: it is for
// evaluation, frozen references and small end-to-end runs, not for rollouts of a policy that moves.
//
// It ends a sequence at the end tokens of its GGUF file and at no other. A request whose stop tokens
// are others as well is streamed, and ended by the client after the first of them, which is exact: the
// tokens up to there were drawn as they would have been. Without the end token among the stop tokens
// the server is told to ignore it, and then never draws it: the server bans the token rather than
// going on after it, so that sampling is from a slightly other distribution than the
// log-probabilities, which are the model's own. Training requests should stop at the end token.
package llamacpp

import (
	"context"
	"fmt"
	"sync"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Options say where the server is; see [wire.Options].
type Options = wire.Options

// Engine is a Sampler and Observer. It is safe for concurrent use. Close it.
type Engine struct {
	o      Options
	client *wire.Client

	connecting sync.Mutex
	mu         sync.Mutex
	has        *features
	mode       wire.Mode
	measured   bool
}

// features are what the server says about itself.
type features struct {
	pith       bool
	version    string
	path       string
	alias      string
	maxContext int // of one slot
	slots      int
	vocab      int
	end        int32 // the token that ends a text, -1 where it is not known
	base       engine.PolicyRef
	exact      bool
}

// New makes an engine. It sends nothing yet.
func New(o Options) (*Engine, error) {
	c, err := wire.NewClient(o)
	if err != nil {
		return nil, err
	}
	return &Engine{o: c.Options(), client: c}, nil
}

// Close ends the calls under way and lets the connections go.
func (e *Engine) Close() error { return e.client.Close() }

// Account says what became of the samples asked for.
func (e *Engine) Account() wire.Account { return e.client.Account() }

// Version is the server's build.
func (e *Engine) Version(ctx context.Context) (string, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return "", err
	}
	return has.version, nil
}

// EndToken is the token at which the server ends every sequence, -1 where it does not tell.
func (e *Engine) EndToken(ctx context.Context) (int32, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return -1, err
	}
	return has.end, nil
}

// connect asks the server what it is, unless that is known.
func (e *Engine) connect(ctx context.Context) (*features, error) {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	has := e.has
	e.mu.Unlock()
	if has != nil {
		return has, e.client.Closed("connect")
	}
	has = &features{end: -1}
	end := ""
	err := e.client.Do(ctx, wire.Request{Op: "connect", Path: "/props", Limit: e.o.ControlTimeout}, func(body []byte) error {
		s := wire.NewScanner(body)
		s.Fields(func(key []byte) {
			switch string(key) {
			case "default_generation_settings":
				s.Fields(func(key []byte) {
					if string(key) == "n_ctx" {
						has.maxContext = int(s.Int())
					}
				})
			case "total_slots":
				has.slots = int(s.Int())
			case "model_path":
				has.path = s.Text()
			case "model_alias":
				has.alias = s.Text()
			case "build_info":
				has.version = s.Text()
			case "eos_token":
				end = s.Text()
			}
		})
		if err := s.End(); err != nil {
			return wire.Malformed("connect", "/props is no JSON: %v", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := e.vocabulary(ctx, has); err != nil {
		return nil, err
	}
	if err := e.endToken(ctx, has, end); err != nil {
		return nil, err
	}
	if e.o.MaxContext > 0 {
		has.maxContext = e.o.MaxContext
	}
	if e.o.Vocab > 0 {
		has.vocab = e.o.Vocab
	}
	has.base = e.o.Base
	if has.base.ID == "" {
		has.base.ID = e.o.Model
	}
	if has.base.ID == "" {
		has.base.ID = has.alias
	}
	// Older servers return no ids; one token says whether this one does.
	r := engine.SampleRequest{ID: "pith-probe", Prompt: []int32{1}, N: 1, Params: engine.Params{MaxTokens: 1, Temperature: 1, TopP: 1}}
	a, err := e.ask(ctx, "try /completion", has, r, 0)
	if class, _ := engine.ClassOf(err); err != nil && class != engine.Malformed {
		return nil, err
	}
	has.exact = err == nil && len(a.tokens) == 1 && len(a.logprobs) == 1
	e.mu.Lock()
	e.has = has
	e.mu.Unlock()
	return has, nil
}

// vocabulary finds how many token ids there are.
func (e *Engine) vocabulary(ctx context.Context, has *features) error {
	models, err := e.client.Models(ctx)
	if err == nil && len(models) > 0 {
		has.pith, has.vocab = models[0].OwnedBy == "pith", models[0].Vocab
	}
	return wire.Optional(err)
}

// endToken finds the id of the token that ends a text.
func (e *Engine) endToken(ctx context.Context, has *features, text string) error {
	if text == "" {
		return nil
	}
	var b wire.Body
	b.Text("content", text)
	b.Bool("add_special", false)
	b.Bool("parse_special", true)
	err := e.client.Do(ctx, wire.Request{Op: "find the end token", Path: "/tokenize", Body: b.Bytes(), Limit: e.o.ControlTimeout}, func(body []byte) error {
		var ids []int32
		s := wire.NewScanner(body)
		s.Fields(func(key []byte) {
			if string(key) == "tokens" {
				s.Items(func() { ids = append(ids, int32(s.Int())) })
			}
		})
		if s.End() == nil && len(ids) == 1 {
			has.end = ids[0]
		}
		return nil
	})
	return wire.Optional(err)
}

// Caps asks the server what it can do; what it does not tell is measured with a few short samples.
func (e *Engine) Caps(ctx context.Context) (engine.SamplerCaps, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SamplerCaps{}, err
	}
	if err := e.measure(ctx, has); err != nil {
		return engine.SamplerCaps{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return engine.SamplerCaps{
		LogprobKind:      e.mode.Kind,
		Exact:            has.exact,
		MaxContext:       has.maxContext,
		MaxN:             e.o.MaxInFlight,
		Seeded:           has.pith, // elsewhere the cache in float16 lets the batch decide near-ties
		StopTokens:       true,
		PartialOnAbort:   e.o.Stream,
		ConcurrentPolicy: 1,
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
		return e.draw(ctx, "measure", has, r)
	}
	mode, err := wire.MeasureMode(ctx, has.base, sample)
	if err != nil {
		return err
	}
	e.mu.Lock()
	e.mode, e.measured = mode, true
	e.mu.Unlock()
	return nil
}

// Score is not possible: llama-server gives no log-probabilities of a prompt.
func (e *Engine) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, engine.LogprobUnknown, wire.Missing("score", "llama-server gives no log-probabilities of given tokens")
}

// Stats is one snapshot, of this server. Counters need llama-server's --metrics.
func (e *Engine) Stats(ctx context.Context) ([]engine.Stats, error) {
	return e.client.Stats(ctx, wire.MetricNames{
		Running: []string{"llamacpp:requests_processing"}, Waiting: []string{"llamacpp:requests_deferred"},
		Prompt: []string{"llamacpp:prompt_tokens_total"}, Output: []string{"llamacpp:tokens_predicted_total"},
	})
}

// Live is the one policy that the server was started with.
func (e *Engine) Live(ctx context.Context) ([]engine.PolicyRef, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	return []engine.PolicyRef{has.base}, nil
}

func gone(op string, has *features, p engine.PolicyRef) error {
	return wire.Gone(op, p, fmt.Sprintf("this server was started with %q and serves nothing else", has.base.ID))
}

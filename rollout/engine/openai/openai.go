// Package openai samples from any server that has OpenAI's POST /v1/completions, with what that gives:
// text, and the texts and log-probabilities of tokens where the server has them, but no token ids.
//
// Ids are made from the text by the tokenizer that the caller gives, so they need not be the ones that
// were drawn: byte-level BPE is not injective on text. The capability Exact is therefore always false,
// which a training run refuses; evaluation is what this is for. A server of a kind that has an
// adapter of its own should be used through that.
package openai

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Options say where the server is; see [wire.Options]. Tokenizer is required for sampling.
type Options = wire.Options

// Engine is a Sampler and Observer. It is safe for concurrent use. Close it.
type Engine struct {
	o      Options
	client *wire.Client

	connecting sync.Mutex
	mu         sync.Mutex
	has        *features

	lengths atomic.Int64 // samples whose text has another number of tokens than the server drew
	filled  atomic.Int64 // samples without usable log-probabilities
}

// features are what the server was found to take.
type features struct {
	model      string
	maxContext int
	base       engine.PolicyRef
	ids        bool // prompts as token ids
	logprobs   bool
	seed       bool
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

// Version is not known: OpenAI's interface has no place for it.
func (e *Engine) Version(context.Context) (string, error) { return "", nil }

// connect finds the model and what its completions take, by trying, from the most useful form down.
func (e *Engine) connect(ctx context.Context) (*features, error) {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	has := e.has
	e.mu.Unlock()
	if has != nil {
		return has, e.client.Closed("connect")
	}
	has = &features{model: e.o.Model, maxContext: e.o.MaxContext}
	models, err := e.client.Models(ctx)
	if failed, ok := errors.AsType[*engine.Error](err); ok && failed.Status > 0 && has.model != "" {
		err = nil // a server that cannot list may still have the model that was named
	}
	if err := wire.Optional(err); err != nil {
		return nil, err
	}
	for _, c := range models {
		if has.model == "" && c.Parent == "" {
			has.model = c.ID
		}
		if c.ID == has.model && has.maxContext == 0 {
			has.maxContext = c.MaxContext
		}
	}
	if has.model == "" {
		return nil, wire.Refused("connect", "the server lists no model; name one")
	}
	if has.base = e.o.Base; has.base.ID == "" {
		has.base.ID = has.model
	}
	if err := e.try(ctx, has); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.has = has
	e.mu.Unlock()
	return has, nil
}

// try finds a form of request that the server takes.
func (e *Engine) try(ctx context.Context, has *features) error {
	r := engine.SampleRequest{ID: "pith-probe", Prompt: []int32{1}, N: 1, Params: engine.Params{MaxTokens: 1, Temperature: 1, TopP: 1}}
	var last error
	for _, form := range []features{{ids: true, logprobs: true, seed: true}, {logprobs: true, seed: true}, {ids: true, seed: true}, {seed: true}, {}} {
		if !form.ids && e.o.Tokenizer == nil {
			continue
		}
		has.ids, has.logprobs, has.seed = form.ids, form.logprobs, form.seed
		a, err := e.ask(ctx, "try /v1/completions", has, r, 0)
		if err == nil && form.logprobs && len(a.logprobs) == 0 {
			has.logprobs = false // it takes the word and gives nothing
		}
		if err == nil {
			return nil
		}
		class, _ := engine.ClassOf(err)
		// Servers answer 500 as well to forms that they do not expect.
		if failed, ok := errors.AsType[*engine.Error](err); class != engine.User && class != engine.Malformed && !(ok && failed.Status >= 500) {
			return err
		}
		last = err
	}
	return fmt.Errorf("no form of completion request is taken: %w", last)
}

// Caps says what can be had of such a server: text.
func (e *Engine) Caps(ctx context.Context) (engine.SamplerCaps, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SamplerCaps{}, err
	}
	return engine.SamplerCaps{
		LogprobKind:      func(engine.Params) engine.LogprobKind { return engine.LogprobUnknown },
		MaxContext:       has.maxContext,
		MaxN:             e.o.MaxInFlight,
		ConcurrentPolicy: 1,
	}, nil
}

// Score is not possible.
func (e *Engine) Score(context.Context, engine.PolicyRef, [][]int32) ([][]float32, engine.LogprobKind, error) {
	return nil, engine.LogprobUnknown, wire.Missing("score", "an OpenAI-style server gives no log-probabilities of given tokens")
}

// Live is the one model.
func (e *Engine) Live(ctx context.Context) ([]engine.PolicyRef, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	return []engine.PolicyRef{has.base}, nil
}

// Stats counts this client's own samples: such a server need not have metrics. Raw says of how many
// samples the text has another number of tokens than the server counted, and how many came without
// usable log-probabilities.
func (e *Engine) Stats(ctx context.Context) ([]engine.Stats, error) {
	s := e.client.Own()
	_, err := e.client.Models(ctx)
	s.Healthy = wire.Optional(err) == nil
	s.Raw = map[string]float64{"length_differs": float64(e.lengths.Load()), "without_logprobs": float64(e.filled.Load())}
	if err != nil && (ctx.Err() != nil || e.client.Closed("stats") != nil) {
		return nil, err
	}
	return []engine.Stats{s}, nil
}

// Sample draws r.N continuations, one request each. Tokens are read from the text: see the package
// comment. Stop tokens are sent as their texts; the text of a stop token is not part of an answer, so
// sequences end before it. Where log-probabilities do not match the tokens, all are 0, of kind
// unknown.
func (e *Engine) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SampleResult{}, err
	}
	if err := wire.Refuse(op, r, has.maxContext, e.o.Vocab); err != nil {
		return engine.SampleResult{}, err
	}
	switch p := r.Params; {
	case r.Policy.ID != has.base.ID:
		return engine.SampleResult{}, wire.Gone(op, r.Policy, fmt.Sprintf("this engine serves %q and nothing else", has.base.ID))
	case e.o.Tokenizer == nil:
		return engine.SampleResult{}, wire.Missing(op, "an OpenAI-style server answers with text; give the model's tokenizer, and use it for evaluation only")
	case p.TopK > 0 || p.MinP > 0:
		return engine.SampleResult{}, wire.Missing(op, "OpenAI's completions have neither top-k nor min-p; switch them off")
	case p.MinTokens > len(r.Prefix):
		return engine.SampleResult{}, wire.Missing(op, "OpenAI's completions have no least length; set min_tokens to 0")
	}
	return e.client.Draw(ctx, op, r, has.maxContext, func(ctx context.Context, i int) (wire.Sampled, error) {
		a, err := e.ask(ctx, op, has, r, i)
		out := wire.Sampled{PromptTokens: a.prompt, Inexact: true}
		if !has.ids {
			out.PromptTokens = -1
		}
		out.Seq = engine.Sequence{Kind: engine.LogprobUnknown, Finish: engine.FinishAborted}
		if err != nil {
			out.PromptTokens = -1
			return out, err
		}
		switch a.finish {
		case "stop", "eos", "eos_token":
			out.Seq.Finish = engine.FinishStop
		case "length", "max_tokens":
			out.Seq.Finish = engine.FinishLength
		default:
			return out, wire.Malformed(op, "finish reason %q", a.finish)
		}
		if out.Seq.Tokens, out.Seq.Logprobs, err = e.tokens(a); err != nil {
			return out, wire.Malformed(op, "the answer's text has no tokens: %v", err)
		}
		if n := len(out.Seq.Tokens); n > 0 {
			out.Seq.Spans = []engine.Span{{Policy: r.Policy, End: n, Asserted: true}}
		}
		return out, nil
	})
}

// tokens reads an answer with the tokenizer: piece by piece where the server tells the pieces and each
// is one token, else the whole text.
func (e *Engine) tokens(a answer) ([]int32, []float32, error) {
	ids := make([]int32, 0, len(a.pieces))
	for _, p := range a.pieces {
		one, err := e.o.Tokenizer.Encode(p)
		if err != nil || len(one) != 1 {
			break
		}
		ids = append(ids, one[0])
	}
	if len(ids) == len(a.pieces) && len(ids) > 0 && strings.HasPrefix(strings.Join(a.pieces, ""), a.text) {
		fine := len(a.logprobs) == len(ids) && !slices.ContainsFunc(a.logprobs, func(l float32) bool { return math.IsNaN(float64(l)) || math.IsInf(float64(l), 0) })
		if fine {
			return ids, a.logprobs, nil
		}
		e.filled.Add(1)
		return ids, make([]float32, len(ids)), nil
	}
	ids, err := e.o.Tokenizer.Encode(a.text)
	if err != nil {
		return nil, nil, err
	}
	e.filled.Add(1)
	if a.drawn >= 0 && a.drawn != len(ids) {
		e.lengths.Add(1)
	}
	return ids, make([]float32, len(ids)), nil
}

// answer is what the server said about one sample.
type answer struct {
	text, finish  string
	pieces        []string
	logprobs      []float32
	prompt, drawn int
}

func (e *Engine) ask(ctx context.Context, op string, has *features, r engine.SampleRequest, i int) (answer, error) {
	p := r.Params
	var b wire.Body
	b.Text("model", has.model)
	if has.ids {
		b.IDs("prompt", r.Prompt, r.Prefix)
	} else {
		b.Text("prompt", e.o.Tokenizer.Decode(slices.Concat(r.Prompt, r.Prefix)))
	}
	b.Int("max_tokens", int64(wire.Room(r, has.maxContext)))
	b.Float("temperature", p.Temperature)
	b.Float("top_p", p.TopP)
	b.Int("presence_penalty", 0)
	b.Int("frequency_penalty", 0)
	b.Int("n", 1)
	if has.seed {
		b.Int("seed", wire.Seed(r, i)&math.MaxInt32)
	}
	if has.logprobs {
		b.Int("logprobs", 1)
	}
	b.Bool("stream", false)
	a := answer{prompt: -1, drawn: -1}
	err := e.client.Do(ctx, wire.Request{Op: op, Path: "/v1/completions", Body: b.Bytes(), ID: e.client.RequestID(r, i)}, func(body []byte) error {
		return a.read(e.client, op, body)
	})
	return a, err
}

func (a *answer) read(c *wire.Client, op string, body []byte) error {
	s := wire.NewScanner(body)
	choices, failed := 0, false
	s.Fields(func(key []byte) {
		switch string(key) {
		case "choices":
			s.Items(func() {
				choices++
				s.Fields(func(key []byte) { a.choice(s, key) })
			})
		case "usage":
			s.Fields(func(key []byte) {
				switch string(key) {
				case "prompt_tokens":
					a.prompt = int(s.Int())
				case "completion_tokens":
					a.drawn = int(s.Int())
				}
			})
		case "error":
			if !s.Null() {
				failed = true
				s.Skip()
			}
		}
	})
	if err := s.End(); err != nil {
		return wire.Malformed(op, "the answer is no JSON: %v", err)
	}
	if failed {
		return c.Failed(op, body)
	}
	if choices != 1 {
		return wire.Malformed(op, "%d choices for one sample", choices)
	}
	return nil
}

func (a *answer) choice(s *wire.Scanner, key []byte) {
	switch string(key) {
	case "text":
		a.text = s.Text()
	case "finish_reason":
		if s.Kind() == '"' {
			a.finish = s.Text()
		}
	case "logprobs":
		if s.Kind() != '{' {
			return
		}
		s.Fields(func(key []byte) {
			switch string(key) {
			case "tokens":
				s.Items(func() {
					if s.Kind() == '"' {
						a.pieces = append(a.pieces, s.Text())
					}
				})
			case "token_logprobs":
				s.Items(func() { a.logprobs = append(a.logprobs, s.Float32()) })
			}
		})
	}
}

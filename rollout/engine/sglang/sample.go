package sglang

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Sample draws r.N continuations, one request each: SGLang shares their prompt's computation, and
// advises against n above 1. A cancelled call returns what had been drawn beside its error.
func (e *Engine) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SampleResult{}, err
	}
	if !has.exact {
		return engine.SampleResult{}, wire.Missing(op, "this server returns no token ids with log-probabilities")
	}
	if err := wire.Refuse(op, r, has.maxContext, e.o.Vocab); err != nil {
		return engine.SampleResult{}, err
	}
	name, err := e.resolve(ctx, op, has, r.Policy)
	if err != nil {
		return engine.SampleResult{}, err
	}
	if err := e.begin(ctx, op); err != nil {
		return engine.SampleResult{}, err
	}
	defer e.end()
	e.mu.Lock()
	kind := e.mode.Kind(r.Params)
	e.mu.Unlock()
	res, err := e.draw(ctx, op, has, name, r, kind)
	if class, ok := engine.ClassOf(err); ok && class == engine.PolicyGone && name != "" {
		e.forget(name)
	}
	return res, err
}

func (e *Engine) draw(ctx context.Context, op string, has *features, name string, r engine.SampleRequest, kind engine.LogprobKind) (engine.SampleResult, error) {
	return e.client.Draw(ctx, op, r, has.maxContext, func(ctx context.Context, i int) (wire.Sampled, error) {
		a, err := e.ask(ctx, op, has, name, r, i)
		out := wire.Sampled{PromptTokens: a.prompt, CachedTokens: a.cached}
		out.Seq = engine.Sequence{Tokens: a.tokens, Logprobs: a.logprobs, Kind: kind, Finish: engine.FinishAborted}
		if err != nil {
			out.Seq.Tokens, out.Seq.Logprobs = nil, nil
			return out, err
		}
		if a.id != "" && a.id != a.sent {
			return out, wire.Malformed(op, "the answer belongs to request %q, this was %q", a.id, a.sent)
		}
		out.Seq.Spans = e.spans(name, r.Policy, a)
		switch a.finish {
		case "stop":
			out.Seq.Finish = engine.FinishStop
		case "length":
			out.Seq.Finish = engine.FinishLength
		case "abort":
			if len(a.logprobs) == 0 { // it had not begun
				out.Seq.Tokens, out.Seq.Spans = nil, nil
			}
			if ctx.Err() != nil {
				return out, &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller", Err: context.Cause(ctx)}
			}
			return out, wire.Aborted(op)
		default:
			return out, wire.Malformed(op, "finish reason %q", a.finish)
		}
		return out, nil
	})
}

// How long an aborted request may take to answer, and how often it is told: an abort that overtakes
// its request finds nothing to abort.
const (
	grace = 2 * time.Second
	again = 200 * time.Millisecond
)

// ask sends one request. Where ctx ends first, the server is told to abort it, and what it then
// answers is read.
func (e *Engine) ask(ctx context.Context, op string, has *features, name string, r engine.SampleRequest, i int) (answer, error) {
	a := answer{prompt: -1, sent: e.client.RequestID(r, i)}
	if ctx.Err() != nil {
		return a, &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller", Err: context.Cause(ctx)}
	}
	room := min(wire.Room(r, has.maxContext), 4096)
	a.tokens, a.ids, a.logprobs = make([]int32, 0, room), make([]int32, 0, room), make([]float32, 0, room)
	req := wire.Request{Op: op, Path: "/generate", Body: body(has, name, r, i, a.sent), ID: a.sent}

	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	answered, aborter := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(aborter)
		defer cancel()
		e.abort(inner, a.sent, answered)
	})
	err := e.client.Do(inner, req, func(body []byte) error { return a.read(e.client, op, body) })
	close(answered)
	if !stop() {
		<-aborter
	}
	cancel()
	if err != nil && ctx.Err() != nil && e.client.Closed(op) == nil {
		err = &engine.Error{Class: engine.Transient, Op: op, Msg: "ended by the caller", Err: context.Cause(ctx)}
	}
	return a, err
}

// abort tells the server to end a request until it has answered or the grace is over.
func (e *Engine) abort(ctx context.Context, rid string, answered <-chan struct{}) {
	var b wire.Body
	b.Text("rid", rid)
	b.Bool("abort_all", false)
	body := b.Bytes()
	over := time.NewTimer(grace)
	defer over.Stop()
	for {
		_ = e.client.Do(ctx, wire.Request{Op: "abort", Path: "/abort_request", Body: body, Admin: true, Limit: grace}, nil)
		next := time.NewTimer(again)
		select {
		case <-answered:
			next.Stop()
			return
		case <-over.C:
			next.Stop()
			return
		case <-next.C:
		}
	}
}

// body writes the request, with every sampling parameter in it.
func body(has *features, name string, r engine.SampleRequest, i int, rid string) []byte {
	var b wire.Body
	b.IDs("input_ids", r.Prompt, r.Prefix)
	b.Text("rid", rid)
	b.Object("sampling_params", func(b *wire.Body) { samplingParams(b, has, r, i) })
	b.Bool("return_logprob", true)
	b.Int("logprob_start_len", -1)
	b.Int("top_logprobs_num", 0)
	b.Bool("return_text_in_logprobs", false)
	b.Bool("stream", false)
	if name != "" {
		b.Text("lora_path", name)
	}
	return b.Bytes()
}

func samplingParams(b *wire.Body, has *features, r engine.SampleRequest, i int) {
	p := r.Params
	room := wire.Room(r, has.maxContext)
	b.Int("max_new_tokens", int64(room))
	b.Int("min_new_tokens", int64(max(0, min(p.MinTokens-len(r.Prefix), room))))
	b.Float("temperature", p.Temperature)
	b.Float("top_p", p.TopP)
	k := int64(p.TopK)
	if k == 0 {
		k = -1
	}
	b.Int("top_k", k)
	b.Float("min_p", p.MinP)
	b.Int("frequency_penalty", 0)
	b.Int("presence_penalty", 0)
	b.Int("repetition_penalty", 1)
	b.Int("n", 1)
	if len(p.StopTokens) > 0 {
		b.IDs("stop_token_ids", p.StopTokens)
	}
	b.Bool("ignore_eos", true) // the stop tokens are ours to say
	b.Bool("skip_special_tokens", false)
	b.Bool("no_stop_trim", true)
	if has.pith {
		b.Int("sampling_seed", int64(p.Seed))
		b.Object("custom_params", func(b *wire.Body) { b.Int("pith_first", int64(r.First+i)) })
	} else {
		b.Int("sampling_seed", wire.Seed(r, i)&math.MaxInt32) // it is hashed as 32 bits
	}
}

// answer is what the server said about one sample.
type answer struct {
	id, sent, finish string
	tokens           []int32
	ids              []int32 // of the log-probabilities
	logprobs         []float32
	prompt, cached   int
	label            string // of the weights at the end
	spans            []labelled
	scores           []float32
	scored           []int32
}

type labelled struct {
	version    string
	start, end int
}

func (a *answer) read(c *wire.Client, op string, body []byte) error {
	s := wire.NewScanner(body)
	failed, listed := false, false
	s.Fields(func(key []byte) {
		switch string(key) {
		case "output_ids":
			listed = s.Kind() == '['
			s.Items(func() { a.tokens = append(a.tokens, int32(s.Int())) })
		case "meta_info":
			s.Fields(func(key []byte) { a.meta(s, key) })
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
	if !listed { // older servers have the ids in the triples only
		a.tokens = append(a.tokens, a.ids...)
	}
	if !slices.Equal(a.tokens, a.ids) && !(a.finish == "abort" && len(a.ids) == 0) {
		return wire.Malformed(op, "%d tokens and %d log-probabilities are not of the same tokens", len(a.tokens), len(a.ids))
	}
	return nil
}

func (a *answer) meta(s *wire.Scanner, key []byte) {
	switch string(key) {
	case "id":
		if s.Kind() == '"' {
			a.id = s.Text()
		}
	case "finish_reason":
		if s.Kind() == '"' {
			a.finish = s.Text()
			return
		}
		s.Fields(func(key []byte) {
			if string(key) == "type" {
				a.finish = s.Text()
			}
		})
	case "prompt_tokens":
		a.prompt = int(s.Int())
	case "cached_tokens":
		a.cached = int(s.Int())
	case "weight_version":
		if s.Kind() == '"' {
			a.label = s.Text()
		}
	case "weight_versions":
		s.Items(func() {
			var l labelled
			s.Fields(func(key []byte) {
				switch string(key) {
				case "version":
					l.version = strings.Trim(string(s.Raw()), `"`)
				case "start":
					l.start = int(s.Int())
				case "end":
					l.end = int(s.Int())
				}
			})
			a.spans = append(a.spans, l)
		})
	case "output_token_logprobs":
		s.Items(func() {
			l, t := triple(s)
			a.logprobs, a.ids = append(a.logprobs, l), append(a.ids, t)
		})
	case "input_token_logprobs":
		s.Items(func() {
			l, t := triple(s)
			a.scores, a.scored = append(a.scores, l), append(a.scored, t)
		})
	}
}

// triple reads [log-probability, id, text].
func triple(s *wire.Scanner) (l float32, id int32) {
	l, id = float32(math.NaN()), -1
	at := 0
	s.Items(func() {
		switch at {
		case 0:
			l = s.Float32()
		case 1:
			id = int32(s.Int())
		}
		at++
	})
	return l, id
}

// spans say which policy drew which token.
func (e *Engine) spans(name string, asked engine.PolicyRef, a answer) []engine.Span {
	n := len(a.tokens)
	switch {
	case n == 0:
		return nil
	case name != "" && len(a.spans) < 2:
		return []engine.Span{{Policy: asked, End: n}} // the adapter's name is its version
	case len(a.spans) > 0:
		out := make([]engine.Span, len(a.spans))
		for i, s := range a.spans {
			out[i] = engine.Span{Policy: e.policyOf(s.version, asked), Start: s.start, End: s.end}
		}
		return out
	case a.label != "": // the version at the end; what it was before is our word
		return []engine.Span{{Policy: e.policyOf(a.label, asked), End: n, Asserted: true}}
	}
	return []engine.Span{{Policy: asked, End: n, Asserted: true}}
}

// policyOf is the policy with a version label.
func (e *Engine) policyOf(label string, asked engine.PolicyRef) engine.PolicyRef {
	e.mu.Lock()
	defer e.mu.Unlock()
	if label == unlabelled {
		if e.current.ID == asked.ID {
			return asked
		}
		return e.current
	}
	ref := wire.RefOf(label)
	if ref.ID == asked.ID {
		return asked
	}
	if known, ok := e.refs[ref.ID]; ok {
		return known
	}
	return ref
}

// Score asks for the log-probabilities of given tokens as those of a prompt, with one token drawn
// and thrown away, so a sequence must leave room for one in the context.
func (e *Engine) Score(ctx context.Context, ref engine.PolicyRef, tokens [][]int32) ([][]float32, engine.LogprobKind, error) {
	const op = "score"
	fail := func(err error) ([][]float32, engine.LogprobKind, error) { return nil, engine.LogprobUnknown, err }
	has, err := e.connect(ctx)
	switch {
	case err != nil:
		return fail(err)
	case e.o.NoScore:
		return fail(wire.Missing(op, "this engine was set up not to score"))
	case !has.exact:
		return fail(wire.Missing(op, "this server returns no token ids"))
	}
	if err := wire.CheckScored(op, tokens, has.maxContext, e.o.Vocab); err != nil {
		return fail(err)
	}
	name, err := e.resolve(ctx, op, has, ref)
	if err != nil {
		return fail(err)
	}
	out, err := wire.ScoreEach(op, tokens, func(op string, tokens []int32) ([]float32, error) {
		return e.score(ctx, op, has, name, tokens)
	})
	if err != nil {
		return fail(err)
	}
	return out, engine.LogprobRaw, nil
}

func (e *Engine) score(ctx context.Context, op string, has *features, name string, tokens []int32) ([]float32, error) {
	if len(tokens) == 0 {
		return []float32{}, nil
	}
	r := engine.SampleRequest{Prompt: tokens, N: 1, Params: engine.Params{MaxTokens: 1, Temperature: 1, TopP: 1}}
	var b wire.Body
	b.IDs("input_ids", tokens)
	b.Object("sampling_params", func(b *wire.Body) { samplingParams(b, has, r, 0) })
	b.Bool("return_logprob", true)
	b.Int("logprob_start_len", 0)
	b.Int("top_logprobs_num", 0)
	if name != "" {
		b.Text("lora_path", name)
	}
	a := answer{prompt: -1}
	if err := e.client.Do(ctx, wire.Request{Op: op, Path: "/generate", Body: b.Bytes()}, func(body []byte) error { return a.read(e.client, op, body) }); err != nil {
		return nil, err
	}
	if !slices.Equal(a.scored, tokens) {
		return nil, wire.Malformed(op, "%d log-probabilities are not of the %d tokens sent", len(a.scored), len(tokens))
	}
	for i, l := range a.scores[1:] {
		if math.IsNaN(float64(l)) || math.IsInf(float64(l), 0) || l > 1e-4 {
			return nil, wire.Malformed(op, "log-probability %d of the prompt is %v", i+1, l)
		}
	}
	a.scores[0] = float32(math.NaN())
	return a.scores, nil
}

package vllm

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Sample draws r.N continuations, one request each. Where some fail, the result holds the others
// beside the error; see [wire.Client.Draw].
func (e *Engine) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SampleResult{}, err
	}
	if !has.exact() {
		return engine.SampleResult{}, wire.Missing(op, "this server returns no token ids; start vLLM with --enable-scale-out, or use a release whose completions take return_token_ids")
	}
	if err := wire.Refuse(op, r, has.maxContext, e.o.Vocab); err != nil {
		return engine.SampleResult{}, err
	}
	name, err := e.resolve(ctx, op, has, r.Policy)
	if err != nil {
		return engine.SampleResult{}, err
	}
	m := e.known()
	return e.client.Draw(ctx, op, r, has.maxContext, func(ctx context.Context, i int) (wire.Sampled, error) {
		a, err := e.ask(ctx, op, has, name, r, i)
		return e.sampled(op, has, name, r, a, m.Kind(r.Params), err)
	})
}

// sampled turns an answer into a sample. An answer that was cut off is one that was aborted.
func (e *Engine) sampled(op string, has *features, name string, r engine.SampleRequest, a answer, kind engine.LogprobKind, err error) (wire.Sampled, error) {
	out := wire.Sampled{PromptTokens: a.prompt, CachedTokens: a.cached, FirstToken: a.first}
	out.Seq = engine.Sequence{Tokens: a.tokens, Logprobs: a.logprobs, Kind: kind, Finish: engine.FinishAborted}
	if err != nil {
		if len(a.tokens) > 0 && len(a.tokens) == len(a.logprobs) {
			out.Seq.Spans = e.spans(name, r.Policy, a)
			out.PromptTokens = -1
		} else {
			out.Seq.Tokens, out.Seq.Logprobs = nil, nil
		}
		return out, err
	}
	switch a.finish {
	case "stop":
		out.Seq.Finish = engine.FinishStop
	case "length":
		out.Seq.Finish = engine.FinishLength
	case "abort":
		err = wire.Aborted(op)
	default:
		return out, wire.Malformed(op, "finish reason %q", a.finish)
	}
	if a.model != "" && a.model != name {
		return out, wire.Malformed(op, "model %q answered, %q was asked", a.model, name)
	}
	if a.id != "" && !strings.HasSuffix(a.id, a.sent) && !strings.HasSuffix(a.id, a.sent+"-0") {
		return out, wire.Malformed(op, "the answer belongs to request %q, this was %q", a.id, a.sent)
	}
	out.Seq.Spans = e.spans(name, r.Policy, a)
	return out, err
}

// spans say which policy drew which token.
func (e *Engine) spans(name string, asked engine.PolicyRef, a answer) []engine.Span {
	n := len(a.tokens)
	switch {
	case n == 0:
		return nil
	case name != e.baseName() && len(a.spans) < 2:
		return []engine.Span{{Policy: asked, End: n}} // the adapter's name is its version
	case len(a.spans) == 0:
		return []engine.Span{{Policy: asked, End: n, Asserted: true}}
	}
	out := make([]engine.Span, len(a.spans))
	for i, s := range a.spans {
		out[i] = engine.Span{Policy: e.policyOf(s.version, asked), Start: s.start, End: s.end}
	}
	return out
}

// policyOf is the policy with a version label.
func (e *Engine) policyOf(label string, asked engine.PolicyRef) engine.PolicyRef {
	e.mu.Lock()
	defer e.mu.Unlock()
	if label == unlabelled {
		if label == asked.ID || e.current.ID == asked.ID {
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

func (e *Engine) baseName() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.has == nil {
		return e.o.Model
	}
	return e.has.base
}

// answer is what a server said about one sample.
type answer struct {
	id, model, finish string
	sent              string // the id that the request went under
	tokens            []int32
	logprobs          []float32
	prompt, cached    int
	versioned         bool
	spans             []labelled
	first             time.Duration
	scores            []float32 // of the prompt
	wanted            []string  // the prompt, as keys
}

type labelled struct {
	version    string
	start, end int
}

// ask sends one request for one sample.
func (e *Engine) ask(ctx context.Context, op string, has *features, name string, r engine.SampleRequest, i int) (answer, error) {
	stream := e.o.Stream
	req := wire.Request{Op: op, Path: "/v1/completions", ID: e.client.RequestID(r, i)}
	if has.generate {
		req.Path = "/inference/v1/generate"
	}
	req.Body = e.body(has, name, r, i, req.ID, stream)
	a := answer{prompt: -1, sent: req.ID}
	room := min(wire.Room(r, has.maxContext), 4096)
	a.tokens, a.logprobs = make([]int32, 0, room), make([]float32, 0, room)
	if !stream {
		err := e.client.Do(ctx, req, func(body []byte) error { return a.read(e.client, op, body) })
		return a, err
	}
	began := time.Now()
	err := e.client.Stream(ctx, req, func(data []byte) error {
		if string(data) == "[DONE]" {
			return io.EOF
		}
		if err := a.read(e.client, op, data); err != nil {
			return err
		}
		if a.first == 0 && len(a.tokens) > 0 {
			a.first = time.Since(began)
		}
		return nil
	})
	return a, err
}

// body writes the request. Every sampling parameter is in it: what is left out would come from the
// model's generation_config.json.
func (e *Engine) body(has *features, name string, r engine.SampleRequest, i int, id string, stream bool) []byte {
	var b wire.Body
	b.Text("model", name)
	params := func(b *wire.Body) { samplingParams(b, has, r, i) }
	if has.generate {
		b.Text("request_id", id)
		b.IDs("token_ids", r.Prompt, r.Prefix)
		b.Object("sampling_params", func(b *wire.Body) {
			params(b)
			b.Bool("detokenize", false)
			if has.pith {
				b.Object("extra_args", func(b *wire.Body) { b.Int("pith_first", int64(r.First+i)) })
			}
		})
	} else {
		b.Text("request_id", id)
		b.IDs("prompt", r.Prompt, r.Prefix)
		params(&b)
		b.Bool("return_token_ids", true)
		b.Bool("add_special_tokens", false)
		if has.pith {
			b.Object("vllm_xargs", func(b *wire.Body) { b.Int("pith_first", int64(r.First+i)) })
		}
	}
	if salt := e.salt(name); salt != "" {
		b.Text("cache_salt", salt)
	}
	if stream {
		b.Bool("stream", true)
		b.Raw("stream_options", `{"include_usage":true}`)
	}
	return b.Bytes()
}

// salt separates the prefix caches of weights that were replaced in place.
func (e *Engine) salt(name string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.has == nil || name != e.has.base || len(e.replaced) == 0 {
		return ""
	}
	// vLLM allows neither '@' nor '/' in a salt.
	h := fnv.New64a()
	_, _ = h.Write([]byte(wire.LabelOf(e.current)))
	return strconv.FormatUint(h.Sum64(), 36)
}

func samplingParams(b *wire.Body, has *features, r engine.SampleRequest, i int) {
	p := r.Params
	b.Int("n", 1)
	b.Int("max_tokens", int64(wire.Room(r, has.maxContext)))
	b.Int("min_tokens", int64(max(0, min(p.MinTokens-len(r.Prefix), wire.Room(r, has.maxContext)))))
	b.Float("temperature", p.Temperature)
	b.Float("top_p", p.TopP)
	b.Int("top_k", int64(p.TopK))
	b.Float("min_p", p.MinP)
	b.Int("repetition_penalty", 1)
	b.Int("presence_penalty", 0)
	b.Int("frequency_penalty", 0)
	seed := wire.Seed(r, i)
	if has.pith {
		seed = int64(p.Seed)
	}
	b.Int("seed", seed)
	b.IDs("stop_token_ids", p.StopTokens)
	b.Bool("ignore_eos", true) // the stop tokens are ours to say
	b.Bool("skip_special_tokens", false)
	b.Int("logprobs", 0)
}

// read adds what a body, or an event of a stream, says.
func (a *answer) read(c *wire.Client, op string, body []byte) error {
	s := wire.NewScanner(body)
	failed, choices := false, 0
	s.Fields(func(key []byte) {
		switch string(key) {
		case "request_id", "id":
			a.id = s.Text()
		case "model":
			a.model = s.Text()
		case "usage":
			a.usage(s)
		case "prompt_logprobs":
			a.readScores(s)
		case "error", "detail":
			if !s.Null() {
				failed = true
				s.Skip()
			}
		case "choices":
			s.Items(func() {
				choices++
				a.choice(s)
			})
		}
	})
	if err := s.End(); err != nil {
		return wire.Malformed(op, "the answer is no JSON: %v", err)
	}
	if failed {
		return c.Failed(op, body)
	}
	if choices > 1 {
		return wire.Malformed(op, "%d choices for one sample", choices)
	}
	return nil
}

func (a *answer) usage(s *wire.Scanner) {
	s.Fields(func(key []byte) {
		switch string(key) {
		case "prompt_tokens":
			a.prompt = int(s.Int())
		case "prompt_tokens_details":
			s.Fields(func(key []byte) {
				if string(key) == "cached_tokens" {
					a.cached = int(s.Int())
				}
			})
		}
	})
}

func (a *answer) choice(s *wire.Scanner) {
	s.Fields(func(key []byte) {
		switch string(key) {
		case "token_ids":
			s.Items(func() { a.tokens = append(a.tokens, int32(s.Int())) })
		case "finish_reason":
			if !s.Null() {
				a.finish = s.Text()
			}
		case "prompt_logprobs":
			a.readScores(s)
		case "weight_versions":
			if !s.Null() {
				a.versioned, a.spans = true, a.spans[:0]
				s.Items(func() { a.spans = append(a.spans, readSpan(s)) })
			}
		case "logprobs":
			s.Fields(func(key []byte) {
				switch string(key) {
				case "token_logprobs": // completions
					s.Items(func() { a.logprobs = append(a.logprobs, s.Float32()) })
				case "content": // generate
					s.Items(func() {
						s.FieldsUntil(func(key []byte) bool {
							if string(key) != "logprob" {
								return false
							}
							a.logprobs = append(a.logprobs, s.Float32())
							return true
						})
					})
				}
			})
		}
	})
}

func readSpan(s *wire.Scanner) labelled {
	var l labelled
	s.Fields(func(key []byte) {
		switch string(key) {
		case "version":
			if s.Kind() == '"' {
				l.version = s.Text()
			} else {
				l.version = string(s.Raw())
			}
		case "start":
			l.start = int(s.Int())
		case "end":
			l.end = int(s.Int())
		}
	})
	return l
}

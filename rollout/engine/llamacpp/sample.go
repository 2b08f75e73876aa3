package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Sample draws r.N continuations, one request each.
func (e *Engine) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	has, err := e.connect(ctx)
	if err != nil {
		return engine.SampleResult{}, err
	}
	if err := wire.Refuse(op, r, has.maxContext, has.vocab); err != nil {
		return engine.SampleResult{}, err
	}
	switch {
	case r.Policy.ID != has.base.ID:
		return engine.SampleResult{}, gone(op, has, r.Policy)
	case !has.exact:
		return engine.SampleResult{}, wire.Missing(op, "this llama-server returns no token ids; use a build with return_tokens")
	case r.Params.MinTokens > len(r.Prefix):
		return engine.SampleResult{}, wire.Missing(op, "llama-server cannot forbid stop tokens at first; set min_tokens to 0")
	case len(r.Params.StopTokens) > 0 && has.end >= 0 && !slices.Contains(r.Params.StopTokens, has.end):
		return engine.SampleResult{}, wire.Missing(op, "llama-server stops at its file's end token %d; have it among the stop tokens %v", has.end, r.Params.StopTokens)
	}
	return e.draw(ctx, op, has, r)
}

func (e *Engine) draw(ctx context.Context, op string, has *features, r engine.SampleRequest) (engine.SampleResult, error) {
	e.mu.Lock()
	kind := e.mode.Kind(r.Params)
	e.mu.Unlock()
	return e.client.Draw(ctx, op, r, has.maxContext, func(ctx context.Context, i int) (wire.Sampled, error) {
		a, err := e.ask(ctx, op, has, r, i)
		out := wire.Sampled{PromptTokens: a.prompt, CachedTokens: a.cached, FirstToken: a.first}
		out.Seq = engine.Sequence{Tokens: a.tokens, Logprobs: a.logprobs, Kind: kind, Finish: engine.FinishAborted}
		if err != nil {
			out.PromptTokens = -1
			if len(a.tokens) != len(a.logprobs) {
				out.Seq.Tokens, out.Seq.Logprobs = nil, nil
			}
		}
		if n := len(out.Seq.Tokens); n > 0 {
			// One process, one file: nothing in an answer says which.
			out.Seq.Spans = []engine.Span{{Policy: r.Policy, End: n, Asserted: true}}
		}
		if err != nil {
			return out, err
		}
		switch a.stop {
		case "eos", "stop token":
			out.Seq.Finish = engine.FinishStop
		case "limit":
			out.Seq.Finish = engine.FinishLength
		default:
			return out, wire.Malformed(op, "stop type %q", a.stop)
		}
		if a.predicted >= 0 && a.predicted != len(a.tokens) {
			return out, wire.Malformed(op, "%d tokens arrived, the server drew %d; it holds back tokens of unfinished characters", len(a.tokens), a.predicted)
		}
		return out, nil
	})
}

// answer is what the server said about one sample.
type answer struct {
	tokens            []int32
	ids               []int32 // of the log-probabilities
	logprobs          []float32
	stop              string
	done              bool
	prompt, predicted int
	cached            int
	first             time.Duration
}

// ask sends one request.
func (e *Engine) ask(ctx context.Context, op string, has *features, r engine.SampleRequest, i int) (answer, error) {
	// Stop tokens beside the file's own have to be watched for.
	watch := slices.ContainsFunc(r.Params.StopTokens, func(t int32) bool { return t != has.end })
	stream := e.o.Stream || watch
	a := answer{prompt: -1, predicted: -1}
	room := min(wire.Room(r, has.maxContext), 4096)
	a.tokens, a.logprobs, a.ids = make([]int32, 0, room), make([]float32, 0, room), make([]int32, 0, room)
	req := wire.Request{Op: op, Path: "/completion", Body: body(has, r, i, stream), ID: e.client.RequestID(r, i), Alone: stream}
	if !stream {
		err := e.client.Do(ctx, req, func(body []byte) error { return a.read(e.client, op, body) })
		if err == nil {
			err = a.agree(op)
		}
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
		if at := slices.IndexFunc(a.tokens, func(t int32) bool { return slices.Contains(r.Params.StopTokens, t) }); at >= 0 && watch {
			a.stop, a.predicted, a.done = "stop token", -1, true
			a.tokens, a.ids, a.logprobs = a.tokens[:at+1], a.ids[:min(at+1, len(a.ids))], a.logprobs[:min(at+1, len(a.logprobs))]
		}
		if a.done {
			return io.EOF
		}
		return nil
	})
	if err == nil || len(a.tokens) > 0 {
		if e := a.agree(op); e != nil {
			a.tokens, a.logprobs = nil, nil
			err = errors.Join(e, err)
		}
	}
	return a, err
}

// agree checks that tokens and log-probabilities are of the same tokens.
func (a *answer) agree(op string) error {
	if !slices.Equal(a.tokens, a.ids) {
		return wire.Malformed(op, "%d tokens and %d log-probabilities are not of the same tokens", len(a.tokens), len(a.ids))
	}
	return nil
}

// body writes the request, with every parameter that the server has a default for.
func body(has *features, r engine.SampleRequest, i int, stream bool) []byte {
	p := r.Params
	var b wire.Body
	b.IDs("prompt", r.Prompt, r.Prefix)
	b.Int("n_predict", int64(wire.Room(r, has.maxContext)))
	b.Float("temperature", p.Temperature)
	b.Int("top_k", int64(p.TopK))
	b.Float("top_p", p.TopP)
	b.Float("min_p", p.MinP)
	// Temperature first, then the filters, as vLLM does; the file's default order filters first.
	samplers := `["temperature"`
	for _, f := range []struct {
		on   bool
		name string
	}{{p.MinP > 0, "min_p"}, {p.TopK > 0, "top_k"}, {p.TopP < 1, "top_p"}} {
		if f.on {
			samplers += `,"` + f.name + `"`
		}
	}
	b.Raw("samplers", samplers+"]")
	b.Raw("dynatemp_range", "0")
	b.Raw("typical_p", "1")
	b.Raw("repeat_penalty", "1")
	b.Raw("presence_penalty", "0")
	b.Raw("frequency_penalty", "0")
	b.Raw("mirostat", "0")
	b.Raw("min_keep", "0")
	b.Int("seed", wire.Seed(r, i)&0x7fffffff) // 32 bits; all ones would mean a random one
	b.Raw("n_probs", "1")
	b.Bool("post_sampling_probs", false)
	b.Bool("return_tokens", true)
	b.Bool("cache_prompt", true)
	b.Raw("stop", "[]")
	b.Raw("logit_bias", "[]")
	b.Bool("ignore_eos", len(p.StopTokens) == 0)
	b.Bool("stream", stream)
	// What is not asked for need not be written; older servers ignore this and write it.
	if !stream && !has.pith {
		b.Raw("response_fields", `["tokens","completion_probabilities","stop_type","tokens_predicted","tokens_evaluated","timings/cache_n","error"]`)
	}
	return b.Bytes()
}

// read adds what a body, or an event of a stream, says.
func (a *answer) read(c *wire.Client, op string, body []byte) error {
	s := wire.NewScanner(body)
	failed := false
	s.Fields(func(key []byte) {
		switch string(key) {
		case "tokens":
			s.Items(func() { a.tokens = append(a.tokens, int32(s.Int())) })
		case "completion_probabilities":
			s.Items(func() { a.probability(s) })
		case "stop_type":
			a.stop = s.Text()
		case "stop":
			if c := s.Kind(); c == 't' || c == 'f' {
				a.done = s.Bool()
			}
		case "tokens_predicted":
			a.predicted = int(s.Int())
		case "tokens_evaluated":
			a.prompt = int(s.Int())
		case "timings":
			s.Fields(func(key []byte) {
				if string(key) == "cache_n" {
					a.cached = int(s.Int())
				}
			})
		case "timings/cache_n", "cache_n":
			a.cached = int(s.Int())
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
	return nil
}

func (a *answer) probability(s *wire.Scanner) {
	seen := 0
	s.FieldsUntil(func(key []byte) bool {
		switch string(key) {
		case "id":
			a.ids = append(a.ids, int32(s.Int()))
			seen++
		case "logprob":
			a.logprobs = append(a.logprobs, s.Float32())
			seen++
		}
		return seen == 2
	})
}

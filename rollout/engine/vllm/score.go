package vllm

import (
	"context"
	"math"
	"strconv"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Score asks for the log-probabilities of given tokens as those of a prompt, with one token drawn
// and thrown away, so a sequence must leave room for one in the context. They are the model's own.
func (e *Engine) Score(ctx context.Context, ref engine.PolicyRef, tokens [][]int32) ([][]float32, engine.LogprobKind, error) {
	const op = "score"
	fail := func(err error) ([][]float32, engine.LogprobKind, error) { return nil, engine.LogprobUnknown, err }
	has, err := e.connect(ctx)
	if err != nil {
		return fail(err)
	}
	switch {
	case e.o.NoScore:
		return fail(wire.Missing(op, "this engine was set up not to score"))
	case !has.exact():
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
	b.Text("model", name)
	req := wire.Request{Op: op, Path: "/v1/completions"}
	if has.generate {
		req.Path = "/inference/v1/generate"
		b.IDs("token_ids", tokens)
		b.Object("sampling_params", func(b *wire.Body) {
			samplingParams(b, has, r, 0)
			b.Bool("detokenize", false)
			b.Int("prompt_logprobs", 0)
		})
	} else {
		b.IDs("prompt", tokens)
		samplingParams(&b, has, r, 0)
		b.Bool("return_token_ids", true)
		b.Int("prompt_logprobs", 0)
	}
	if salt := e.salt(name); salt != "" {
		b.Text("cache_salt", salt)
	}
	req.Body = b.Bytes()
	a := answer{prompt: -1}
	if err := e.client.Do(ctx, req, func(body []byte) error { return a.readScored(e.client, op, body, tokens) }); err != nil {
		return nil, err
	}
	return a.scores, nil
}

// readScored reads an answer with prompt log-probabilities and checks them.
func (a *answer) readScored(c *wire.Client, op string, body []byte, tokens []int32) error {
	a.scores = make([]float32, 0, len(tokens))
	want := make([]string, len(tokens))
	for i, t := range tokens {
		want[i] = strconv.Itoa(int(t))
	}
	a.wanted = want
	if err := a.read(c, op, body); err != nil {
		return err
	}
	if len(a.scores) != len(tokens) {
		return wire.Malformed(op, "%d log-probabilities for a prompt of %d tokens", len(a.scores), len(tokens))
	}
	for i, l := range a.scores {
		if i > 0 && (math.IsNaN(float64(l)) || math.IsInf(float64(l), 0) || l > 1e-4) {
			return wire.Malformed(op, "log-probability %d of the prompt is %v", i, l)
		}
	}
	a.scores[0] = float32(math.NaN())
	return nil
}

// readScores reads [null, {"id": {"logprob": …}}, …], taking the prompt's own token at each position.
func (a *answer) readScores(s *wire.Scanner) {
	s.Items(func() {
		l, at := float32(math.NaN()), len(a.scores)
		s.Fields(func(key []byte) {
			if at >= len(a.wanted) || string(key) != a.wanted[at] {
				return
			}
			s.Fields(func(key []byte) {
				if string(key) == "logprob" {
					l = s.Float32()
				}
			})
		})
		a.scores = append(a.scores, l)
	})
}

package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pith/policies/model/generate"
	"pith/rollout/engine"
)

// call is one Sample on its way through the loop. The loop writes its fields until it closes done.
type call struct {
	req  engine.SampleRequest
	from *published
	job  *generate.Job
	feed *feed // nil unless the caller wants tokens as they come

	asked, started, first, ended time.Time

	err  error
	done chan struct{}
}

// Sample draws r.N continuations. Where ctx or the request's time-out ends it, the result holds
// what had been produced, with finish reason aborted, beside the error.
func (e *Engine) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	return e.sample(ctx, r, nil, nil)
}

func (e *Engine) sample(ctx context.Context, r engine.SampleRequest, f *feed, emit func([]engine.Piece)) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	p, err := e.find(op, r.Policy)
	if err != nil {
		return engine.SampleResult{}, err
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	if err := ctx.Err(); err != nil {
		return engine.SampleResult{}, &engine.Error{Class: engine.Transient, Op: op, Err: context.Cause(ctx)}
	}
	c := &call{req: r, from: p, feed: f, asked: time.Now(), done: make(chan struct{})}
	if err := e.enqueue(op, c); err != nil {
		return engine.SampleResult{}, err
	}
	e.await(ctx, c, emit)
	if c.job == nil { // refused, or the engine closed before it was looked at
		return engine.SampleResult{}, c.failure(op)
	}
	return c.result(e.o.Name), c.outcome(ctx, op)
}

// enqueue puts the call into the loop's inbox.
func (e *Engine) enqueue(op string, c *call) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return closedError(op)
	case c.req.N > e.o.MaxWaiting:
		return &engine.Error{Class: engine.User, Op: op, Msg: fmt.Sprintf("%d samples in one call, the limit is %d", c.req.N, e.o.MaxWaiting)}
	case e.live+c.req.N-e.o.Slots > e.o.MaxWaiting:
		return &engine.Error{Class: engine.Busy, Op: op, Wait: 100 * time.Millisecond,
			Msg: fmt.Sprintf("%d samples are under way, %d may wait", e.live, e.o.MaxWaiting)}
	}
	e.live += c.req.N
	e.inbox = append(e.inbox, c)
	e.nudge()
	return nil
}

// cancel asks the loop to end the call.
func (e *Engine) cancel(c *call) {
	e.mu.Lock()
	e.cancels = append(e.cancels, c)
	e.mu.Unlock()
	e.nudge()
}

// failure is why a call was not even begun.
func (c *call) failure(op string) error {
	if errors.Is(c.err, errClosed) {
		return closedError(op)
	}
	return &engine.Error{Class: engine.User, Op: op, Err: c.err}
}

// outcome is the error that goes with a begun call's result, or nil.
func (c *call) outcome(ctx context.Context, op string) error {
	switch {
	case errors.Is(c.job.Err(), generate.ErrNotFinite):
		return &engine.Error{Class: engine.Malformed, Op: op, Err: c.job.Err()}
	case errors.Is(c.err, errClosed):
		return closedError(op)
	case errors.Is(c.err, errCancelled):
		return &engine.Error{Class: engine.Transient, Op: op, Msg: "aborted", Err: context.Cause(ctx)}
	}
	return nil
}

// result turns the job's sequences into the engine's.
func (c *call) result(name string) engine.SampleResult {
	kind := kindOf(c.req)
	seqs := c.job.Sequences()
	out := engine.SampleResult{
		Seqs:         make([]engine.Sequence, len(seqs)),
		PromptTokens: len(c.req.Prompt) + len(c.req.Prefix),
		CachedTokens: c.job.Cached(),
		Server:       name,
		Queue:        since(c.asked, c.started),
		FirstToken:   since(c.asked, c.first),
		Run:          since(c.started, c.ended),
	}
	for i, s := range seqs {
		q := engine.Sequence{Tokens: s.Tokens, Logprobs: s.Logprobs, Entropies: s.Entropies, Kind: kind, Finish: finish(s.Finish)}
		if len(s.Tokens) > 0 {
			q.Spans = []engine.Span{{Policy: c.from.ref, Start: 0, End: len(s.Tokens)}}
		}
		out.Seqs[i] = q
	}
	return out
}

// since is the time between two moments, 0 where one of them never came.
func since(from, to time.Time) time.Duration {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return to.Sub(from)
}

func finish(f generate.Finish) engine.Finish {
	switch f {
	case generate.Stop:
		return engine.FinishStop
	case generate.Length:
		return engine.FinishLength
	}
	return engine.FinishAborted
}

// Score returns log p(tokens[i] | tokens[:i]) at temperature 1, NaN at 0. It runs on the caller's
// goroutine and the shared pool of cores, beside the batch.
func (e *Engine) Score(ctx context.Context, ref engine.PolicyRef, tokens [][]int32) ([][]float32, engine.LogprobKind, error) {
	const op = "score"
	p, err := e.find(op, ref)
	if err != nil {
		return nil, engine.LogprobUnknown, err
	}
	out, err := p.policy.Score(ctx, tokens)
	switch {
	case err == nil:
		return out, engine.LogprobRaw, nil
	case ctx.Err() != nil:
		return nil, engine.LogprobUnknown, &engine.Error{Class: engine.Transient, Op: op, Err: context.Cause(ctx)}
	}
	return nil, engine.LogprobUnknown, &engine.Error{Class: engine.User, Op: op, Err: err}
}

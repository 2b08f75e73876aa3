package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"pith/rollout/engine"
)

// call is one Sample on its way.
type call struct {
	jobs []*Job
	ends []int // tokens of each response, prefix included, at which it stops or is cut
	stop []bool
	left int
	err  error
	done chan struct{}
	key  uint64 // of what is drawn
}

// Sample draws r.N synthetic continuations; see the package comment. Its times are simulated.
func (e *Engine) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	if err := e.check(op, r); err != nil {
		return engine.SampleResult{}, err
	}
	c, err := e.submit(ctx, op, r)
	if err != nil {
		return engine.SampleResult{}, err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		e.mu.Lock()
		e.abort(c, context.Cause(ctx))
		e.mu.Unlock()
	}
	if errors.Is(c.err, errClosed) {
		return e.result(r, c), closedError(op)
	}
	res := e.result(r, c)
	if c.err == nil {
		return res, nil
	}
	if !e.o.Partial {
		res = engine.SampleResult{Server: e.o.Name}
	}
	return res, &engine.Error{Class: engine.Transient, Op: op, Msg: "broken off", Err: c.err}
}

// check refuses what no server could do.
func (e *Engine) check(op string, r engine.SampleRequest) error {
	bad := func(format string, args ...any) error {
		return &engine.Error{Class: engine.User, Op: op, Msg: fmt.Sprintf(format, args...)}
	}
	p := r.Params
	switch {
	case r.N < 1:
		return bad("%d samples asked, must be at least 1", r.N)
	case p.MaxTokens < 1:
		return bad("max tokens is %d, must be at least 1", p.MaxTokens)
	case len(r.Prompt) == 0:
		return bad("the prompt is empty")
	case len(r.Prompt) >= e.o.MaxContext:
		return bad("the prompt has %d tokens, the context %d", len(r.Prompt), e.o.MaxContext)
	case !(p.Temperature >= 0):
		return bad("temperature is %v, must not be negative", p.Temperature)
	case !(p.TopP > 0 && p.TopP <= 1):
		return bad("top-p is %v, must be above 0 and at most 1", p.TopP)
	}
	for _, t := range slices.Concat(r.Prompt, r.Prefix) {
		if t < 0 || int(t) >= e.o.Vocab {
			return bad("token %d is outside the vocabulary of %d", t, e.o.Vocab)
		}
	}
	return nil
}

// submit puts a call onto the replica, after a pause where there is one.
func (e *Engine) submit(ctx context.Context, op string, r engine.SampleRequest) (*call, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		switch {
		case e.closed:
			return nil, closedError(op)
		case ctx.Err() != nil:
			return nil, &engine.Error{Class: engine.Transient, Op: op, Err: context.Cause(ctx)}
		}
		paused := e.paused
		if paused == nil {
			break
		}
		e.mu.Unlock()
		select {
		case <-paused:
		case <-ctx.Done():
		}
		e.mu.Lock()
	}
	if p, ok := e.policies[r.Policy.ID]; !ok || p.Policy != r.Policy {
		return nil, goneError(op, r.Policy)
	}
	e.attempts++
	c := &call{done: make(chan struct{}), left: r.N, key: e.key(r)}
	now := e.now()
	e.finish(e.core.Advance(now))
	if e.core.Down(now) {
		// As a server that is not there: nothing was begun.
		return nil, &engine.Error{Class: engine.Transient, Op: op, Msg: errFailed.Error(), Err: syscall.ECONNREFUSED}
	}
	e.open[c] = struct{}{}
	for i := range r.N {
		ends, stop := e.ends(r, c.key, i)
		j := &Job{Prompt: len(r.Prompt) + len(r.Prefix), Length: ends - len(r.Prefix), Owner: c}
		c.jobs, c.ends, c.stop = append(c.jobs, j), append(c.ends, ends), append(c.stop, stop)
		if j.Length < 1 { // nothing is left to draw
			j.Ended = now
			c.left--
			continue
		}
		e.core.Submit(now, j) // nothing ends: it has been advanced to this moment
	}
	if _, open := e.open[c]; open && c.left == 0 {
		e.answer(c)
	}
	e.nudge()
	return c, nil
}

// key identifies the random stream of a request: its seed, or something new each time.
func (e *Engine) key(r engine.SampleRequest) uint64 {
	switch {
	case r.Params.Temperature == 0 || r.Params.TopK == 1:
		return hash(2)
	case e.o.Unseeded:
		return hash(3, e.o.Seed, e.attempts)
	}
	return hash(4, r.Params.Seed)
}

// stream is the key of one sample; greedy decoding has one for all.
func stream(r engine.SampleRequest, key uint64, i int) uint64 {
	if r.Params.Temperature == 0 || r.Params.TopK == 1 {
		return key
	}
	return hash(key, uint64(r.First+i))
}

// ends is after how many tokens, prefix included, sample i of a request ends, and whether it stops
// there or is cut.
func (e *Engine) ends(r engine.SampleRequest, key uint64, i int) (int, bool) {
	limit := min(r.Params.MaxTokens, e.o.MaxContext-len(r.Prompt))
	if len(r.Params.StopTokens) == 0 {
		return limit, false
	}
	u := unit(hash(stream(r, key, i), 5))
	if e.o.Unseeded && len(r.Prefix) > 0 {
		// Given a prefix, a model goes on as from there: the length is what it is, given that it is
		// more than the prefix.
		below := share(e.o.Lengths, len(r.Prefix))
		u = below + u*(1-below)
	}
	length := max(e.o.Lengths.At(u), r.Params.MinTokens+1, len(r.Prefix)+1)
	if length > limit {
		return limit, false
	}
	return length, true
}

// share is the probability of at most n tokens.
func share(l Lengths, n int) float64 {
	low, high := 0.0, 1.0
	for range 50 {
		if mid := (low + high) / 2; l.At(mid) <= n {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// result makes up the tokens of a call that has ended.
func (e *Engine) result(r engine.SampleRequest, c *call) engine.SampleResult {
	res := engine.SampleResult{Server: e.o.Name, PromptTokens: len(r.Prompt) + len(r.Prefix), Seqs: make([]engine.Sequence, len(c.jobs))}
	policy := hash(6)
	for _, b := range []byte(r.Policy.ID) {
		policy = hash(policy, uint64(b))
	}
	for i, j := range c.jobs {
		n := min(j.Drawn, max(0, c.ends[i]-len(r.Prefix)))
		s := engine.Sequence{Tokens: make([]int32, n), Logprobs: make([]float32, n), Kind: engine.LogprobRaw, Finish: engine.FinishAborted}
		key := stream(r, c.key, i)
		for k := range n {
			h := hash(key, policy, uint64(len(r.Prompt)), uint64(len(r.Prefix)+k))
			s.Tokens[k] = e.token(h, r.Params.StopTokens)
			s.Logprobs[k] = -float32(0.01 + 2*unit(hash(h)))
		}
		switch {
		case len(r.Prefix)+n < c.ends[i]:
		case c.stop[i] && n > 0:
			s.Finish = engine.FinishStop
			s.Tokens[n-1] = r.Params.StopTokens[0]
		default:
			s.Finish = engine.FinishLength
		}
		if n > 0 {
			s.Spans = []engine.Span{{Policy: r.Policy, End: n}}
		}
		res.Seqs[i] = s
		res.Queue = max(res.Queue, seconds(j.Started-j.Submitted))
		res.FirstToken = max(res.FirstToken, seconds(j.First-j.Submitted))
		res.Run = max(res.Run, seconds(j.Ended-j.Started))
	}
	return res
}

func seconds(s float64) time.Duration { return time.Duration(max(0, s) * 1e9) }

// token is a token that is no stop token.
func (e *Engine) token(h uint64, stops []int32) int32 {
	t := int32(h % uint64(e.o.Vocab))
	for range stops {
		if !slices.Contains(stops, t) {
			break
		}
		t = (t + 1) % int32(e.o.Vocab)
	}
	return t
}

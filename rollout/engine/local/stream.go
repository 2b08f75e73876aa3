package local

import (
	"context"
	"sync"

	"pith/policies/model/generate"
	"pith/rollout/engine"
)

// feed carries what the loop has drawn for one streamed call to its caller. The loop never waits for
// the caller: what the caller has not fetched stays in the job's sequences, which only grow.
type feed struct {
	mu   sync.Mutex
	seqs []generate.Sequence // of the job, as of the last step
	news chan struct{}       // one token: seqs has changed
}

// show tells the caller what the job's sequences hold now. The loop calls it after a step. Slices of
// tokens are only ever appended to, so that what a caller has seen does not change.
func (f *feed) show(seqs []generate.Sequence) {
	f.mu.Lock()
	if f.seqs == nil {
		f.seqs = make([]generate.Sequence, len(seqs))
	}
	copy(f.seqs, seqs)
	f.mu.Unlock()
	select {
	case f.news <- struct{}{}:
	default: // the caller has not fetched the last
	}
}

// fetch returns what has been added since sent, which it moves.
func (f *feed) fetch(sent []int) []engine.Piece {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []engine.Piece
	for i, q := range f.seqs {
		if from, to := sent[i], len(q.Tokens); to > from {
			out = append(out, engine.Piece{Sample: i, Tokens: q.Tokens[from:to:to], Logprobs: q.Logprobs[from:to:to]})
			sent[i] = to
		}
	}
	return out
}

// Stream is Sample, and hands tokens over as they are drawn.
func (e *Engine) Stream(ctx context.Context, r engine.SampleRequest, emit func([]engine.Piece)) (engine.SampleResult, error) {
	return e.sample(ctx, r, &feed{news: make(chan struct{}, 1)}, emit)
}

// await waits for the call's end, and passes on what its feed shows meanwhile.
func (e *Engine) await(ctx context.Context, c *call, emit func([]engine.Piece)) {
	if c.feed == nil {
		select {
		case <-c.done:
		case <-ctx.Done():
			e.cancel(c)
			<-c.done // the loop looks after every step
		}
		return
	}
	sent := make([]int, c.req.N)
	pass := func() {
		if pieces := c.feed.fetch(sent); len(pieces) > 0 {
			emit(pieces)
		}
	}
	gone := ctx.Done()
	for running := true; running; {
		select {
		case <-c.feed.news:
			pass()
		case <-c.done:
			running = false
		case <-gone:
			e.cancel(c)
			gone = nil
		}
	}
	pass()
}

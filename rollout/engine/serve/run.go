package serve

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"pith/rollout/engine"
)

// work is one prompt of a request.
type work struct {
	id     string // what it can be aborted by
	model  string // name of the policy; empty is the base
	prompt []int32
	n      int
	first  int // index of the first sample in the random stream
	params engine.Params
	kind   engine.LogprobKind
	score  bool // log-probabilities of the prompt are wanted
	// watch, where set, sees the tokens of every sample as they come, from several goroutines for
	// several samples. It says how many of these the sample keeps, and whether it goes on after them.
	watch func(sample int, tokens []int32, logprobs []float32) (keep int, more bool)
	alone bool // watch may end a sample before the others
}

// sample is one continuation.
type sample struct {
	tokens   []int32
	logprobs []float32
	finish   engine.Finish
	cut      bool // watch has ended it
	done     bool
	spans    []span
}

// span says that tokens[start:end) were drawn by a version of the weights.
type span struct {
	version    string
	start, end int
}

// outcome is what became of a work.
type outcome struct {
	samples []sample
	mu      sync.Mutex // guards the clocks: samples may be asked for one by one
	prompt  []float32  // log-probabilities, NaN at 0; nil unless they were asked for
	version string     // of the weights at the end
	cached  int
	queue   time.Duration
	first   time.Duration
	stops   []*stopper // what found the stop texts of the samples; nil without
}

func (o *outcome) tokens() int {
	n := 0
	for i := range o.samples {
		n += len(o.samples[i].tokens)
	}
	return n
}

var (
	errAborted = errors.New("aborted by request")
	errFrozen  = errors.New("frozen by a pause")
	errGone    = errors.New("the server ends")
)

// running is a work that a control call may reach.
type running struct {
	id     string
	cancel context.CancelCauseFunc // of the attempt under way
	wake   chan struct{}           // of the wait for a resume
	ended  error                   // errAborted or errGone: no further attempt
}

// run samples until every continuation has ended, the client has gone, or a control call ends it. A
// request that was aborted by a control call has an outcome with finish reason aborted and no error.
func (s *Server) run(ctx context.Context, w *work) (*outcome, error) {
	if w.n > s.o.MaxN {
		return nil, badf("n", "n is %d, at most %d are served", w.n, s.o.MaxN)
	}
	release, err := s.admit(w.n)
	if err != nil {
		return nil, err
	}
	defer release()
	out := &outcome{samples: make([]sample, w.n)}
	r := &running{id: w.id}
	began := time.Now()
	for again := true; again; {
		again, err = s.attempt(ctx, w, r, out)
		if err != nil {
			return nil, err
		}
	}
	for i := range out.samples {
		if q := &out.samples[i]; !q.done {
			q.finish = engine.FinishAborted
		}
		s.count.finished(out.samples[i].finish)
	}
	s.count.request(len(w.prompt), out.tokens(), out.first, time.Since(began))
	return out, nil
}

// attempt runs what has not ended on the policy that the name means now. It says whether there has
// to be another: after a freeze.
func (s *Server) attempt(ctx context.Context, w *work, r *running, out *outcome) (again bool, err error) {
	p, actx, leave, err := s.enter(ctx, w.model, r)
	if err != nil {
		return false, err
	}
	defer leave()
	defer func() { out.version = s.versionOf(p) }()
	if w.score && out.prompt == nil {
		scored, _, err := s.o.Sampler.Score(actx, p.ref, [][]int32{w.prompt})
		switch {
		case err == nil:
			out.prompt = scored[0]
		case ctx.Err() == nil && errors.Is(context.Cause(actx), errFrozen):
			return true, nil
		default:
			return false, err
		}
	}
	if w.params.MaxTokens == 0 {
		for i := range out.samples {
			out.samples[i].finish, out.samples[i].done = engine.FinishLength, true
		}
		return false, nil
	}
	errs := s.calls(actx, w, p, out)
	switch cause := context.Cause(actx); {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(cause, errFrozen):
		for i := range out.samples {
			again = again || !out.samples[i].done
		}
		return again, nil
	case errors.Is(cause, errAborted):
		return false, nil
	case errors.Is(cause, errGone):
		return false, &problem{status: http.StatusServiceUnavailable, msg: "the server is shutting down"}
	}
	return false, errs
}

// calls asks the engine for every sample that has not ended: all at once where they are at their
// beginning, one by one where they differ.
func (s *Server) calls(ctx context.Context, w *work, p *policy, out *outcome) error {
	fresh := !w.alone || w.n == 1
	for i := range out.samples {
		fresh = fresh && !out.samples[i].done && len(out.samples[i].tokens) == 0
	}
	if fresh {
		return s.call(ctx, w, p, out, 0, w.n)
	}
	errs := make([]error, w.n)
	var all sync.WaitGroup
	for i := range out.samples {
		if !out.samples[i].done {
			all.Go(func() { errs[i] = s.call(ctx, w, p, out, i, 1) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// call asks the engine for samples [from, from+n), which have the same tokens so far.
func (s *Server) call(ctx context.Context, w *work, p *policy, out *outcome, from, n int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	samples := out.samples[from : from+n]
	before := len(samples[0].tokens)
	r := engine.SampleRequest{ID: w.id, Policy: p.ref, Prompt: w.prompt, Prefix: samples[0].tokens[:before:before],
		N: n, First: w.first + from, Params: w.params, Kind: w.kind}
	seen := make([]int, n) // tokens of this call that watch has had
	show := func(i int, tokens []int32, logprobs []float32) {
		if samples[i].cut || len(tokens) == 0 {
			return
		}
		keep, more := w.watch(from+i, tokens, logprobs)
		seen[i] += keep
		if !more {
			samples[i].cut = true
			if n == 1 {
				cancel()
			}
		}
	}
	var res engine.SampleResult
	var err error
	if streamer, ok := s.o.Sampler.(engine.Streamer); ok && w.watch != nil {
		res, err = streamer.Stream(ctx, r, func(ps []engine.Piece) {
			for _, p := range ps {
				show(p.Sample, p.Tokens, p.Logprobs)
			}
		})
	} else {
		res, err = s.o.Sampler.Sample(ctx, r)
	}
	if len(res.Seqs) != n && err == nil {
		return &engine.Error{Class: engine.Malformed, Op: "sample", Msg: "the engine returned another number of sequences than were asked for"}
	}
	cut := false
	for i := range res.Seqs {
		q := &res.Seqs[i]
		if w.kind != engine.LogprobUnknown && q.Kind != w.kind && len(q.Tokens) > 0 && !s.sameKind(q.Kind, w) {
			return &engine.Error{Class: engine.Unsupported, Op: "sample", Msg: "the engine behind this server does not give log-probabilities of this kind"}
		}
		if len(q.Logprobs) != len(q.Tokens) {
			return &engine.Error{Class: engine.Malformed, Op: "sample", Msg: "the engine's log-probabilities do not match its tokens"}
		}
		if w.watch != nil && seen[i] < len(q.Tokens) {
			show(i, q.Tokens[seen[i]:], q.Logprobs[seen[i]:])
		}
		keep := len(q.Tokens)
		if samples[i].cut {
			keep = min(keep, seen[i])
			cut = true
		}
		samples[i].take(s.versionOf(p), q, keep)
	}
	out.mergeTimes(res, before)
	if cut && n == 1 {
		return nil // the cancellation was ours
	}
	return err
}

// sameKind says whether another kind of log-probability is the one that was wanted, because nothing
// tells the distributions apart: temperature 1 (or 0, where those of 1 are told) and no filter.
func (s *Server) sameKind(got engine.LogprobKind, w *work) bool {
	p := w.params
	plain := (p.Temperature == 1 || p.Temperature == 0) && p.TopP == 1 && p.TopK == 0 && p.MinP == 0 && p.MinTokens == 0
	return plain && got != engine.LogprobUnknown
}

// take appends what one call has drawn.
func (q *sample) take(version string, got *engine.Sequence, keep int) {
	at := len(q.tokens)
	if at == 0 {
		q.tokens, q.logprobs = got.Tokens[:keep:keep], got.Logprobs[:keep:keep]
	} else {
		q.tokens, q.logprobs = append(q.tokens, got.Tokens[:keep]...), append(q.logprobs, got.Logprobs[:keep]...)
	}
	q.finish = got.Finish
	q.done = got.Finish != engine.FinishAborted || q.cut
	if q.cut {
		q.finish = engine.FinishStop
	}
	switch last := len(q.spans) - 1; {
	case keep == 0:
	case last >= 0 && q.spans[last].version == version:
		q.spans[last].end = at + keep
	default:
		q.spans = append(q.spans, span{version, at, at + keep})
	}
}

// mergeTimes notes the clocks of the first call.
func (o *outcome) mergeTimes(res engine.SampleResult, before int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before == 0 {
		o.cached, o.queue, o.first = max(o.cached, res.CachedTokens), max(o.queue, res.Queue), max(o.first, res.FirstToken)
	}
}

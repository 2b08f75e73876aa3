package strategy

import (
	"context"
	"fmt"
	"math"
	"time"

	"pith/rollout/engine"
)

// retry is Env.Retry, or one attempt.
func (e *Env) retry(ctx context.Context, op string, call func(context.Context) error) error {
	if e.Retry == nil {
		return call(ctx)
	}
	return e.Retry(ctx, op, call)
}

// permanent says whether err condemns the sample rather than the attempt: the same request can
// never succeed, or its answer was broken.
func permanent(err error) bool {
	class, ok := engine.ClassOf(err)
	return ok && (class == engine.User || class == engine.Unsupported || class == engine.Malformed)
}

// drawn is the answer to one request, in as many engine calls as it took: r.N sequences, each
// whole or with the permanent error that ended it.
type drawn struct {
	seqs              []engine.Sequence
	errs              []error
	queue, first, run time.Duration
}

// sample asks for r.N continuations. Its error says that the task must be tried again.
func (e *Env) sample(ctx context.Context, r engine.SampleRequest) (drawn, error) {
	r.Policy = e.Policy
	var d drawn
	whole, id, first := r.N, r.ID, r.First
	for done := 0; done < whole; done += r.N {
		r.N, r.First = whole-done, first+done
		if m := e.Caps.MaxN; m > 0 {
			r.N = min(r.N, m)
		}
		r.ID = fmt.Sprintf("%s#%d+%d@%d", id, r.First, r.N, len(r.Prefix))
		if err := e.sampleInto(ctx, r, &d); err != nil {
			return drawn{}, err
		}
	}
	return d, nil
}

func (e *Env) sampleInto(ctx context.Context, r engine.SampleRequest, d *drawn) error {
	op := "sample " + r.ID
	var res engine.SampleResult
	err := e.retry(ctx, op, func(ctx context.Context) (err error) {
		if res, err = e.Sampler.Sample(ctx, r); err != nil {
			return err
		}
		if len(res.Seqs) != r.N {
			return &engine.Error{Class: engine.Malformed, Op: op, Msg: fmt.Sprintf("%d sequences for %d asked", len(res.Seqs), r.N)}
		}
		for i, s := range res.Seqs {
			if s.Finish == engine.FinishAborted { // by the engine, not by us: as good as no answer
				return &engine.Error{Class: engine.Transient, Op: op, Msg: fmt.Sprintf("the engine aborted sequence %d", i)}
			}
		}
		return nil
	})
	if err != nil && (ctx.Err() != nil || !permanent(err)) {
		return err
	}
	if len(res.Seqs) > r.N {
		res.Seqs = nil // whose is whose?
	}
	for i := range r.N {
		s, failure := engine.Sequence{Finish: engine.FinishAborted}, err
		if i < len(res.Seqs) {
			s = res.Seqs[i]
			// Beside an error about another sequence this one may be whole.
			if problem := broken(r, s); problem != "" && failure == nil {
				failure = &engine.Error{Class: engine.Malformed, Op: op, Msg: fmt.Sprintf("sequence %d %s", i, problem)}
			} else if problem == "" {
				failure = nil
			}
		}
		d.seqs, d.errs = append(d.seqs, s), append(d.errs, failure)
	}
	d.queue, d.first, d.run = max(d.queue, res.Queue), max(d.first, res.FirstToken), d.run+res.Run
	return nil
}

// broken holds a sequence against the engine's promises.
func broken(r engine.SampleRequest, s engine.Sequence) string {
	switch n := whole(s); {
	case s.Finish == engine.FinishAborted:
		return "was aborted"
	case n < len(s.Tokens):
		return fmt.Sprintf("has no finite log-probability or no policy at token %d of %d", n, len(s.Tokens))
	case len(r.Prefix)+len(s.Tokens) > r.Params.MaxTokens:
		return fmt.Sprintf("has %d tokens, %d were allowed", len(s.Tokens), r.Params.MaxTokens-len(r.Prefix))
	case s.Finish == engine.FinishStop && len(s.Tokens) == 0:
		return "stopped without a token"
	}
	return ""
}

// whole counts the leading tokens that a trace can hold: with a finite log-probability and a
// policy.
func whole(s engine.Sequence) int {
	n := min(len(s.Tokens), len(s.Logprobs))
	for i, lp := range s.Logprobs[:n] {
		if f := float64(lp); math.IsNaN(f) || math.IsInf(f, 0) || f > maxLogProb || s.Tokens[i] < 0 {
			n = i
			break
		}
	}
	at := 0
	for _, sp := range s.Spans {
		if sp.Start != at || sp.End <= sp.Start || sp.Policy.ID == "" {
			break
		}
		at = sp.End
	}
	return min(n, at)
}

// PanicError is a panic in a goroutine that a strategy started, where its caller cannot recover it.
type PanicError struct{ Value any }

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// maxLogProb is 0 with room for float32 rounding, as package traces has it.
const maxLogProb = 1e-3

// score asks for the log-probabilities of whole sequences.
func (e *Env) score(ctx context.Context, op string, tokens [][]int32) (out [][]float32, err error) {
	err = e.retry(ctx, "score "+op, func(ctx context.Context) error {
		if out, _, err = e.Sampler.Score(ctx, e.Policy, tokens); err != nil {
			return err
		}
		for i := range tokens {
			if len(out) != len(tokens) || len(out[i]) != len(tokens[i]) {
				return &engine.Error{Class: engine.Malformed, Op: "score " + op, Msg: "not one log-probability per token"}
			}
		}
		return nil
	})
	return out, err
}

func seconds(d time.Duration) float64 { return max(0, d.Seconds()) }

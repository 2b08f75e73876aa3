package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"pith/rollout/engine"
)

// Reasons for which the fleet itself takes a call off a replica.
var (
	errMoved   = errors.New("taken off a replica whose cache is full, or that is being fenced")
	errStalled = errors.New("the replica took longer than the time-out of a call")
)

// Sample sends r to a replica, and again where that cannot change what is drawn; see the package
// comment. Beside an error the result holds what was drawn by then.
func (f *Fleet) Sample(ctx context.Context, r engine.SampleRequest) (engine.SampleResult, error) {
	op := fmt.Sprintf("sample %q", r.ID)
	f.opened(r.N)
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
		r.Timeout = 0 // the replica sees it through the context: waiting counts
	}
	res, err := f.sample(ctx, op, r, promptKey(r.Prompt), nil, false)
	if err == nil && len(res.Seqs) != r.N {
		err = &engine.Error{Class: engine.Malformed, Op: op, Msg: fmt.Sprintf("replica %s returned %d sequences for %d asked", res.Server, len(res.Seqs), r.N)}
	}
	f.settled(r.N, res, err)
	return res, err
}

// sample brings one request to an end, over as many attempts as it takes. rest says that it is what
// was left of a request that broke off.
func (f *Fleet) sample(ctx context.Context, op string, r engine.SampleRequest, key uint64, avoid *replica, rest bool) (engine.SampleResult, error) {
	began := time.Now()
	tried := map[*replica]bool{} // lack the policy
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return engine.SampleResult{}, &engine.Error{Class: engine.Transient, Op: op, Err: context.Cause(ctx)}
		}
		w := &waiter{n: max(r.N, 1), key: key, policy: r.Policy.ID, avoid: avoid}
		on, err := f.place(ctx, op, w)
		if err != nil {
			return engine.SampleResult{}, err
		}
		waited := time.Since(began)
		res, caps, err := f.attempt(ctx, on, r)
		res.Queue += waited
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return res, err
		}
		avoid = on
		drew := drawn(r, res)
		v := verdict(err, drew != unknown, caps.Seeded)
		if v == goOn && drew == nothing {
			v = again
		}
		if f.isClosed() {
			v = giveUp
		}
		if class, _ := engine.ClassOf(err); class == engine.Fatal && !f.anotherThan(on) {
			v = giveUp
		}
		if v != giveUp && v != lose && try >= f.o.Attempts {
			v = f.exhausted(v, caps.Seeded)
		}
		switch v {
		case giveUp:
			return res, err
		case lose:
			return res, &engine.Error{Class: engine.Malformed, Op: op, Msg: fmt.Sprintf("attempt %d on replica %s: %v", try, on.Name, err), Err: ErrLost}
		case another:
			if p, ok := f.successor(r.Policy); ok && rest {
				r.Policy = p // weights changed in place while it ran; the spans say where
				continue
			}
			if f.missing(on, r.Policy.ID) {
				continue // it catches up; until then it is not asked, whoever else may be away just now
			}
			if tried[on] || !f.untried(tried, on) {
				return res, err
			}
			continue
		case goOn:
			return f.goOn(ctx, op, r, res, key, on)
		}
		f.count(func(a *Account) { a.Repeated++ })
		f.o.Log.Debug("fleet: the same request again", "op", op, "replica", on.Name, "attempt", try, "err", err)
		if !f.pause(ctx, r.ID, try, err) {
			return res, &engine.Error{Class: engine.Transient, Op: op, Err: context.Cause(ctx)}
		}
	}
}

// known says how much of a broken attempt's draws came back.
type known uint8

const (
	unknown known = iota // nothing to rely on
	nothing              // nothing was drawn
	some
)

// drawn looks at what came back beside an error.
func drawn(r engine.SampleRequest, res engine.SampleResult) known {
	if len(res.Seqs) != r.N {
		return unknown
	}
	out := nothing
	for _, s := range res.Seqs {
		at := 0
		for _, sp := range s.Spans {
			if sp.Start != at || sp.End <= sp.Start {
				return unknown
			}
			at = sp.End
		}
		if len(s.Logprobs) != len(s.Tokens) || at != len(s.Tokens) {
			return unknown
		}
		if len(s.Tokens) > 0 {
			out = some
		}
	}
	return out
}

// attempt makes one call on a replica that has been booked.
func (f *Fleet) attempt(ctx context.Context, on *replica, r engine.SampleRequest) (engine.SampleResult, engine.SamplerCaps, error) {
	n := max(r.N, 1)
	run, a := f.begin(ctx, on, n)
	stop := context.AfterFunc(f.life, func() { a.cancel(errClosed) })
	defer stop()
	if d := f.o.CallTimeout; d > 0 {
		t := time.AfterFunc(d, func() { a.cancel(errStalled) })
		defer t.Stop()
	}
	f.mu.Lock()
	caps := *on.caps
	f.mu.Unlock()
	res, err := on.Sampler.Sample(run, r)
	if res.Server == "" {
		res.Server = on.Name
	}
	cause := context.Cause(run) // nil while nobody has ended it
	ours := ctx.Err() != nil || errors.Is(cause, errMoved) || errors.Is(cause, errClosed)
	f.end(on, a, judge(err, ours))
	if err != nil && ctx.Err() == nil && cause != nil {
		class := engine.Transient
		if errors.Is(cause, errClosed) {
			class = engine.Fatal
		}
		err = &engine.Error{Class: class, Op: fmt.Sprintf("sample %q", r.ID), Err: errors.Join(cause, err)}
	}
	return res, caps, err
}

// whole marks the sequences of a broken attempt that had drawn their last token, where only the word
// that they were over got lost: to go on from a stop token would put it in the middle of an answer
// that is longer than what was drawn. It says whether any is left to go on.
func whole(r engine.SampleRequest, seqs []engine.Sequence) (left bool) {
	for i := range seqs {
		s, n := &seqs[i], len(seqs[i].Tokens)
		switch {
		case s.Finish != engine.FinishAborted:
		case n > 0 && slices.Contains(r.Params.StopTokens, s.Tokens[n-1]):
			s.Finish = engine.FinishStop
		case n > 0 && len(r.Prefix)+n >= r.Params.MaxTokens:
			s.Finish = engine.FinishLength
		default:
			left = true
		}
	}
	return left
}

// goOn finishes a request from what a broken attempt drew: whole sequences are kept as they are,
// each of the others goes on from its own tokens.
func (f *Fleet) goOn(ctx context.Context, op string, r engine.SampleRequest, got engine.SampleResult, key uint64, avoid *replica) (engine.SampleResult, error) {
	if !whole(r, got.Seqs) {
		f.count(func(a *Account) { a.Completed++ })
		return got, nil
	}
	f.count(func(a *Account) { a.Continued++ })
	errs := make([]error, r.N)
	rest := make([]engine.SampleResult, r.N)
	var wg sync.WaitGroup
	for i, s := range got.Seqs {
		if s.Finish != engine.FinishAborted {
			continue
		}
		part := r
		part.N, part.First = 1, r.First+i
		part.ID = fmt.Sprintf("%s/%d@%d", r.ID, part.First, len(r.Prefix)+len(s.Tokens))
		part.Prefix = slices.Concat(r.Prefix, s.Tokens)
		wg.Go(func() { rest[i], errs[i] = f.sample(ctx, op, part, key, avoid, true) })
	}
	wg.Wait()
	for i := range got.Seqs {
		if len(rest[i].Seqs) == 1 {
			joined, ok := join(got.Seqs[i], rest[i].Seqs[0])
			if !ok {
				errs[i] = errors.Join(errs[i], &engine.Error{Class: engine.Malformed, Op: op, Msg: "two attempts give log-probabilities of different kinds"})
			}
			got.Seqs[i] = joined
		}
		got.Queue, got.Run = max(got.Queue, rest[i].Queue), max(got.Run, got.Run+rest[i].Run)
		got.CachedTokens += rest[i].CachedTokens
	}
	return got, worst(errs)
}

// join puts the second part of a sequence behind the first.
func join(a, b engine.Sequence) (engine.Sequence, bool) {
	if len(a.Tokens) > 0 && len(b.Tokens) > 0 && a.Kind != b.Kind {
		return a, false
	}
	n := len(a.Tokens)
	out := engine.Sequence{
		Tokens:   slices.Concat(a.Tokens, b.Tokens),
		Logprobs: slices.Concat(a.Logprobs, b.Logprobs),
		Kind:     b.Kind, Finish: b.Finish,
	}
	if len(a.Entropies) == n && len(b.Entropies) == len(b.Tokens) {
		out.Entropies = slices.Concat(a.Entropies, b.Entropies)
	}
	out.Spans = append(out.Spans, a.Spans...)
	for _, s := range b.Spans {
		s.Start, s.End = s.Start+n, s.End+n
		if k := len(out.Spans) - 1; k >= 0 && out.Spans[k].Policy == s.Policy && out.Spans[k].Asserted == s.Asserted && out.Spans[k].End == s.Start {
			out.Spans[k].End = s.End
			continue
		}
		out.Spans = append(out.Spans, s)
	}
	return out, true
}

// worst is the error that speaks for several sequences: one after which the same call may be made
// again counts less than one that condemns a sample.
func worst(errs []error) error {
	var first error
	for _, err := range errs {
		if err == nil {
			continue
		}
		class, _ := engine.ClassOf(err)
		if class != engine.Transient && class != engine.Busy {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// exhausted is the end of a request that was sent often enough. Its error may invite the caller to
// repeat it only where that is harmless.
func (f *Fleet) exhausted(v next, seeded bool) next {
	if v == again || v == another || seeded {
		return giveUp
	}
	return lose
}

// pause waits before the next attempt; false where ctx ended first. A busy replica is left alone by
// the queue, so another may be asked at once.
func (f *Fleet) pause(ctx context.Context, id string, try int, err error) bool {
	if class, _ := engine.ClassOf(err); class == engine.Busy || errors.Is(err, errMoved) {
		return ctx.Err() == nil
	}
	d := f.o.Longest
	if try-1 < 30 {
		d = min(f.o.First<<(try-1), f.o.Longest)
	}
	d = d/2 + time.Duration(float64(d/2)*jitter(id, try))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-f.life.Done():
	}
	return ctx.Err() == nil
}

// successor is the policy that replaced p in place.
func (f *Fleet) successor(p engine.PolicyRef) (engine.PolicyRef, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.published); n > 0 && f.inPlace() && f.published[n-1].Policy != p {
		return f.published[n-1].Policy, true
	}
	return engine.PolicyRef{}, false
}

// missing notes that a replica said it lacks a policy, and says whether it is one that the fleet
// will bring it.
func (f *Fleet) missing(on *replica, policy string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known(policy) < 0 {
		return false
	}
	delete(on.has, policy)
	f.suspectLocked(on)
	return on.Publisher != nil
}

// untried marks a replica as tried and says whether another one is left.
func (f *Fleet) untried(tried map[*replica]bool, on *replica) bool {
	tried[on] = true
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.now()
	return slices.ContainsFunc(f.replicas, func(r *replica) bool { return !tried[r] && f.ready(r, at) })
}

// anotherThan says whether some other replica may yet answer.
func (f *Fleet) anotherThan(on *replica) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.replicas, func(r *replica) bool { return r != on && !r.draining && !r.breaker.Open() })
}

func (f *Fleet) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// asked is the wait that the engine itself named.
func asked(err error) time.Duration {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return e.Wait
	}
	return 0
}

// Score sends the sequences to one replica; its answer does not depend on chance, so a failed call
// is simply made again.
func (f *Fleet) Score(ctx context.Context, p engine.PolicyRef, tokens [][]int32) ([][]float32, engine.LogprobKind, error) {
	const op = "score"
	var key uint64
	if len(tokens) > 0 {
		key = promptKey(tokens[0])
	}
	var avoid *replica
	tried := map[*replica]bool{}
	for try := 1; ; try++ {
		on, err := f.place(ctx, op, &waiter{n: max(len(tokens), 1), key: key, policy: p.ID, avoid: avoid})
		if err != nil {
			return nil, engine.LogprobUnknown, err
		}
		run, a := f.begin(ctx, on, max(len(tokens), 1))
		out, kind, err := on.Sampler.Score(run, p, tokens)
		f.end(on, a, judge(err, ctx.Err() != nil))
		avoid = on
		class, isEngine := engine.ClassOf(err)
		switch {
		case err == nil:
			return out, kind, nil
		case ctx.Err() != nil || try >= f.o.Attempts || f.isClosed():
			return nil, kind, err
		case class == engine.PolicyGone:
			if f.missing(on, p.ID); !f.untried(tried, on) {
				return nil, kind, err
			}
			continue
		case !isEngine || class == engine.User || class == engine.Unsupported || (class == engine.Fatal && !f.anotherThan(on)):
			return nil, kind, err
		}
		if !f.pause(ctx, op, try, err) {
			return nil, kind, err
		}
	}
}

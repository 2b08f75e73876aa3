package probe

import (
	"context"
	"errors"
	"math"
	"slices"

	"pith/rollout/engine"
)

// versions publishes two artifacts and asks each, and the first again after the second: a server that
// mixes them up, or answers from a stale cache, shows.
func versions(ctx context.Context, p *prober, r *Result) {
	pub, ok := p.e.(engine.Publisher)
	if !ok {
		r.set(NotAsked, "this kind of server serves the weights that it was started with and no others")
		return
	}
	if len(p.Artifacts) < 2 {
		r.set(NotAsked, "it takes two directories to publish")
		return
	}
	beside := p.report.Caps.ConcurrentPolicy > 1
	defer func() {
		for _, a := range p.Artifacts[:2] {
			_ = pub.Retire(context.WithoutCancel(ctx), a.Policy)
		}
	}()
	ask := func(a engine.Artifact) (engine.Sequence, error) {
		res, err := p.e.Sample(ctx, p.request(1, shortest, greedy, func(q *engine.SampleRequest) { q.Policy = a.Policy }))
		if err != nil {
			return engine.Sequence{}, err
		}
		return res.Seqs[0], nil
	}
	order := []int{0, 1, 0}
	got := make([]engine.Sequence, len(order))
	for i, k := range order {
		var err error
		if i < 2 || !beside { // in place, the first has to be published again
			a := p.Artifacts[k]
			if i == 2 {
				a.Policy.ID += "-again"
			}
			if _, err = pub.Publish(ctx, a); r.failed(err) {
				return
			}
			if got[i], err = ask(a); r.failed(err) {
				return
			}
			continue
		}
		if got[i], err = ask(p.Artifacts[k]); r.failed(err) {
			return
		}
	}
	drift := 0.0
	for i := range min(len(got[0].Logprobs), len(got[2].Logprobs)) {
		drift = max(drift, math.Abs(float64(got[0].Logprobs[i]-got[2].Logprobs[i])))
	}
	r.value("drift", drift)
	switch {
	case slices.Equal(got[0].Logprobs, got[1].Logprobs):
		r.set(Fails, "two policies give the same log-probabilities")
	case !slices.Equal(got[0].Tokens, got[2].Tokens) || drift > 0.05:
		r.set(Fails, "the first policy asked again after the second gives another answer, by %.3g", drift)
	case beside:
		r.set(Holds, "two policies live side by side and keep apart; the first asked again differs by %.2g", drift)
	default:
		r.set(Holds, "weights are replaced in place; the first policy published again differs by %.2g", drift)
	}
}

// straddle changes weights under a long request.
func straddle(ctx context.Context, p *prober, r *Result) {
	pub, ok := p.e.(engine.Publisher)
	switch {
	case !ok:
		r.set(NotAsked, "weights never change under this kind of server")
		return
	case p.report.Caps.ConcurrentPolicy > 1:
		r.set(Holds, "a policy is a name of its own, and a request keeps the one it began with")
		return
	case len(p.Artifacts) < 2:
		r.set(NotAsked, "it takes two directories to publish")
		return
	}
	first, second := p.Artifacts[0], p.Artifacts[1]
	first.Policy.ID, second.Policy.ID = first.Policy.ID+"-before", second.Policy.ID+"-after"
	if _, err := pub.Publish(ctx, first); r.failed(err) {
		return
	}
	tokens := longest
	if p.report.Caps.MaxContext > 0 {
		tokens = p.report.Caps.MaxContext - len(p.Prompt)
	}
	type outcome struct {
		res engine.SampleResult
		err error
	}
	done := make(chan outcome, 1)
	q := p.request(1, tokens, func(q *engine.SampleRequest) { q.Policy = first.Policy })
	go func() {
		res, err := p.e.Sample(ctx, q)
		done <- outcome{res, err}
	}()
	_, err := pub.Publish(ctx, second)
	o := <-done
	if r.failed(errors.Join(err, o.err)) {
		return
	}
	spans := o.res.Seqs[0].Spans
	asserted := slices.ContainsFunc(spans, func(s engine.Span) bool { return s.Asserted })
	r.value("spans", float64(len(spans)))
	switch {
	case asserted:
		r.set(Unknown, "the server does not say which weights drew a token; pith lets requests finish before it replaces weights, and marks the versions as asserted")
	case len(spans) == 1:
		r.set(Holds, "the request finished on the weights that it began with, and the server says so")
	default:
		r.set(Holds, "the request went over to the new weights, and the server says at which token")
	}
}

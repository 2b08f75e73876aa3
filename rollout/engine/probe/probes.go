package probe

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"pith/rollout/engine"
)

// probes are the twelve, in the order of their numbers.
var probes = []struct {
	name    string
	run     func(context.Context, *prober, *Result)
	changes bool // weights
}{
	{"ids come back as they were drawn", echo, false},
	{"the stop token is kept", stopKept, false},
	{"log-probabilities are of a known distribution", kind, false},
	{"filters are accounted for", filters, false},
	{"server defaults do not leak in", defaults, false},
	{"a cancelled call frees the server", cancelling, false},
	{"versions are told apart", versions, true},
	{"a change of weights shows in the spans", straddle, true},
	{"the learner agrees with the sampler", notForSamplers("a run measures it at every step and logs it"), false},
	{"losses are token sums", notForSamplers("it is a learner's property"), false},
	{"the context is a limit, not a knife", length, false},
	{"failures have classes", failures, false},
}

func notForSamplers(why string) func(context.Context, *prober, *Result) {
	return func(_ context.Context, _ *prober, r *Result) { r.set(NotAsked, "%s", why) }
}

// shortest and longest are how many tokens probes draw.
const (
	shortest = 16
	longest  = 64
)

func echo(ctx context.Context, p *prober, r *Result) {
	if !p.report.Caps.Exact {
		r.set(Fails, "the server returns no token ids with log-probabilities of its own")
		return
	}
	var got [2]engine.SampleResult
	for i := range got {
		var err error
		if got[i], err = p.e.Sample(ctx, p.request(1, shortest, greedy)); r.failed(err) {
			return
		}
	}
	a, b := got[0].Seqs[0], got[1].Seqs[0]
	worst := 0.0
	for i := range min(len(a.Logprobs), len(b.Logprobs)) {
		worst = max(worst, math.Abs(float64(a.Logprobs[i]-b.Logprobs[i])))
	}
	r.value("largest_difference", worst)
	switch {
	case !slices.Equal(a.Tokens, b.Tokens):
		r.set(Fails, "the likeliest tokens were drawn twice and differ: %v and %v", a.Tokens, b.Tokens)
	default:
		r.set(Holds, "%d likeliest tokens twice: the same ids, log-probabilities within %.2g", len(a.Tokens), worst)
	}
}

func stopKept(ctx context.Context, p *prober, r *Result) {
	res, err := p.e.Sample(ctx, p.request(1, shortest, greedy))
	if r.failed(err) {
		return
	}
	// A token that first appears late is what to stop at.
	tokens := res.Seqs[0].Tokens
	at := -1
	for i, t := range tokens {
		if slices.Index(tokens, t) == i {
			at = i
		}
	}
	if at < 0 {
		r.set(Unknown, "nothing was drawn to stop at")
		return
	}
	stop := tokens[at]
	res, err = p.e.Sample(ctx, p.request(1, shortest, greedy, func(q *engine.SampleRequest) { q.Params.StopTokens = []int32{stop} }))
	if class, _ := engine.ClassOf(err); class == engine.Unsupported && p.Stop > 0 {
		// It stops at its own end token only: sample until one comes.
		stop = p.Stop
		res, err = p.e.Sample(ctx, p.request(32, longest, func(q *engine.SampleRequest) { q.Params.StopTokens = []int32{stop} }))
	}
	if r.failed(err) {
		return
	}
	for _, q := range res.Seqs {
		if q.Finish == engine.FinishStop { // the adapter has checked that its last token is the stop token
			r.set(Holds, "a sequence of %d tokens ended with stop token %d, which it holds with a log-probability", len(q.Tokens), stop)
			return
		}
	}
	r.set(Unknown, "no sequence met stop token %d", stop)
}

func kind(ctx context.Context, p *prober, r *Result) {
	name := p.report.Logprobs["temperature 0.5"]
	if name == kindNames[engine.LogprobUnknown] {
		r.set(Fails, "it could not be told of which distribution log-probabilities are")
		return
	}
	if !p.report.Caps.PromptLogprobs {
		r.set(Holds, "at temperature 0.5 they are %s; the server scores no given tokens, so how exact they are is not known", name)
		return
	}
	res, err := p.e.Sample(ctx, p.request(4, shortest))
	if r.failed(err) {
		return
	}
	sum, worst, n := 0.0, 0.0, 0
	for _, q := range res.Seqs {
		scores, _, err := p.e.Score(ctx, p.policy, [][]int32{slices.Concat(p.Prompt, q.Tokens)})
		if r.failed(err) {
			return
		}
		for i, l := range q.Logprobs {
			d := math.Abs(float64(l) - float64(scores[0][len(p.Prompt)+i]))
			sum, worst, n = sum+d, max(worst, d), n+1
		}
	}
	mean := sum / float64(max(n, 1))
	r.value("mean_difference", mean)
	r.value("largest_difference", worst)
	if mean > 0.1 {
		r.set(Fails, "at temperature 1, %d sampled tokens scored again differ by %.3g on average: the sampler's numbers are of something else", n, mean)
		return
	}
	r.set(Holds, "at temperature 0.5 they are %s; at temperature 1, %d tokens scored again differ by %.2g on average, %.2g at most", name, n, mean, worst)
}

func filters(ctx context.Context, p *prober, r *Result) {
	name := p.report.Logprobs["top-k 20"]
	if name == kindNames[engine.LogprobUnknown] {
		r.set(Unknown, "it could not be told of which distribution log-probabilities are")
		return
	}
	res, err := p.e.Sample(ctx, p.request(1, shortest, func(q *engine.SampleRequest) { q.Params.TopK = 1 }))
	if r.failed(err) {
		return
	}
	least := 0.0
	for _, l := range res.Seqs[0].Logprobs {
		least = min(least, float64(l))
	}
	r.value("least_under_top_k_1", least)
	r.set(Holds, "under filters they are %s; under top-k 1 the least is %.3g", name, least)
	if processed := least > -1e-6; processed != (name == kindNames[engine.LogprobProcessed]) {
		r.set(Fails, "under filters they should be %s, but under top-k 1 the least is %.3g", name, least)
	}
}

func defaults(_ context.Context, _ *prober, r *Result) {
	r.set(Holds, "every sampling parameter is in every request, so none is left to the server")
}

func cancelling(ctx context.Context, p *prober, r *Result) {
	stats, err := p.e.Stats(ctx)
	if r.failed(err) {
		return
	}
	before := stats[0].Running
	tokens := 4096
	if p.report.Caps.MaxContext > 0 {
		tokens = p.report.Caps.MaxContext - len(p.Prompt)
	}
	inner, cancel := context.WithTimeout(ctx, 250*time.Millisecond)
	defer cancel()
	_, err = p.e.Sample(inner, p.request(8, tokens))
	if err == nil {
		r.set(Unknown, "8 samples of %d tokens ended in less than 250 ms", tokens)
		return
	}
	if class, _ := engine.ClassOf(err); class == engine.Unsupported {
		r.failed(err)
		return
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		r.set(Fails, "the call ended with another error: %v", err)
		return
	}
	began := time.Now()
	for time.Since(began) < 5*time.Second && ctx.Err() == nil {
		if stats, err = p.e.Stats(ctx); err == nil && stats[0].Running <= before {
			r.value("seconds", time.Since(began).Seconds())
			r.set(Holds, "%.1f s after the call was cancelled the server ran as few sequences as before", time.Since(began).Seconds())
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.set(Fails, "5 s after the call was cancelled the server still runs %d sequences, before it ran %d", stats[0].Running, before)
}

func length(ctx context.Context, p *prober, r *Result) {
	most := p.report.Caps.MaxContext
	if most < 2 {
		r.set(Unknown, "the server does not tell its context; set it for this engine")
		return
	}
	fill := func(n int) []int32 {
		out := make([]int32, n)
		for i := range out {
			out[i] = p.Prompt[i%len(p.Prompt)]
		}
		return out
	}
	res, err := p.e.Sample(ctx, p.request(1, 1, func(q *engine.SampleRequest) { q.Prompt = fill(most - 1) }))
	if r.failed(err) {
		return
	}
	if n := len(res.Seqs[0].Tokens); n != 1 {
		r.set(Fails, "a prompt of %d tokens, one below the context, was followed by %d tokens", most-1, n)
		return
	}
	_, err = p.e.Sample(ctx, p.request(1, 1, func(q *engine.SampleRequest) { q.Prompt = fill(most + 1) }))
	if class, _ := engine.ClassOf(err); err == nil || class != engine.User {
		r.set(Fails, "a prompt longer than the context of %d gives %v, not a refusal", most, err)
		return
	}
	r.set(Holds, "a prompt of %d tokens is continued by one, one of %d is refused", most-1, most+1)
}

func failures(ctx context.Context, p *prober, r *Result) {
	for _, c := range []struct {
		what   string
		change func(*engine.SampleRequest)
		want   engine.Class
	}{
		{"an unknown policy", func(q *engine.SampleRequest) { q.Policy = engine.PolicyRef{ID: "pith-probe-nobody"} }, engine.PolicyGone},
		{"an id outside every vocabulary", func(q *engine.SampleRequest) { q.Prompt = []int32{math.MaxInt32} }, engine.User},
		{"top-p 0", func(q *engine.SampleRequest) { q.Params.TopP = 0 }, engine.User},
	} {
		_, err := p.e.Sample(ctx, p.request(1, 1, c.change))
		if class, _ := engine.ClassOf(err); class == engine.Unsupported {
			r.failed(err)
			return
		} else if err == nil || class != c.want {
			r.set(Fails, "%s gives %v, want an error of class %s", c.what, err, c.want)
			return
		}
	}
	r.set(Holds, "an unknown policy, an unknown id and a wrong parameter are refused, each by its class")
}

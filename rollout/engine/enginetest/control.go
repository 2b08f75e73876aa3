package enginetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"pith/rollout/engine"
)

// Bounds of the agreement between a sampler's log-probabilities and those computed for given
// tokens, in nats.
const (
	MeanDifference = 1e-5
	MaxDifference  = 1e-3
)

// score returns the log-probabilities of tokens after the prompt.
func (s *suite) score(p engine.PolicyRef, tokens []int32) []float32 {
	s.t.Helper()
	got, _, err := s.Sampler.Score(s.t.Context(), p, [][]int32{slices.Concat(s.Prompt, tokens)})
	if err != nil {
		s.t.Fatalf("score: %v", err)
	}
	return got[0][len(s.Prompt):]
}

// agree checks scores against sequences that were sampled at temperature 1 or greedily.
func (s *suite) agree(what string, p engine.PolicyRef, seqs []engine.Sequence) {
	s.t.Helper()
	sum, n, worst := 0.0, 0, 0.0
	for _, q := range seqs {
		for i, l := range s.score(p, q.Tokens) {
			d := math.Abs(float64(l) - float64(q.Logprobs[i]))
			sum, n, worst = sum+d, n+1, max(worst, d)
		}
	}
	mean, most := max(MeanDifference, s.Loose/10), max(MaxDifference, s.Loose)
	if sum/float64(n) > mean || worst > most || math.IsNaN(sum) {
		s.t.Errorf("%s: scores differ from the sampler by %.3g on average and %.3g at most, allowed are %g and %g",
			what, sum/float64(n), worst, mean, most)
	}
}

func scores(t *testing.T, s *suite) {
	if !s.caps.PromptLogprobs {
		_, _, err := s.Sampler.Score(t.Context(), s.First.Policy, [][]int32{s.Prompt})
		s.refused("score without the capability", err, engine.Unsupported)
		return
	}
	s.agree("sampled", s.First.Policy, s.sample(s.request(6)))
	got, _, err := s.Sampler.Score(t.Context(), s.First.Policy, [][]int32{s.Prompt, {}, s.Prompt[:1], s.Prompt})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{len(s.Prompt), 0, 1, len(s.Prompt)} {
		if len(got[i]) != n {
			t.Fatalf("sequence %d of %d tokens has %d scores", i, n, len(got[i]))
		}
		for k, l := range got[i] {
			if math.IsNaN(float64(l)) != (k == 0) {
				t.Errorf("score %d of sequence %d is %v", k, i, l)
			}
		}
	}
	if !sameBits(got[0][1:], got[3][1:]) && s.bits() {
		t.Error("the same tokens have two scores")
	}
	_, _, err = s.Sampler.Score(t.Context(), s.First.Policy, [][]int32{{int32(s.Vocab)}})
	s.refused("score of a token outside the vocabulary", err, engine.User)
}

func refusals(t *testing.T, s *suite) {
	for name, change := range map[string]func(*engine.SampleRequest){
		"no samples":           func(r *engine.SampleRequest) { r.N = 0 },
		"no tokens":            func(r *engine.SampleRequest) { r.Params.MaxTokens = 0 },
		"an empty prompt":      func(r *engine.SampleRequest) { r.Prompt = nil },
		"an unknown token":     func(r *engine.SampleRequest) { r.Prompt = []int32{int32(s.Vocab)} },
		"a negative token":     func(r *engine.SampleRequest) { r.Prompt = []int32{-1} },
		"negative temperature": func(r *engine.SampleRequest) { r.Params.Temperature = -1 },
		"top-p 0":              func(r *engine.SampleRequest) { r.Params.TopP = 0 },
	} {
		_, err := s.Sampler.Sample(t.Context(), s.request(1, change))
		s.refused(name, err, engine.User)
	}
	s.sample(s.request(1)) // and the engine is none the worse
}

func unknown(t *testing.T, s *suite) {
	nobody := engine.PolicyRef{ID: "nobody", Step: 99}
	_, err := s.Sampler.Sample(t.Context(), s.request(1, func(r *engine.SampleRequest) { r.Policy = nobody }))
	s.refused("sample", err, engine.PolicyGone)
	if s.caps.PromptLogprobs {
		_, _, err = s.Sampler.Score(t.Context(), nobody, [][]int32{s.Prompt})
		s.refused("score", err, engine.PolicyGone)
	}
}

func policies(t *testing.T, s *suite) {
	if s.Second.Policy.ID == "" || s.caps.ConcurrentPolicy == 1 {
		t.Skip("the engine serves one policy at a time")
	}
	s.publish(s.Second)
	ask := func(p engine.PolicyRef) engine.SampleRequest {
		return s.request(6, func(r *engine.SampleRequest) { r.Policy = p })
	}
	first, second := s.sample(ask(s.First.Policy)), s.sample(ask(s.Second.Policy))
	var both [2]engine.SampleResult
	var errs [2]error
	var wg sync.WaitGroup
	for i, p := range []engine.PolicyRef{s.First.Policy, s.Second.Policy} {
		r := ask(p)
		wg.Go(func() {
			if both[i], errs[i] = s.Sampler.Sample(t.Context(), r); errs[i] == nil {
				errs[i] = s.check(r, both[i]) // the spans name its own policy
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	if s.caps.Seeded {
		s.equal("the first policy beside the second", first, both[0].Seqs)
		s.equal("the second policy beside the first", second, both[1].Seqs)
	}
	if slices.EqualFunc(first, second, func(a, b engine.Sequence) bool { return sameBits(a.Logprobs, b.Logprobs) }) {
		t.Error("both policies give the same log-probabilities")
	}
	if s.caps.PromptLogprobs {
		s.agree("second policy", s.Second.Policy, second)
	}
	if s.Publisher == nil {
		return
	}
	live, err := s.Publisher.Live(t.Context())
	if err != nil || !slices.Contains(live, s.First.Policy) || !slices.Contains(live, s.Second.Policy) {
		t.Fatalf("live policies are %v (%v)", live, err)
	}
	if err := s.Publisher.Retire(t.Context(), s.First.Policy); err != nil {
		t.Fatal(err)
	}
	_, err = s.Sampler.Sample(t.Context(), ask(s.First.Policy))
	s.refused("sample of a retired policy", err, engine.PolicyGone)
	s.sample(ask(s.Second.Policy))
}

func publishing(t *testing.T, s *suite) {
	if s.Publisher == nil {
		t.Skip("the engine has no publisher")
	}
	s.publish(s.First) // again: nothing happens
	live, err := s.Publisher.Live(t.Context())
	others := slices.DeleteFunc(live, func(p engine.PolicyRef) bool { return slices.Contains(s.Base, p) })
	if err != nil || !slices.Equal(others, []engine.PolicyRef{s.First.Policy}) {
		t.Errorf("live policies are %v (%v), want only %v", live, err, s.First.Policy)
	}
	if !slices.Contains(s.Publisher.Accepts(), s.First.Kind) {
		t.Errorf("artifact kind %d was taken but is not among the accepted %v", s.First.Kind, s.Publisher.Accepts())
	}
	if s.First.Digest != "" {
		wrong := s.First
		wrong.Policy.ID, wrong.Digest = "damaged", "00"+s.First.Digest[2:]
		if wrong.Digest == s.First.Digest {
			wrong.Digest = "11" + s.First.Digest[2:]
		}
		_, err := s.Publisher.Publish(t.Context(), wrong)
		s.refused("a wrong digest", err, engine.User)
	}
	if s.Second.Policy.ID != "" {
		other := s.Second
		other.Policy = s.First.Policy
		_, err := s.Publisher.Publish(t.Context(), other)
		s.refused("other weights under a live id", err, engine.User)
	}
}

func cancelled(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sampler.Sample(ctx, s.request(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: error is %v, want one that is context.Canceled", err)
	}
	for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
		s.within(30*time.Second, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			time.AfterFunc(delay, cancel)
			r := s.request(64)
			res, err := s.Sampler.Sample(ctx, r)
			if err == nil {
				return // it was faster
			}
			if !errors.Is(err, context.Canceled) {
				s.t.Errorf("error is %v, want one that is context.Canceled", err)
			}
			if !s.caps.PartialOnAbort || res.Seqs == nil {
				return
			}
			if err := s.check(r, res); err != nil {
				s.t.Errorf("what was produced before: %v", err)
			}
			if !slices.ContainsFunc(res.Seqs, func(q engine.Sequence) bool { return q.Finish == engine.FinishAborted }) {
				s.t.Error("a cancelled call has no aborted sequence")
			}
		})
	}
	s.sample(s.request(2)) // the engine goes on
}

func timeouts(t *testing.T, s *suite) {
	s.within(30*time.Second, func(ctx context.Context) {
		_, err := s.Sampler.Sample(ctx, s.request(256, func(r *engine.SampleRequest) { r.Timeout = time.Microsecond }))
		if !errors.Is(err, context.DeadlineExceeded) {
			s.t.Errorf("error is %v, want one that is context.DeadlineExceeded", err)
		}
	})
	s.sample(s.request(2, func(r *engine.SampleRequest) { r.Timeout = time.Hour }))
}

func closing(t *testing.T, s *suite) {
	running := make(chan error, 1)
	r := s.request(256)
	go func() {
		_, err := s.Sampler.Sample(t.Context(), r)
		running <- err
	}()
	s.within(30*time.Second, func(context.Context) {
		if err := s.Sampler.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
		if err := <-running; err != nil { // it may have been faster
			s.refused("a call under way", err, engine.Fatal)
		}
	})
	_, err := s.Sampler.Sample(t.Context(), s.request(1))
	s.refused("sample after close", err, engine.Fatal)
	if err := s.Sampler.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
}

func counters(t *testing.T, s *suite) {
	o, ok := s.Sampler.(engine.Observer)
	if !ok {
		t.Skip("the engine is no observer")
	}
	total := func() (prompt, output int64) {
		all, err := o.Stats(t.Context())
		if err != nil || len(all) == 0 {
			t.Fatalf("stats: %v, %v", all, err)
		}
		for _, r := range all {
			if !r.Healthy || r.Running < 0 || r.Waiting < 0 || r.CacheUse < 0 || r.CacheUse > 1 || r.Idle < 0 {
				t.Errorf("odd snapshot %+v", r)
			}
			prompt, output = prompt+r.PromptTokens, output+r.OutputTokens
		}
		return prompt, output
	}
	prompt, output := total()
	s.sample(s.request(3))
	p, q := total()
	for range 50 { // a server may count a moment later
		if q-output >= int64(3*s.Tokens) {
			break
		}
		time.Sleep(20 * time.Millisecond)
		p, q = total()
	}
	if q-output != int64(3*s.Tokens) || p-prompt < 1 {
		t.Errorf("%d output and %d prompt tokens counted, want %d and some", q-output, p-prompt, 3*s.Tokens)
	}
}

// Package enginetest is the conformance suite that every Sampler passes, whatever is behind it.
//
// An engine's test calls [Run] with a factory. What the engine's capabilities say it cannot do is
// not asked of it; what they say it can do is checked to the bit where bits are promised.
package enginetest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pith/rollout/engine"
)

// Target is one engine to be tested, with two policies and a prompt it can continue.
type Target struct {
	Sampler   engine.Sampler
	Publisher engine.Publisher // nil: First, and Second if it is set, are live already
	First     engine.Artifact
	Second    engine.Artifact // of the same shape as First; no id: the engine serves one policy only
	Prompt    []int32
	Vocab     int   // token ids are below it
	Stop      int32 // a token that both policies draw with a probability of some percent at every position
	Tokens    int   // how many tokens a test may sample in one sequence, at least 16

	Base []engine.PolicyRef // live whatever is published: what a server was started with
	// Loose widens the bounds on how far scores and repeated samples may differ, for engines whose
	// arithmetic depends on the batch. 0: [MaxDifference] and [MeanDifference].
	Loose float64
}

// Factory makes a fresh engine for one test; it registers its own clean-up with t.
type Factory func(t *testing.T) Target

// Run runs the suite.
func Run(t *testing.T, f Factory) { RunOnly(t, nil, f) }

// RunOnly runs the tests of the suite with the given names, for engines that are not made for training
// and cannot pass all; nil runs all.
func RunOnly(t *testing.T, names []string, f Factory) {
	for _, tc := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"results hold together", results},
		{"the finish reason is the engine's", finishes},
		{"limits count what was sampled before", limits},
		{"equal seeds give equal samples", seeds},
		{"a sample does not depend on its batch", batches},
		{"a sample does not depend on how it was cut into calls", continuations},
		{"the index of the first sample shifts the group", offsets},
		{"greedy sampling follows the likeliest token", greedy},
		{"filters renormalise", filters},
		{"scores agree with the sampler", scores},
		{"wrong requests are refused", refusals},
		{"an unknown policy is gone", unknown},
		{"policies live side by side", policies},
		{"publishing is checked", publishing},
		{"a cancelled call returns what it has", cancelled},
		{"a time-out ends a call", timeouts},
		{"a stream carries the result", streaming},
		{"a closed engine says so", closing},
		{"counters count", counters},
	} {
		if names != nil && !slices.Contains(names, tc.name) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			s := &suite{Target: f(t), t: t}
			var err error
			if s.caps, err = s.Sampler.Caps(t.Context()); err != nil {
				t.Fatalf("caps: %v", err)
			}
			s.publish(s.First)
			tc.run(t, s)
		})
	}
}

// suite is one test's engine.
type suite struct {
	Target
	t    *testing.T
	caps engine.SamplerCaps
	ids  int
}

// publish makes an artifact live, where the engine has a publisher.
func (s *suite) publish(a engine.Artifact) {
	s.t.Helper()
	if s.Publisher == nil || a.Policy.ID == "" {
		return
	}
	ref, err := s.Publisher.Publish(s.t.Context(), a)
	if err != nil {
		s.t.Fatalf("publish %s: %v", a.Policy.ID, err)
	}
	if ref != a.Policy {
		s.t.Fatalf("published as %v, want %v", ref, a.Policy)
	}
}

// request asks the first policy for n samples at temperature 1, without stop tokens.
func (s *suite) request(n int, change ...func(*engine.SampleRequest)) engine.SampleRequest {
	s.ids++
	r := engine.SampleRequest{
		ID: fmt.Sprintf("r%d", s.ids), Policy: s.First.Policy, Prompt: s.Prompt, N: n,
		Params: engine.Params{MaxTokens: s.Tokens, Temperature: 1, TopP: 1, Seed: 7},
	}
	for _, f := range change {
		f(&r)
	}
	return r
}

// sample runs a request that has to succeed and checks what holds for every result.
func (s *suite) sample(r engine.SampleRequest) []engine.Sequence {
	s.t.Helper()
	res, err := s.Sampler.Sample(s.t.Context(), r)
	if err != nil {
		s.t.Fatalf("sample %s: %v", r.ID, err)
	}
	if err := s.check(r, res); err != nil {
		s.t.Fatalf("sample %s: %v", r.ID, err)
	}
	return res.Seqs
}

// check says whether a result keeps the promises that do not depend on what was drawn.
func (s *suite) check(r engine.SampleRequest, res engine.SampleResult) error {
	if len(res.Seqs) != r.N {
		return fmt.Errorf("%d sequences, want %d", len(res.Seqs), r.N)
	}
	for i, q := range res.Seqs {
		if err := s.checkSequence(r, q); err != nil {
			return fmt.Errorf("sequence %d: %w", i, err)
		}
	}
	return nil
}

func (s *suite) checkSequence(r engine.SampleRequest, q engine.Sequence) error {
	switch {
	case len(q.Logprobs) != len(q.Tokens):
		return fmt.Errorf("%d log-probabilities for %d tokens", len(q.Logprobs), len(q.Tokens))
	case q.Entropies != nil && len(q.Entropies) != len(q.Tokens):
		return fmt.Errorf("%d entropies for %d tokens", len(q.Entropies), len(q.Tokens))
	case len(r.Prefix)+len(q.Tokens) > r.Params.MaxTokens:
		return fmt.Errorf("%d tokens after a prefix of %d, the limit is %d", len(q.Tokens), len(r.Prefix), r.Params.MaxTokens)
	}
	for i, t := range q.Tokens {
		if t < 0 || int(t) >= s.Vocab {
			return fmt.Errorf("token %d is %d, outside the vocabulary of %d", i, t, s.Vocab)
		}
		if l := float64(q.Logprobs[i]); math.IsNaN(l) || math.IsInf(l, 0) || l > 0 {
			return fmt.Errorf("log-probability %d is %v", i, l)
		}
		if q.Entropies != nil {
			if h := float64(q.Entropies[i]); !(h >= 0 && h <= math.Log(float64(s.Vocab))+1e-3) {
				return fmt.Errorf("entropy %d is %v", i, h)
			}
		}
		if stop := slices.Contains(r.Params.StopTokens, t); stop && i != len(q.Tokens)-1 {
			return fmt.Errorf("stop token %d at %d of %d", t, i, len(q.Tokens))
		} else if i == len(q.Tokens)-1 && stop != (q.Finish == engine.FinishStop) {
			return fmt.Errorf("finish reason %d after token %d", q.Finish, t)
		}
	}
	if s.caps.LogprobKind != nil && q.Kind != s.caps.LogprobKind(r.Params) {
		return fmt.Errorf("log-probabilities are of kind %d, the capabilities promise %d", q.Kind, s.caps.LogprobKind(r.Params))
	}
	at := 0
	for _, sp := range q.Spans {
		if sp.Start != at || sp.End <= sp.Start {
			return fmt.Errorf("spans %v leave a gap at %d", q.Spans, at)
		}
		if sp.Policy != r.Policy {
			return fmt.Errorf("tokens of policy %v, asked for %v", sp.Policy, r.Policy)
		}
		at = sp.End
	}
	if at != len(q.Tokens) {
		return fmt.Errorf("spans cover %d of %d tokens", at, len(q.Tokens))
	}
	return nil
}

// refused checks that a call failed with the class.
func (s *suite) refused(what string, err error, want engine.Class) {
	s.t.Helper()
	if got, ok := engine.ClassOf(err); err == nil || !ok || got != want {
		s.t.Errorf("%s: error is %v, want one of class %q", what, err, want)
	}
}

// equal checks that two groups of samples are the same: to the bit where the engine is exact.
func (s *suite) equal(what string, want, got []engine.Sequence) {
	s.t.Helper()
	if len(want) != len(got) {
		s.t.Fatalf("%s: %d sequences, want %d", what, len(got), len(want))
	}
	for i := range want {
		a, b := want[i], got[i]
		if !slices.Equal(a.Tokens, b.Tokens) || a.Finish != b.Finish {
			s.t.Fatalf("%s: sequence %d is %v (finish %d), want %v (finish %d)", what, i, b.Tokens, b.Finish, a.Tokens, a.Finish)
		}
		if s.bits() && !sameBits(a.Logprobs, b.Logprobs) || !near(a.Logprobs, b.Logprobs, max(s.Loose, MaxDifference)) {
			s.t.Fatalf("%s: sequence %d has log-probabilities %v, want %v", what, i, b.Logprobs, a.Logprobs)
		}
	}
}

// bits says whether the engine promises the same sample to the bit.
func (s *suite) bits() bool { return s.caps.Exact && s.caps.Seeded && s.caps.Resumable }

func near(a, b []float32, most float64) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Abs(float64(x)-float64(y)) <= most })
}

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// within runs f and fails the test where it takes longer than d.
func (s *suite) within(d time.Duration, f func(ctx context.Context)) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	select {
	case <-done:
	case <-time.After(d):
		s.t.Fatalf("the call did not return within %v", d)
	}
}

package enginetest

import (
	"math"
	"slices"
	"sync"
	"testing"

	"pith/rollout/engine"
)

func results(t *testing.T, s *suite) {
	for _, r := range []engine.SampleRequest{
		s.request(1),
		s.request(5, func(r *engine.SampleRequest) { r.Params.StopTokens = []int32{s.Stop} }),
		s.request(3, func(r *engine.SampleRequest) { r.Params.Temperature = 0.7 }),
		s.request(2, func(r *engine.SampleRequest) { r.Params.MaxTokens = 1 }),
	} {
		s.sample(r) // checks them
	}
	res, err := s.Sampler.Sample(t.Context(), s.request(2))
	if err != nil {
		t.Fatal(err)
	}
	if res.PromptTokens != len(s.Prompt) {
		t.Errorf("prompt of %d tokens is counted as %d", len(s.Prompt), res.PromptTokens)
	}
	if res.Queue < 0 || res.FirstToken < 0 || res.Run < 0 {
		t.Errorf("negative times: queue %v, first token %v, run %v", res.Queue, res.FirstToken, res.Run)
	}
}

func finishes(t *testing.T, s *suite) {
	for _, q := range s.sample(s.request(4)) {
		if q.Finish != engine.FinishLength || len(q.Tokens) != s.Tokens {
			t.Errorf("without stop tokens: finish %d after %d tokens, want length after %d", q.Finish, len(q.Tokens), s.Tokens)
		}
	}
	if !s.caps.StopTokens {
		t.Skip("the engine has no stop tokens")
	}
	stopped := 0
	for _, q := range s.sample(s.request(64, func(r *engine.SampleRequest) { r.Params.StopTokens = []int32{s.Stop} })) {
		if q.Finish == engine.FinishStop {
			stopped++
		} else if len(q.Tokens) != s.Tokens {
			t.Errorf("finish %d after %d tokens", q.Finish, len(q.Tokens))
		}
	}
	if stopped == 0 {
		t.Errorf("none of 64 samples drew the stop token %d", s.Stop)
	}
	if !s.caps.MinTokens {
		return
	}
	least := s.Tokens / 2
	for _, q := range s.sample(s.request(64, func(r *engine.SampleRequest) {
		r.Params.StopTokens, r.Params.MinTokens = []int32{s.Stop}, least
	})) {
		if len(q.Tokens) < least+1 {
			t.Errorf("%d tokens, a stop token is forbidden among the first %d", len(q.Tokens), least)
		}
	}
}

func limits(t *testing.T, s *suite) {
	whole := s.sample(s.request(1))[0]
	for _, keep := range []int{1, s.Tokens - 1} {
		got := s.sample(s.request(1, func(r *engine.SampleRequest) { r.Prefix = whole.Tokens[:keep] }))[0]
		if len(got.Tokens) != s.Tokens-keep || got.Finish != engine.FinishLength {
			t.Errorf("after a prefix of %d: %d tokens and finish %d, want %d and length", keep, len(got.Tokens), got.Finish, s.Tokens-keep)
		}
	}
	if s.caps.MaxContext < 1 {
		return
	}
	got := s.sample(s.request(1, func(r *engine.SampleRequest) { r.Params.MaxTokens = 10 * s.caps.MaxContext }))[0]
	if most := s.caps.MaxContext - len(s.Prompt); len(got.Tokens) > most || got.Finish != engine.FinishLength {
		t.Errorf("%d tokens and finish %d, want at most %d and length: the context is full", len(got.Tokens), got.Finish, most)
	}
}

func seeds(t *testing.T, s *suite) {
	if !s.caps.Seeded {
		t.Skip("the engine does not promise seeds")
	}
	seed := func(n uint64) func(*engine.SampleRequest) {
		return func(r *engine.SampleRequest) { r.Params.Seed = n }
	}
	one := s.sample(s.request(4, seed(1)))
	s.equal("the same seed again", one, s.sample(s.request(4, seed(1))))
	if slices.EqualFunc(one, s.sample(s.request(4, seed(2))), func(a, b engine.Sequence) bool { return slices.Equal(a.Tokens, b.Tokens) }) {
		t.Error("another seed gives the same samples")
	}
	if slices.Equal(one[0].Tokens, one[1].Tokens) {
		t.Error("two samples of a group are the same")
	}
}

func batches(t *testing.T, s *suite) {
	if !s.caps.Seeded {
		t.Skip("the engine does not promise seeds")
	}
	var reqs []engine.SampleRequest
	var want [][]engine.Sequence
	for i := range 12 {
		r := s.request(1+i%4, func(r *engine.SampleRequest) {
			r.Params.Seed = uint64(i)
			r.Params.StopTokens = []int32{s.Stop}
			r.Params.MaxTokens = 1 + (i*5)%s.Tokens
			r.Prompt = slices.Concat(s.Prompt, s.Prompt[:i%len(s.Prompt)])
		})
		reqs = append(reqs, r)
		want = append(want, s.sample(r))
	}
	got := make([]engine.SampleResult, len(reqs))
	errs := make([]error, len(reqs))
	var wg sync.WaitGroup
	for i, r := range reqs {
		wg.Go(func() { got[i], errs[i] = s.Sampler.Sample(t.Context(), r) })
	}
	wg.Wait()
	for i := range reqs {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		s.equal(reqs[i].ID+" in company", want[i], got[i].Seqs)
	}
}

func continuations(t *testing.T, s *suite) {
	if !s.bits() {
		t.Skip("the engine does not promise that cuts do not matter")
	}
	whole := s.sample(s.request(1, func(r *engine.SampleRequest) { r.First = 3 }))[0]
	for keep := 1; keep < len(whole.Tokens); keep += max(1, len(whole.Tokens)/5) {
		got := s.sample(s.request(1, func(r *engine.SampleRequest) { r.First, r.Prefix = 3, whole.Tokens[:keep] }))
		s.equal("continuation", []engine.Sequence{{Tokens: whole.Tokens[keep:], Logprobs: whole.Logprobs[keep:], Finish: whole.Finish}}, got)
	}
}

func offsets(t *testing.T, s *suite) {
	if !s.caps.Seeded {
		t.Skip("the engine does not promise seeds")
	}
	all := s.sample(s.request(8))
	for _, r := range [][2]int{{0, 3}, {2, 4}, {7, 1}} {
		got := s.sample(s.request(r[1], func(q *engine.SampleRequest) { q.First = r[0] }))
		s.equal("part of a group", all[r[0]:r[0]+r[1]], got)
	}
}

func greedy(t *testing.T, s *suite) {
	zero := func(seed uint64) func(*engine.SampleRequest) {
		return func(r *engine.SampleRequest) { r.Params.Temperature, r.Params.Seed = 0, seed }
	}
	got := s.sample(s.request(2, zero(1)))
	s.equal("another seed", got, s.sample(s.request(2, zero(2))))
	s.equal("another sample", got[:1], got[1:])
	for i, q := range s.sample(s.request(2, func(r *engine.SampleRequest) { r.Params.TopK = 1 })) {
		if !slices.Equal(q.Tokens, got[0].Tokens) {
			t.Errorf("top-k 1 gives %v, greedy %v", q.Tokens, got[i].Tokens)
		}
	}
	if !s.caps.PromptLogprobs {
		return
	}
	s.agree("greedy", s.First.Policy, got) // of temperature 1
}

func filters(t *testing.T, s *suite) {
	kind := engine.LogprobUnknown
	if s.caps.LogprobKind != nil {
		kind = s.caps.LogprobKind(engine.Params{MaxTokens: 1, Temperature: 1, TopP: 1, TopK: 1})
	}
	for _, q := range s.sample(s.request(3, func(r *engine.SampleRequest) { r.Params.TopK = 1 })) {
		for i, l := range q.Logprobs {
			if kind == engine.LogprobProcessed && math.Abs(float64(l)) > 1e-6 {
				t.Fatalf("log-probability %d under top-k 1 is %v, want 0", i, l)
			}
		}
	}
	// A filter can only raise the probability of a token that it keeps.
	for _, change := range []func(*engine.SampleRequest){
		func(r *engine.SampleRequest) { r.Params.TopK = 3 },
		func(r *engine.SampleRequest) { r.Params.TopP = 0.5 },
		func(r *engine.SampleRequest) { r.Params.MinP = 0.3 },
	} {
		got := s.sample(s.request(8, change))
		if kind != engine.LogprobProcessed || !s.caps.PromptLogprobs {
			continue
		}
		for i, q := range got {
			raw := s.score(s.First.Policy, q.Tokens)
			for k, l := range q.Logprobs {
				if l < raw[k]-1e-4 {
					t.Fatalf("sequence %d, token %d: filtered log-probability %v is below the model's %v", i, k, l, raw[k])
				}
			}
		}
	}
}

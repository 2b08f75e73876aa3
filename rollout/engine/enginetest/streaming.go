package enginetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pith/rollout/engine"
)

// gather collects pieces by sample.
type gather []engine.Sequence

func (g gather) add(t *testing.T, pieces []engine.Piece) {
	for _, p := range pieces {
		if len(p.Tokens) != len(p.Logprobs) {
			t.Errorf("a piece of %d tokens has %d log-probabilities", len(p.Tokens), len(p.Logprobs))
		}
		g[p.Sample].Tokens = append(g[p.Sample].Tokens, p.Tokens...)
		g[p.Sample].Logprobs = append(g[p.Sample].Logprobs, p.Logprobs...)
	}
}

func streaming(t *testing.T, s *suite) {
	streamer, ok := s.Sampler.(engine.Streamer)
	if !ok {
		t.Skip("the engine does not stream")
	}
	r := s.request(5, func(r *engine.SampleRequest) { r.Params.StopTokens = []int32{s.Stop} })
	got, calls := make(gather, r.N), 0
	res, err := streamer.Stream(t.Context(), r, func(p []engine.Piece) {
		calls++
		got.add(t, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.check(r, res); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].Finish = res.Seqs[i].Finish
	}
	s.equal("the pieces together", res.Seqs, got)
	if calls < 1 { // a busy machine may see the end before the beginning, but never nothing
		t.Error("nothing was emitted")
	}
	if s.caps.Seeded {
		s.equal("a stream", s.sample(r), res.Seqs)
	}

	s.within(30*time.Second, func(ctx context.Context) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r := s.request(64)
		got := make(gather, r.N)
		res, err := streamer.Stream(ctx, r, func(p []engine.Piece) {
			got.add(t, p)
			cancel()
		})
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v, want one that is context.Canceled", err)
		}
		for i, q := range res.Seqs {
			if !slices.Equal(q.Tokens, got[i].Tokens) {
				t.Errorf("cancelled sequence %d: the stream carried %v, the result holds %v", i, got[i].Tokens, q.Tokens)
			}
		}
	})
}

package generate_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pith/policies/model"
	"pith/policies/model/generate"
)

func TestRequestsThatCannotBeServedAreRefused(t *testing.T) {
	c := shapes["llama"]
	p := generate.Pack(policy(c, 1))
	r := rand.New(rand.NewPCG(1, 1))
	for _, tc := range []struct {
		name   string
		change func(*generate.Request)
		want   string
	}{
		{"no policy", func(q *generate.Request) { q.Policy = nil }, "no policy"},
		{"no samples", func(q *generate.Request) { q.N = 0 }, "number of samples is 0"},
		{"a negative index", func(q *generate.Request) { q.First = -1 }, "first sample is -1"},
		{"no prompt", func(q *generate.Request) { q.Prompt = nil }, "prompt is empty"},
		{"a prompt that fills the context", func(q *generate.Request) { q.Prompt = tokens(r, c.VocabSize, 150) }, "the context holds 150 with"},
		{"a prefix beyond the context", func(q *generate.Request) { q.Prefix = tokens(r, c.VocabSize, 149); q.Params.MaxTokens = 200 }, "have 152 tokens"},
		{"a token outside", func(q *generate.Request) { q.Prefix = []int32{64} }, "prefix token 0 is 64"},
		{"parameters", func(q *generate.Request) { q.Params.TopP = 0 }, "top-p is 0"},
		{"more than the cache", func(q *generate.Request) { q.Params.MaxTokens = 130 }, "one sample needs 4 cache pages, the limit is 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := generate.Options{Slots: 2, MaxContext: 150}
			page := generate.Estimate(c, generate.Options{Slots: 1, MaxContext: 1}).Sequence
			if tc.name == "more than the cache" {
				o.CacheBytes = 3*page + page/2
			}
			q := generate.Request{Policy: p, Prompt: []int32{1, 2, 3}, N: 1, Params: plain}
			tc.change(&q)
			d := generate.NewDecoder(o)
			if _, err := d.Submit(q); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error is %v, want one with %q", err, tc.want)
			}
			if !d.Idle() {
				t.Error("a refused request is in the batch")
			}
		})
	}
}

func TestSequencesEndAtTheirLimits(t *testing.T) {
	c := shapes["qwen3"]
	p := generate.Pack(policy(c, 2))
	r := rand.New(rand.NewPCG(2, 2))
	for _, tc := range []struct {
		name                          string
		prompt, prefix, most, context int
		want                          int
	}{
		{"max tokens", 5, 0, 7, 0, 7},
		{"one", 5, 0, 1, 0, 1},
		{"max tokens count the prefix", 5, 4, 7, 0, 3},
		{"a prefix that is all of it", 5, 7, 7, 0, 0},
		{"a prefix beyond it", 5, 9, 7, 0, 0},
		{"the policy's context", 190, 0, 50, 0, 10},
		{"the decoder's context", 60, 0, 50, 70, 10},
		{"the context's last token", 69, 0, 50, 70, 1},
		{"a full context", 60, 10, 50, 70, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			params := plain
			params.MaxTokens = tc.most
			got := sample(t, generate.Options{MaxContext: tc.context}, generate.Request{Policy: p,
				Prompt: tokens(r, c.VocabSize, tc.prompt), Prefix: tokens(r, c.VocabSize, tc.prefix), N: 2, Params: params})[0]
			for _, s := range got {
				if len(s.Tokens) != tc.want || s.Finish != generate.Length {
					t.Errorf("%d tokens, finish %d, want %d and length", len(s.Tokens), s.Finish, tc.want)
				}
			}
		})
	}
}

func TestADivergedPolicyFailsItsOwnRequestsOnly(t *testing.T) {
	c := shapes["llama"]
	good := generate.Pack(policy(c, 3))
	w := policy(c, 3)
	w.Layers[1].Down[0] = float32(math.Inf(1))
	bad := generate.Pack(w)
	d := generate.NewDecoder(generate.Options{})
	var jobs []*generate.Job
	for i := range 6 {
		q := generate.Request{Policy: good, Prompt: []int32{1, 2, int32(i)}, N: 3, Params: plain}
		if i%2 == 1 {
			q.Policy = bad
		}
		j, err := d.Submit(q)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	run(t, d)
	for i, j := range jobs {
		if failed := errors.Is(j.Err(), generate.ErrNotFinite); failed != (i%2 == 1) {
			t.Errorf("job %d: error is %v", i, j.Err())
		}
	}
	if n := d.Leaks(); n != 0 {
		t.Errorf("%d pages leak", n)
	}
}

func TestScoreRefusesWhatItCannotScore(t *testing.T) {
	c := shapes["llama"]
	p := generate.Pack(policy(c, 3))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		in   [][]int32
		want string
	}{
		{"too long", t.Context(), [][]int32{{1}, make([]int32, c.MaxContext+1)}, "sequence 1 has 201 tokens"},
		{"outside", t.Context(), [][]int32{{1, 64}}, "sequence 0 token 1 is 64"},
		{"cancelled", cancelled, [][]int32{{1, 2}}, "context canceled"},
	} {
		if _, err := p.Score(tc.ctx, tc.in); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error is %v, want one with %q", tc.name, err, tc.want)
		}
	}
	if out, err := p.Score(t.Context(), nil); err != nil || len(out) != 0 {
		t.Errorf("nothing to score gives %v, %v", out, err)
	}
	if out, err := p.Score(t.Context(), [][]int32{make([]int32, c.MaxContext)}); err != nil || len(out[0]) != c.MaxContext {
		t.Errorf("a full context gives %d scores, %v", len(out[0]), err)
	}
}

func TestTheMemoryEstimateIsWhatIsUsed(t *testing.T) {
	for name, c := range shapes {
		p := generate.Pack(policy(c, 1))
		o := generate.Options{Slots: 4}
		m := generate.Estimate(c, o)
		if got := generate.PolicyBytes(p); got != m.Policy {
			t.Errorf("%s: a packed policy takes %d bytes, estimated are %d", name, got, m.Policy)
		}
		d := generate.NewDecoder(o)
		params := plain
		params.MaxTokens = c.MaxContext
		for i := range 20 {
			if _, err := d.Submit(generate.Request{Policy: p, Prompt: []int32{1, int32(i)}, N: 2, Params: params}); err != nil {
				t.Fatal(err)
			}
		}
		run(t, d)
		if got := d.CacheBytes(); got > m.Cache || got < 4*m.Sequence {
			t.Errorf("%s: the cache took %d bytes, estimated are at most %d and %d for each of 4 slots", name, got, m.Cache, m.Sequence)
		}
	}
	big := generate.Estimate(model.Config{Arch: model.Llama, VocabSize: 64, HiddenSize: 128, IntermediateSize: 256, NumLayers: 3,
		NumHeads: 4, NumKVHeads: 4, HeadDim: 32, MaxContext: 288}, generate.Options{CacheBytes: 100 << 20})
	if big.Cache > 100<<20 || big.Total(2)-big.Total(1) != big.Policy {
		t.Errorf("estimate %+v", big)
	}
}

package serve_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/rollout/engine"
)

// inProcess asks the engine itself.
func inProcess(f *fixture, prompt []int32, n int, p engine.Params) []drawn {
	f.t.Helper()
	res, err := f.engine.Sample(f.t.Context(), engine.SampleRequest{ID: "r", Policy: f.base, Prompt: prompt, N: n, Params: p})
	if err != nil {
		f.t.Fatal(err)
	}
	out := make([]drawn, n)
	for i, q := range res.Seqs {
		out[i] = drawn{q.Tokens, q.Logprobs, [...]string{"stop", "length", "abort"}[q.Finish]}
	}
	return out
}

var bits = cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })

func TestTheWireGivesTheEnginesBits(t *testing.T) {
	f := start(t, 0)
	prompt := []int32{1, 7, 9, 30, 12}
	for name, ask := range asked {
		t.Run(name, func(t *testing.T) {
			g := *f
			g.t = t
			for _, tc := range []struct {
				name string
				wire object
				in   engine.Params
				n    int
			}{
				{"temperature 1", object{"temperature": 1, "max_tokens": 40, "seed": 11, "ignore_eos": true}, engine.Params{MaxTokens: 40, Temperature: 1, TopP: 1, Seed: 11}, 1},
				{"a stop token", object{"temperature": 1, "max_tokens": 40, "seed": 4, "stop_token_ids": []int{5, 8}, "n": 6},
					engine.Params{MaxTokens: 40, Temperature: 1, TopP: 1, Seed: 4, StopTokens: []int32{5, 8, 2}}, 6},
				{"greedy", object{"temperature": 0, "max_tokens": 20, "seed": 3}, engine.Params{MaxTokens: 20, TopP: 1, StopTokens: []int32{2}}, 1},
			} {
				t.Run(tc.name, func(t *testing.T) {
					g.t = t
					want := inProcess(&g, prompt, tc.n, tc.in)
					if diff := cmp.Diff(want, ask(&g, prompt, tc.wire), bits); diff != "" {
						t.Errorf("in process (-), over HTTP (+):\n%s", diff)
					}
				})
			}
		})
	}
}

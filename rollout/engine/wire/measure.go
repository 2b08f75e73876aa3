package wire

import (
	"context"
	"math"
	"slices"
	"sync"

	"pith/rollout/engine"
)

// Mode is how a server makes log-probabilities.
type Mode uint8

// The modes. Unclear is the zero value: the measurement could not tell.
const (
	Unclear   Mode = iota
	Raw            // always the model's own
	Tempered       // after temperature, before filters
	Processed      // of the distribution drawn from
)

// Kind is of which distribution the log-probabilities are under the parameters. With temperature 0
// servers draw the likeliest token and give the model's own.
func (m Mode) Kind(p engine.Params) engine.LogprobKind {
	filtered := p.TopK > 0 || p.TopP < 1 || p.MinP > 0 || p.MinTokens > 0
	switch {
	case m == Unclear:
		return engine.LogprobUnknown
	case m == Raw || p.Temperature == 0:
		return engine.LogprobRaw
	case m == Processed && filtered:
		return engine.LogprobProcessed
	}
	return engine.LogprobTempered
}

// probePrompt is made of ids that every vocabulary has.
var probePrompt = []int32{1, 2, 3}

const probeTokens = 8

// MeasureMode finds how log-probabilities are made from two short samples of the likeliest tokens:
// one at temperature 0, whose log-probabilities are the model's, and one at temperature 2 with top-k
// 1, which draws the same tokens. There they are 0 if filters count, the same if nothing does, and
// others if temperature does.
func MeasureMode(ctx context.Context, p engine.PolicyRef, sample func(context.Context, engine.SampleRequest) (engine.SampleResult, error)) (Mode, error) {
	r := engine.SampleRequest{ID: "pith-mode", Policy: p, Prompt: probePrompt, N: 1, Params: engine.Params{MaxTokens: probeTokens, Temperature: 0, TopP: 1}}
	first, err := sample(ctx, r)
	if err != nil {
		return Unclear, err
	}
	r.Params.Temperature, r.Params.TopK = 2, 1
	second, err := sample(ctx, r)
	if err != nil {
		return Unclear, err
	}
	a, b := first.Seqs[0], second.Seqs[0]
	n := 0 // tokens that both drew
	for n < min(len(a.Tokens), len(b.Tokens)) && a.Tokens[n] == b.Tokens[n] {
		n++
	}
	at, lowest := -1, -0.01 // a token that is all but certain tells nothing
	for i := range n {
		if l := float64(a.Logprobs[i]); l < lowest {
			at, lowest = i, l
		}
	}
	if at < 0 {
		return Unclear, nil
	}
	switch l := float64(b.Logprobs[at]); {
	case math.Abs(l) < 1e-6:
		return Processed, nil
	case math.Abs(l-lowest) < 1e-3*max(1, -lowest):
		return Raw, nil
	}
	return Tempered, nil
}

// MeasureSeeds says whether a seed gives the same tokens alone and among others, and another seed
// others.
func MeasureSeeds(ctx context.Context, p engine.PolicyRef, sample func(context.Context, engine.SampleRequest) (engine.SampleResult, error)) (bool, error) {
	ask := func(seed uint64, n int) engine.SampleRequest {
		return engine.SampleRequest{ID: "pith-seeds", Policy: p, Prompt: probePrompt, N: n, Params: engine.Params{MaxTokens: probeTokens, Temperature: 1, TopP: 1, Seed: seed}}
	}
	alone, err := sample(ctx, ask(11, 1))
	if err != nil {
		return false, err
	}
	var among, other engine.SampleResult
	var errs [2]error
	var wg sync.WaitGroup
	wg.Go(func() { among, errs[0] = sample(ctx, ask(11, 4)) })
	wg.Go(func() { other, errs[1] = sample(ctx, ask(12, 4)) })
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return false, err
		}
	}
	same := slices.Equal(alone.Seqs[0].Tokens, among.Seqs[0].Tokens)
	differ := false
	for i := range among.Seqs {
		differ = differ || !slices.Equal(among.Seqs[i].Tokens, other.Seqs[i].Tokens)
	}
	return same && differ, nil
}

package loss

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// near compares to the six digits that the written-down vectors have.
var near = cmpopts.EquateApprox(0, 2e-6)

// mustNew builds a loss or ends the test.
func mustNew(t testing.TB, name string, params map[string]any) Fn {
	t.Helper()
	fn, _, err := New(name, params)
	if err != nil {
		t.Fatal(err)
	}
	return fn
}

func mustEval(t testing.TB, fn Fn, b *Batch) *Result {
	t.Helper()
	var out Result
	if err := fn.Eval(b, &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// oneSequence is a batch of one sequence with weights 1, ratios exp(deltas) and one advantage.
func oneSequence(a float64, logProbs, deltas []float64) *Batch {
	n := len(deltas)
	b := &Batch{Offsets: []int32{0, int32(n)}}
	for t := range n {
		lp := -1.0
		if logProbs != nil {
			lp = logProbs[t]
		}
		b.LogProbs = append(b.LogProbs, float32(lp))
		b.Behavior = append(b.Behavior, float32(lp-deltas[t]))
		b.Advantage = append(b.Advantage, float32(a))
		b.Weight = append(b.Weight, 1)
	}
	return b
}

func ln(x float64) float64 { return math.Log(x) }

func TestLossOfOneTokenMatchesPublishedVectors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		loss   string
		params map[string]any
		a, rho float64
		logPi  float64
		want   float64
	}{
		{"ppo clips a winner from above", "ppo", nil, 1, 1.5, -1, -1.28},
		{"ppo lets a winner fall", "ppo", nil, 1, .5, -1, -.5},
		{"ppo lets a loser rise", "ppo", nil, -1, 1.5, -1, 1.5},
		{"ppo clips a loser from below", "ppo", nil, -1, .5, -1, .8},
		{"ppo dual clip 3", "ppo", nil, -1, 10, -1, 3},
		{"ppo dual clip 10", "ppo", map[string]any{"dual_clip": 10}, -1, 10, -1, 10},
		{"ppo without dual clip", "ppo", map[string]any{"dual_clip": 0}, -1, 12, -1, 12},
		{"cispo band", "cispo", nil, 1, 2, ln(.6), .653857},
		{"cispo absolute cap", "cispo", map[string]any{"convention": "cap"}, 1, 2, ln(.6), 1.021651},
		{"sapo winner at ratio 1", "sapo", nil, 1, 1, -1, -2},
		{"sapo loser at ratio 1", "sapo", nil, -1, 1, -1, 1.904762},
		{"sapo winner at ratio 2", "sapo", nil, 1, 2, -1, -2.924234},
		{"sapo loser at ratio 2", "sapo", nil, -1, 2, -1, 2.822000},
		{"dro", "dro", map[string]any{"beta": .1}, 1, 2, ln(.6), .534848},
		{"importance sampling", "importance_sampling", nil, 2, 1.5, -1, -3},
		{"reinforce", "reinforce", nil, 2, 1.5, -1.25, 2.5},
		{"sft", "sft", nil, 2, 1.5, -1.25, 1.25},
		{"sft of positive tokens only skips a loser", "sft", map[string]any{"positive_only": true}, -2, 1, -1.25, 0},
		{"dppo tv masks a winner that has risen too far", "dppo", nil, 1, 2, ln(.6), 0},
		{"dppo tv keeps a loser that has risen", "dppo", nil, -1, 2, ln(.6), 2 * ln(.6)},
		{"dppo tv keeps a winner that has fallen", "dppo", nil, 1, .05 / .3, ln(.05), -.05 / .3 * ln(.05)},
		{"dppo tv masks a loser that has fallen too far", "dppo", nil, -1, .05 / .3, ln(.05), 0},
		{"dppo caps the ratio", "dppo", map[string]any{"keep_high": 1}, 1, 50, ln(.5), -20 * ln(.5)},
		{"dppo kl masks above the Bernoulli KL .183787", "dppo", map[string]any{"divergence": "kl", "keep_high": .18378}, 1, 2, ln(.6), 0},
		{"dppo kl keeps below it", "dppo", map[string]any{"divergence": "kl", "keep_high": .1838}, 1, 2, ln(.6), -2 * ln(.6)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := oneSequence(tc.a, []float64{tc.logPi}, []float64{ln(tc.rho)})
			got := mustEval(t, mustNew(t, tc.loss, tc.params), b).Value
			if diff := cmp.Diff(tc.want, got, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLossOfOneSequenceMatchesPublishedVectors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		loss   string
		params map[string]any
		a      float64
		deltas []float64
		want   float64 // mean over the tokens
	}{
		{"gspo inside its bounds", "gspo", nil, 1, []float64{.001, -.0005, .0002, .0005}, -1.000300045},
		{"gspo clipped", "gspo", nil, 1, []float64{.01, 0, 0, 0}, -1.0004},
		{"gspo unclipped loser", "gspo", nil, -1, []float64{.01, 0, 0, 0}, 1.002503},
		{"luspo is gspo times the length", "gspo", map[string]any{"length_scale": true}, 1, []float64{.01, 0, 0, 0}, -4.0016},
		{"adaptthink's sequence ratio, winner", "gspo", map[string]any{"clip_low": .2, "clip_high": .2}, .3, []float64{ln(.6), .1, -.05, .2}, -.281062},
		{"adaptthink's sequence ratio, loser", "gspo", map[string]any{"clip_low": .2, "clip_high": .2}, -.7, []float64{ln(.6), .1, -.05, .2}, .655812},
		{"gmpo winner", "gmpo", nil, 1, []float64{.5, -.1, .2}, -1.181360},
		{"gmpo loser", "gmpo", nil, -1, []float64{.5, -.1, .2}, 1.221403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := oneSequence(tc.a, nil, tc.deltas)
			for i := range b.Weight {
				b.Weight[i] = 1 / float32(len(b.Weight))
			}
			got := mustEval(t, mustNew(t, tc.loss, tc.params), b).Value
			if diff := cmp.Diff(tc.want, got, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKLEstimatorsMatchVectors(t *testing.T) {
	for _, tc := range []struct {
		kind KL
		d    float64
		want float64
	}{
		{K1, .1, .1}, {K2, .1, .005}, {K3, .1, .004837}, {K3, -.1, .005171}, {K3, 1, .367879},
		{K1, -.1, -.1}, {K2, -.1, .005}, {K3, 0, 0},
	} {
		value, _ := tc.kind.At(tc.d)
		if diff := cmp.Diff(tc.want, value, near); diff != "" {
			t.Errorf("%s(%v): %s", tc.kind, tc.d, diff)
		}
		reward, err := KLReward(nil, tc.kind, 2, []float32{float32(tc.d), 9}, []float32{0, 0}, []bool{true, false})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]float32{float32(-2 * tc.want), 0}, reward, near); diff != "" {
			t.Errorf("reward of %s(%v): %s", tc.kind, tc.d, diff)
		}
	}
}

func TestAggregationsOfTwoSequences(t *testing.T) {
	// Sequences with losses [1,1] and [2 × 6]; a third has no trained token and is not counted.
	offsets := []int32{0, 3, 9, 11}
	train := []bool{true, false, true, true, true, true, true, true, true, false, false}
	losses := []float64{1, 99, 1, 2, 2, 2, 2, 2, 2, 99, 99}
	group := []int32{7, 7, 3}
	for _, tc := range []struct {
		kind  Aggregation
		group []int32
		want  float64
	}{
		{TokenSum, nil, 14},
		{TokenMean, nil, 1.75},
		{SeqMeanTokenMean, nil, 1.5},
		{SeqMeanTokenSum, nil, 7},
		{DrGRPO, nil, 0.7},
		{TokenSumNorm, nil, 1.4},
		{GroupMeanTokenMean, group, 1.75},
		{GroupMeanTokenMean, []int32{0, 1, 2}, 1.5},
		{GroupMeanTokenSum, group, 14},
		{GroupMeanTokenSum, []int32{0, 1, 1}, 7},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			weights, err := Aggregate(tc.kind, 10, offsets, train, tc.group)
			if err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for i, w := range weights {
				if !train[i] && w != 0 {
					t.Errorf("token %d is not trained but has weight %v", i, w)
				}
				sum += float64(w) * losses[i]
			}
			if diff := cmp.Diff(tc.want, sum, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAggregateRefusesWhatItCannotUse(t *testing.T) {
	train := []bool{true, true}
	for _, tc := range []struct {
		name     string
		kind     Aggregation
		constant float64
		offsets  []int32
		group    []int32
		want     string
	}{
		{"unknown kind", "median", 0, []int32{0, 2}, nil, `unknown aggregation "median"; valid ones are token_sum, token_mean, seq_mean_token_sum, seq_mean_token_mean, dr_grpo, token_sum_norm, group_mean_token_mean, group_mean_token_sum`},
		{"no constant", DrGRPO, 0, []int32{0, 2}, nil, "aggregation dr_grpo: the constant is 0; it must be above 0 (usually the token limit)"},
		{"no groups", GroupMeanTokenSum, 0, []int32{0, 1, 2}, []int32{1}, "aggregation group_mean_token_sum: 1 group indices for 2 sequences"},
		{"offsets beyond the tokens", TokenSum, 0, []int32{0, 3}, nil, "offsets end at 3 but there are 2 tokens"},
		{"offsets that fall", TokenSum, 0, []int32{0, 2, 1}, nil, "offsets[2] is 1 after 2; sequences must follow each other"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Aggregate(tc.kind, tc.constant, tc.offsets, train, tc.group)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestCovariancesMatchVector(t *testing.T) {
	p := &pass{
		b: &Batch{
			Advantage: []float32{1, 1, -1, -1, 9},
			LogProbs:  []float32{-.1, -2, -.1, -3, -9},
		},
		weight: []float64{1, .5, 1, 1, 0},
		spare:  make([]float64, 5),
	}
	if n := covariance(p); n != 4 {
		t.Fatalf("%d trained tokens, want 4", n)
	}
	if diff := cmp.Diff([]float64{1.2, -.7, -1.2, 1.7, 0}, p.spare, near); diff != "" {
		t.Error(diff)
	}
}

func TestKLCovPenalisesTheTokensOfLargestCovariance(t *testing.T) {
	b := &Batch{
		Offsets:   []int32{0, 4},
		Advantage: []float32{1, 1, -1, -1},
		LogProbs:  []float32{-.1, -2, -.1, -3},
		Behavior:  []float32{-.2, -2.1, -.2, -2.5},
		Weight:    []float32{1, 1, 1, 1},
	}
	plain := -math.Exp(.1) - math.Exp(.1) + math.Exp(.1) + math.Exp(-.5)
	for _, tc := range []struct {
		share float64
		want  float64
	}{
		{.25, plain + .5},
		{.5, plain + .5 + .1},
		{1e-6, plain + .5}, // at least one
	} {
		out := mustEval(t, mustNew(t, "kl_cov", map[string]any{"cov_share": tc.share}), b)
		if diff := cmp.Diff(tc.want, out.Value, near); diff != "" {
			t.Errorf("share %v: %s", tc.share, diff)
		}
	}
}

func TestClipCovSilencesOnlyCandidates(t *testing.T) {
	b := &Batch{
		Offsets:   []int32{0, 5},
		Advantage: []float32{1, 1, -1, -1, 0},
		LogProbs:  []float32{-.1, -2, -.1, -3, -1.3},
		Behavior:  []float32{-.1, -2, -.1, -3, -1.3},
		Weight:    []float32{1, 1, 1, 1, 1},
	}
	// Covariances 1.2, -.7, -1.2, 1.7, 0: tokens 0 and 3 are candidates.
	out := mustEval(t, mustNew(t, "clip_cov", map[string]any{"cov_share": 1}), b)
	if diff := cmp.Diff([]float32{0, -1, 1, 0, 0}, out.GradLogProb); diff != "" {
		t.Error(diff)
	}
	if out.Metrics.Selected != 2 {
		t.Errorf("%v selected, want 2", out.Metrics.Selected)
	}
	one := mustEval(t, mustNew(t, "clip_cov", nil), b)
	if one.Metrics.Selected != 1 {
		t.Errorf("%v selected of a share below one token, want 1", one.Metrics.Selected)
	}
	seen := map[float32]bool{}
	for seed := range 32 {
		out := mustEval(t, mustNew(t, "clip_cov", map[string]any{"seed": seed}), b)
		seen[out.GradLogProb[0]] = true
	}
	if len(seen) != 2 {
		t.Error("the seed never changes the pick")
	}
	b.Behavior[0] = -.9 // ratio above its bound: no gradient left to silence
	out = mustEval(t, mustNew(t, "clip_cov", map[string]any{"cov_share": 1}), b)
	if out.Metrics.Selected != 1 || out.Metrics.ClipHigh != 1 {
		t.Errorf("selected %v, clipped %v; want 1 and 1", out.Metrics.Selected, out.Metrics.ClipHigh)
	}
}

// mismatched is a batch with ratio 1 everywhere and π_proximal / π_behavior as given, so that the
// gradient of importance sampling at A = -1 is the corrected weight itself.
func mismatched(w ...float64) *Batch {
	b := &Batch{Offsets: []int32{0, int32(len(w))}}
	for _, x := range w {
		b.LogProbs = append(b.LogProbs, -1)
		b.Proximal = append(b.Proximal, -1)
		b.Behavior = append(b.Behavior, float32(-1-ln(x)))
		b.Advantage = append(b.Advantage, -1)
		b.Weight = append(b.Weight, 1)
	}
	return b
}

func TestCorrectionsMatchVectors(t *testing.T) {
	w := []float64{1.5, 3, .4}
	for _, tc := range []struct {
		name   string
		params map[string]any
		w      []float64
		want   []float32
	}{
		{"none", map[string]any{}, w, []float32{1, 1, 1}},
		{"full", map[string]any{"correction": "full"}, w, []float32{1.5, 3, .4}},
		{"tis", map[string]any{"correction": "tis"}, w, []float32{1.5, 2, .4}},
		{"tis, batch-normalised", map[string]any{"correction": "tis", "correction_normalize": true}, w, []float32{1.153846, 1.538462, .307692}},
		{"product", map[string]any{"correction": "full", "correction_level": "sequence"}, w, []float32{1.8, 1.8, 1.8}},
		{"geometric mean", map[string]any{"correction": "full", "correction_level": "geometric"}, w, []float32{1.216440, 1.216440, 1.216440}},
		{"mis", map[string]any{"correction": "mis"}, w, []float32{1.5, 0, 0}},
		{"icepop", map[string]any{"correction": "icepop"}, w, []float32{1.5, 0, 0}},
		{"two-sided truncation", map[string]any{"correction": "clip"}, w, []float32{1.5, 2, .5}},
		{"sequence mask keeps a product of 1.8", map[string]any{"correction": "mis", "correction_level": "sequence", "correction_floor": 0, "correction_cap": 3}, w, []float32{1.8, 1.8, 1.8}},
		{"sequence mask drops a product above 3", map[string]any{"correction": "mis", "correction_level": "sequence", "correction_floor": 0, "correction_cap": 3}, []float64{2, 2, 1}, []float32{0, 0, 0}},
		{"veto drops the sequence", map[string]any{"correction": "clip", "correction_veto": -9.21034}, []float64{1, 9e-5}, []float32{0, 0}},
		{"veto spares what is above it", map[string]any{"correction": "clip", "correction_veto": -9.21034}, []float64{1, 2e-4}, []float32{1, .5}},
		{"reject tokens by k1: the bounds hold 1/w", map[string]any{"reject": "token", "reject_low": .5, "reject_high": 4}, []float64{1.9, 2.1, .3, .2}, []float32{1, 0, 1, 0}},
		{"reject tokens by k2", map[string]any{"reject": "token", "reject_stat": "k2", "reject_high": .1}, []float64{1.5, 1.6}, []float32{1, 0}},
		{"reject tokens by k3", map[string]any{"reject": "token", "reject_stat": "k3", "reject_high": .1}, []float64{1.45, 1.55}, []float32{1, 0}},
		{"reject a sequence by its sum", map[string]any{"reject": "seq_sum"}, w, []float32{1, 1, 1}},
		{"reject a sequence by its sum, dropped", map[string]any{"reject": "seq_sum"}, []float64{1.5, 1.5}, []float32{0, 0}},
		{"reject a sequence by its mean, kept", map[string]any{"reject": "seq_mean"}, []float64{1.9, 1.9}, []float32{1, 1}},
		{"reject a sequence by its extremes", map[string]any{"reject": "seq_max"}, w, []float32{0, 0, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.params["denominator"] = "proximal"
			out := mustEval(t, mustNew(t, "importance_sampling", tc.params), mismatched(tc.w...))
			if diff := cmp.Diff(tc.want, out.GradLogProb, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOffPolicyMaskDropsLosersThatThePolicyHasLeft(t *testing.T) {
	for _, tc := range []struct {
		name string
		a    float64
		gaps []float64
		want float64
	}{
		{"loser far away", -1, []float64{.3, .9}, 0},
		{"winner far away", 1, []float64{.3, .9}, -math.Exp(-.3) - math.Exp(-.9)},
		{"loser nearby", -1, []float64{.1, .2}, math.Exp(-.1) + math.Exp(-.2)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := oneSequence(tc.a, nil, []float64{-tc.gaps[0], -tc.gaps[1]})
			out := mustEval(t, mustNew(t, "importance_sampling", map[string]any{"off_policy_mask": .5}), b)
			if diff := cmp.Diff(tc.want, out.Value, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecoupledPPOWeighsStaleTokensAndClipsAgainstTheProximalPolicy(t *testing.T) {
	b := &Batch{
		Offsets: []int32{0, 1}, Weight: []float32{1}, Advantage: []float32{1},
		LogProbs: []float32{float32(ln(.6))}, Proximal: []float32{float32(ln(.4))}, Behavior: []float32{float32(ln(.2))},
	}
	out := mustEval(t, mustNew(t, "decoupled_ppo", nil), b)
	if diff := cmp.Diff(-2*1.28, out.Value, near); diff != "" {
		t.Error(diff)
	}
	capped := mustEval(t, mustNew(t, "decoupled_ppo", map[string]any{"correction": "tis", "correction_cap": 1.5, "clip_high": 1}), b)
	if diff := cmp.Diff(-1.5*1.5, capped.Value, near); diff != "" {
		t.Error(diff)
	}
}

// preference is a pair with Σ log(π/π_ref) of chosen and rejected, over two tokens each.
func preference(chosen, rejected, advantage float64) *Batch {
	return &Batch{
		Offsets:   []int32{0, 2, 4},
		LogProbs:  []float32{-1, float32(-1 + chosen), -1, float32(-1 + rejected)},
		Reference: []float32{-1, -1, -1, -1},
		Advantage: []float32{float32(advantage), float32(advantage), -1, -1},
		Weight:    []float32{1, 1, 1, 1},
		Group:     []int32{4, 4},
	}
}

func TestPreferenceLossMatchesVectors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		params map[string]any
		adv    float64
		want   float64
	}{
		{"plain", nil, 1, .598139},
		{"conservative, ε .2", map[string]any{"label_smoothing": .2}, 1, .638139},
		{"conservative, ε .5", map[string]any{"label_smoothing": .5}, 1, .698139},
		{"ε from the pair's confidence .8", map[string]any{"confidence": "advantage"}, .8, .638139},
		{"a confidence of .1 is an ε of at most .5", map[string]any{"confidence": "advantage"}, .1, .698139},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := mustEval(t, mustNew(t, "dpo", tc.params), preference(1.5, -.5, tc.adv)) // β·Δ = .2
			if diff := cmp.Diff(tc.want, out.Value, near); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTermsAddKLEntropyAndImitation(t *testing.T) {
	b := oneSequence(1, []float64{-1, -2}, []float64{0, 0})
	b.Advantage[1] = -1
	b.Weight = []float32{.5, .25}
	b.Reference = []float32{-1.1, -2}
	b.Entropy = []float32{.4, .8}
	out := mustEval(t, mustNew(t, "reinforce", map[string]any{
		"kl_coef": 2, "kl_kind": "k1", "entropy_coef": .1, "sft_coef": 3,
	}), b)
	want := .5*1 + .25*-2 + // policy gradient
		2*(.5*.1) + // KL
		-.1*(.5*.4+.25*.8) + // entropy
		3*.5*1 // imitation of the winner
	if diff := cmp.Diff(want, out.Value, near); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float32{-.05, -.025}, out.GradEntropy, near); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float32{-.5 + 2*.5 - 3*.5, .25 + 2*.25}, out.GradLogProb, near); diff != "" {
		t.Error(diff)
	}
}

func TestMetricsCountWhatTheBoundsRemove(t *testing.T) {
	b := &Batch{
		Offsets:   []int32{0, 6},
		LogProbs:  []float32{-1, -1, -1, -1, -1, -1},
		Behavior:  []float32{-1, float32(-1 - ln(1.5)), float32(-1 - ln(.5)), float32(-1 - ln(10)), float32(-1 - ln(.5)), -99},
		Advantage: []float32{1, 1, -1, -1, 1, 1},
		Weight:    []float32{1, 1, 1, 1, 1, 0},
		Entropy:   []float32{.1, .1, .1, .1, .1, 99},
	}
	got := mustEval(t, mustNew(t, "ppo", nil), b).Metrics
	kl := 0.0
	for _, r := range []float64{1, 1.5, .5, 10, .5} {
		kl += r - 1 - ln(r)
	}
	want := Metrics{Tokens: 5, ClipLow: 1, ClipHigh: 1, ClipDual: 1, KL: kl, Entropy: .5, RatioMax: 10}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-5)); diff != "" {
		t.Error(diff)
	}
}

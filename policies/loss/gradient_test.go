package loss

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// grid is the raster of the log-probabilities in gradient tests: on it, and at the steps that the
// differences take, float32 is exact, so that differences are as good as in float64.
const grid = 1.0 / 4096

// gradientCase is a setting whose gradient the value alone determines.
type gradientCase struct {
	loss   string
	params map[string]any
}

func (c gradientCase) String() string {
	if len(c.params) == 0 {
		return c.loss
	}
	return c.loss + strings.NewReplacer("map[", " ", "]", "").Replace(fmt.Sprint(c.params))
}

// gradientCases lists losses that are what they seem: no part of them is detached in a way that a
// difference of values would see. The others are in surrogateCases.
var gradientCases = []gradientCase{
	{"ppo", nil},
	{"ppo", map[string]any{"dual_clip": 0}},
	{"ppo", map[string]any{"kl_coef": .3, "kl_kind": "k1"}},
	{"ppo", map[string]any{"kl_coef": .3, "kl_kind": "k2", "kl_against": "behavior"}},
	{"ppo", map[string]any{"kl_coef": .3, "kl_kind": "k3", "kl_against": "proximal"}},
	{"ppo", map[string]any{"kl_coef": .3, "kl_value_clamp": .05}},
	{"ppo", map[string]any{"entropy_coef": .01, "sft_coef": .1}},
	{"ppo", map[string]any{"reject": "seq_mean", "reject_low": .95, "reject_high": 1.05}},
	{"ppo", map[string]any{"log_ratio_clamp": .1}},
	{"decoupled_ppo", nil},
	{"decoupled_ppo", map[string]any{"correction": "tis", "correction_level": "sequence"}},
	{"decoupled_ppo", map[string]any{"correction": "icepop", "correction_floor": .9, "correction_cap": 1.1}},
	{"decoupled_ppo", map[string]any{"correction": "clip", "correction_normalize": true, "correction_veto": -.3}},
	{"gspo", nil},
	{"gspo", map[string]any{"clip_low": .2, "clip_high": .2, "length_scale": true}},
	{"gspo", map[string]any{"clip_low": .2, "clip_high": .2, "log_ratio_clamp": .02}},
	{"sapo", nil},
	{"gmpo", nil},
	{"gmpo", map[string]any{"clip_low": .1, "clip_high": .1}},
	{"kl_cov", map[string]any{"cov_share": .3}},
	{"clip_cov", map[string]any{"cov_share": 1, "cov_low": .1}},
	{"importance_sampling", nil},
	{"reinforce", nil},
	{"dro", nil},
	{"dpo", nil},
	{"dpo", map[string]any{"label_smoothing": .2, "beta": 2}},
	{"sft", nil},
	{"sft", map[string]any{"positive_only": true}},
}

func TestGradientsAgreeWithCentralDifferences(t *testing.T) {
	for _, tc := range gradientCases {
		t.Run(tc.String(), func(t *testing.T) {
			fn := mustNew(t, tc.loss, tc.params)
			checked, kinks := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				b := drawBatch(t)
				var out Result
				if err := fn.Eval(b, &out); err != nil {
					t.Fatal(err)
				}
				f := func() float64 { return value(t, fn, b) }
				kinks += checkGradient(t, "dValue/dLogProbs", b.LogProbs, out.GradLogProb, f)
				if out.GradEntropy != nil {
					kinks += checkGradient(t, "dValue/dEntropy", b.Entropy, out.GradEntropy, f)
				}
				checked += len(b.LogProbs)
			})
			if kinks*4 > checked {
				t.Errorf("%d of %d entries lay near a kink; the comparison says too little", kinks, checked)
			}
		})
	}
}

func value(t *rapid.T, fn Fn, b *Batch) float64 {
	var out Result
	if err := fn.Eval(b, &out); err != nil {
		t.Fatal(err)
	}
	return out.Value
}

// checkGradient compares with a fourth-order central difference. Step widths that disagree betray a
// kink within reach; such entries are left out and counted.
func checkGradient(t *rapid.T, what string, x, got []float32, f func() float64) (kinks int) {
	t.Helper()
	central := func(i int, h float32) float64 {
		keep := x[i]
		x[i] = keep + h
		up := f()
		x[i] = keep - h
		down := f()
		x[i] = keep
		return (up - down) / (2 * float64(h))
	}
	sides := func(i int, h float32) float64 {
		keep := x[i]
		at := f()
		x[i] = keep + h
		up := f()
		x[i] = keep - h
		down := f()
		x[i] = keep
		return math.Abs(up-2*at+down) / float64(h)
	}
	for i := range x {
		wide, narrow := central(i, 8*grid), central(i, 4*grid)
		narrower := central(i, 2*grid)
		coarse, want := (4*narrow-wide)/3, (4*narrower-narrow)/3
		scale := max(math.Abs(want), 1e-3)
		// A kink exactly at x leaves central differences agreeing with each other, but the two sides
		// do not meet: their gap stays when the step halves.
		gap, halfGap := sides(i, 4*grid), sides(i, 2*grid)
		if math.Abs(coarse-want) > 1e-7*scale || (halfGap > 0.75*gap && halfGap > 1e-6*scale) {
			kinks++
			continue
		}
		if diff := math.Abs(float64(got[i]) - want); diff > 1e-6*scale {
			t.Fatalf("%s[%d] = %v; central differences say %v", what, i, got[i], want)
		}
	}
	return kinks
}

// drawBatch draws sequences in chosen/rejected pairs with log-ratios of either sign around 0 and
// across every bound, some tokens untrained, a weight of its own for each sequence.
func drawBatch(t *rapid.T) *Batch {
	b := &Batch{Offsets: []int32{0}}
	onGrid := func(from, to float64, name string) float32 {
		return float32(rapid.IntRange(int(from/grid), int(to/grid)).Draw(t, name)) * grid
	}
	for i := range 2 * rapid.IntRange(1, 3).Draw(t, "pairs") {
		a := float32(rapid.IntRange(1, 20).Draw(t, "advantage")) / 8
		if i%2 == 1 {
			a = -a
		}
		w := float32(rapid.IntRange(1, 8).Draw(t, "weight")) / 16
		n := rapid.IntRange(1, 5).Draw(t, "tokens")
		for j := range n {
			lp := onGrid(-3, -.1, "logprob")
			b.LogProbs = append(b.LogProbs, lp)
			b.Behavior = append(b.Behavior, lp-onGrid(-.7, .7, "ratio"))
			b.Proximal = append(b.Proximal, lp-onGrid(-.5, .5, "drift"))
			b.Reference = append(b.Reference, lp-onGrid(-1, 1, "reference"))
			b.Entropy = append(b.Entropy, onGrid(.1, 2, "entropy"))
			b.Advantage = append(b.Advantage, a)
			if j > 0 && rapid.IntRange(0, 4).Draw(t, "masked") == 0 {
				b.Weight = append(b.Weight, 0)
			} else {
				b.Weight = append(b.Weight, w)
			}
		}
		b.Offsets = append(b.Offsets, int32(len(b.LogProbs)))
		b.Group = append(b.Group, int32(i/2))
	}
	return b
}

// Losses with a detached factor have the gradient of a surrogate in which that factor is a number.
// Each case spells the surrogate's gradient out on its own.
func TestDetachedLossesHaveTheGradientOfTheirSurrogate(t *testing.T) {
	ratio := func(b *Batch, t int) float64 { return math.Exp(float64(b.LogProbs[t]) - float64(b.Behavior[t])) }
	for _, tc := range []struct {
		gradientCase
		grad func(b *Batch, t int) float64
	}{
		{gradientCase{"cispo", nil}, func(b *Batch, t int) float64 {
			return -min(max(ratio(b, t), .8), 1.28) * float64(b.Advantage[t])
		}},
		{gradientCase{"cispo", map[string]any{"convention": "cap", "cap": 1.3}}, func(b *Batch, t int) float64 {
			return -min(ratio(b, t), 1.3) * float64(b.Advantage[t])
		}},
		{gradientCase{"dppo", map[string]any{"keep_low": .05, "keep_high": .1, "ratio_cap": 1.5}}, func(b *Batch, t int) float64 {
			move := math.Exp(float64(b.LogProbs[t])) - math.Exp(float64(b.Behavior[t]))
			if a := b.Advantage[t]; (a > 0 && move > .1) || (a <= 0 && move < -.05) {
				return 0
			}
			return -min(ratio(b, t), 1.5) * float64(b.Advantage[t])
		}},
		{gradientCase{"gspo_token", map[string]any{"clip_low": .1, "clip_high": .1}}, func(b *Batch, t int) float64 {
			i := sequenceOf(b, t)
			var n, sum float64
			for u := b.Offsets[i]; u < b.Offsets[i+1]; u++ {
				if b.Weight[u] != 0 {
					n++
					sum += float64(b.LogProbs[u]) - float64(b.Behavior[u])
				}
			}
			s := math.Exp(sum / n)
			if a := b.Advantage[t]; (a > 0 && s > 1.1) || (a < 0 && s < .9) {
				return 0
			}
			return -s * float64(b.Advantage[t])
		}},
	} {
		t.Run(tc.String(), func(t *testing.T) {
			fn := mustNew(t, tc.loss, tc.params)
			rapid.Check(t, func(t *rapid.T) {
				b := drawBatch(t)
				var out Result
				if err := fn.Eval(b, &out); err != nil {
					t.Fatal(err)
				}
				for i, w := range b.Weight {
					want := 0.0
					if w != 0 {
						want = float64(w) * tc.grad(b, i)
					}
					if math.Abs(want-float64(out.GradLogProb[i])) > 1e-6 {
						t.Fatalf("gradient[%d] = %v, want %v", i, out.GradLogProb[i], want)
					}
				}
			})
		})
	}
}

func sequenceOf(b *Batch, t int) int {
	i := 0
	for int(b.Offsets[i+1]) <= t {
		i++
	}
	return i
}

func TestGSPOAndItsTokenFormAgreeWhereASequenceHasOneAdvantage(t *testing.T) {
	whole, token := mustNew(t, "gspo", nil), mustNew(t, "gspo_token", nil)
	rapid.Check(t, func(t *rapid.T) {
		b := drawBatch(t)
		for i := range b.Behavior { // ratios near the narrow bounds
			b.Behavior[i] = b.LogProbs[i] - (b.LogProbs[i]-b.Behavior[i])/1024
		}
		var x, y Result
		if err := whole.Eval(b, &x); err != nil {
			t.Fatal(err)
		}
		if err := token.Eval(b, &y); err != nil {
			t.Fatal(err)
		}
		if x.Value != y.Value {
			t.Fatalf("values %v and %v", x.Value, y.Value)
		}
		for i := range x.GradLogProb {
			if math.Abs(float64(x.GradLogProb[i]-y.GradLogProb[i])) > 1e-6 {
				t.Fatalf("gradients differ at %d: %v and %v", i, x.GradLogProb[i], y.GradLogProb[i])
			}
		}
	})
}

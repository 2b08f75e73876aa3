package loss

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// everyCase is every loss with its defaults and every setting that the gradient tests know.
func everyCase() []gradientCase {
	cases := slices.Clone(gradientCases)
	for _, name := range Names() {
		cases = append(cases, gradientCase{name, nil})
	}
	return append(cases,
		gradientCase{"cispo", map[string]any{"convention": "cap"}},
		gradientCase{"dppo", map[string]any{"divergence": "kl"}},
		gradientCase{"ppo", map[string]any{"off_policy_mask": .5, "kl_coef": .1, "entropy_coef": -.1}},
	)
}

func TestNoFiniteInputGivesNaNOrInfinity(t *testing.T) {
	extremes := []float32{0, -1, 1, -80, 80, 1e-30, -1e30, 1e30, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32}
	for _, tc := range everyCase() {
		t.Run(tc.String(), func(t *testing.T) {
			fn := mustNew(t, tc.loss, tc.params)
			rapid.Check(t, func(t *rapid.T) {
				b := drawBatch(t)
				for _, column := range [][]float32{b.LogProbs, b.Behavior, b.Proximal, b.Reference, b.Entropy, b.Weight} {
					for i := range column {
						if rapid.Bool().Draw(t, "extreme") {
							column[i] = rapid.SampledFrom(extremes).Draw(t, "value")
						}
					}
				}
				for i := range b.Advantage { // signs stay: they mark a pair
					b.Advantage[i] *= rapid.SampledFrom([]float32{1, 1e-30, 1e30}).Draw(t, "scale")
				}
				var out Result
				if err := fn.Eval(b, &out); err != nil {
					t.Skip(err) // a pair without a trained token on one side
				}
				m := out.Metrics
				numbers := []float64{out.Value, m.Tokens, m.ClipLow, m.ClipHigh, m.KL, m.Entropy, m.RatioMax, m.RefKL, m.Rejected}
				for _, g := range append(slices.Clone(out.GradLogProb), out.GradEntropy...) {
					numbers = append(numbers, float64(g))
				}
				for i, x := range numbers {
					if math.IsNaN(x) || math.IsInf(x, 0) {
						t.Fatalf("number %d is %v", i, x)
					}
				}
			})
		})
	}
}

func TestUntrainedTokensAreNeverRead(t *testing.T) {
	for _, tc := range everyCase() {
		t.Run(tc.String(), func(t *testing.T) {
			fn := mustNew(t, tc.loss, tc.params)
			rapid.Check(t, func(t *rapid.T) {
				b := drawBatch(t)
				var clean, dirty Result
				if err := fn.Eval(b, &clean); err != nil {
					t.Fatal(err)
				}
				nan := float32(math.NaN())
				for i, w := range b.Weight {
					if w == 0 {
						b.LogProbs[i], b.Behavior[i], b.Proximal[i], b.Reference[i] = nan, nan, nan, nan
						b.Advantage[i], b.Entropy[i] = nan, nan
					}
				}
				if err := fn.Eval(b, &dirty); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(clean, dirty, cmpopts.IgnoreUnexported(Result{})); diff != "" {
					t.Fatal(diff)
				}
				for i, w := range b.Weight {
					if w == 0 && dirty.GradLogProb[i] != 0 {
						t.Fatalf("untrained token %d has gradient %v", i, dirty.GradLogProb[i])
					}
				}
			})
		})
	}
}

// part cuts the sequences [from, to) out of a batch.
func part(b *Batch, from, to int) *Batch {
	i, j := b.Offsets[from], b.Offsets[to]
	p := &Batch{
		LogProbs: b.LogProbs[i:j], Behavior: b.Behavior[i:j], Proximal: b.Proximal[i:j], Reference: b.Reference[i:j],
		Advantage: b.Advantage[i:j], Weight: b.Weight[i:j], Entropy: b.Entropy[i:j], Group: b.Group[from:to],
	}
	for _, o := range b.Offsets[from : to+1] {
		p.Offsets = append(p.Offsets, o-i)
	}
	return p
}

func TestSeparableLossesAddUpOverParts(t *testing.T) {
	for _, tc := range everyCase() {
		fn := mustNew(t, tc.loss, tc.params)
		scope := fn.(*composite).Scope()
		if Separable(fn) != (scope == ScopeToken || scope == ScopeSequence) {
			t.Errorf("%s: scope %s but separable %v", tc, scope, Separable(fn))
		}
		if scope == ScopeBatch {
			continue
		}
		t.Run(tc.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b := drawBatch(t)
				cut := rapid.IntRange(0, len(b.Group)).Draw(t, "cut")
				if scope == ScopeGroup {
					cut -= cut % 2
				}
				var whole, first, second Result
				for _, run := range []struct {
					b   *Batch
					out *Result
				}{{b, &whole}, {part(b, 0, cut), &first}, {part(b, cut, len(b.Group)), &second}} {
					if err := fn.Eval(run.b, run.out); err != nil {
						t.Fatal(err)
					}
				}
				if sum := first.Value + second.Value; math.Abs(sum-whole.Value) > 1e-12*max(1, math.Abs(whole.Value)) {
					t.Fatalf("parts give %v, the whole %v", sum, whole.Value)
				}
				if diff := cmp.Diff(whole.GradLogProb, slices.Concat(first.GradLogProb, second.GradLogProb)); diff != "" {
					t.Fatal(diff)
				}
				m := first.Metrics
				m.Add(second.Metrics)
				if diff := cmp.Diff(whole.Metrics, m, cmpopts.EquateApprox(1e-12, 1e-12)); diff != "" {
					t.Fatal(diff)
				}
			})
		})
	}
}

func TestABatchWithoutTrainedTokensGivesZero(t *testing.T) {
	for _, tc := range everyCase() {
		fn := mustNew(t, tc.loss, tc.params)
		for _, b := range []*Batch{
			{Offsets: []int32{0}},
			part(&Batch{
				Offsets: []int32{0, 1, 2}, LogProbs: []float32{-1, -1}, Behavior: []float32{-1, -1}, Proximal: []float32{-1, -1},
				Reference: []float32{-1, -1}, Advantage: []float32{1, -1}, Weight: []float32{0, 0}, Entropy: []float32{1, 1}, Group: []int32{0, 0},
			}, 0, 2),
		} {
			out := mustEval(t, fn, b)
			if out.Value != 0 || out.Metrics != (Metrics{}) {
				t.Errorf("%s: value %v, metrics %+v", tc, out.Value, out.Metrics)
			}
		}
	}
}

func TestAtRatioOneEveryPolicyLossHasThePolicyGradient(t *testing.T) {
	// Where policy, behavior and start of the step agree, all surrogates share -w·A.
	for i := range methods {
		m := &methods[i]
		if !m.policy || m.name == "clip_cov" { // which silences tokens even there
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			fn := mustNew(t, m.name, nil)
			rapid.Check(t, func(t *rapid.T) {
				b := drawBatch(t)
				b.Behavior, b.Proximal = b.LogProbs, b.LogProbs
				var out Result
				if err := fn.Eval(b, &out); err != nil {
					t.Fatal(err)
				}
				for i, w := range b.Weight {
					if want := -w * b.Advantage[i]; math.Abs(float64(out.GradLogProb[i]-want)) > 1e-6 {
						t.Fatalf("gradient[%d] = %v, want %v", i, out.GradLogProb[i], want)
					}
				}
			})
		})
	}
}

func TestAggregatedWeightsSumToWhatTheKindPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offsets := []int32{0}
		var train []bool
		var group []int32
		for range rapid.IntRange(1, 6).Draw(t, "sequences") {
			train = append(train, rapid.SliceOfN(rapid.Bool(), 0, 6).Draw(t, "mask")...)
			offsets = append(offsets, int32(len(train)))
			group = append(group, int32(rapid.IntRange(0, 2).Draw(t, "group")))
		}
		trained := 0
		for _, on := range train {
			if on {
				trained++
			}
		}
		for _, kind := range []Aggregation{TokenMean, SeqMeanTokenMean, GroupMeanTokenMean} {
			weights, err := Aggregate(kind, 0, offsets, train, group)
			if err != nil {
				t.Fatal(err)
			}
			sum, want := 0.0, min(float64(trained), 1)
			for _, w := range weights {
				sum += float64(w)
			}
			if math.Abs(sum-want) > 1e-5 {
				t.Fatalf("%s: weights sum to %v, want %v", kind, sum, want)
			}
		}
	})
}

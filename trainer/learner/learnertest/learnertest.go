// Package learnertest is the conformance suite of learner.Learner: what every implementation must
// do, whatever engine stands behind it. An implementation's test calls Run.
package learnertest

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"pith/policies/loss"
	"pith/rollout/engine"
	"pith/trainer/learner"
)

// Fixture describes the implementation under test.
type Fixture struct {
	// New makes a fresh learner, each with the same weights and no optimiser steps taken.
	New func(t *testing.T) learner.Learner
	// Vocab is the number of tokens; the suite uses ids below it. At least 16.
	Vocab int
	// Tolerance bounds differences of log-probabilities and norms that should be equal; 0 demands
	// equal bits.
	Tolerance float64
}

// near reports equality within the fixture's tolerance.
func (f Fixture) near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= f.Tolerance*max(1, math.Abs(a), math.Abs(b))
}

// data makes n reproducible sequences in two groups, each of a prompt of three tokens and a response.
func (f Fixture) data(n int) []learner.Datum {
	d := make([]learner.Datum, n)
	for i := range d {
		length := 8 + 5*i%7
		d[i] = learner.Datum{
			Tokens:    make([]int32, length),
			Train:     make([]float32, length),
			Advantage: make([]float32, length),
			Behavior:  make([]float32, length),
			Group:     int32(i % 2),
			Tag:       "datum",
		}
		for t := range length {
			d[i].Tokens[t] = int32((3 + 7*i + t*t) % f.Vocab)
			if t >= 3 {
				d[i].Train[t] = 1 / float32(length)
				d[i].Advantage[t] = float32(1 - 2*(i%2))
				d[i].Behavior[t] = -2
			}
		}
	}
	return d
}

// forward is Forward, or a failed test.
func forward(t *testing.T, l learner.Learner, d []learner.Datum) [][]float32 {
	t.Helper()
	rows, err := l.Forward(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func accumulate(t *testing.T, l learner.Learner, d []learner.Datum, fn loss.Fn) learner.StepOutput {
	t.Helper()
	out, err := l.Accumulate(t.Context(), d, fn)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func step(t *testing.T, l learner.Learner, lr float64) learner.StepStats {
	t.Helper()
	s, err := l.Step(t.Context(), learner.OptimStep{LR: lr})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func export(t *testing.T, l learner.Learner, id string) engine.Artifact {
	t.Helper()
	a, err := l.Export(t.Context(), engine.PolicyRef{ID: id, Step: 1})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// build makes a loss by name.
func build(t *testing.T, name string, params map[string]any) loss.Fn {
	t.Helper()
	fn, _, err := loss.New(name, params)
	if err != nil {
		t.Fatal(err)
	}
	return fn
}

// Run runs the suite.
func Run(t *testing.T, f Fixture) {
	fresh := func(t *testing.T) learner.Learner {
		l := f.New(t)
		t.Cleanup(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
		return l
	}

	t.Run("forward scores every token but the first", func(t *testing.T) {
		for i, row := range forward(t, fresh(t), f.data(3)) {
			for k, lp := range row {
				if first := k == 0; math.IsNaN(float64(lp)) != first || lp > 0 {
					t.Errorf("datum %d has log-probability %v at token %d", i, lp, k)
				}
			}
		}
	})
	t.Run("a sequence scores the same in any company", func(t *testing.T) {
		l, d := fresh(t), f.data(5)
		together := forward(t, l, d)
		for i := range d {
			alone := forward(t, l, d[i:i+1])[0]
			for k := 1; k < len(alone); k++ {
				if !f.near(float64(alone[k]), float64(together[i][k])) {
					t.Errorf("datum %d, token %d: %v alone, %v together", i, k, alone[k], together[i][k])
				}
			}
		}
	})
	t.Run("temperature flattens", func(t *testing.T) {
		l, d := fresh(t), f.data(1)
		d[0].Temperature = 1e4
		want := -math.Log(float64(f.Vocab))
		for k, lp := range forward(t, l, d)[0][1:] {
			if math.Abs(float64(lp)-want) > 1e-2 {
				t.Errorf("token %d at temperature 1e4 has log-probability %v, want about %v", k+1, lp, want)
			}
		}
	})
	t.Run("accumulate reports the log-probabilities of trained tokens", func(t *testing.T) {
		l, d := fresh(t), f.data(3)
		want := forward(t, l, d)
		out := accumulate(t, l, d, build(t, "sft", nil))
		trained := 0.0
		for i := range d {
			for k, w := range d[i].Train {
				got := out.LogProbs[i][k]
				switch {
				case w == 0 && !math.IsNaN(float64(got)):
					t.Errorf("datum %d, untrained token %d has log-probability %v, want NaN", i, k, got)
				case w != 0:
					trained++
					if !f.near(float64(got), float64(want[i][k])) {
						t.Errorf("datum %d, token %d: %v, Forward says %v", i, k, got, want[i][k])
					}
				}
			}
		}
		if out.Metrics.Tokens != trained {
			t.Errorf("metrics count %v trained tokens, want %v", out.Metrics.Tokens, trained)
		}
	})
	t.Run("steps lower the loss", func(t *testing.T) {
		l, d, fn := fresh(t), f.data(4), build(t, "sft", nil)
		first := accumulate(t, l, d, fn).Loss
		step(t, l, 1e-2)
		last := first
		for range 10 {
			last = accumulate(t, l, d, fn).Loss
			step(t, l, 1e-2)
		}
		if !(last < 0.8*first) {
			t.Errorf("loss went from %v to %v in ten steps", first, last)
		}
	})
	t.Run("advantages push with their sign", func(t *testing.T) {
		l, d, fn := fresh(t), f.data(2), build(t, "reinforce", nil)
		sum := func() (s [2]float64) {
			for i, row := range forward(t, l, d) {
				for k, w := range d[i].Train {
					if w != 0 {
						s[i] += float64(row[k])
					}
				}
			}
			return s
		}
		before := sum()
		for range 3 {
			accumulate(t, l, d, fn)
			step(t, l, 1e-3)
		}
		after := sum()
		if after[0] <= before[0] || after[1] >= before[1] {
			t.Errorf("log-probabilities went from %v to %v; the first sequence has advantage 1, the second -1", before, after)
		}
	})
	t.Run("gradients add up over calls", func(t *testing.T) {
		d, fn := f.data(4), build(t, "sft", nil)
		whole := fresh(t)
		accumulate(t, whole, d, fn)
		a := step(t, whole, 1e-3)
		parts := fresh(t)
		accumulate(t, parts, d[:1], fn)
		accumulate(t, parts, d[1:], fn)
		b := step(t, parts, 1e-3)
		if !f.near(a.GradNorm, b.GradNorm) {
			t.Errorf("gradient norm %v at once, %v in two calls", a.GradNorm, b.GradNorm)
		}
		if !(a.GradNorm > 0) || a.Updates != 1 {
			t.Errorf("first step reports %+v", a)
		}
	})
	t.Run("a step clears the gradient and so does discard", func(t *testing.T) {
		l, d, fn := fresh(t), f.data(2), build(t, "sft", nil)
		accumulate(t, l, d, fn)
		step(t, l, 0)
		if s := step(t, l, 0); s.GradNorm != 0 {
			t.Errorf("a step with nothing accumulated has gradient norm %v", s.GradNorm)
		}
		accumulate(t, l, d, fn)
		l.Discard()
		if s := step(t, l, 0); s.GradNorm != 0 {
			t.Errorf("a step after discard has gradient norm %v", s.GradNorm)
		}
	})
	t.Run("sequences that cannot contribute are left out", func(t *testing.T) {
		d := f.data(4)
		clear(d[0].Train)
		clear(d[2].Advantage)
		l := fresh(t)
		out := accumulate(t, l, d, build(t, "ppo", nil))
		with := step(t, l, 1e-3)
		if out.Skipped != 2 {
			t.Errorf("%d sequences are skipped, want 2", out.Skipped)
		}
		if !math.IsNaN(float64(out.LogProbs[2][5])) || math.IsNaN(float64(out.LogProbs[1][5])) {
			t.Error("log-probabilities must be NaN exactly in what was skipped")
		}
		only := fresh(t)
		accumulate(t, only, []learner.Datum{d[1], d[3]}, build(t, "ppo", nil))
		if without := step(t, only, 1e-3); !f.near(with.GradNorm, without.GradNorm) {
			t.Errorf("gradient norm %v with them, %v without", with.GradNorm, without.GradNorm)
		}
		if out := accumulate(t, l, d, build(t, "ppo", map[string]any{"kl_coef": 0.1, "kl_against": "behavior"})); out.Skipped != 1 {
			t.Errorf("with a KL term %d sequences are skipped, want the 1 that trains nothing", out.Skipped)
		}
		l.Discard()
	})
	t.Run("nothing to learn from is not an error", func(t *testing.T) {
		l, d := fresh(t), f.data(2)
		clear(d[0].Train)
		clear(d[1].Train)
		if out := accumulate(t, l, d, build(t, "ppo", nil)); out.Skipped != 2 || out.Loss != 0 {
			t.Errorf("got %+v", out)
		}
	})
	t.Run("an exported policy is immutable and gives its name", func(t *testing.T) {
		l, d, fn := fresh(t), f.data(2), build(t, "sft", nil)
		a := export(t, l, "policy-a")
		again := export(t, l, "policy-b")
		if a.Digest != again.Digest {
			t.Error("two exports without a step between have different digests")
		}
		accumulate(t, l, d, fn)
		step(t, l, 1e-2)
		b := export(t, l, "policy-c")
		if a.Digest != "" && a.Digest == b.Digest {
			t.Error("a step did not change the digest")
		}
		if digest, ok := a.Handle.(interface{ Digest() string }); ok && digest.Digest() != a.Digest {
			t.Error("the exported weights have changed after export")
		}
		if b.Policy.ID != "policy-c" || l.Policy() != b.Policy {
			t.Errorf("artifact names %v and the learner %v, want policy-c", b.Policy, l.Policy())
		}
	})
	t.Run("save and load restore the exact state", func(t *testing.T) {
		d, fn := f.data(4), build(t, "sft", nil)
		advance := func(l learner.Learner) learner.StepStats {
			accumulate(t, l, d, fn)
			return step(t, l, 3e-3)
		}
		straight := fresh(t)
		advance(straight)
		advance(straight)
		export(t, straight, "policy-2")
		dir := filepath.Join(t.TempDir(), "state")
		for range 2 { // over nothing, then over an older state
			if err := straight.Save(dir); err != nil {
				t.Fatal(err)
			}
		}
		resumed := fresh(t)
		accumulate(t, resumed, d[:1], fn) // must not leak into what is loaded
		if err := resumed.Load(dir); err != nil {
			t.Fatal(err)
		}
		if resumed.Policy() != straight.Policy() {
			t.Errorf("policy is %v after loading, want %v", resumed.Policy(), straight.Policy())
		}
		for range 2 {
			a, b := advance(straight), advance(resumed)
			if a != b {
				t.Errorf("steps differ after loading: %+v and %+v", a, b)
			}
		}
		if a, b := export(t, straight, "x"), export(t, resumed, "x"); a.Digest != b.Digest {
			t.Error("weights differ two steps after loading")
		}
		if err := resumed.Load(filepath.Join(t.TempDir(), "absent")); err == nil {
			t.Error("loading from nowhere succeeded")
		}
	})
	t.Run("malformed data are refused", func(t *testing.T) {
		l := fresh(t)
		for name, spoil := range map[string]func(*learner.Datum){
			"no tokens":               func(d *learner.Datum) { *d = learner.Datum{} },
			"foreign token":           func(d *learner.Datum) { d.Tokens[1] = int32(f.Vocab) },
			"negative token":          func(d *learner.Datum) { d.Tokens[1] = -1 },
			"short mask":              func(d *learner.Datum) { d.Train = d.Train[:4] },
			"first token trained":     func(d *learner.Datum) { d.Train[0] = 1 },
			"weight is NaN":           func(d *learner.Datum) { d.Train[4] = float32(math.NaN()) },
			"negative temperature":    func(d *learner.Datum) { d.Temperature = -1 },
			"behaviour of other size": func(d *learner.Datum) { d.Behavior = make([]float32, 99) },
			"behaviour missing":       func(d *learner.Datum) { d.Behavior = nil },
		} {
			d := f.data(2)
			spoil(&d[1])
			if _, err := l.Accumulate(t.Context(), d, build(t, "ppo", nil)); err == nil {
				t.Errorf("%s: accepted", name)
			}
			l.Discard()
		}
	})
	t.Run("a gradient that is not finite is refused", func(t *testing.T) {
		l, d := fresh(t), f.data(2)
		before := export(t, l, "before")
		accumulate(t, l, d, poison{})
		if _, err := l.Step(t.Context(), learner.OptimStep{LR: 1e-3}); err == nil {
			t.Fatal("a step on NaN was taken")
		}
		if after := export(t, l, "after"); after.Digest != before.Digest {
			t.Error("the weights have changed")
		}
		if s := step(t, l, 0); s.GradNorm != 0 {
			t.Errorf("the bad gradient is still there: norm %v", s.GradNorm)
		}
	})
	t.Run("a cancelled context stops work", func(t *testing.T) {
		l, d := fresh(t), f.data(2)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Forward(ctx, d); err == nil {
			t.Error("Forward ran")
		}
		if _, err := l.Accumulate(ctx, d, build(t, "sft", nil)); err == nil {
			t.Error("Accumulate ran")
		}
		if _, err := l.Step(ctx, learner.OptimStep{}); err == nil {
			t.Error("Step ran")
		}
	})
	t.Run("inputs are left alone", func(t *testing.T) {
		l, d, want := fresh(t), f.data(3), f.data(3)
		accumulate(t, l, d, build(t, "ppo", nil))
		step(t, l, 1e-3)
		for i := range d {
			if !slices.Equal(d[i].Tokens, want[i].Tokens) || !slices.Equal(d[i].Train, want[i].Train) ||
				!slices.Equal(d[i].Advantage, want[i].Advantage) || !slices.Equal(d[i].Behavior, want[i].Behavior) {
				t.Errorf("datum %d has changed", i)
			}
		}
	})
}

// poison is a loss whose gradient is NaN.
type poison struct{}

func (poison) Eval(b *loss.Batch, out *loss.Result) error {
	out.GradLogProb = make([]float32, len(b.LogProbs))
	for t, w := range b.Weight {
		if w != 0 {
			out.GradLogProb[t] = float32(math.NaN())
		}
	}
	return nil
}

// Package learner is the seam between the training loop and whatever improves a policy. It defines the
// Learner interface and the data it takes. Implementations live in packages below and pass one
// conformance suite (learner/learnertest). There is one, the in-process learner on Gorgonia
// (learner/local): the adapters of training servers that the design names (Tinker's dialect,
// prime-rl's files) do not exist, since none of those could be run to check one against.
//
// Data are "this token" aligned: entry t of every slice speaks of token t, and entry 0, which no
// policy has predicted, is never trained. The canonical loss is a token sum whose weights already
// hold the train mask and the aggregation's normaliser; an adapter rescales exactly to its engine's
// reduction or refuses.
package learner

import (
	"context"
	"fmt"
	"math"

	"pith/policies/loss"
	"pith/rollout/engine"
)

// Datum is one sequence to learn from. All slices but Tokens may be nil, which means zeros; others
// have len(Tokens).
type Datum struct {
	Tokens    []int32
	Train     []float32 // 0 = context; otherwise the token's weight
	Advantage []float32
	Behavior  []float32 // log-probabilities as the sampler gave them; read only where Train is not 0
	Proximal  []float32 // of the learner's policy at the start of the step, for losses that need it
	Reference []float32 // of a fixed reference policy, for losses that need it
	Group     int32
	// Temperature is the one that the sequence was drawn at; log-probabilities are those of
	// softmax(logits/Temperature). 0 means 1, as greedy samples carry those of temperature 1.
	Temperature float64
	Tag         string // group and sample, for error messages
}

// Check reports what is wrong with a datum.
func (d *Datum) Check() error {
	n := len(d.Tokens)
	if n == 0 {
		return fmt.Errorf("datum %q has no tokens", d.Tag)
	}
	for _, s := range []struct {
		name string
		v    []float32
	}{
		{"train", d.Train}, {"advantage", d.Advantage}, {"behavior", d.Behavior},
		{"proximal", d.Proximal}, {"reference", d.Reference},
	} {
		if s.v != nil && len(s.v) != n {
			return fmt.Errorf("datum %q has %d tokens but %d entries of %s", d.Tag, n, len(s.v), s.name)
		}
	}
	if d.Train != nil && d.Train[0] != 0 {
		return fmt.Errorf("datum %q trains its first token, which has no log-probability", d.Tag)
	}
	for t, w := range d.Train {
		if math.IsNaN(float64(w)) || math.IsInf(float64(w), 0) {
			return fmt.Errorf("datum %q has weight %v at token %d", d.Tag, w, t)
		}
	}
	if d.Temperature < 0 || math.IsNaN(d.Temperature) || math.IsInf(d.Temperature, 0) {
		return fmt.Errorf("datum %q has temperature %v; want a positive number, or 0 for greedy", d.Tag, d.Temperature)
	}
	return nil
}

// StepOutput is what Accumulate found out.
type StepOutput struct {
	// LogProbs per datum, under the weights before the step; NaN where nothing was computed, that
	// is at untrained tokens and in data that could be left out (see [Learner.Accumulate]).
	LogProbs [][]float32
	// Entropies likewise, in nats.
	Entropies [][]float32
	Loss      float64
	Metrics   loss.Metrics
	Skipped   int // data left out
	Tokens    int // tokens that went through the model
}

// OptimStep is what varies from step to step.
type OptimStep struct {
	LR float64
}

// StepStats says what a step did.
type StepStats struct {
	GradNorm float64 // global, before clipping
	Clipped  bool
	Updates  int64 // optimiser steps taken since the start of training, this one included
}

// Scorer gives log-probabilities: a learner's of its policy, or those of a fixed reference policy.
type Scorer interface {
	// Forward returns the log-probability of every token that is trained, this token aligned; of
	// others it may be NaN.
	Forward(ctx context.Context, d []Datum) ([][]float32, error)
}

// Learner improves one policy. It is owned by one goroutine.
type Learner interface {
	// Policy is the policy after the last Step, under the name that Export gave it, or the one it
	// began with.
	Policy() engine.PolicyRef
	// Forward returns the log-probability of every token, NaN at 0.
	Forward(ctx context.Context, d []Datum) ([][]float32, error)
	// Accumulate adds the gradient of fn over d, which is one whole update as far as fn is
	// concerned. It may cut d into parts where value and gradient stay the same, and leaves out
	// sequences that cannot contribute: those with no trained token, and, if
	// [loss.IgnoresZeroAdvantage] says so of fn, those whose trained tokens all have advantage 0;
	// Metrics then speak of the rest. After an error the accumulated gradient is undefined until
	// Discard or Step.
	Accumulate(ctx context.Context, d []Datum, fn loss.Fn) (StepOutput, error)
	// Discard forgets what has been accumulated.
	Discard()
	// Step clips the accumulated gradient by its global norm, takes one optimiser step and clears
	// it. A gradient that is not finite is refused, the weights stay as they are, and the gradient
	// is cleared.
	Step(ctx context.Context, o OptimStep) (StepStats, error)
	// Export hands the current weights over as an immutable artifact named p.
	Export(ctx context.Context, p engine.PolicyRef) (engine.Artifact, error)
	// Save writes weights, optimiser state and counters into dir, from which Load restores the
	// exact bits. Accumulated gradients are not part of it: save after a Step.
	Save(dir string) error
	Load(dir string) error
	Close() error
}

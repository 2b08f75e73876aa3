// Package local is the in-process learner: the policy as a Gorgonia graph (policies/model/graph), our
// own AdamW behind Gorgonia's Solver interface, float32, any number of cores with the same bits.
//
// What lives here: packing data into batches, cutting them by a token budget, the optimiser, and
// its checkpoint. What does not: the loop around it (trainer), losses (policies/loss), supervised
// training (trainer/pretrain, which uses this package).
package local

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gorgonia.org/gorgonia"

	"pith/policies/model"
	"pith/policies/model/graph"
	"pith/rollout/engine"
	"pith/trainer/learner"
)

// Options configure a Learner. The zero value is not usable; start from Default.
type Options struct {
	AdamW AdamWConfig
	// MaxTokens bounds the tokens that go through the graph at once, and with them the memory: about
	// 4·layers·(6·hidden + 2·qkv + 4·intermediate) bytes each. Longer batches are cut between
	// sequences, with the same gradient to the bit; a longer sequence goes alone.
	MaxTokens int
}

// Default is AdamW as the quickstart uses it and batches that fit the last-level cache of a small
// machine.
func Default() Options { return Options{AdamW: DefaultAdamW(), MaxTokens: 2048} }

// Validate reports every violation at once.
func (o Options) Validate() error {
	errs := []error{o.AdamW.Validate()}
	if o.MaxTokens < 1 {
		errs = append(errs, fmt.Errorf("max_tokens is %d, want at least 1", o.MaxTokens))
	}
	return errors.Join(errs...)
}

// Learner implements learner.Learner on this machine. It is not safe for concurrent use.
type Learner struct {
	options Options
	policy  engine.PolicyRef
	weights *model.Weights
	grad    []float32
	machine *graph.Machine[float32]
	solver  *AdamW
	params  []gorgonia.ValueGrad
	pack    packer
}

var _ learner.Learner = (*Learner)(nil)

// New makes a learner that improves w in place, under the name p until the first Export. The
// caller must not change w afterwards.
func New(w *model.Weights, p engine.PolicyRef, o Options) (*Learner, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("local learner: %w", err)
	}
	l := &Learner{options: o, policy: p, weights: w, grad: make([]float32, len(w.Flat()))}
	var err error
	if l.machine, err = graph.New(w.Config, w.Flat(), l.grad); err != nil {
		return nil, fmt.Errorf("local learner: %w", err)
	}
	l.solver = NewAdamW(o.AdamW, len(l.grad))
	at := 0
	for _, t := range w.Tensors() {
		l.params = append(l.params, newParameter(t.Shape, t.Data, l.grad[at:at+len(t.Data)]))
		at += len(t.Data)
	}
	return l, nil
}

// Policy implements learner.Learner.
func (l *Learner) Policy() engine.PolicyRef { return l.policy }

// Updates is the number of optimiser steps taken.
func (l *Learner) Updates() int64 { return l.solver.Updates() }

// Forward implements learner.Learner.
func (l *Learner) Forward(ctx context.Context, d []learner.Datum) ([][]float32, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	out := nans(d)
	all := make([]int, len(d))
	for i := range all {
		all[i] = i
	}
	for _, part := range cut(d, all, l.options.MaxTokens) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b := l.pack.sequences(d, part)
		b.Targets = nil
		s, err := l.machine.Score(b)
		if err != nil {
			return nil, fmt.Errorf("local learner: forward: %w", err)
		}
		scatter(out, s.LogProb, s.Targets, b.Offsets, part)
	}
	return out, nil
}

// Discard implements learner.Learner.
func (l *Learner) Discard() { l.machine.ClearGradients() }

// Step implements learner.Learner.
func (l *Learner) Step(ctx context.Context, o learner.OptimStep) (learner.StepStats, error) {
	if err := ctx.Err(); err != nil {
		return learner.StepStats{}, err
	}
	if !(o.LR >= 0) || math.IsInf(o.LR, 0) {
		return learner.StepStats{}, fmt.Errorf("local learner: learning rate %v is not a number of at least 0", o.LR)
	}
	l.machine.Gradients() // completes those of tied tables
	l.solver.LR = o.LR
	err := l.solver.Step(l.params)
	stats := learner.StepStats{GradNorm: l.solver.GradNorm(), Clipped: l.solver.factor < 1, Updates: l.solver.Updates()}
	if err != nil {
		return stats, fmt.Errorf("local learner: step %d: %w", stats.Updates+1, err)
	}
	return stats, nil
}

// Export implements learner.Learner: a copy of the weights, so that further steps leave it alone.
func (l *Learner) Export(ctx context.Context, p engine.PolicyRef) (engine.Artifact, error) {
	if err := ctx.Err(); err != nil {
		return engine.Artifact{}, err
	}
	l.policy = p
	w := l.weights.Clone()
	return engine.Artifact{Policy: p, Kind: engine.ArtifactMemory, Digest: w.Digest(), Handle: w}, nil
}

// Weights are the current weights themselves; they change with every Step.
func (l *Learner) Weights() *model.Weights { return l.weights }

// Close implements learner.Learner. There is nothing to release.
func (l *Learner) Close() error { return nil }

// nans makes a row for each datum, filled with NaN.
func nans(d []learner.Datum) [][]float32 {
	nan := float32(math.NaN())
	out := make([][]float32, len(d))
	for i := range d {
		out[i] = slices.Repeat([]float32{nan}, len(d[i].Tokens))
	}
	return out
}

// check validates all data.
func check(d []learner.Datum) error {
	for i := range d {
		if err := d[i].Check(); err != nil {
			return fmt.Errorf("local learner: %w", err)
		}
	}
	return nil
}

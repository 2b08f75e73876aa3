package trainer

import (
	"fmt"

	"pith/configs"
	"pith/policies/kernel"
	"pith/policies/model/generate"
)

// Arithmetics is what follows from a config before anything runs.
type Arithmetics struct {
	SamplesPerStep  int    `json:"samples_per_step"`      // traces an update sees; more are drawn with dynamic sampling
	TokensPerStep   int64  `json:"tokens_per_step_limit"` // sampled tokens, if every trace reaches the limit
	Updates         int    `json:"updates"`               // optimiser steps of the run
	SamplesInAll    int64  `json:"samples_in_all"`        // at least
	InFlight        int    `json:"samples_in_flight"`     // released and not yet trained, at most
	EvalSamples     int64  `json:"eval_samples"`          // graded on held-out problems over the run
	Parameters      int64  `json:"parameters"`            // of the policy
	LearnerBytes    int64  `json:"learner_bytes"`         // weights, gradient and two moments, float32; the frozen base policy where it is read
	EngineBytes     int64  `json:"engine_bytes"`          // of the local engine at the most: policies, cache, activations
	CacheBytes      int64  `json:"cache_bytes"`           // keys and values of all slots at the full context, part of engine_bytes
	PolicyBytes     int64  `json:"policy_bytes"`          // of one policy as the engine holds it
	Policies        int    `json:"policies"`              // live at the same time, at the most
	CheckpointBytes int64  `json:"checkpoint_bytes"`      // each
	Kernel          string `json:"kernel"`
	Threads         int    `json:"threads"`
}

// Derive works out the arithmetic of a config. It opens what the config names and starts nothing.
func Derive(c configs.Config) (Arithmetics, error) {
	p, err := open(c)
	if err != nil {
		return Arithmetics{}, err
	}
	r, m := c.Rollout, p.weights.Config
	samples := r.PromptsPerStep * r.SamplesPerPrompt
	threads := c.Engine.Threads
	if threads == 0 {
		threads = kernel.Threads()
	}
	// One for each step that a trace may be behind, the newest, and its predecessor while it is published.
	policies := r.MaxStaleness + 2
	memory := generate.Estimate(m, generate.Options{Slots: c.Engine.Slots, MaxContext: p.maxContext(c)})
	a := Arithmetics{
		SamplesPerStep: samples, TokensPerStep: int64(samples) * int64(r.MaxTokens),
		Updates: c.Run.Steps * c.Loss.Epochs * c.Loss.MiniBatches, SamplesInAll: int64(samples) * int64(c.Run.Steps),
		InFlight: samples * (r.MaxStaleness + 1), Parameters: m.Parameters(), LearnerBytes: 16 * m.Parameters(),
		EngineBytes: memory.Total(policies), CacheBytes: memory.Cache, PolicyBytes: memory.Policy, Policies: policies,
		CheckpointBytes: 12 * m.Parameters(), Kernel: kernel.Name(), Threads: threads,
	}
	if p.needsReference() {
		a.LearnerBytes += 4 * m.Parameters()
	}
	ways := int64(1)
	if c.Eval.Greedy {
		ways = 2
	}
	t := &Trainer{config: c, parts: p}
	for step := range int64(c.Run.Steps) + 1 {
		a.EvalSamples += ways * t.due(step)
	}
	return a, nil
}

// Lines renders the arithmetic for people.
func (a Arithmetics) Lines() []string {
	return []string{
		fmt.Sprintf("a step: %d samples, at most %d sampled tokens; %d samples in flight", a.SamplesPerStep, a.TokensPerStep, a.InFlight),
		fmt.Sprintf("the run: %d samples, %d optimiser steps, %d held-out answers graded", a.SamplesInAll, a.Updates, a.EvalSamples),
		fmt.Sprintf("the policy: %d parameters; learner %s, checkpoint %s", a.Parameters, size(a.LearnerBytes), size(a.CheckpointBytes)),
		fmt.Sprintf("the engine: at most %s: %d policies of %s, key-value cache %s", size(a.EngineBytes), a.Policies, size(a.PolicyBytes), size(a.CacheBytes)),
		fmt.Sprintf("this machine: kernel %s on %d cores", a.Kernel, a.Threads),
	}
}

func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
}

// Check is every check that Open makes of a config, without starting anything.
func Check(c configs.Config) error {
	if _, err := open(c); err != nil {
		return err
	}
	_, err := StreamConfig(c, "stream")
	return err
}

// Package pretrain makes a base policy by supervised training on generated traces. The result is a
// function of the configuration, the initial weights and the source alone: the same seed gives the
// same bytes on any machine with any number of cores, and after an interruption.
//
// What lives here: the loop, its configuration, and resuming. What does not: where examples come
// from (a [Source], for example datasets/clock), the optimiser and the graph
// (trainer/learner/local), and what happens to the weights afterwards.
package pretrain

import (
	"errors"
	"fmt"
	"math"

	"pith/trainer/learner/local"
	"pith/trainer/schedule"
)

// Config is everything that a run depends on beside its initial weights and its source.
type Config struct {
	Steps int `json:"steps" mapstructure:"steps" yaml:"steps"` // optimiser steps
	Rows  int `json:"rows" mapstructure:"rows" yaml:"rows"`    // examples per step

	LR     float64 `json:"lr" mapstructure:"lr" yaml:"lr"`             // peak
	Shape  string  `json:"shape" mapstructure:"shape" yaml:"shape"`    // constant, cosine or linear after the warm-up
	Warmup int     `json:"warmup" mapstructure:"warmup" yaml:"warmup"` // steps of linear rise
	Final  float64 `json:"final" mapstructure:"final" yaml:"final"`    // share of LR at the last step

	AdamW local.AdamWConfig `json:"adamw" mapstructure:"adamw" yaml:"adamw"`
	// MaxTokens bounds what goes through the graph at once; it changes memory and speed, not results.
	MaxTokens int `json:"max_tokens" mapstructure:"max_tokens" yaml:"max_tokens"`
	// CheckpointEvery is the number of steps between checkpoints; 0 leaves the last one only.
	CheckpointEvery int `json:"checkpoint_every" mapstructure:"checkpoint_every" yaml:"checkpoint_every"`
}

// Default is the recipe of the quickstart's base policy.
func Default() Config {
	o := local.Default()
	o.AdamW.WeightDecay = 0.05
	return Config{
		Steps: 1500, Rows: 32,
		LR: 3e-3, Shape: "cosine", Warmup: 50, Final: 0.05,
		AdamW: o.AdamW, MaxTokens: o.MaxTokens,
		CheckpointEvery: 250,
	}
}

// Schedule is the learning rate over the optimiser steps, from 1.
func (c Config) Schedule() (schedule.Schedule, error) {
	var spec any
	switch c.Shape {
	case "constant":
		spec = c.LR
	case "cosine", "linear":
		spec = map[string]any{
			"kind": c.Shape, "from": c.LR, "to": c.LR * c.Final, "start": c.Warmup, "steps": c.Steps - c.Warmup,
		}
	default:
		return nil, fmt.Errorf("shape is %q, want constant, cosine or linear", c.Shape)
	}
	if c.Warmup > 0 {
		spec = map[string]any{"kind": "warmup", "steps": c.Warmup, "then": spec}
	}
	return schedule.New(spec)
}

// Validate reports every violation at once.
func (c Config) Validate() error {
	var errs []error
	if c.Steps < 1 {
		errs = append(errs, fmt.Errorf("steps is %d, want at least 1", c.Steps))
	}
	if c.Rows < 1 {
		errs = append(errs, fmt.Errorf("rows is %d, want at least 1", c.Rows))
	}
	if c.CheckpointEvery < 0 {
		errs = append(errs, fmt.Errorf("checkpoint_every is %d, want 0 or more steps", c.CheckpointEvery))
	}
	if c.Warmup < 0 || c.Warmup >= c.Steps {
		errs = append(errs, fmt.Errorf("warmup is %d, want 0 or more steps and fewer than all %d", c.Warmup, c.Steps))
	}
	if !(c.LR > 0) || math.IsInf(c.LR, 0) {
		errs = append(errs, fmt.Errorf("lr is %v, want a positive number", c.LR))
	}
	if !(c.Final >= 0 && c.Final <= 1) {
		errs = append(errs, fmt.Errorf("final is %v, want a share from 0 to 1", c.Final))
	}
	if _, err := c.Schedule(); err != nil && len(errs) == 0 {
		errs = append(errs, err)
	}
	errs = append(errs, c.options().Validate())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pretrain config: %w", err)
	}
	return nil
}

func (c Config) options() local.Options {
	return local.Options{AdamW: c.AdamW, MaxTokens: c.MaxTokens}
}

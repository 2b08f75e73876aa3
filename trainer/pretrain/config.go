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

	"pith/trainer/learner"
	"pith/trainer/learner/local"
)

// Config is everything that a run depends on beside its initial weights and its source.
type Config struct {
	Steps int `json:"steps" mapstructure:"steps" yaml:"steps"` // optimiser steps
	Rows  int `json:"rows" mapstructure:"rows" yaml:"rows"`    // examples per step

	LR     float64       `json:"lr" mapstructure:"lr" yaml:"lr"`             // peak
	Shape  learner.Shape `json:"shape" mapstructure:"shape" yaml:"shape"`    // constant, cosine or linear after the warm-up
	Warmup int           `json:"warmup" mapstructure:"warmup" yaml:"warmup"` // steps of linear rise
	Final  float64       `json:"final" mapstructure:"final" yaml:"final"`    // share of LR at the last step

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
		LR: 3e-3, Shape: learner.Cosine, Warmup: 50, Final: 0.05,
		AdamW: o.AdamW, MaxTokens: o.MaxTokens,
		CheckpointEvery: 250,
	}
}

// Schedule is the learning rate over the run.
func (c Config) Schedule() learner.Schedule {
	return learner.Schedule{Shape: c.Shape, Peak: c.LR, Warmup: int64(c.Warmup), Total: int64(c.Steps), Final: c.Final}
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
	errs = append(errs, c.Schedule().Validate(), c.options().Validate())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("pretrain config: %w", err)
	}
	return nil
}

func (c Config) options() local.Options {
	return local.Options{AdamW: c.AdamW, MaxTokens: c.MaxTokens}
}

package learner

import (
	"errors"
	"fmt"
	"math"

	"pith/policies/model/portable"
)

// Shape is how a learning rate goes on after its warm-up.
type Shape string

const (
	Constant Shape = "constant"
	Cosine   Shape = "cosine"
	Linear   Shape = "linear"
)

// Schedule is a learning rate over optimiser steps, counted from 1: it rises linearly to Peak
// within Warmup steps, then stays, or falls to Peak·Final at step Total as half a cosine
// (Loshchilov and Hutter 2017, arXiv 1608.03983, eq. 5) or in a straight line.
type Schedule struct {
	Shape  Shape   `json:"shape" mapstructure:"shape" yaml:"shape"`
	Peak   float64 `json:"peak" mapstructure:"peak" yaml:"peak"`
	Warmup int64   `json:"warmup" mapstructure:"warmup" yaml:"warmup"` // steps
	Total  int64   `json:"total" mapstructure:"total" yaml:"total"`    // steps; not read by constant
	Final  float64 `json:"final" mapstructure:"final" yaml:"final"`    // share of Peak
}

// Validate reports every violation at once.
func (s Schedule) Validate() error {
	var errs []error
	switch s.Shape {
	case Constant, Cosine, Linear:
	default:
		errs = append(errs, fmt.Errorf("shape is %q, want %s, %s or %s", s.Shape, Constant, Cosine, Linear))
	}
	if !(s.Peak > 0) || math.IsInf(s.Peak, 0) {
		errs = append(errs, fmt.Errorf("peak is %v, want a positive number", s.Peak))
	}
	if s.Warmup < 0 {
		errs = append(errs, fmt.Errorf("warmup is %d, want 0 or more steps", s.Warmup))
	}
	if s.Shape != Constant && s.Total <= s.Warmup {
		errs = append(errs, fmt.Errorf("total is %d, want more than the %d steps of warm-up", s.Total, s.Warmup))
	}
	if !(s.Final >= 0 && s.Final <= 1) {
		errs = append(errs, fmt.Errorf("final is %v, want a share from 0 to 1", s.Final))
	}
	return errors.Join(errs...)
}

// At is the learning rate of an optimiser step, counted from 1. Beyond Total it stays where it is.
func (s Schedule) At(step int64) float64 {
	if step <= s.Warmup {
		return s.Peak * float64(max(step, 1)) / float64(s.Warmup)
	}
	if s.Shape == Constant {
		return s.Peak
	}
	progress := float64(min(step, s.Total)-s.Warmup) / float64(s.Total-s.Warmup)
	keep := 1 - progress
	if s.Shape == Cosine {
		_, cos := portable.SinCos(math.Pi * progress) // the same bits on every platform
		keep = (1 + cos) / 2
	}
	return s.Peak * (s.Final + (1-s.Final)*keep)
}

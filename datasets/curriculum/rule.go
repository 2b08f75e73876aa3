package curriculum

import (
	"errors"
	"fmt"
	"math"

	"pith/datasets"
)

// Candidate is a problem as a [Rule] sees it.
type Candidate struct {
	Problem datasets.Problem
	Belief  Beta // about its solve rate
	Seen    bool // anything was observed; false: Belief is the prior
	Draw    int  // how many draws came before: the steps, where there is one draw a step
}

// Rule weighs problems. LogWeight is the natural logarithm of a problem's weight in the draw; −Inf
// excludes it. Rules are pure; what they know of the run is in the candidate.
type Rule interface {
	LogWeight(c Candidate) float64
	Validate() error
}

// Uniform is no curriculum.
type Uniform struct{}

// LogWeight implements [Rule].
func (Uniform) LogWeight(Candidate) float64 { return 0 }

// Validate implements [Rule].
func (Uniform) Validate() error { return nil }

// CurES draws problems with ρ* ∝ exp(√(p(1−p))/τ), p being the mean of the belief. See [Distribution].
type CurES struct {
	Tau float64 `json:"tau" mapstructure:"tau"` // the smaller, the keener on middling problems
}

// LogWeight implements [Rule].
func (r CurES) LogWeight(c Candidate) float64 { return Spread(c.Belief.Mean()) / r.Tau }

// Validate implements [Rule].
func (r CurES) Validate() error {
	if !(r.Tau > 0) || math.IsInf(r.Tau, 0) {
		return fmt.Errorf("tau is %v: it must be positive and finite", r.Tau)
	}
	return nil
}

// Window draws only problems whose solve rate lies in [Low, High]: neither hopeless nor settled. A
// problem that was not seen yet is judged by its reference accuracy where the data give one, and is
// let in otherwise.
type Window struct {
	Low  float64 `json:"low" mapstructure:"low"`
	High float64 `json:"high" mapstructure:"high"`
}

// LogWeight implements [Rule].
func (r Window) LogWeight(c Candidate) float64 {
	p := c.Belief.Mean()
	if !c.Seen {
		if c.Problem.ReferenceAccuracy == nil {
			return 0
		}
		p = *c.Problem.ReferenceAccuracy
	}
	return admit(p >= r.Low && p <= r.High)
}

// Validate implements [Rule].
func (r Window) Validate() error {
	if !(r.Low >= 0 && r.High <= 1 && r.Low <= r.High) {
		return fmt.Errorf("the window is %v to %v: it must lie in 0 to 1, low first", r.Low, r.High)
	}
	return nil
}

// Levels moves a window over difficulty levels from easy to hard: at draw d of Over, levels from
// FromMin … FromMax to ToMin … ToMax, linearly and rounded to the nearest, and the last window
// afterwards. Problems without a level (0) are always let in.
type Levels struct {
	FromMin int `json:"from_min" mapstructure:"from_min"`
	FromMax int `json:"from_max" mapstructure:"from_max"`
	ToMin   int `json:"to_min" mapstructure:"to_min"`
	ToMax   int `json:"to_max" mapstructure:"to_max"`
	Over    int `json:"over" mapstructure:"over"` // draws the move takes; 0 = at once
}

// At returns the window of a draw.
func (r Levels) At(draw int) (low, high int) {
	t := 1.0
	if draw < r.Over {
		t = float64(draw) / float64(r.Over)
	}
	at := func(from, to int) int { return int(math.Round(float64(from) + t*float64(to-from))) }
	return at(r.FromMin, r.ToMin), at(r.FromMax, r.ToMax)
}

// LogWeight implements [Rule].
func (r Levels) LogWeight(c Candidate) float64 {
	low, high := r.At(c.Draw)
	level := c.Problem.Level
	return admit(level == 0 || level >= low && level <= high)
}

// Validate implements [Rule].
func (r Levels) Validate() error {
	var errs []error
	if r.FromMin < 0 || r.FromMin > r.FromMax {
		errs = append(errs, fmt.Errorf("the first window is %d to %d: the lower end must not be negative and comes first", r.FromMin, r.FromMax))
	}
	if r.ToMin < 0 || r.ToMin > r.ToMax {
		errs = append(errs, fmt.Errorf("the last window is %d to %d: the lower end must not be negative and comes first", r.ToMin, r.ToMax))
	}
	if r.Over < 0 {
		errs = append(errs, fmt.Errorf("over is %d: it must not be negative", r.Over))
	}
	return errors.Join(errs...)
}

func admit(in bool) float64 {
	if in {
		return 0
	}
	return math.Inf(-1)
}

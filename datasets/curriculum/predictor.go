package curriculum

import (
	"errors"
	"fmt"
	"math"
)

// PredictorOptions are those of DOT's predictive dynamic sampling (arXiv 2601.03969; U-rara/DOT
// @9e6574b, projects/dot).
type PredictorOptions struct {
	Window int     `json:"window" mapstructure:"window"` // updates remembered
	First  float64 `json:"first" mapstructure:"first"`   // the factor before anything was observed
	Min    float64 `json:"min" mapstructure:"min"`
	Max    float64 `json:"max" mapstructure:"max"` // also the factor where nothing survived
}

// DefaultPredictorOptions are those of the released script. The class's own default caps at 3.
func DefaultPredictorOptions() PredictorOptions {
	return PredictorOptions{Window: 20, First: 1.5, Min: 1.2, Max: 5}
}

// Validate reports every violation at once.
func (o PredictorOptions) Validate() error {
	var errs []error
	if o.Window < 1 {
		errs = append(errs, fmt.Errorf("window is %d: it must be at least 1", o.Window))
	}
	if !(o.Min >= 1) {
		errs = append(errs, fmt.Errorf("min is %v: it must be at least 1, since no group survives twice", o.Min))
	}
	if !(o.Max >= o.Min) || math.IsInf(o.Max, 0) {
		errs = append(errs, fmt.Errorf("max is %v: it must be finite and at least min (%v)", o.Max, o.Min))
	}
	if !(o.First >= o.Min && o.First <= o.Max) {
		errs = append(errs, fmt.Errorf("first is %v: it must be min to max (%v to %v)", o.First, o.Min, o.Max))
	}
	return errors.Join(errs...)
}

// Predictor says how many groups to generate in one round so that enough survive the filter. All
// fields are its state.
type Predictor struct {
	Options PredictorOptions `json:"options"`
	Shares  []float64        `json:"shares"` // surviving shares of the last updates, oldest first
}

// NewPredictor returns a predictor that has observed nothing.
func NewPredictor(o PredictorOptions) (*Predictor, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("over-generation: %w", err)
	}
	return &Predictor{Options: o}, nil
}

// Observe remembers that kept of examined groups survived. Examining none teaches nothing.
func (p *Predictor) Observe(kept, examined int) error {
	if kept < 0 || kept > examined {
		return fmt.Errorf("over-generation: %d of %d groups cannot have survived", kept, examined)
	}
	if examined == 0 {
		return nil
	}
	p.Shares = append(p.Shares, float64(kept)/float64(examined))
	if over := len(p.Shares) - p.Options.Window; over > 0 {
		p.Shares = append(p.Shares[:0], p.Shares[over:]...)
	}
	return nil
}

// Factor is clip((1/m)(1+s), Min, Max) with m and s the mean and population standard deviation of
// the remembered shares: the less survives and the less steady that is, the more is generated.
func (p *Predictor) Factor() float64 {
	if len(p.Shares) == 0 {
		return p.Options.First
	}
	n, m, s := float64(len(p.Shares)), 0.0, 0.0
	for _, x := range p.Shares {
		m += x
	}
	if m /= n; m <= 0 {
		return p.Options.Max
	}
	for _, x := range p.Shares {
		s += (x - m) * (x - m)
	}
	return min(max((1+math.Sqrt(s/n))/m, p.Options.Min), p.Options.Max)
}

// Prompts is the size of one generation round: ⌊batch · factor⌋.
func (p *Predictor) Prompts(batch int) int { return int(float64(batch) * p.Factor()) }

// Fill chooses `want` of n survivors by index: the first ones where there are too many; where there
// are too few, all of them, repeated cyclically, as DOT does. It is empty for n = 0. A trainer that
// must not count a trace twice draws again instead (see [Collector]).
func Fill(n, want int) []int {
	if n <= 0 {
		return nil
	}
	out := make([]int, want)
	for i := range out {
		out[i] = i % n
	}
	return out
}

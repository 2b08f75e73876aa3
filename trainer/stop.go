package trainer

import (
	"pith/analysis/forecast"
	"pith/traces"
)

// last is the step after which the run ends: that of the config, or the one that the stop rule says.
// It follows from the evaluations in the log alone, so that a resumed run ends where it would have.
func (t *Trainer) last() int64 {
	steps := int64(t.config.Run.Steps)
	if stop := stopAfter(t.evals, t.config.Run.StopGain); stop > 0 {
		return min(stop, steps)
	}
	return steps
}

// stopAfter is the step after the first evaluation from which on the learning curve promises less than
// gain; 0 where there is none or no rule. The step after, so that the last evaluation is a full one. A
// curve that cannot be fitted stops nothing.
func stopAfter(evals []traces.Eval, gain float64) int64 {
	if gain <= 0 {
		return 0
	}
	var points []forecast.Point
	for _, e := range evals {
		if e.Decoding != sampled || e.Step == 0 {
			continue
		}
		points = append(points, forecast.Point{T: float64(e.Step), Accuracy: e.Accuracy})
		if f, err := forecast.Fit(points); err == nil && f.A-f.At(float64(e.Step)) < gain {
			return e.Step + 1
		}
	}
	return 0
}

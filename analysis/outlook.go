package analysis

import (
	"errors"
	"fmt"
	"strings"

	"pith/analysis/forecast"
)

// Outlook is where the accuracy is heading, or why that cannot be said.
type Outlook struct {
	Asymptote *float64  `json:"asymptote"` // null where refused
	Interval  *Interval `json:"interval"`  // 95 %, of the asymptote
	Exponent  *float64  `json:"exponent"`
	Remaining *float64  `json:"remaining"`   // from the fitted accuracy at the last step to the asymptote
	Doubling  *float64  `json:"doubling"`    // what as many steps again would bring
	Within    *float64  `json:"within_step"` // after which less than a point is left
	Refused   string    `json:"refused"`     // why there is no forecast
	Sentence  string    `json:"sentence"`
}

// outlook fits a learning curve to the evaluations after the start; nil where there are not two.
func (r *RunReport) outlook() *Outlook {
	if r.Gain == nil {
		return nil
	}
	var points []forecast.Point
	for _, e := range r.Evals {
		if e.Step > 0 {
			points = append(points, forecast.Point{T: float64(e.Step), Accuracy: e.Accuracy})
		}
	}
	f, err := forecast.Fit(points)
	if err != nil {
		why := err.Error()
		if errors.Is(err, forecast.ErrRefused) {
			why = strings.TrimPrefix(why, forecast.ErrRefused.Error()+": ")
		}
		return &Outlook{Refused: why, Sentence: "No forecast: " + why + "."}
	}
	last := float64(r.Final.Step)
	remaining, doubling, within := f.A-f.At(last), f.Doubling(last), f.Until(0.01)
	interval := Interval(f.Asymptote)
	o := &Outlook{Asymptote: &f.A, Interval: &interval, Exponent: &f.C, Remaining: &remaining, Doubling: &doubling, Within: &within}
	o.Sentence = fmt.Sprintf("The evaluations follow a curve that levels off at %s (95\u00a0%% interval %s to %s); as many steps again would bring %s.",
		share(f.A), share(interval[0]), share(interval[1]), points100(doubling))
	if remaining < 0.01 {
		o.Sentence += " Less than a point is left to gain: this is the time to stop."
	}
	return o
}

// points100 writes a difference of shares as points.
func points100(x float64) string { return trim(100*x, 1) + " points" }

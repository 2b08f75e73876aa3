package trainer

import (
	"math"
	"testing"

	"pith/traces"
)

func TestTheStopRuleFollowsTheCurveOfTheLog(t *testing.T) {
	curve := func(a, b, c float64) (evals []traces.Eval) {
		for step := int64(0); step <= 200; step += 5 {
			accuracy := 0.3
			if step > 0 {
				accuracy = a - b*math.Pow(float64(step), -c)
			}
			evals = append(evals, traces.Eval{Step: step, Decoding: sampled, Accuracy: accuracy}, traces.Eval{Step: step, Decoding: greedy, Accuracy: 1})
		}
		return evals
	}
	falling := curve(.9, -.5, .8)
	tests := []struct {
		name  string
		evals []traces.Eval
		gain  float64
		want  int64
	}{
		// 0.6·t^-0.8 < 0.02 first holds at t = 70.2.
		{"less than two points are left", curve(.9, .6, .8), .02, 76},
		{"the promise is never so small", curve(.9, .6, .2), .02, 0},
		{"no rule", curve(.9, .6, .8), 0, 0},
		{"a curve that falls", falling, .02, 0},
		{"too few evaluations", curve(.9, .6, .8)[:8], .5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := stopAfter(tt.evals, tt.gain); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

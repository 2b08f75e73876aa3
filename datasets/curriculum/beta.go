package curriculum

import (
	"fmt"
	"math"
)

// Beta is a belief about a solve rate: the Beta distribution with A and B pseudo-counts of right
// and wrong answers.
type Beta struct {
	A float64 `json:"a"`
	B float64 `json:"b"`
}

// UniformPrior is Beta(1,1), which CurES starts from.
func UniformPrior() Beta { return Beta{1, 1} }

// Validate says whether the belief is proper.
func (b Beta) Validate() error {
	if !(b.A > 0 && b.B > 0) || math.IsInf(b.A, 0) || math.IsInf(b.B, 0) {
		return fmt.Errorf("prior is Beta(%v, %v): both must be positive and finite", b.A, b.B)
	}
	return nil
}

// Observe returns the belief after right and wrong answers: Beta(A+right, B+wrong).
func (b Beta) Observe(right, wrong int) Beta {
	return Beta{b.A + float64(right), b.B + float64(wrong)}
}

// Mean is the expected solve rate, A/(A+B).
func (b Beta) Mean() float64 { return b.A / (b.A + b.B) }

// SD is the standard deviation of the belief: how unsure it is of the rate.
func (b Beta) SD() float64 {
	n := b.A + b.B
	return math.Sqrt(b.A*b.B/(n+1)) / n
}

// forget moves the evidence beyond the prior towards it: what an older policy did counts less.
func (b Beta) forget(prior Beta, keep float64) Beta {
	return Beta{prior.A + keep*(b.A-prior.A), prior.B + keep*(b.B-prior.B)}
}

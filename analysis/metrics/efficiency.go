package metrics

import (
	"fmt"
	"math"
)

// E3 is the efficiency-aware effectiveness score: accuracy squared for each 1,000 decoded tokens
// (Plan-and-Budget, arXiv 2505.16122). Squaring lets accuracy weigh more than brevity. NaN without
// tokens.
func E3(accuracy, meanTokens float64) float64 { return perThousand(accuracy*accuracy, meanTokens) }

// AccuracyPerThousand is accuracy for each 1,000 decoded tokens; it favours trivial short answers.
func AccuracyPerThousand(accuracy, meanTokens float64) float64 {
	return perThousand(accuracy, meanTokens)
}

func perThousand(v, tokens float64) float64 {
	if tokens <= 0 {
		return math.NaN()
	}
	return v / (tokens / 1000)
}

// AESWeights are the weights of the accuracy-efficiency score. They differ between papers and are
// printed wherever a score is.
type AESWeights struct {
	Length float64 // α, of the relative saving in tokens
	Gain   float64 // β, of a relative gain in accuracy
	Loss   float64 // γ, of a relative loss in accuracy
}

// DefaultAES are the weights of O1-Pruner (arXiv 2501.12570): 1, 3, 5.
var DefaultAES = AESWeights{Length: 1, Gain: 3, Loss: 5}

func (w AESWeights) String() string {
	return fmt.Sprintf("α %g, β %g, γ %g", w.Length, w.Gain, w.Loss)
}

// AES is the accuracy-efficiency score against a baseline. NaN where the baseline has no tokens or no
// accuracy. The published table has the sign of losses wrong; this is the formula.
func AES(accuracy, tokens, baseAccuracy, baseTokens float64, w AESWeights) float64 {
	if baseTokens == 0 || baseAccuracy == 0 {
		return math.NaN()
	}
	saving := (baseTokens - tokens) / baseTokens
	gain := (accuracy - baseAccuracy) / baseAccuracy
	if gain >= 0 {
		return w.Length*saving + w.Gain*gain
	}
	return w.Length*saving + w.Loss*gain
}

// BudgetPoint is the accuracy that a budget of tokens buys.
type BudgetPoint struct{ Budget, Accuracy float64 }

// AreaUnderBudget is the mean accuracy under a curve of accuracy against budget, by trapezoids on the
// logarithm of the budget: within [0, 1], and comparable only between curves over the same grid.
// Points go by rising budget. It fails with fewer than two points or a budget that is not positive
// and rising.
func AreaUnderBudget(curve []BudgetPoint) (float64, error) {
	if len(curve) < 2 {
		return math.NaN(), fmt.Errorf("area under an accuracy-budget curve: %d points, need at least 2", len(curve))
	}
	area := 0.0
	for i, p := range curve {
		if !(p.Budget > 0) || i > 0 && !(p.Budget > curve[i-1].Budget) {
			return math.NaN(), fmt.Errorf("area under an accuracy-budget curve: budget %g of point %d is not positive and rising", p.Budget, i)
		}
		if i > 0 {
			area += (p.Accuracy + curve[i-1].Accuracy) / 2 * math.Log(p.Budget/curve[i-1].Budget)
		}
	}
	return area / math.Log(curve[len(curve)-1].Budget/curve[0].Budget), nil
}

// AnytimeAccuracy is the mean accuracy over a grid of budgets (BRPO, arXiv 2505.13438).
func AnytimeAccuracy(scores []float64) float64 {
	if len(scores) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, s := range scores {
		sum += s
	}
	return sum / float64(len(scores))
}

// RelativeLength is the mean over data sets of length/baseline - 1. The ratio of mean lengths is
// another number; both are reported in papers under one name.
func RelativeLength(lengths, baselines []float64) (float64, error) {
	if len(lengths) != len(baselines) || len(lengths) == 0 {
		return math.NaN(), fmt.Errorf("relative length: %d lengths and %d baselines, need as many of each", len(lengths), len(baselines))
	}
	sum := 0.0
	for i := range lengths {
		sum += lengths[i]/baselines[i] - 1
	}
	return sum / float64(len(lengths)), nil
}

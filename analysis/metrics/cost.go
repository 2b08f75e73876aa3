package metrics

import "math"

// TokenPrices is what a model's tokens cost, in dollars for each million.
type TokenPrices struct{ Prompt, Completion float64 }

// Of is the price of one attempt, in dollars.
func (p TokenPrices) Of(promptTokens, completionTokens float64) float64 {
	return (promptTokens*p.Prompt + completionTokens*p.Completion) / 1e6
}

// CostOfPass is the expected cost of one right answer when attempts are repeated until one is right:
// the mean cost of an attempt, failed ones included, over the success rate; infinite where nothing
// succeeds (arXiv 2504.13359, section 2).
func CostOfPass(costPerAttempt, successRate float64) float64 {
	if successRate == 0 {
		return math.Inf(1)
	}
	return costPerAttempt / successRate
}

// FrontierCost is the frontier cost-of-pass of a task: the mean over problems of the cheapest way to
// pass each. costs holds, for each model, its cost-of-pass on every problem, all in the same order;
// expert is what a person charges for a problem, infinite for none. It is infinite if some problem is
// passed by nobody, and NaN without problems or where models disagree on how many there are.
func FrontierCost(costs [][]float64, expert float64) float64 {
	problems := -1
	for _, c := range costs {
		if problems >= 0 && len(c) != problems {
			return math.NaN()
		}
		problems = len(c)
	}
	if problems <= 0 {
		return math.NaN()
	}
	sum := 0.0
	for i := range problems {
		best := expert
		for _, c := range costs {
			best = min(best, c[i])
		}
		sum += best
	}
	return sum / float64(problems)
}

// Essentialness is how much of the frontier one model carries: (V without it - V) / V without it; 1
// where leaving it out makes the frontier infinite, NaN where the frontier is infinite with it.
func Essentialness(costs [][]float64, model int, expert float64) float64 {
	with := FrontierCost(costs, expert)
	var others [][]float64
	for i, c := range costs {
		if i != model {
			others = append(others, c)
		}
	}
	without := expert
	if len(others) > 0 {
		without = FrontierCost(others, expert)
	}
	switch {
	case math.IsInf(with, 1):
		return math.NaN()
	case math.IsInf(without, 1):
		return 1
	}
	return (without - with) / without
}

// ToolProductivity is right answers for each tool call (OTC, arXiv 2504.14870); infinite where answers
// are right without any call, NaN where there is neither.
func ToolProductivity(right, calls float64) float64 {
	if calls == 0 && right == 0 {
		return math.NaN()
	}
	return right / calls
}

// BreakEven is how many served answers pay for a training run: its cost over what each answer became
// cheaper by; infinite where answers did not become cheaper.
func BreakEven(trainingCost, costBefore, costAfter float64) float64 {
	if costAfter >= costBefore {
		return math.Inf(1)
	}
	return trainingCost / (costBefore - costAfter)
}

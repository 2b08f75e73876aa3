package trainer

import (
	"cmp"
	"slices"

	"pith/traces"
)

// mean is a running mean; of nothing it is 0.
type mean struct {
	sum   float64
	count int64
}

func (m *mean) add(x float64) { m.sum += x; m.count++ }

func (m mean) value() float64 {
	if m.count == 0 {
		return 0
	}
	return m.sum / float64(m.count)
}

// outcomes is what a set of traces says about accuracy and length. Failed and dead-lettered traces
// count in no mean.
type outcomes struct {
	right, wrong, noScore, failed, dead, trained, filtered int64

	truncated                            mean
	all, onRight, onWrong, onTruncated   mean
	lengthTrained                        mean
	calls, reward, staleness             mean
	anytime                              mean
	budgets                              []int32
	perBudget                            []mean
	terms                                []traces.Term // sums
	stalenessMax, generated, promptTotal int64
	price                                float64
}

func (o *outcomes) add(t *traces.Trace) {
	o.generated += int64(t.LengthTokens)
	o.promptTotal += int64(len(t.PromptTokens))
	o.price += t.PromptPrice + t.CompletionPrice
	for _, c := range t.ToolCalls {
		o.price += c.Price
	}
	switch t.Status {
	case traces.Failed:
		o.failed++
		return
	case traces.DeadLettered:
		o.dead++
		return
	case traces.Trained:
		o.trained++
		o.lengthTrained.add(float64(t.LengthTokens))
	case traces.Filtered:
		o.filtered++
	}
	length := float64(t.LengthTokens)
	o.all.add(length)
	isTruncated := t.Finish == traces.FinishLength
	if isTruncated {
		o.truncated.add(1)
		o.onTruncated.add(length)
	} else {
		o.truncated.add(0)
	}
	switch t.Verdict {
	case traces.Right:
		o.right++
		o.onRight.add(length)
	case traces.Wrong:
		o.wrong++
		o.onWrong.add(length)
	default:
		o.noScore++
	}
	o.calls.add(float64(len(t.ToolCalls)))
	o.staleness.add(float64(t.Staleness))
	o.stalenessMax = max(o.stalenessMax, int64(t.Staleness))
	if t.Verdict != traces.NoScore {
		o.reward.add(t.Reward)
		for i, term := range t.Terms {
			if i == len(o.terms) {
				o.terms = append(o.terms, traces.Term{Name: term.Name})
			}
			o.terms[i].Value += term.Value
		}
	}
	o.addBudgets(t)
}

func (o *outcomes) addBudgets(t *traces.Trace) {
	if len(t.BudgetScores) == 0 {
		return
	}
	if o.perBudget == nil {
		o.budgets = slices.Clone(t.Budgets)
		o.perBudget = make([]mean, len(t.BudgetScores))
	}
	var all mean
	for i, s := range t.BudgetScores {
		all.add(s)
		if i < len(o.perBudget) {
			o.perBudget[i].add(s)
		}
	}
	o.anytime.add(all.value())
}

func (o *outcomes) accuracy() float64 {
	if o.right+o.wrong == 0 {
		return 0
	}
	return float64(o.right) / float64(o.right+o.wrong)
}

func (o *outcomes) lengths() traces.Lengths {
	return traces.Lengths{All: o.all.value(), Right: o.onRight.value(), Wrong: o.onWrong.value(), Truncated: o.onTruncated.value()}
}

func (o *outcomes) meanTerms() []traces.Term {
	out := slices.Clone(o.terms)
	for i := range out {
		out[i].Value /= float64(max(o.reward.count, 1))
	}
	return out
}

func (o *outcomes) anytimeMean() *float64 {
	if o.anytime.count == 0 {
		return nil
	}
	v := o.anytime.value()
	return &v
}

// summarise fills the part of a step's record that its traces tell.
func summarise(step int64, rows []traces.Trace) traces.Step {
	var o outcomes
	for i := range rows {
		o.add(&rows[i])
	}
	return traces.Step{
		Step: step, Traces: int64(len(rows)), Trained: o.trained, Filtered: o.filtered, Failed: o.failed,
		DeadLetter: o.dead, NoScore: o.noScore, Accuracy: o.accuracy(), Truncated: o.truncated.value(),
		Lengths: o.lengths(), LengthTrained: o.lengthTrained.value(), ToolCalls: o.calls.value(),
		Anytime: o.anytimeMean(), Reward: o.reward.value(), Terms: o.meanTerms(),
		StalenessMean: o.staleness.value(), StalenessMax: o.stalenessMax,
		GeneratedTokens: o.generated, PromptTokens: o.promptTotal, Price: o.price,
	}
}

// summariseEval turns the traces of one evaluation into its record.
func summariseEval(e traces.Eval, rows []traces.Trace) traces.Eval {
	var all outcomes
	levels := map[int32]*outcomes{}
	for i := range rows {
		t := &rows[i]
		all.add(t)
		if levels[t.Level] == nil {
			levels[t.Level] = &outcomes{}
		}
		levels[t.Level].add(t)
	}
	e.Samples = int64(len(rows))
	e.Accuracy, e.Truncated, e.ToolCalls = all.accuracy(), all.truncated.value(), all.calls.value()
	e.TokensMean, e.TokensRight, e.TokensWrong = all.all.value(), all.onRight.value(), all.onWrong.value()
	e.NoScore = float64(all.noScore+all.failed+all.dead) / float64(max(e.Samples, 1))
	e.Anytime = all.anytimeMean()
	e.Budgets = all.budgets
	for _, m := range all.perBudget {
		e.BudgetScores = append(e.BudgetScores, m.value())
	}
	for level, o := range levels {
		e.Levels = append(e.Levels, traces.LevelEval{Level: level, Problems: o.all.count, Accuracy: o.accuracy(), Tokens: o.all.value()})
	}
	slices.SortFunc(e.Levels, func(a, b traces.LevelEval) int { return cmp.Compare(a.Level, b.Level) })
	return e
}

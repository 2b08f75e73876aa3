package foreign

import (
	"pith/traces"
)

// mean counts and sums.
type mean struct{ n, sum float64 }

func (m *mean) add(x float64) { m.n++; m.sum += x }

// value is 0 without anything to average, as the tables of a run have it.
func (m mean) value() float64 { return m.sum / max(m.n, 1) }

// tally is what one step or evaluation adds up to.
type tally struct {
	accuracy, all, right, wrong, cut, calls, reward, noScore mean
	generated, prompt                                        int64
	price                                                    float64
	termNames                                                []string
	terms                                                    map[string]*mean
	problems                                                 map[string]bool
}

func tallied(rows []traces.Trace) *tally {
	s := &tally{terms: map[string]*mean{}, problems: map[string]bool{}}
	for i := range rows {
		t := &rows[i]
		length := float64(t.LengthTokens)
		s.all.add(length)
		s.calls.add(float64(len(t.ToolCalls)))
		s.reward.add(t.Reward)
		s.generated += int64(t.LengthTokens)
		s.prompt += int64(len(t.PromptTokens))
		s.price += t.PromptPrice + t.CompletionPrice
		s.problems[t.Problem] = true
		unscored := 0.0
		switch t.Verdict {
		case traces.Right:
			s.accuracy.add(1)
			s.right.add(length)
		case traces.Wrong:
			s.accuracy.add(0)
			s.wrong.add(length)
		default:
			unscored = 1
		}
		s.noScore.add(unscored)
		if t.Finish == traces.FinishLength {
			s.cut.add(length)
		}
		for _, term := range t.Terms {
			m := s.terms[term.Name]
			if m == nil {
				m = &mean{}
				s.terms[term.Name] = m
				s.termNames = append(s.termNames, term.Name)
			}
			m.add(term.Value)
		}
	}
	return s
}

// stepOf is the row of steps.parquet that the traces of a step can tell. What only a learner knows
// (loss, entropy, KL) stays 0.
func stepOf(step int64, rows []traces.Trace) traces.Step {
	s := tallied(rows)
	out := traces.Step{
		Step: step, Traces: int64(len(rows)), Trained: int64(len(rows)), NoScore: int64(s.noScore.sum),
		Accuracy: s.accuracy.value(), Truncated: s.cut.n / s.all.n,
		Lengths:       traces.Lengths{All: s.all.value(), Right: s.right.value(), Wrong: s.wrong.value(), Truncated: s.cut.value()},
		LengthTrained: s.all.value(), ToolCalls: s.calls.value(), Reward: s.reward.value(),
		GeneratedTokens: s.generated, PromptTokens: s.prompt, TrainedTokens: s.generated, Price: s.price,
	}
	for _, name := range s.termNames {
		out.Terms = append(out.Terms, traces.Term{Name: name, Value: s.terms[name].value()})
	}
	return out
}

func evalOf(step int64, decoding string, rows []traces.Trace) traces.Eval {
	s := tallied(rows)
	out := traces.Eval{
		Step: step, Decoding: decoding, Temperature: rows[0].Temperature, Problems: int64(len(s.problems)), Samples: int64(len(rows)),
		Accuracy: s.accuracy.value(), TokensMean: s.all.value(), TokensRight: s.right.value(), TokensWrong: s.wrong.value(),
		Truncated: s.cut.n / s.all.n, NoScore: s.noScore.value(), ToolCalls: s.calls.value(),
	}
	for _, level := range levels(rows) {
		var at []traces.Trace
		for i := range rows {
			if rows[i].Level == level {
				at = append(at, rows[i])
			}
		}
		l := tallied(at)
		out.Levels = append(out.Levels, traces.LevelEval{Level: level, Problems: int64(len(l.problems)), Accuracy: l.accuracy.value(), Tokens: l.all.value()})
	}
	return out
}

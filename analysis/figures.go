package analysis

import (
	"fmt"
	"math"

	"pith/analysis/plot"
	"pith/traces"
)

// Figures returns the pictures of a run that its log has data for, in the order of the report.
func (r *RunReport) Figures() []plot.Figure {
	var out []plot.Figure
	for _, make := range []func() (plot.Figure, bool){
		r.planeFigure, r.trajectoryFigure, r.difficultyFigure, r.levelsFigure, r.lengthsFigure, r.budgetsFigure, r.toolsFigure,
		r.rewardsFigure, r.learningFigure, r.agreementFigure, r.waitsFigure,
	} {
		if f, ok := make(); ok {
			out = append(out, f)
		}
	}
	return out
}

// How the two ways of decoding look in every figure.
func decodingStyle(decoding string) (plot.Colour, plot.Marker, plot.Dash) {
	if decoding == greedy {
		return plot.Rust, plot.Square, plot.Dashed
	}
	return plot.Blue, plot.Disc, plot.Solid
}

// How outcomes look in every figure.
var (
	allStyle       = plot.Series{Name: "all", Colour: plot.Ink, Marker: plot.Disc}
	rightStyle     = plot.Series{Name: "right", Colour: plot.Blue, Marker: plot.Square, Dash: plot.Dashed}
	wrongStyle     = plot.Series{Name: "wrong", Colour: plot.Rust, Marker: plot.Triangle, Dash: plot.DashDot}
	truncatedStyle = plot.Series{Name: "truncated", Colour: plot.Gold, Marker: plot.Diamond, Dash: plot.Dotted}
)

// evalSeries turns evaluations into a series over steps.
func evalSeries(evals []Evaluation, name string, value func(Evaluation) float64) plot.Series {
	s := plot.Series{Name: name}
	for i, e := range evals {
		if i == 0 {
			s.Colour, s.Marker, s.Dash = decodingStyle(e.Decoding)
		}
		s.X = append(s.X, float64(e.Step))
		s.Y = append(s.Y, value(e))
		s.Hints = append(s.Hints, fmt.Sprintf("step %d, %s: accuracy %s (%s to %s), %s tokens", e.Step, e.Decoding,
			share(e.Accuracy), share(e.AccuracyInterval[0]), share(e.AccuracyInterval[1]), trim(e.TokensMean, 1)))
	}
	return s
}

// both returns the series of every way of decoding that the run has.
func (r *RunReport) both() [][]Evaluation {
	var out [][]Evaluation
	if len(r.Evals) > 0 {
		out = append(out, r.Evals)
	}
	if len(r.EvalsGreedy) > 0 && (len(r.Evals) == 0 || r.Evals[0].Decoding != greedy) {
		out = append(out, r.EvalsGreedy)
	}
	return out
}

func (r *RunReport) planeFigure() (plot.Figure, bool) {
	c := plot.Chart{Title: "Accuracy on held-out problems", Height: 330, Pad: 0.09, Legend: true,
		X: plot.Axis{Label: "mean response tokens"}, Y: plot.Axis{Format: plot.Percent}}
	for _, evals := range r.both() {
		s := evalSeries(evals, evals[0].Decoding, func(e Evaluation) float64 { return e.Accuracy })
		s.Arrow = len(evals) > 1
		for i, e := range evals {
			s.X[i] = e.TokensMean
			s.YLow, s.YHigh = append(s.YLow, e.AccuracyInterval[0]), append(s.YHigh, e.AccuracyInterval[1])
			low, high := math.NaN(), math.NaN()
			if e.TokensInterval != nil {
				low, high = e.TokensInterval[0], e.TokensInterval[1]
			}
			s.XLow, s.XHigh = append(s.XLow, low), append(s.XHigh, high)
			label := fmt.Sprintf("step %d", e.Step)
			if e.Step == 0 {
				label = "base"
			}
			s.Labels = append(s.Labels, label)
		}
		c.Series = append(c.Series, s)
	}
	return plot.Figure{
		Name: "plane", Title: "Accuracy against length", Subtitle: "Every evaluation on held-out problems; up and to the left is better. Whiskers: 95 % intervals.",
		Alt:    "Accuracy against mean response tokens for each evaluation. " + r.change(r.Base, r.Final, r.Gain),
		Panels: []plot.Panel{c},
	}, len(c.Series) > 0
}

// stepSeries turns steps into a series; missing marks steps where the value means nothing.
func (r *RunReport) stepSeries(style plot.Series, value func(traces.Step) (float64, bool)) plot.Series {
	for _, s := range r.data.steps {
		v, ok := value(s)
		if !ok {
			v = math.NaN()
		}
		style.X = append(style.X, float64(s.Step))
		style.Y = append(style.Y, v)
		style.Hints = append(style.Hints, fmt.Sprintf("step %d, %s: %.4g", s.Step, style.Name, v))
	}
	return style
}

func (r *RunReport) trajectoryFigure() (plot.Figure, bool) {
	accuracy := plot.Chart{Title: "Accuracy", X: plot.Axis{Whole: true}, Y: plot.Axis{Format: plot.Percent}, Height: 180}
	length := plot.Chart{Title: "Mean tokens of held-out responses", X: plot.Axis{Whole: true}, Y: plot.Axis{Zero: true}, Height: 180}
	for _, evals := range r.both() {
		s := evalSeries(evals, evals[0].Decoding, func(e Evaluation) float64 { return e.Accuracy })
		t := evalSeries(evals, evals[0].Decoding, func(e Evaluation) float64 { return e.TokensMean })
		for _, e := range evals {
			s.YLow, s.YHigh = append(s.YLow, e.AccuracyInterval[0]), append(s.YHigh, e.AccuracyInterval[1])
			if e.TokensInterval == nil {
				t.YLow, t.YHigh = append(t.YLow, math.NaN()), append(t.YHigh, math.NaN())
				continue
			}
			t.YLow, t.YHigh = append(t.YLow, e.TokensInterval[0]), append(t.YHigh, e.TokensInterval[1])
		}
		accuracy.Series = append(accuracy.Series, s)
		length.Series = append(length.Series, t)
	}
	accuracy.Series = append(accuracy.Series, r.stepSeries(plot.Series{Name: "rollouts", Colour: plot.Slate, Thin: true},
		func(s traces.Step) (float64, bool) { return s.Accuracy, s.Traces > s.NoScore }))
	outcomes := plot.Chart{Title: "Mean tokens of rollouts, by outcome", X: plot.Axis{Label: "learner step", Whole: true}, Y: plot.Axis{Zero: true}, Height: 180}
	for _, o := range []struct {
		style plot.Series
		value func(traces.Lengths) float64
	}{
		{allStyle, func(l traces.Lengths) float64 { return l.All }},
		{rightStyle, func(l traces.Lengths) float64 { return l.Right }},
		{wrongStyle, func(l traces.Lengths) float64 { return l.Wrong }},
		{truncatedStyle, func(l traces.Lengths) float64 { return l.Truncated }},
	} {
		// A mean over nothing is 0 in the log; no response has 0 tokens.
		outcomes.Series = append(outcomes.Series, r.stepSeries(o.style, func(s traces.Step) (float64, bool) { v := o.value(s.Lengths); return v, v > 0 }))
	}
	// All panels have the same horizontal axis, from the base on.
	span := [2]float64{0, float64(max(r.Steps, r.lastStep(), 1))}
	accuracy.X.Range, length.X.Range, outcomes.X.Range = span, span, span
	panels := []plot.Panel{accuracy, length, outcomes}
	if cut := r.stepSeries(plot.Series{Name: "truncated", Colour: plot.Gold, Marker: plot.Diamond}, func(s traces.Step) (float64, bool) { return s.Truncated, s.Traces > 0 }); positive(cut.Y) {
		outcomes.X.Label = ""
		panels[2] = outcomes
		panels = append(panels, plot.Chart{Title: "Share of rollouts cut off at the token limit", X: plot.Axis{Label: "learner step", Whole: true, Range: span}, Y: plot.Axis{Format: plot.Percent, Zero: true}, Height: 90, Series: []plot.Series{cut}})
	}
	return plot.Figure{
		Name: "trajectory", Title: "Accuracy and length over the run", Subtitle: "Held-out evaluations with 95 % intervals; rollouts are the training samples, on other problems.",
		Alt: "Accuracy and mean response tokens over learner steps.", Panels: panels,
	}, len(r.data.steps) > 0 || len(r.Evals) > 1
}

func positive(values []float64) bool {
	for _, v := range values {
		if v > 0 {
			return true
		}
	}
	return false
}

// levelsOf returns the levels of an evaluation, where there is more than one.
func levelsOf(e *Evaluation) []traces.LevelEval {
	if e == nil || len(e.Levels) < 2 {
		return nil
	}
	return e.Levels
}

func (r *RunReport) difficultyFigure() (plot.Figure, bool) {
	levels := levelsOf(r.Final)
	accuracy := plot.Chart{Title: "Accuracy by level", Y: plot.Axis{Format: plot.Percent, Zero: true}, Height: 200, Legend: true}
	tokens := plot.Chart{Title: "Mean response tokens by level", Y: plot.Axis{Zero: true}, Height: 200, Legend: true}
	position := map[int32]float64{}
	for i, l := range levels {
		name := fmt.Sprint(l.Level)
		if l.Level == 0 {
			name = "unknown"
		}
		position[l.Level] = float64(i)
		accuracy.X.Categories = append(accuracy.X.Categories, name)
	}
	accuracy.X.Label = "difficulty level"
	tokens.X = accuracy.X
	for i, line := range []struct {
		name   string
		eval   *Evaluation
		colour plot.Colour
		marker plot.Marker
		dash   plot.Dash
	}{
		{"base", r.Base, plot.Slate, plot.Ring, plot.Dotted},
		{fmt.Sprintf("step %d", r.lastStep()), r.Final, plot.Blue, plot.Disc, plot.Solid},
		{fmt.Sprintf("step %d, greedy", r.lastStep()), r.FinalGreedy, plot.Rust, plot.Square, plot.Dashed},
	} {
		if line.eval == nil || (line.eval == r.FinalGreedy && r.Final.Decoding == greedy) {
			continue
		}
		a := plot.Series{Name: line.name, Colour: line.colour, Marker: line.marker, Dash: line.dash}
		t := a
		for _, l := range line.eval.Levels {
			x, ok := position[l.Level]
			if !ok {
				continue
			}
			interval := Wilson(l.Accuracy*float64(l.Problems), float64(l.Problems))
			x += 0.06 * float64(i-1) // apart, so that whiskers do not hide each other
			a.X, a.Y = append(a.X, x), append(a.Y, l.Accuracy)
			a.YLow, a.YHigh = append(a.YLow, interval[0]), append(a.YHigh, interval[1])
			a.Hints = append(a.Hints, fmt.Sprintf("level %d, %s: %s of %d", l.Level, line.name, share(l.Accuracy), l.Problems))
			t.X, t.Y = append(t.X, x), append(t.Y, l.Tokens)
			t.Hints = append(t.Hints, fmt.Sprintf("level %d, %s: %s tokens", l.Level, line.name, trim(l.Tokens, 1)))
		}
		accuracy.Series = append(accuracy.Series, a)
		tokens.Series = append(tokens.Series, t)
	}
	return plot.Figure{
		Name: "difficulty", Title: "By difficulty, before and after", Subtitle: "A policy that has learnt when to think spends its tokens on the hard levels.", Columns: 2,
		Alt: "Accuracy and mean response tokens for each difficulty level, before and after.", Panels: []plot.Panel{accuracy, tokens},
	}, len(levels) > 0
}

func (r *RunReport) lastStep() int64 {
	if r.Final == nil {
		return 0
	}
	return r.Final.Step
}

// levelsFigure shows the way of each level over the run.
func (r *RunReport) levelsFigure() (plot.Figure, bool) {
	levels := levelsOf(r.Final)
	if len(levels) == 0 || len(r.Evals) < 3 {
		return plot.Figure{}, false
	}
	accuracy := plot.Chart{Title: "Accuracy", X: plot.Axis{Label: "learner step", Whole: true}, Y: plot.Axis{Format: plot.Percent}, Height: 220}
	tokens := plot.Chart{Title: "Mean response tokens", X: plot.Axis{Label: "learner step", Whole: true}, Y: plot.Axis{Zero: true}, Height: 220}
	for i, level := range levels {
		a := plot.Series{Name: fmt.Sprintf("level %d", level.Level), Colour: plot.Ramp(i, len(levels)), Marker: plot.CycleMarker(i), Thin: true}
		t := a
		for _, e := range r.Evals {
			for _, l := range e.Levels {
				if l.Level == level.Level {
					a.X, a.Y = append(a.X, float64(e.Step)), append(a.Y, l.Accuracy)
					t.X, t.Y = append(t.X, float64(e.Step)), append(t.Y, l.Tokens)
				}
			}
		}
		accuracy.Series = append(accuracy.Series, a)
		tokens.Series = append(tokens.Series, t)
	}
	return plot.Figure{
		Name: "levels", Title: "Each difficulty level over the run", Subtitle: "Held-out problems, " + r.Final.Decoding + "; the darker the harder.", Columns: 2,
		Alt: "Accuracy and tokens of each difficulty level over learner steps.", Panels: []plot.Panel{accuracy, tokens},
	}, true
}

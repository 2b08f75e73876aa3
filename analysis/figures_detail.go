package analysis

import (
	"fmt"
	"math"

	"pith/analysis/plot"
	"pith/traces"
)

// lengthsFigure shows the distribution of lengths before and after.
func (r *RunReport) lengthsFigure() (plot.Figure, bool) {
	if r.Gain == nil {
		return plot.Figure{}, false
	}
	before, after := r.data.rows[evalKey{r.Base.Step, r.Base.Decoding}], r.data.rows[evalKey{r.Final.Step, r.Final.Decoding}]
	if len(before) == 0 || len(after) == 0 {
		return plot.Figure{}, false
	}
	longest := int32(1)
	for _, rows := range [][]evalRow{before, after} {
		for _, row := range rows {
			longest = max(longest, row.LengthTokens)
		}
	}
	edges := binEdges(float64(longest))
	panel := func(title string, rows []evalRow, e *Evaluation) plot.Histogram {
		return plot.Histogram{
			Title: title, Legend: true, Height: 150, Edges: edges, Stacks: stacks(edges, rows),
			X: plot.Axis{Label: "response tokens"}, Y: plot.Axis{Format: plot.Percent},
			Rules: []plot.Rule{{Vertical: true, At: e.TokensMean, Label: "mean " + trim(e.TokensMean, 1)}},
		}
	}
	first, second := panel("Base", before, r.Base), panel(fmt.Sprintf("Step %d", r.Final.Step), after, r.Final)
	first.Top = max(first.Tallest(), second.Tallest())
	second.Top = first.Top
	first.X.Label = ""
	return plot.Figure{
		Name: "lengths", Title: "Length of responses, before and after", Subtitle: "Share of held-out responses, " + r.Base.Decoding + "; both panels have the same axes.",
		Alt: fmt.Sprintf("Histograms of response tokens: mean %s before, %s after.", trim(r.Base.TokensMean, 1), trim(r.Final.TokensMean, 1)), Panels: []plot.Panel{first, second},
	}, true
}

// binEdges divides [0, longest] into about forty bins of a round whole width.
func binEdges(longest float64) []float64 {
	width := 1.0
	for _, w := range []float64{1, 2, 5} {
		for power := 1.0; power < 1e9; power *= 10 {
			if c := w * power; longest/c <= 48 && (width == 1 && longest > 48 || c < width) {
				width = c
			}
		}
	}
	var edges []float64
	for e := 0.0; ; e += width {
		edges = append(edges, e)
		if e > longest {
			return edges
		}
	}
}

// stacks counts responses by outcome and bin, as shares of all.
func stacks(edges []float64, rows []evalRow) []plot.Stack {
	bins := len(edges) - 1
	out := emptyStacks(bins)
	n := 0.0
	for _, row := range rows {
		if !row.failed() {
			n++
		}
	}
	for _, row := range rows {
		if row.failed() {
			continue
		}
		kind := outcomeOf(row.Verdict, row.Finish)
		out[kind].Values[min(int(float64(row.LengthTokens)/edges[1]), bins-1)] += 1 / n
	}
	return used(out)
}

// emptyStacks are the outcomes of a histogram of lengths, in the order of [outcomeOf].
func emptyStacks(bins int) []plot.Stack {
	return []plot.Stack{
		{Name: "right", Colour: plot.Blue, Values: make([]float64, bins)},
		{Name: "wrong", Colour: plot.Rust.Tint(0.55), Values: make([]float64, bins)},
		{Name: "cut off at the limit", Colour: plot.White, Values: make([]float64, bins)},
		{Name: "no score", Colour: plot.Slate.Tint(0.4), Values: make([]float64, bins)},
	}
}

// outcomeOf numbers outcomes: right, wrong, cut off at the limit, no score.
func outcomeOf(verdict traces.Verdict, finish traces.Finish) int {
	switch {
	case finish == traces.FinishLength:
		return 2
	case verdict == traces.Right:
		return 0
	case verdict == traces.Wrong:
		return 1
	}
	return 3
}

// used leaves out what never occurs besides right and wrong.
func used(stacks []plot.Stack) []plot.Stack {
	kept := stacks[:2]
	for _, s := range stacks[2:] {
		if positive(s.Values) {
			kept = append(kept, s)
		}
	}
	return kept
}

// budgetsFigure shows accuracy when thinking is cut at budgets.
func (r *RunReport) budgetsFigure() (plot.Figure, bool) {
	if r.Final == nil || len(r.Final.Budgets) == 0 {
		return plot.Figure{}, false
	}
	curve := plot.Chart{Title: "Accuracy when thinking is cut at the budget", Height: 230, X: plot.Axis{Label: "thinking tokens allowed"}, Y: plot.Axis{Format: plot.Percent, Zero: true}}
	for _, b := range r.Final.Budgets {
		curve.X.Categories = append(curve.X.Categories, count(int64(b)))
	}
	for i, e := range r.Evals {
		if len(e.BudgetScores) != len(r.Final.Budgets) {
			continue
		}
		s := plot.Series{Name: fmt.Sprintf("step %d", e.Step), Colour: plot.Slate, Thin: true}
		switch i {
		case 0:
			s = plot.Series{Name: "base", Colour: plot.Slate, Marker: plot.Ring, Dash: plot.Dotted}
		case len(r.Evals) - 1:
			s = plot.Series{Name: s.Name, Colour: plot.Blue, Marker: plot.Disc}
		}
		for j, score := range e.BudgetScores {
			s.X, s.Y = append(s.X, float64(j)), append(s.Y, score)
			s.Hints = append(s.Hints, fmt.Sprintf("step %d, %d tokens: %s", e.Step, e.Budgets[j], share(score)))
		}
		curve.Series = append(curve.Series, s)
	}
	mean := plot.Chart{Title: "Mean over the budgets", Height: 230, X: plot.Axis{Label: "learner step", Whole: true}, Y: plot.Axis{Format: plot.Percent, Zero: true}}
	mean.Series = append(mean.Series, evalSeries(r.Evals, "held out", func(e Evaluation) float64 {
		if e.AnytimeAccuracy == nil {
			return math.NaN()
		}
		return *e.AnytimeAccuracy
	}), r.stepSeries(plot.Series{Name: "rollouts", Colour: plot.Slate, Thin: true}, func(s traces.Step) (float64, bool) {
		if s.Anytime == nil {
			return 0, false
		}
		return *s.Anytime, true
	}))
	return plot.Figure{
		Name: "budgets", Title: "Right at any budget", Subtitle: "The answer is forced after so many thinking tokens, and graded.", Columns: 2,
		Alt: "Accuracy against thinking budget, before and after, and its mean over the run.", Panels: []plot.Panel{curve, mean},
	}, true
}

func (r *RunReport) toolsFigure() (plot.Figure, bool) {
	c := plot.Chart{Title: "Tool calls a response", X: plot.Axis{Label: "learner step", Whole: true}, Y: plot.Axis{Zero: true}, Height: 180}
	any := false
	for _, evals := range r.both() {
		s := evalSeries(evals, evals[0].Decoding, func(e Evaluation) float64 { return e.ToolCallsMean })
		any = any || positive(s.Y)
		c.Series = append(c.Series, s)
	}
	s := r.stepSeries(plot.Series{Name: "rollouts", Colour: plot.Slate, Thin: true}, func(s traces.Step) (float64, bool) { return s.ToolCalls, s.Traces > 0 })
	any = any || positive(s.Y)
	c.Series = append(c.Series, s)
	return plot.Figure{
		Name: "tools", Title: "Calls of tools over the run", Subtitle: "Held-out evaluations and the training samples.",
		Alt: "Mean tool calls a response over learner steps.", Panels: []plot.Panel{c},
	}, any
}

// rewardsFigure shows the total and its terms.
func (r *RunReport) rewardsFigure() (plot.Figure, bool) {
	c := plot.Chart{Title: "Mean reward of rollouts", X: plot.Axis{Label: "learner step", Whole: true}, Height: 200}
	c.Series = append(c.Series, r.stepSeries(plot.Series{Name: "total", Colour: plot.Ink, Marker: plot.Disc}, func(s traces.Step) (float64, bool) { return s.Reward, s.Traces > s.NoScore }))
	var names []string
	seen := map[string]bool{}
	for _, s := range r.data.steps {
		for _, t := range s.Terms {
			if !seen[t.Name] {
				seen[t.Name] = true
				names = append(names, t.Name)
			}
		}
	}
	for i, name := range names {
		c.Series = append(c.Series, r.stepSeries(plot.Series{Name: name, Colour: plot.Cycle(i), Marker: plot.CycleMarker(i + 1), Dash: plot.CycleDash(i + 1)},
			func(s traces.Step) (float64, bool) {
				for _, t := range s.Terms {
					if t.Name == name {
						return t.Value, true
					}
				}
				return 0, false
			}))
	}
	return plot.Figure{
		Name: "rewards", Title: "The reward and its terms", Subtitle: "Means over the rollouts of a step. Correctness is shown apart from shaping.",
		Alt: "Mean reward and its terms over learner steps.", Panels: []plot.Panel{c},
	}, len(r.data.steps) > 0
}

// over is a panel of step values.
func (r *RunReport) over(title string, y plot.Axis, series ...plot.Series) plot.Chart {
	return plot.Chart{Title: title, X: plot.Axis{Label: "learner step", Whole: true}, Y: y, Height: 130, Series: series}
}

func (r *RunReport) learningFigure() (plot.Figure, bool) {
	line := func(name string, i int, value func(traces.Step) float64) plot.Series {
		return r.stepSeries(plot.Series{Name: name, Colour: plot.Cycle(i), Marker: plot.CycleMarker(i), Dash: plot.CycleDash(i)},
			func(s traces.Step) (float64, bool) { return value(s), s.Updates > 0 || s.Trained > 0 })
	}
	return plot.Figure{
		Name: "learning", Title: "How the learning went", Columns: 2,
		Alt: "Entropy, KL, clipped tokens and gradient norm over learner steps.",
		Panels: []plot.Panel{
			r.over("Entropy, nats a token", plot.Axis{Zero: true}, line("", 0, func(s traces.Step) float64 { return s.Entropy })),
			r.over("KL from sampling to updated policy, nats a token", plot.Axis{Zero: true}, line("", 0, func(s traces.Step) float64 { return s.KL })),
			r.over("Share of tokens clipped", plot.Axis{Format: plot.Percent, Zero: true}, line("low", 0, func(s traces.Step) float64 { return s.ClipLow }), line("high", 1, func(s traces.Step) float64 { return s.ClipHigh })),
			r.over("Gradient norm before clipping", plot.Axis{Zero: true}, line("", 0, func(s traces.Step) float64 { return s.GradNorm })),
		},
	}, len(r.data.steps) > 0
}

// agreementFigure shows whether what was trained on is what was sampled: log-probabilities,
// staleness, and lengths before and after filters.
func (r *RunReport) agreementFigure() (plot.Figure, bool) {
	line := func(name string, i int, value func(traces.Step) (float64, bool)) plot.Series {
		return r.stepSeries(plot.Series{Name: name, Colour: plot.Cycle(i), Marker: plot.CycleMarker(i), Dash: plot.CycleDash(i)}, value)
	}
	trained := func(v float64, s traces.Step) (float64, bool) { return v, s.Trained > 0 }
	f := plot.Figure{
		Name: "agreement", Title: "Is what was trained on what was sampled?", Columns: 2,
		Alt: "Difference of log-probabilities, staleness, and lengths of generated and trained responses over learner steps.",
		Panels: []plot.Panel{
			r.over("Learner against sampler, |Δ log p|", plot.Axis{Log: true, Format: plot.Power},
				line("mean", 0, func(s traces.Step) (float64, bool) { return s.MismatchMean, s.MismatchMean > 0 }),
				line("max", 1, func(s traces.Step) (float64, bool) { return s.MismatchMax, s.MismatchMax > 0 })),
			r.over("Staleness, learner steps", plot.Axis{Zero: true, Whole: true},
				line("mean", 0, func(s traces.Step) (float64, bool) { return trained(s.StalenessMean, s) }),
				line("max", 1, func(s traces.Step) (float64, bool) { return trained(float64(s.StalenessMax), s) })),
			r.over("Mean tokens, generated and trained", plot.Axis{Zero: true},
				line("generated", 0, func(s traces.Step) (float64, bool) { return s.Lengths.All, s.Lengths.All > 0 }),
				line("trained", 1, func(s traces.Step) (float64, bool) { return s.LengthTrained, s.LengthTrained > 0 })),
			r.over("Share of traces by outcome", plot.Axis{Format: plot.Percent, Zero: true},
				line("trained", 0, func(s traces.Step) (float64, bool) { return ratio(s.Trained, s.Traces) }),
				line("filtered", 1, func(s traces.Step) (float64, bool) { return ratio(s.Filtered, s.Traces) }),
				line("failed", 2, func(s traces.Step) (float64, bool) { return ratio(s.Failed+s.DeadLetter, s.Traces) })),
		},
	}
	return f, len(r.data.steps) > 0
}

func ratio(a, b int64) (float64, bool) {
	if b == 0 {
		return 0, false
	}
	return float64(a) / float64(b), true
}

func (r *RunReport) waitsFigure() (plot.Figure, bool) {
	s := r.data.seconds()
	if s.steps <= 0 {
		return plot.Figure{}, false
	}
	part := func(name string, v float64, c plot.Colour) plot.Part {
		return plot.Part{Name: name, Value: v, Colour: c, Text: percent(s.share(v))}
	}
	other := max(s.steps-s.wait-s.grade-s.learn-s.publish-s.commit, 0)
	return plot.Figure{
		Name: "waits", Title: "Who waits for whom", Subtitle: r.Waits.short(), Alt: r.Waits.Sentence,
		Panels: []plot.Panel{plot.Shares{Rows: []plot.Row{
			{Name: "trainer", Parts: []plot.Part{
				part("waits for traces", s.wait, plot.Gold), part("grades", s.grade, plot.Teal), part("learns", s.learn, plot.Blue),
				part("publishes", s.publish, plot.Purple), part("commits", s.commit, plot.Slate), part("other", other, plot.Mist),
			}},
			{Name: "engine", Parts: []plot.Part{part("decodes", s.steps-min(s.idle, s.steps), plot.Blue.Tint(0.55)), part("idle", min(s.idle, s.steps), plot.Gold)}},
		}}},
	}, true
}

// short is the figure's own line; the sentence with its advice stands in the text.
func (w Waits) short() string {
	return fmt.Sprintf("Wall clock of the steps, evaluations apart: the trainer waited %s, the engine was idle %s.", percent(w.Trainer), percent(w.Engine))
}

package ablation

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"pith/analysis/plot"
)

// Figures are the pictures of the comparison, of its first table.
func (r *Report) Figures() []plot.Figure {
	t := &r.Tables[0]
	out := []plot.Figure{r.plane(t)}
	if f, ok := r.against(t); ok {
		out = append(out, f)
	}
	out = append(out, t.curves())
	if f, ok := t.trajectories(); ok {
		out = append(out, f)
	}
	return out
}

// fewNamed is up to how many points carry their names; more carry their numbers in the table.
const fewNamed = 14

// style tells the kinds of rows apart by shape as well as by colour.
func style(kind string, front bool) (plot.Colour, plot.Marker) {
	switch kind {
	case Untrained:
		return plot.Ink, plot.Square
	case Capped:
		return plot.Slate, plot.Ring
	case Baseline:
		return plot.Rust, plot.Triangle
	}
	if front {
		return plot.Blue, plot.Diamond
	}
	return plot.Blue, plot.Disc
}

func (t *Table) label(r *Row) string {
	if len(t.Rows) <= fewNamed {
		return r.Name
	}
	return strconv.Itoa(r.Number)
}

// plane puts every arm into the accuracy-length plane, with the front and the boxes in which the
// true point lies.
func (r *Report) plane(t *Table) plot.Figure {
	c := plot.Chart{Title: "Accuracy on held-out problems", Height: 430, Pad: 0.06, Legend: true,
		X: plot.Axis{Label: "mean response tokens (logarithmic)", Log: true}, Y: plot.Axis{Format: plot.Percent}}
	front := plot.Series{Name: "front", Colour: plot.Slate, Dash: plot.Dashed, Thin: true}
	kinds := map[string]*plot.Series{}
	var order []string
	for i := range t.Rows {
		x := &t.Rows[i]
		tokens, accuracy := x.Tokens.Mean, x.Accuracy.Mean
		if math.IsNaN(tokens) || math.IsNaN(accuracy) {
			continue
		}
		colour, marker := style(x.Kind, false)
		if kinds[x.Kind] == nil {
			order = append(order, x.Kind)
			name := map[string]string{Arm: "trained", Baseline: "baseline", Untrained: "untrained", Capped: "untrained, cut off"}[x.Kind]
			kinds[x.Kind] = &plot.Series{Name: name, Colour: colour, Marker: marker, NoLine: x.Kind != Capped, Dash: plot.Dotted}
		}
		s := kinds[x.Kind]
		s.X, s.Y, s.Labels = append(s.X, tokens), append(s.Y, accuracy), append(s.Labels, t.label(x))
		s.Hints = append(s.Hints, fmt.Sprintf("%d %s: accuracy %s %%, tokens %s", x.Number, x.Name, plusMinus(&x.Accuracy, 100, 1, false), plusMinus(&x.Tokens, 1, 1, false)))
		if x.Accuracy.Interval != nil && x.Tokens.Interval != nil && x.Kind != Capped {
			low, high := max(x.Accuracy.Interval[0], 0), min(x.Accuracy.Interval[1], 1)
			left, right := max(x.Tokens.Interval[0], 1), min(x.Tokens.Interval[1], t.Limit)
			c.Series = append(c.Series, plot.Series{
				X: []float64{left, right}, Y: []float64{accuracy, accuracy}, YLow: []float64{low, low}, YHigh: []float64{high, high},
				Band: true, NoLine: true, Colour: colour, Thin: true,
			})
		}
		if x.OnFront {
			front.X, front.Y = append(front.X, tokens), append(front.Y, accuracy)
		}
	}
	slices.SortFunc(order, func(a, b string) int { return rank(a) - rank(b) })
	if s := kinds[Capped]; s != nil { // the untrained policy is where its cut-off line ends
		if x := t.kind(Untrained); x != nil {
			s.X, s.Y, s.Labels = append(s.X, x.Tokens.Mean), append(s.Y, x.Accuracy.Mean), append(s.Labels, "")
		}
	}
	front = staircase(front, t)
	c.Series = append(c.Series, front)
	for _, k := range order {
		c.Series = append(c.Series, *kinds[k])
	}
	names := "Names are beside the points."
	if len(t.Rows) > fewNamed {
		names = "Numbers are those of the table."
	}
	return plot.Figure{
		Name: "sweep-plane", Title: "Accuracy against length, every arm", Subtitle: "Means over seeds; up and to the left is better. Boxes: 95 % intervals over seeds and problems. " + names,
		Alt: r.frontWords(t), Panels: []plot.Panel{c},
	}
}

// kind finds the first row of a kind.
func (t *Table) kind(kind string) *Row {
	for i := range t.Rows {
		if t.Rows[i].Kind == kind {
			return &t.Rows[i]
		}
	}
	return nil
}

func rank(kind string) int { return slices.Index([]string{Capped, Untrained, Baseline, Arm}, kind) }

// staircase turns the front's points into its outline.
func staircase(s plot.Series, t *Table) plot.Series {
	type point struct{ x, y float64 }
	var points []point
	for i := range s.X {
		points = append(points, point{s.X[i], s.Y[i]})
	}
	slices.SortFunc(points, func(a, b point) int {
		switch {
		case a.x < b.x:
			return -1
		case a.x > b.x:
			return 1
		}
		return 0
	})
	s.X, s.Y = nil, nil
	for i, p := range points {
		if i > 0 {
			s.X, s.Y = append(s.X, p.x), append(s.Y, points[i-1].y)
		}
		s.X, s.Y = append(s.X, p.x), append(s.Y, p.y)
	}
	if n := len(points); n > 0 {
		last := points[n-1]
		right := last.x
		for i := range t.Rows {
			if v := t.Rows[i].Tokens.Mean; !math.IsNaN(v) {
				right = max(right, v)
			}
		}
		s.X, s.Y = append(s.X, right), append(s.Y, last.y)
	}
	return s
}

// against shows the paired differences from the reference, a line an arm.
func (r *Report) against(t *Table) (plot.Figure, bool) {
	var rows []*Row
	for i := range t.Rows {
		if v := t.Rows[i].VsReference; v != nil && v.Unpaired == "" {
			rows = append(rows, &t.Rows[i])
		}
	}
	if len(rows) == 0 {
		return plot.Figure{}, false
	}
	slices.SortStableFunc(rows, func(a, b *Row) int {
		switch {
		case a.VsReference.Accuracy.Mean < b.VsReference.Accuracy.Mean:
			return -1
		case a.VsReference.Accuracy.Mean > b.VsReference.Accuracy.Mean:
			return 1
		}
		return 0
	})
	var names, blank []string
	for _, x := range rows {
		names, blank = append(names, x.Name), append(blank, " ")
	}
	panel := func(title string, categories []string, value func(*Pair) (mean float64, interval *[2]float64)) plot.Chart {
		c := plot.Chart{Title: title, Height: max(120, 19*float64(len(rows))), Pad: 0.03, Legend: true,
			X: plot.Axis{}, Y: plot.Axis{Categories: categories}, Rules: []plot.Rule{{Vertical: true, At: 0}}}
		told := plot.Series{Name: "interval without 0", Colour: plot.Blue, Marker: plot.Disc, NoLine: true}
		not := plot.Series{Name: "interval with 0", Colour: plot.Slate, Marker: plot.Ring, NoLine: true}
		for i, x := range rows {
			mean, span := value(x.VsReference)
			s := &not
			low, high := math.NaN(), math.NaN()
			if span != nil {
				low, high = span[0], span[1]
				if low > 0 || high < 0 {
					s = &told
				}
			}
			s.X, s.Y, s.XLow, s.XHigh = append(s.X, mean), append(s.Y, float64(i)), append(s.XLow, low), append(s.XHigh, high)
			s.Hints = append(s.Hints, x.VsReference.Sentence(r.Points))
		}
		for _, s := range []plot.Series{told, not} {
			if len(s.X) > 0 {
				c.Series = append(c.Series, s)
			}
		}
		return c
	}
	scaled := func(v *[2]float64) *[2]float64 {
		if v == nil {
			return nil
		}
		return &[2]float64{100 * v[0], 100 * v[1]}
	}
	return plot.Figure{
		Name: "sweep-reference", Title: "Every arm against " + r.Reference, Columns: 2,
		Subtitle: "Paired by seed and problem; whiskers: 95 % intervals over seeds and problems, not corrected for being several.",
		Alt:      fmt.Sprintf("Differences of %d arms from %s in accuracy and in tokens, with intervals.", len(rows), r.Reference),
		Panels: []plot.Panel{
			panel("Accuracy, points", names, func(p *Pair) (float64, *[2]float64) {
				return 100 * p.Accuracy.Mean, scaled((*[2]float64)(p.Accuracy.Interval))
			}),
			panel("Tokens, %", blank, func(p *Pair) (float64, *[2]float64) {
				return 100 * p.Tokens.Mean, scaled((*[2]float64)(p.Tokens.Interval))
			}),
		},
	}, true
}

// curves shows accuracy under a token limit: of the untrained policy, the baselines and the front in
// colour, of the others in grey.
func (t *Table) curves() plot.Figure {
	c := plot.Chart{Title: "Right within the limit", Height: 300, X: plot.Axis{Label: "token limit (logarithmic)", Log: true, Range: [2]float64{float64(t.Budgets[0]), float64(t.Budgets[len(t.Budgets)-1])}}, Y: plot.Axis{Format: plot.Percent, Zero: true}}
	n := 0
	for i := range t.Rows {
		x := &t.Rows[i]
		if x.Kind == Capped {
			continue
		}
		s := plot.Series{Colour: plot.Slate.Tint(0.4), Thin: true}
		if x.OnFront || x.Kind != Arm {
			s = plot.Series{Name: x.Name, Colour: plot.Cycle(n), Dash: plot.CycleDash(n), Marker: plot.CycleMarker(n)}
			n++
		}
		for j, b := range t.Budgets {
			s.X, s.Y = append(s.X, float64(b)), append(s.Y, x.Curve[j])
			s.Hints = append(s.Hints, fmt.Sprintf("%s: %s %% right within %d tokens", x.Name, number(100*x.Curve[j], 1), b))
		}
		c.Series = append(c.Series, s)
	}
	return plot.Figure{
		Name: "sweep-budgets", Title: "Accuracy under a token limit", Subtitle: "A response longer than the limit counts as wrong. Named: the untrained policy, baselines and the front; grey: the other arms.",
		Alt: "Accuracy against the token limit for every arm.", Panels: []plot.Panel{c},
	}
}

// trajectories shows every run's way through the plane, a panel an arm on common axes.
func (t *Table) trajectories() (plot.Figure, bool) {
	var panels []plot.Panel
	var low, high, bottom, top = math.Inf(1), math.Inf(-1), 1.0, 0.0
	for _, r := range t.Rows {
		for _, run := range r.Trajectory {
			for i := range run.Step {
				low, high = min(low, run.Tokens[i]), max(high, run.Tokens[i])
				bottom, top = min(bottom, run.Accuracy[i]), max(top, run.Accuracy[i])
			}
		}
	}
	for _, r := range t.Rows {
		if len(r.Trajectory) == 0 {
			continue
		}
		c := plot.Chart{Title: r.Name, Height: 120, Legend: false, Pad: 0.05,
			X: plot.Axis{Log: true, Range: [2]float64{max(low*0.9, 0.5), high * 1.1}}, Y: plot.Axis{Format: plot.Percent, Range: [2]float64{bottom, min(top+0.02, 1)}}}
		for i, run := range r.Trajectory {
			s := plot.Series{X: run.Tokens, Y: run.Accuracy, Colour: plot.Cycle(i), Dash: plot.CycleDash(i), Marker: plot.CycleMarker(i), Arrow: true, Thin: true}
			for j := range run.Step {
				s.Hints = append(s.Hints, fmt.Sprintf("seed %d, step %d: %s %% right in %s tokens", run.Seed, run.Step[j], number(100*run.Accuracy[j], 1), number(run.Tokens[j], 1)))
			}
			c.Series = append(c.Series, s)
		}
		panels = append(panels, c)
	}
	return plot.Figure{
		Name: "sweep-trajectories", Title: "Every run's way through the plane", Columns: 3, Width: 900,
		Subtitle: "Accuracy on held-out problems against mean response tokens (logarithmic), from the untrained policy to the arrow; a line a seed.",
		Alt:      fmt.Sprintf("Trajectories of the runs of %d arms in the accuracy-length plane.", len(panels)), Panels: panels,
	}, len(panels) > 0
}

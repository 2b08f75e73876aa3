package analysis

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"pith/analysis/plot"
)

// mostPanels is how many keys have a histogram of their own.
const mostPanels = 8

// Figures returns the accuracy-length plane of the keys and their lengths by outcome.
func (b *Breakdown) Figures() []plot.Figure {
	r := b.Report(0)
	var out []plot.Figure
	if f, ok := r.planeFigure(); ok {
		out = append(out, f)
	}
	if f, ok := b.lengthsFigure(r); ok {
		out = append(out, f)
	}
	return out
}

func (r *BreakdownReport) planeFigure() (plot.Figure, bool) {
	c := plot.Chart{Title: "Accuracy", Height: 330, Pad: 0.12, X: plot.Axis{Label: "mean response tokens"}, Y: plot.Axis{Format: plot.Percent}}
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Accuracy == nil || row.TokensMean == nil {
			continue
		}
		c.Series = append(c.Series, plot.Series{
			Name: row.Key, X: []float64{*row.TokensMean}, Y: []float64{*row.Accuracy}, Colour: plot.Cycle(i), Marker: plot.CycleMarker(i), NoLine: true,
			YLow: []float64{row.AccuracyInterval[0]}, YHigh: []float64{row.AccuracyInterval[1]}, Labels: []string{row.Key},
			Hints: []string{fmt.Sprintf("%s: %s right in %s tokens, %s traces", row.Key, share(*row.Accuracy), trim(*row.TokensMean, 1), count(row.Traces))},
		})
	}
	if len(c.Series) > 0 {
		for i := range c.Series {
			c.Series[i].Name = "" // the labels beside the points say it
		}
	}
	return plot.Figure{
		Name: "plane", Title: "Accuracy against length, by " + r.By, Subtitle: "Up and to the left is better. Whiskers: 95 % intervals.",
		Alt: fmt.Sprintf("Accuracy against mean response tokens of %d groups of traces.", len(c.Series)), Panels: []plot.Panel{c},
	}, len(c.Series) > 1
}

func (b *Breakdown) lengthsFigure(r *BreakdownReport) (plot.Figure, bool) {
	if len(r.Rows) == 0 || len(r.Rows) > mostPanels {
		return plot.Figure{}, false
	}
	longest := int32(1)
	for _, c := range b.cells {
		for length := range c.lengths {
			longest = max(longest, length)
		}
	}
	edges := binEdges(float64(longest))
	var panels []plot.Histogram
	for i := range r.Rows {
		c := b.cells[r.Rows[i].Key]
		stacks := emptyStacks(len(edges) - 1)
		for length, outcomes := range c.lengths {
			bin := min(int(float64(length)/edges[1]), len(edges)-2)
			for kind, n := range outcomes {
				stacks[kind].Values[bin] += n // whole numbers: the order of a map does not show
			}
		}
		for k := range stacks {
			for bin := range stacks[k].Values {
				stacks[k].Values[bin] /= c.traces
			}
		}
		mean := *r.Rows[i].TokensMean
		panels = append(panels, plot.Histogram{
			Title: r.Rows[i].Key, Legend: i == 0, Height: 110, Edges: edges, Stacks: used(stacks), Y: plot.Axis{Format: plot.Percent},
			Rules: []plot.Rule{{Vertical: true, At: mean, Label: "mean " + trim(mean, 1)}},
		})
	}
	panels[len(panels)-1].X.Label = "response tokens"
	top := 0.0
	for _, p := range panels {
		top = max(top, p.Tallest())
	}
	f := plot.Figure{
		Name: "lengths", Title: "Length of responses by outcome", Subtitle: "Share of the traces of each panel; all panels have the same axes.",
		Alt: fmt.Sprintf("Histograms of response tokens by outcome, for %d groups of traces.", len(panels)),
	}
	for _, p := range panels {
		p.Top = top
		f.Panels = append(f.Panels, p)
	}
	return f, true
}

// WriteFigures writes the figures as SVG and PNG into dir.
func (b *Breakdown) WriteFigures(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("figures: %w", err)
	}
	for _, f := range b.Figures() {
		if err := replace(filepath.Join(dir, f.Name+".svg"), func(w io.Writer) error {
			_, err := io.WriteString(w, f.SVG())
			return err
		}); err != nil {
			return err
		}
		if err := replace(filepath.Join(dir, f.Name+".png"), func(w io.Writer) error { return f.PNG(w, figureScale) }); err != nil {
			return err
		}
	}
	return nil
}

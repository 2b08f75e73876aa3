package analysis

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"sync"

	"pith/analysis/plot"
	"pith/traces"
)

//go:embed report.tmpl.html
var pageText string

var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"share": share, "count": count, "integer": func(n int) string { return count(int64(n)) }, "tokens": func(x float64) string { return trim(x, 1) }, "number": func(x float64) string { return trim(x, 2) },
		"interval": func(i Interval) string {
			return fmt.Sprintf("%s–%s", trim(i[0]*100, 1), trim(i[1]*100, 1))
		},
		"span": func(i *Interval) string {
			if i == nil {
				return ""
			}
			return fmt.Sprintf("%s–%s", trim(i[0], 1), trim(i[1], 1))
		},
		"optional": func(x *float64) string {
			if x == nil {
				return "–"
			}
			return trim(*x, 1)
		},
		"optionalShare": func(x *float64) string {
			if x == nil {
				return "–"
			}
			return share(*x)
		},
		"points": points, "relative": relative, "duration": duration,
		"verdict": func(v traces.Verdict) string {
			if v == traces.NoScore {
				return "no score"
			}
			return string(v)
		},
	}).Parse(pageText)) // a test executes it
})

// pageData is what the template reads.
type pageData struct {
	Title      string
	Runs       []pageRun
	Comparison *Comparison
	Overview   template.HTML // the plane of all runs
}

type pageRun struct {
	*RunReport
	Lead     []string // sentences about gain and loss
	Figures  []pageFigure
	Samples  []pairing
	Columns  []pageColumn
	Settings []setting
}

// Folder is the name of the run's directory, without the path to it.
func (p pageRun) Folder() string {
	if absolute, err := filepath.Abs(p.Directory); err == nil {
		return filepath.Base(absolute)
	}
	return filepath.Base(p.Directory)
}

type pageFigure struct {
	Name string
	SVG  template.HTML
}

// Section lists the figures that belong together.
func (p pageRun) Section(name string) []pageFigure {
	of := func(figure string) string {
		switch figure {
		case "waits":
			return "waits"
		case "rewards", "learning", "agreement":
			return "learning"
		}
		return "gain"
	}
	var out []pageFigure
	for _, f := range p.Figures {
		if of(f.Name) == name {
			out = append(out, f)
		}
	}
	return out
}

// pageColumn is a way of decoding in the table of key numbers.
type pageColumn struct {
	Name        string
	Base, Final *Evaluation
	Gain        *Gain
}

type setting struct{ Name, Value string }

// WriteHTML writes the report as one page that needs nothing beside it: style, figures and texts
// are inside, there is no script, and it prints. Several runs begin with a comparison.
func WriteHTML(w io.Writer, r Report) error {
	data := pageData{Title: "pith report"}
	for i := range r.Runs {
		data.Runs = append(data.Runs, r.Runs[i].page(len(r.Runs) <= mostDetailed))
	}
	if len(r.Runs) == 1 {
		data.Title = r.Runs[0].Name + " – pith report"
	}
	if len(r.Runs) > 1 {
		if c, err := r.Compare(); err == nil {
			data.Comparison = &c
		}
		if f, ok := r.overviewFigure(); ok {
			data.Overview = template.HTML(f.SVG()) //nolint:gosec // our own drawing; texts in it are escaped
		}
	}
	if err := page().Execute(w, data); err != nil {
		return fmt.Errorf("report: write HTML: %w", err)
	}
	return nil
}

// mostDetailed is how many runs a page shows in full; with more it has their numbers and words.
const mostDetailed = 12

func (r *RunReport) page(detailed bool) pageRun {
	p := pageRun{RunReport: r}
	for _, s := range []string{
		r.change(r.Base, r.Final, r.Gain), r.change(r.BaseGreedy, r.FinalGreedy, r.GainGreedy),
		r.sharpening(), r.budgets(), r.tools(), r.difficulty(), r.lostLevels(), r.hacked(), r.biased(), r.unfinished(),
	} {
		if s != "" {
			p.Lead = append(p.Lead, s)
		}
	}
	if detailed {
		p.Samples = r.samples()
		for _, f := range r.Figures() {
			p.Figures = append(p.Figures, pageFigure{f.Name, template.HTML(f.SVG())}) //nolint:gosec // as above
		}
	}
	if r.Base != nil {
		p.Columns = append(p.Columns, pageColumn{r.Base.Decoding, r.Base, r.Final, r.Gain})
		if r.BaseGreedy != nil && r.Base.Decoding != greedy {
			p.Columns = append(p.Columns, pageColumn{greedy, r.BaseGreedy, r.FinalGreedy, r.GainGreedy})
		}
	}
	p.Settings = r.keySettings()
	return p
}

// keySettings are the settings that a reader asks for first. The whole config lies in the run
// directory; it is not copied here, as it may hold credentials of the stream.
func (r *RunReport) keySettings() []setting {
	if !r.data.known {
		return nil
	}
	m, c := &r.data.manifest, &r.data.manifest.Config
	out := []setting{
		{"method", c.Rewards.Method}, {"profile", c.Rewards.Profile}, {"reward settings", settingsOf(c.Rewards.Params)},
		{"loss", c.Loss.Kind + ", " + c.Loss.Aggregation}, {"loss settings", settingsOf(c.Loss.Params)},
		{"strategy", c.Rollout.Strategy}, {"group", fmt.Sprintf("%d prompts × %d samples a step", c.Rollout.PromptsPerStep, c.Rollout.SamplesPerPrompt)},
		{"token limit", count(int64(c.Rollout.MaxTokens))}, {"max staleness", fmt.Sprint(c.Rollout.MaxStaleness)},
		{"learning rate", fmt.Sprint(c.Optimizer.LearningRate)}, {"policy", c.Policy.Base}, {"parameters", count(m.Parameters)},
		{"data", m.Dataset}, {"seed", fmt.Sprint(m.Seed)}, {"pith", m.Version}, {"config", short(m.Hash)},
	}
	kept := out[:0]
	for _, s := range out {
		if s.Value != "" && s.Value != "0" {
			kept = append(kept, s)
		}
	}
	return kept
}

func short(hash string) string { return hash[:min(12, len(hash))] }

// overviewFigure puts the ends of all runs into one plane.
func (r Report) overviewFigure() (plot.Figure, bool) {
	c := plot.Chart{Title: "Accuracy on held-out problems", Height: 340, Pad: 0.08, Legend: true,
		X: plot.Axis{Label: "mean response tokens"}, Y: plot.Axis{Format: plot.Percent}}
	var keys []string
	series := map[string]*plot.Series{}
	base := plot.Series{Name: "base", Colour: plot.Slate, Marker: plot.Ring, NoLine: true}
	for i := range r.Runs {
		run := &r.Runs[i]
		if run.Gain == nil {
			continue
		}
		key := run.groupKey()
		if series[key] == nil {
			n := len(keys)
			keys = append(keys, key)
			name := run.Method
			if name == "" {
				name = run.Name
			}
			series[key] = &plot.Series{Name: name, Colour: plot.Cycle(n), Marker: plot.CycleMarker(n), NoLine: true}
		}
		s := series[key]
		add := func(s *plot.Series, e *Evaluation) {
			s.X, s.Y = append(s.X, e.TokensMean), append(s.Y, e.Accuracy)
			s.YLow, s.YHigh = append(s.YLow, e.AccuracyInterval[0]), append(s.YHigh, e.AccuracyInterval[1])
			s.Hints = append(s.Hints, fmt.Sprintf("%s, seed %d, step %d: accuracy %s, %s tokens", run.Name, run.Seed, e.Step, share(e.Accuracy), trim(e.TokensMean, 1)))
		}
		add(s, run.Final)
		add(&base, run.Base)
	}
	if len(keys) == 0 {
		return plot.Figure{}, false
	}
	c.Series = append(c.Series, base)
	for _, key := range keys {
		c.Series = append(c.Series, *series[key])
	}
	if named, err := r.Compare(); err == nil { // names that tell groups of one method apart
		for i, g := range named.Groups {
			if i < len(keys) && len(named.Groups) == len(keys) {
				c.Series[i+1].Name = g.Name
			}
		}
	}
	return plot.Figure{
		Name: "overview", Title: "All runs in one plane", Subtitle: "Last evaluation of each run and of its base; up and to the left is better. Whiskers: 95 % intervals.",
		Alt: fmt.Sprintf("Accuracy against mean response tokens of %d runs.", len(r.Runs)), Panels: []plot.Panel{c},
	}, true
}

// pageRow is a line of the table of key numbers.
type pageRow struct {
	Name string
	E    *Evaluation
}

// Row names one end of a column.
func (c pageColumn) Row(end string) pageRow {
	if end == "base" {
		return pageRow{"base, " + c.Name, c.Base}
	}
	return pageRow{fmt.Sprintf("step %d, %s", c.Final.Step, c.Name), c.Final}
}

// pageResponse is a response with its heading.
type pageResponse struct {
	Name  string
	R     response
	Class string
}

// As gives a response its heading.
func (r response) As(name string) pageResponse {
	class := "none"
	switch r.Verdict {
	case traces.Right:
		class = "right"
	case traces.Wrong:
		class = "wrong"
	}
	return pageResponse{name, r, class}
}

// Dollars is the price of the run, 0 where there are no prices.
func (p pageRun) Dollars() float64 {
	if p.Cost.Dollars == nil {
		return 0
	}
	return *p.Cost.Dollars
}

// Share, Points, Tokens and Change write an estimate in its unit.
func (e Estimate) Share() string  { return e.write(asShare) }
func (e Estimate) Points() string { return e.write(asPoints) }
func (e Estimate) Tokens() string { return e.write(asTokens) }
func (e Estimate) Change() string { return e.write(asChange) }

// pageTable is a comparison under one way of decoding.
type pageTable struct {
	Caption string
	Rows    []pageTableRow
}

type pageTableRow struct {
	Name  string
	Seeds int
	*Column
}

// Tables are the comparison's tables, the greedy one where there is any.
func (c *Comparison) Tables() []pageTable {
	first, second := pageTable{Caption: "At the training temperature."}, pageTable{Caption: "Greedy."}
	for i := range c.Groups {
		g := &c.Groups[i]
		first.Rows = append(first.Rows, pageTableRow{g.Name, len(g.Seeds), &g.Sampled})
		if g.Greedy != nil {
			second.Rows = append(second.Rows, pageTableRow{g.Name, len(g.Seeds), g.Greedy})
		}
	}
	if len(second.Rows) == 0 {
		return []pageTable{first}
	}
	return []pageTable{first, second}
}

package analysis

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pith/analysis/stats"
)

// Comparison sets groups of runs side by side. A group is runs that differ in nothing but seed and
// name; its numbers are means over seeds with 95 % intervals by Student's t.
type Comparison struct {
	Groups []GroupReport `json:"groups"`
	Notes  []string      `json:"notes,omitempty"` // files that could not be read; the rest of their runs is compared
}

// GroupReport is one row of a comparison.
type GroupReport struct {
	Name   string   `json:"name"`
	Method string   `json:"method"`
	Runs   []string `json:"runs"` // directories
	Seeds  []uint64 `json:"seeds"`

	Sampled Column  `json:"sampled"`
	Greedy  *Column `json:"greedy"` // null where a run of the group has no greedy evaluation

	settings map[string]string
}

// Column is a way of decoding, before and after.
type Column struct {
	BaseAccuracy  Estimate  `json:"base_accuracy"`
	Accuracy      Estimate  `json:"accuracy"`
	AccuracyGain  Estimate  `json:"accuracy_gain"`
	BaseTokens    Estimate  `json:"base_tokens"`
	Tokens        Estimate  `json:"tokens"`
	TokensChange  Estimate  `json:"tokens_change"` // relative
	Truncated     Estimate  `json:"truncated"`
	ToolCalls     Estimate  `json:"tool_calls"`
	BaseToolCalls Estimate  `json:"base_tool_calls"`
	Anytime       *Estimate `json:"anytime_accuracy"`
	BaseAnytime   *Estimate `json:"base_anytime_accuracy"`
	AES           *Estimate `json:"aes"`
	OnFrontier    bool      `json:"on_frontier"` // no other group is at least as accurate with no more tokens
}

// Estimate is a mean over seeds; one seed has no interval.
type Estimate struct {
	Mean     float64   `json:"mean"`
	Interval *Interval `json:"interval"`
}

func estimate(values []float64) Estimate {
	mean, interval := meanInterval(values)
	return Estimate{mean, interval}
}

// Compare reads run directories and groups them. Runs without two evaluations cannot be compared
// and are an error, as is a run whose accounting does not close, unless files of it cannot be read:
// those are named in the notes.
func Compare(dirs []string) (Comparison, error) {
	r, err := Summarize(dirs)
	if err != nil {
		return Comparison{}, err
	}
	return r.Compare()
}

// Compare groups the report's runs; see the function of the same name.
func (r Report) Compare() (Comparison, error) {
	var keys []string
	var notes []string
	groups := map[string][]*RunReport{}
	for i := range r.Runs {
		run := &r.Runs[i]
		var unreadable string
		if run.data != nil {
			unreadable, notes = run.data.unreadable, append(notes, run.data.notes...)
		}
		if run.Gain == nil && unreadable != "" {
			return Comparison{}, fmt.Errorf("compare: %s", unreadable)
		}
		if run.Gain == nil {
			return Comparison{}, fmt.Errorf("compare: %s has not been evaluated before and after training; finish it first (pith train --resume --out %s)", run.Directory, run.Directory)
		}
		if !run.Accounting.Exact && unreadable == "" {
			return Comparison{}, fmt.Errorf("compare: %s: %s", run.Directory, run.Problems[0])
		}
		key := run.groupKey()
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], run)
	}
	c := Comparison{Groups: []GroupReport{}, Notes: notes}
	for _, key := range keys {
		c.Groups = append(c.Groups, groupReport(groups[key]))
	}
	c.nameApart()
	c.markFrontier()
	return c, nil
}

// groupKey is what runs of a group share: everything that is computed, but for the seed.
func (r *RunReport) groupKey() string {
	if !r.data.known {
		return r.Directory // nothing is known of its settings
	}
	config := r.data.manifest.Config
	config.Run.Seed, config.Run.Name = 0, ""
	return config.Hash()
}

// settings are the leaves of the config that groups may differ in.
func (r *RunReport) settings() map[string]string {
	out := map[string]string{}
	config := r.data.manifest.Config
	config.Run.Seed, config.Run.Name = 0, ""
	text, err := config.YAML()
	if err != nil {
		return out
	}
	var tree map[string]any
	if yaml.Unmarshal(text, &tree) == nil {
		flatten(out, "", tree)
	}
	return out
}

func groupReport(runs []*RunReport) GroupReport {
	g := GroupReport{Name: runs[0].Method, Method: runs[0].Method, Sampled: column(runs, func(r *RunReport) (*Evaluation, *Evaluation, *Gain) { return r.Base, r.Final, r.Gain })}
	if g.Name == "" {
		g.Name = runs[0].Name
	}
	g.settings = runs[0].settings()
	allGreedy := true
	for _, r := range runs {
		g.Runs = append(g.Runs, r.Directory)
		g.Seeds = append(g.Seeds, r.Seed)
		allGreedy = allGreedy && r.GainGreedy != nil
	}
	if allGreedy {
		c := column(runs, func(r *RunReport) (*Evaluation, *Evaluation, *Gain) { return r.BaseGreedy, r.FinalGreedy, r.GainGreedy })
		g.Greedy = &c
	}
	return g
}

func column(runs []*RunReport, of func(*RunReport) (base, final *Evaluation, gain *Gain)) Column {
	over := func(value func(base, final *Evaluation, g *Gain) float64) Estimate {
		var values []float64
		for _, r := range runs {
			values = append(values, value(of(r)))
		}
		return estimate(values)
	}
	c := Column{
		BaseAccuracy:  over(func(b, _ *Evaluation, _ *Gain) float64 { return b.Accuracy }),
		Accuracy:      over(func(_, f *Evaluation, _ *Gain) float64 { return f.Accuracy }),
		AccuracyGain:  over(func(_, _ *Evaluation, g *Gain) float64 { return g.Accuracy }),
		BaseTokens:    over(func(b, _ *Evaluation, _ *Gain) float64 { return b.TokensMean }),
		Tokens:        over(func(_, f *Evaluation, _ *Gain) float64 { return f.TokensMean }),
		TokensChange:  over(func(_, _ *Evaluation, g *Gain) float64 { return g.Tokens }),
		Truncated:     over(func(_, f *Evaluation, _ *Gain) float64 { return f.Truncated }),
		ToolCalls:     over(func(_, f *Evaluation, _ *Gain) float64 { return f.ToolCallsMean }),
		BaseToolCalls: over(func(b, _ *Evaluation, _ *Gain) float64 { return b.ToolCallsMean }),
	}
	optional := func(value func(b, f *Evaluation, g *Gain) *float64) *Estimate {
		var values []float64
		for _, r := range runs {
			if v := value(of(r)); v != nil {
				values = append(values, *v)
			}
		}
		if len(values) < len(runs) {
			return nil
		}
		e := estimate(values)
		return &e
	}
	c.AES = optional(func(_, _ *Evaluation, g *Gain) *float64 { return g.AES })
	c.Anytime = optional(func(_, f *Evaluation, _ *Gain) *float64 { return f.AnytimeAccuracy })
	c.BaseAnytime = optional(func(b, _ *Evaluation, _ *Gain) *float64 { return b.AnytimeAccuracy })
	return c
}

// nameApart adds to the names of groups of one method the settings in which they differ.
func (c *Comparison) nameApart() {
	byName := map[string][]int{}
	for i, g := range c.Groups {
		byName[g.Name] = append(byName[g.Name], i)
	}
	for _, same := range byName {
		if len(same) < 2 {
			continue
		}
		var differ []string
		for key := range c.Groups[same[0]].settings {
			differ = append(differ, key)
		}
		for _, i := range same[1:] {
			for key := range c.Groups[i].settings {
				differ = append(differ, key)
			}
		}
		slices.Sort(differ)
		differ = slices.DeleteFunc(slices.Compact(differ), func(key string) bool {
			return !slices.ContainsFunc(same, func(i int) bool { return c.Groups[i].settings[key] != c.Groups[same[0]].settings[key] })
		})
		for _, i := range same {
			c.Groups[i].Name += " (" + c.Groups[i].unlike(differ) + ")"
		}
	}
}

// unlike writes the settings that tell a group apart, or where its first run lives if nothing short
// does.
func (g *GroupReport) unlike(keys []string) string {
	if len(keys) == 0 || len(keys) > 3 {
		return filepath.Base(g.Runs[0])
	}
	var parts []string
	for _, key := range keys {
		value, ok := g.settings[key]
		if !ok {
			value = "default"
		}
		parts = append(parts, key[strings.LastIndexByte(key, '.')+1:]+"="+value)
	}
	return strings.Join(parts, ", ")
}

// flatten turns a config into its leaves by key path.
func flatten(into map[string]string, path string, v any) {
	switch x := v.(type) {
	case map[string]any:
		for key, inner := range x {
			flatten(into, path+"."+key, inner)
		}
	default:
		into[strings.TrimPrefix(path, ".")] = fmt.Sprint(x)
	}
}

func (c *Comparison) markFrontier() {
	var points []stats.Point
	for _, g := range c.Groups {
		points = append(points, stats.Point{Tokens: g.Sampled.Tokens.Mean, Accuracy: g.Sampled.Accuracy.Mean})
	}
	for _, i := range stats.Front(points) {
		c.Groups[i].Sampled.OnFrontier = true
	}
	points = points[:0]
	var greedyGroups []int
	for i, g := range c.Groups {
		if g.Greedy != nil {
			greedyGroups = append(greedyGroups, i)
			points = append(points, stats.Point{Tokens: g.Greedy.Tokens.Mean, Accuracy: g.Greedy.Accuracy.Mean})
		}
	}
	for _, i := range stats.Front(points) {
		c.Groups[greedyGroups[i]].Greedy.OnFrontier = true
	}
}

// WriteJSON writes the comparison, indented.
func (c Comparison) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Markdown returns the comparison as tables, the sampled and the greedy one, in the order of the
// groups. Intervals are 95 % over seeds; a star marks groups on the frontier.
func (c Comparison) Markdown() string {
	var b strings.Builder
	c.table(&b, "At the training temperature", func(g *GroupReport) *Column { return &g.Sampled })
	if slices.ContainsFunc(c.Groups, func(g GroupReport) bool { return g.Greedy != nil }) {
		b.WriteString("\n")
		c.table(&b, "Greedy", func(g *GroupReport) *Column { return g.Greedy })
	}
	b.WriteString("\nMeans over seeds with 95 % intervals (Student's t). ★: no other row is at least as accurate with no more tokens.\n")
	return b.String()
}

func (c Comparison) table(b *strings.Builder, title string, of func(*GroupReport) *Column) {
	var tools, anytime bool
	for i := range c.Groups {
		if col := of(&c.Groups[i]); col != nil {
			tools = tools || col.ToolCalls.Mean > 0 || col.BaseToolCalls.Mean > 0
			anytime = anytime || col.Anytime != nil
		}
	}
	head := []string{title, "seeds", "base accuracy", "accuracy", "change", "base tokens", "tokens", "change", "truncated", "AES"}
	if tools {
		head = append(head, "base tool calls", "tool calls")
	}
	if anytime {
		head = append(head, "base accuracy over budgets", "accuracy over budgets")
	}
	row := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	row(head)
	b.WriteString("| --- |" + strings.Repeat(" ---: |", len(head)-1) + "\n")
	for i := range c.Groups {
		g, col := &c.Groups[i], of(&c.Groups[i])
		if col == nil {
			continue
		}
		name := g.Name
		if col.OnFrontier {
			name += " ★"
		}
		cells := []string{
			name, fmt.Sprint(len(g.Seeds)), col.BaseAccuracy.write(asShare), col.Accuracy.write(asShare), col.AccuracyGain.write(asPoints),
			col.BaseTokens.write(asTokens), col.Tokens.write(asTokens), col.TokensChange.write(asChange), col.Truncated.write(asShare), col.AES.write(asScore),
		}
		if tools {
			cells = append(cells, col.BaseToolCalls.write(asScore), col.ToolCalls.write(asScore))
		}
		if anytime {
			cells = append(cells, col.BaseAnytime.write(asShare), col.Anytime.write(asShare))
		}
		row(cells)
	}
}

// How an estimate is written: the factor, the decimals, the unit, and whether with a sign.
type unit struct {
	factor   float64
	decimals int
	suffix   string
	signed   bool
}

var (
	asShare  = unit{100, 1, " %", false}
	asPoints = unit{100, 1, "", true}
	asTokens = unit{1, 1, "", false}
	asChange = unit{100, 0, " %", true}
	asScore  = unit{1, 2, "", false}
)

// write returns mean ± half of the interval.
func (e *Estimate) write(u unit) string {
	if e == nil {
		return "–"
	}
	text := strings.Replace(fmt.Sprintf("%.*f", u.decimals, e.Mean*u.factor), "-", "\u2212", 1)
	if u.signed {
		text = signed(e.Mean*u.factor, u.decimals)
	}
	if e.Interval != nil {
		text += fmt.Sprintf(" ± %.*f", u.decimals, math.Abs(e.Interval[1]-e.Mean)*u.factor)
	}
	return text + u.suffix
}

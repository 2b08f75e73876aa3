package main

import (
	"fmt"
	"io"
	"strings"

	"pith/configs"
	"pith/rewards"
	"pith/trainer/schedule"
)

// methodsTable writes the table of docs/methods.md: every registered method with what its file
// selects.
func methodsTable(w io.Writer) error {
	fmt.Fprintln(w, "| method | what it is | source | formula | strategy | loss | numbers belong to | over the run |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, d := range rewards.Methods() {
		m, err := configs.OpenMethod(d.Name)
		if err != nil {
			return err
		}
		c, err := configs.Load(configs.Sources{Presets: []string{m.Base}, Method: d.Name, Scale: configs.ScalePaper})
		if err != nil {
			return fmt.Errorf("method file %s: %w", d.Name, err)
		}
		_, what, ok := strings.Cut(d.Title, ": ")
		if !ok {
			what = d.Title
		}
		var over []string
		for _, s := range c.Schedule {
			over = append(over, fmt.Sprintf("`%s` by %s", s.Target, s.Kind))
		}
		if c.Data.Curriculum.Kind != "none" {
			over = append(over, "curriculum "+c.Data.Curriculum.Kind)
		}
		if c.Rollout.DynamicSampling {
			over = append(over, "dynamic sampling")
		}
		if d.State != "" && !strings.HasPrefix(d.State, "none") {
			over = append(over, "remembers")
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s | %s | %s, %s | %s | %s |\n", d.Name, cell(what), cell(d.Source), d.Verified,
			c.Rollout.Strategy, c.Loss.Kind, c.Loss.Aggregation, belongs(m.Scale), strings.Join(over, "; "))
	}
	return nil
}

// belongs says to which sizes a method's numbers belong.
func belongs(s configs.Scale) string {
	var out []string
	add := func(n int, unit string, paths ...string) {
		if n > 0 && len(paths) > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, unit))
		}
	}
	add(s.Of.Tokens, "tokens", append(s.Tokens, s.PerToken...)...)
	add(s.Of.Steps, "steps", s.Steps...)
	add(s.Of.Samples, "samples", s.Samples...)
	if len(out) == 0 {
		return "any size"
	}
	return strings.Join(out, ", ")
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// schedulesTable writes the table of schedules in docs/methods.md.
func schedulesTable(w io.Writer) {
	fmt.Fprintln(w, "| kind | what it is and its parameters |")
	fmt.Fprintln(w, "|---|---|")
	for _, d := range schedule.Describe() {
		var params []string
		for _, p := range d.Params {
			params = append(params, p.Name)
		}
		fmt.Fprintf(w, "| `%s` | %s: %s |\n", d.Kind, d.Title, strings.Join(params, ", "))
	}
	for _, name := range schedule.Controllers() {
		fmt.Fprintf(w, "| `%s` | %s |\n", name, schedule.About(name))
	}
}

package exporters

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"pith/traces"
)

// WriteProm writes the last row of every kind in Prometheus' text format (version 0.0.4): a gauge a
// value, and counters of what adds up over the run. Times of scraping are Prometheus' own.
func WriteProm(w io.Writer, d *Data) error {
	var b strings.Builder
	run := escapeLabel(d.Run)
	families := map[string][]string{}
	add := func(name, kind, help, labels string, value float64) {
		if families[name] == nil {
			families[name] = []string{fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)}
		}
		families[name] = append(families[name], fmt.Sprintf("%s{run=\"%s\"%s} %s\n", name, run, labels, promNumber(value)))
	}
	for _, kind := range d.Kinds() {
		rows := d.Rows[kind]
		last := rows[len(rows)-1]
		add("pith_last_step", "gauge", "Last step that the log holds, by kind of row.", fmt.Sprintf(",kind=\"%s\"", escapeLabel(kind)), float64(last.Step))
		for _, v := range last.Values {
			name, labels := promName(v.Name)
			add(name, "gauge", "At the last step; see docs/schema.md.", labels, v.Value)
		}
	}
	totals := map[string]float64{}
	for _, row := range d.Rows[Steps] {
		for _, v := range row.Values {
			totals[v.Name] += v.Value
		}
	}
	for _, t := range []struct{ from, name, help string }{
		{"train/generated_tokens", "pith_generated_tokens_total", "Response tokens generated for training."},
		{"train/prompt_tokens", "pith_prompt_tokens_total", "Prompt tokens of training."},
		{"learn/updates", "pith_updates_total", "Optimiser steps."},
		{"train/price", "pith_price_dollars_total", "Price of the tokens generated for training."},
	} {
		if len(d.Rows[Steps]) > 0 {
			add(t.name, "counter", t.help, "", totals[t.from])
		}
	}
	for _, outcome := range []string{"trained", "filtered", "failed", "dead_lettered"} {
		if len(d.Rows[Steps]) > 0 {
			add("pith_traces_total", "counter", "Released traces by what became of them.", fmt.Sprintf(",outcome=%q", outcome), totals["train/traces/"+outcome])
		}
	}
	seconds := 0.0
	for _, t := range d.Clock {
		seconds += t.Total + t.Eval
	}
	add("pith_run_seconds_total", "counter", "Wall clock of steps and evaluations.", "", seconds)
	var names []string
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, line := range families[name] {
			b.WriteString(line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// promName turns eval/greedy/level_3/tokens into pith_eval_level_tokens with the labels decoding and
// level, reward/NAME into pith_reward with the label term, and the rest into names with underscores.
func promName(name string) (metric, labels string) {
	parts := strings.Split(name, "/")
	if parts[0] == "eval" && len(parts) > 2 {
		labels = fmt.Sprintf(",decoding=\"%s\"", escapeLabel(parts[1]))
		parts = append([]string{"eval"}, parts[2:]...)
		if level, ok := strings.CutPrefix(parts[1], "level_"); ok {
			labels += fmt.Sprintf(",level=\"%s\"", escapeLabel(level))
			parts[1] = "level"
		}
	}
	if parts[0] == "reward" && len(parts) > 1 {
		return "pith_reward_term", fmt.Sprintf(",term=\"%s\"", escapeLabel(strings.Join(parts[1:], "/")))
	}
	return "pith_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.Join(parts, "_")), labels
}

func escapeLabel(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}

func promNumber(x float64) string {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "+Inf"
	case math.IsInf(x, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// promFile writes DIR/pith.prom, for a node exporter's textfile collector. It holds the present, so
// there is nothing to append to.
type promFile struct {
	dir  string
	data *Data
}

func (p *promFile) Through(string) (int64, error) { return -1, nil }
func (p *promFile) Append(string, []Row) error    { return nil }

func (p *promFile) Finish() error {
	var b strings.Builder
	if err := WriteProm(&b, p.data); err != nil {
		return err
	}
	return replace(filepath.Join(p.dir, "pith.prom"), []byte(b.String()))
}

// Handler serves /metrics from the log of a run, which is read anew for every scrape: a restart of
// the trainer, or of this server, changes nothing.
func Handler(run *traces.Run) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		d, errs := Read(run)
		if len(errs) > 0 && len(d.Rows) == 0 {
			http.Error(w, errs[0].Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = WriteProm(w, d) // the scraper has gone
	})
	return mux
}

package analysis

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"pith/configs"
)

func runsOf(t *testing.T, fixtures ...fixture) []string {
	t.Helper()
	var dirs []string
	root := t.TempDir()
	for i, f := range fixtures {
		dirs = append(dirs, f.write(t, filepath.Join(root, fmt.Sprintf("run%d", i))))
	}
	return dirs
}

func TestComparisonGroupsRunsThatDifferOnlyInSeedAndName(t *testing.T) {
	weight := func(w float64) func(c *configs.Config) {
		return func(c *configs.Config) { c.Rewards.Params = map[string]any{"weight": w} }
	}
	c, err := Compare(runsOf(t,
		fixture{name: "a0", seed: 0}, fixture{name: "a1", seed: 1}, fixture{name: "a2", seed: 2},
		fixture{name: "b0", seed: 0, config: weight(0.25)}, fixture{name: "b1", seed: 1, config: weight(0.25)},
		fixture{name: "c", method: "dler", lost: true},
	))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range c.Groups {
		got = append(got, fmt.Sprintf("%s: seeds %v, greedy %v", g.Name, g.Seeds, g.Greedy != nil))
	}
	want := "kimi_length (weight=0.5): seeds [0 1 2], greedy true\nkimi_length (weight=0.25): seeds [0 1], greedy true\ndler: seeds [0], greedy true"
	if s := strings.Join(got, "\n"); s != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	if e := c.Groups[2].Sampled.Accuracy; e.Interval != nil {
		t.Errorf("one seed has an interval: %v", e.Interval)
	}
	if c.Groups[0].Sampled.Accuracy.Interval == nil {
		t.Error("three seeds have none")
	}
	golden(t, "comparison.md", c.Markdown())
	var b bytes.Buffer
	if err := c.WriteJSON(&b); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("JSON: %v", err)
	}
}

func TestComparisonShowsToolsAndBudgetsWhereTheyApply(t *testing.T) {
	c, err := Compare(runsOf(t, fixture{method: "otc_grpo", tools: true}, fixture{method: "brpo", budgets: []int32{4, 8}}))
	if err != nil {
		t.Fatal(err)
	}
	text := c.Markdown()
	for _, want := range []string{"| base tool calls | tool calls |", "| base accuracy over budgets | accuracy over budgets |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no column %s in\n%s", want, text)
		}
	}
	columns := -1
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			columns = -1
			continue
		}
		if n := strings.Count(line, "|"); columns >= 0 && n != columns {
			t.Errorf("%d bars, the line before has %d: %s", n, columns, line)
		} else {
			columns = n
		}
	}
}

func TestComparisonRefusesARunWithoutTwoEvaluations(t *testing.T) {
	r := Report{Runs: []RunReport{{Directory: "runs/x", Accounting: Accounting{Exact: true}}}}
	if _, err := r.Compare(); err == nil || !strings.Contains(err.Error(), "runs/x has not been evaluated before and after training; finish it first") {
		t.Error(err)
	}
}

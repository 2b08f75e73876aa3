package analysis

import (
	"bytes"
	"encoding/csv"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/analysis/hacking"
	"pith/analysis/htmlcheck"
	"pith/configs"
	"pith/traces"
)

// gamed makes a policy that stops reasoning in the later steps, on a pipeline that loses long
// responses, with a reward term that has stopped moving.
func gamed(rows []traces.Trace) []traces.Trace {
	for i := range rows {
		t := &rows[i]
		t.Advantage = 1
		t.Terms[1].Value = float64(i % 3)
		if t.Step > 12 {
			t.Text, t.Terms[1].Value = "</think> "+t.Extracted, 0.5
		}
		if t.LengthTokens > 20 && t.Status == traces.Trained {
			t.Status, t.StatusReason = traces.Filtered, "group not mixed"
		}
	}
	return rows
}

func TestAReportNamesWhatShouldNotBeBelieved(t *testing.T) {
	f := fixture{steps: 24, spoil: gamed, prices: true, config: func(c *configs.Config) { c.Prices.Watts, c.Prices.PerKWh = 200, 0.3 }}
	r, err := Summarize([]string{f.write(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	run := &r.Runs[0]
	var raised []hacking.Flag
	for _, x := range run.Watch.Findings {
		if x.Raised {
			raised = append(raised, x.Flag)
			if len(x.Examples) == 0 || x.Early.Flagged != 0 {
				t.Errorf("%s: %+v", x.Flag, x)
			}
		}
	}
	if diff := cmp.Diff([]hacking.Flag{hacking.NoReasoning}, raised); diff != "" {
		t.Error(diff)
	}
	constant := map[string]int64{}
	for _, c := range run.Watch.Constant {
		constant[c.Term] = c.From
	}
	if diff := cmp.Diff(map[string]int64{"correctness": 1, "length": 13}, constant); diff != "" {
		t.Error("constant terms:", diff)
	}
	if s := run.Watch.Shares; len(s) != 2 || s[0].Term != "length" || s[0].Share != 1 {
		t.Errorf("shares of the reward: %+v", s)
	}
	kept := run.Stations.Warnings[0]
	if kept.Station != "kept" || kept.Moved > -0.1 || kept.Explained != "" {
		t.Errorf("the pipeline that loses long responses: %+v", kept)
	}
	text := strings.Join(run.Sentences(), "\n")
	for _, part := range []string{"Worth reading before the gain is believed: an answer with hardly any reasoning", "no reward explains it", "By difficulty:"} {
		if !strings.Contains(text, part) {
			t.Errorf("the sentences lack %q:\n%s", part, text)
		}
	}
	m := run.Money
	hours := run.Seconds / 3600
	if want := 200 * hours / 1000; math.Abs(*m.KWh-want) > 1e-12 || math.Abs(*m.EnergyDollar-.3*want) > 1e-12 {
		t.Errorf("energy: %v kWh, %v dollars", *m.KWh, *m.EnergyDollar)
	}
	if want := run.Final.TokensMean * 2e-6 / run.Final.Accuracy; math.Abs(*m.AnswerFinal-want) > 1e-15 {
		t.Errorf("a right answer: %g, want %g", *m.AnswerFinal, want)
	}
	if want := *run.Cost.Dollars / (*m.AnswerBase - *m.AnswerFinal); math.Abs(*m.BreakEven-want) > 1e-6 {
		t.Errorf("break-even: %g, want %g", *m.BreakEven, want)
	}
	if len(run.Waits.Windows) != windows || run.Waits.Windows[3].To != 24 {
		t.Errorf("windows: %+v", run.Waits.Windows)
	}
	var page bytes.Buffer
	if err := WriteHTML(&page, r); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"The term length has been 0.5 for every response since step 13", "Length at each station", "paid for itself after", "Where this is heading"} {
		if !strings.Contains(page.String(), part) {
			t.Errorf("the page lacks %q", part)
		}
	}
}

func TestACleanRunRaisesNothing(t *testing.T) {
	spoil := func(rows []traces.Trace) []traces.Trace {
		for i := range rows {
			rows[i].Advantage = float64(i%2)*2 - 1
			words := strings.Fields(rows[i].Text)
			for j := range words[:len(words)-2] { // the fixture's texts repeat themselves
				words[j] += string(rune('a'+j/26%26)) + string(rune('a'+j%26))
			}
			rows[i].Text = strings.Join(words, " ")
		}
		return rows
	}
	r, err := Summarize([]string{fixture{steps: 24, spoil: spoil}.write(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	run := &r.Runs[0]
	if run.hacked() != "" || len(run.Watch.Findings) != 0 {
		t.Errorf("findings: %+v", run.Watch.Findings)
	}
	if run.Money != nil {
		t.Error("money without prices")
	}
}

func TestTheOutlookFollowsACurveOrSaysWhyNot(t *testing.T) {
	run := RunReport{Gain: &Gain{}}
	for i := range 10 {
		at := float64(10 * (i + 1))
		run.Evals = append(run.Evals, Evaluation{Step: int64(at), Accuracy: .9 - .6*math.Pow(at, -.9)})
	}
	run.Final = &run.Evals[9]
	o := run.outlook()
	if o.Refused != "" || math.Abs(*o.Asymptote-.9) > 1e-3 || !strings.Contains(o.Sentence, "levels off at 90.0") || !strings.Contains(o.Sentence, "Less than a point is left") {
		t.Errorf("got %+v", o)
	}
	run.Evals = run.Evals[:3]
	if o := run.outlook(); o.Asymptote != nil || !strings.Contains(o.Sentence, "No forecast: 3 evaluations") {
		t.Errorf("three points: got %+v", o)
	}
	run.Gain = nil
	if run.outlook() != nil {
		t.Error("an outlook without two evaluations")
	}
}

func TestPagesAreValidHTML(t *testing.T) {
	var dirs []string
	for _, f := range []fixture{
		{steps: 24, spoil: gamed, prices: true}, {name: "tools", method: "otc_grpo", tools: true}, {name: "anytime", method: "brpo", budgets: []int32{4, 8}},
	} {
		dirs = append(dirs, f.write(t, t.TempDir()))
	}
	for n := range dirs {
		r, err := Summarize(dirs[:n+1])
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if err := WriteHTML(&page, r); err != nil {
			t.Fatal(err)
		}
		htmlcheck.Valid(t, page.Bytes())
	}
}

func TestEveryFigureIsThereAsNumbersToo(t *testing.T) {
	r, err := Summarize([]string{fixture{steps: 8, tools: true}.write(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	figures := r.Runs[0].Figures()
	if len(figures) < 8 {
		t.Fatalf("only %d figures", len(figures))
	}
	for _, f := range figures {
		var text bytes.Buffer
		if err := f.CSV(&text); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&text).ReadAll()
		if err != nil || len(rows) < 3 {
			t.Errorf("%s: %d lines, %v", f.Name, len(rows), err)
		}
	}
}

package analysis

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/traces"
)

// twoModels are two policies on two problems, two samples each:
// a: problem 1 right (10 tokens, 1 call), wrong (30); problem 2 wrong, wrong. b: all right at twice the price.
func twoModels() []traces.Trace {
	var rows []traces.Trace
	add := func(policy, problem string, verdict traces.Verdict, tokens int32, calls int, price float64) {
		t := traces.Trace{
			Problem: problem, Verdict: verdict, LengthTokens: tokens, Finish: traces.FinishStop, Status: traces.Evaluated, CompletionPrice: price,
			Spans: []traces.Span{{Policy: policy}}, Level: int32(len(problem)),
		}
		t.ToolCalls = make([]traces.ToolCall, calls)
		rows = append(rows, t)
	}
	add("a", "1", traces.Right, 10, 1, 1)
	add("a", "1", traces.Wrong, 30, 0, 1)
	add("a", "2", traces.Wrong, 20, 1, 1)
	add("a", "2", traces.Wrong, 20, 0, 1)
	for _, problem := range []string{"1", "1", "2", "2"} {
		add("b", problem, traces.Right, 40, 0, 2.5)
	}
	return rows
}

func TestBreakdownMatchesHandCount(t *testing.T) {
	b, err := NewBreakdown("policy")
	if err != nil {
		t.Fatal(err)
	}
	failed := traces.Trace{Status: traces.Failed, Spans: []traces.Span{{Policy: "a"}}, LengthTokens: 999}
	b.Observe(&traces.Batch{Rows: append(twoModels(), failed)})
	r := b.Report(0)
	if len(r.Rows) != 2 {
		t.Fatalf("%d rows", len(r.Rows))
	}
	number := func(x float64) *float64 { return &x }
	a := r.Rows[0]
	want := BreakdownRow{
		Key: "a", Traces: 4, Problems: 2, Scored: 4, Accuracy: number(0.25), AccuracyInterval: Wilson(0.5, 2),
		TokensMean: number(20), TokensRight: number(10), TokensWrong: number(70.0 / 3), TokensPerRight: number(80),
		ToolCallsMean: 0.5, ToolCallsRight: number(1), ToolCallsWrong: number(1.0 / 3), ToolProductivity: number(0.5),
		PriceMean: 1, CostOfPass: number(4), PassAtK: []PassAt{{1, 0.25, 0.25}, {2, 0.5, 0}},
		// Problem 1 costs 2 from a and 2.5 from b, problem 2 nothing but 2.5 from b: 2.25 together, 2.5
		// without a, infinite without b.
		Essentialness: number(0.1),
	}
	near := cmp.Comparer(func(x, y float64) bool { return math.Abs(x-y) < 1e-12 })
	if diff := cmp.Diff(want, a, near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r.Frontier == nil || math.Abs(*r.Frontier-2.25) > 1e-12 || *r.Rows[1].Essentialness != 1 {
		t.Errorf("frontier %v, essentialness of b %v", r.Frontier, r.Rows[1].Essentialness)
	}
	text := r.Markdown()
	for _, want := range []string{"| a | 4 | 25.0 % (", "| 20.0 | 10.0 | 23.3 | 80.0 |", "Frontier cost-of-pass over all rows: $2.25 a problem."} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "estimates") {
		t.Error("exact lengths are called estimates")
	}
}

func TestBreakdownOfNothingScoredSaysSo(t *testing.T) {
	b, err := NewBreakdown("level")
	if err != nil {
		t.Fatal(err)
	}
	b.Observe(&traces.Batch{Rows: []traces.Trace{{Level: 10, Verdict: traces.NoScore, LengthTokens: 4, LengthSource: traces.LengthEstimated}, {Level: 9, Verdict: traces.NoScore}}})
	r := b.Report(0)
	if len(r.Rows) != 2 || r.Rows[0].Key != "9" || r.Rows[1].Accuracy != nil || r.Rows[1].AccuracyInterval != (Interval{0, 1}) || r.Rows[1].CostOfPass != nil || r.Frontier != nil {
		t.Errorf("%+v", r)
	}
	if text := r.Markdown(); !strings.Contains(text, "| 10 | 1 | – |") || !strings.Contains(text, "are estimates") {
		t.Error(text)
	}
	if _, err := NewBreakdown("mood"); err == nil || !strings.Contains(err.Error(), `broken down by "mood"; by all, policy`) {
		t.Error(err)
	}
}

func TestBreakdownReadsOnlyWhatItNeedsOfEveryColumn(t *testing.T) {
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	log, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range BreakdownBy {
		b, err := NewBreakdown(by)
		if err != nil {
			t.Fatal(err)
		}
		if errs := Observe(log, traces.Filter{}, b); len(errs) > 0 {
			t.Fatalf("%s: %v", by, errs)
		}
		n := int64(0)
		for _, row := range b.Report(0).Rows {
			n += row.Traces
		}
		if n != 8*groupsPerStep*groupSize-1 { // one failed
			t.Errorf("by %s: %d traces", by, n)
		}
		if by == "level" {
			out := t.TempDir()
			if err := b.WriteFigures(out); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"plane.svg", "plane.png", "lengths.svg", "lengths.png"} {
				if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() < 1000 {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

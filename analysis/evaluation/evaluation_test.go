package evaluation

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"pith/traces"
)

// trace is one judged response.
func trace(group string, sample int, verdict traces.Verdict, answer string, tokens int32) traces.Trace {
	return traces.Trace{
		Group: group, Problem: group, ID: fmt.Sprintf("%s/%d", group, sample), Sample: int32(sample), Level: 1, Verdict: verdict, Extracted: answer, LengthTokens: tokens,
		Finish: traces.FinishStop, Status: traces.Evaluated, Text: "wait it is " + answer, CompletionPrice: float64(tokens) / 1000,
	}
}

// four problems: always right, half right, and one each with a response that has no score or failed.
func rows() []traces.Trace {
	r := []traces.Trace{
		trace("a", 0, traces.Right, "7", 10), trace("a", 1, traces.Right, "7.0", 20),
		trace("b", 0, traces.Wrong, "4", 30), trace("b", 1, traces.Right, "5", 40),
		trace("c", 0, traces.Wrong, "1", 50), trace("c", 1, traces.Wrong, "1", 60), trace("c", 2, traces.NoScore, "", 70),
		trace("d", 0, traces.Wrong, "", 80), trace("d", 1, traces.Right, "2", 90), trace("d", 2, traces.Right, "", 0),
	}
	r[7].Finish = traces.FinishLength
	r[9].Status, r[9].Verdict = traces.Failed, traces.NoScore
	return r
}

func TestASmallEvaluationByHand(t *testing.T) {
	r, err := Summarize(rows(), Options{K: []int{2, 1, 2, 9}})
	if err != nil {
		t.Fatal(err)
	}
	at := func(v float64) *float64 { return &v }
	want := &Report{
		Problems: 4, Responses: 10, Samples: 2, NoScore: 1, Failed: 1,
		Accuracy: Estimate{Value: (1 + .5 + 0 + .5) / 4}, Tokens: Estimate{Value: 50},
		TokensRight: at(40), TokensWrong: at(55), TokensP50: 50, TokensP90: 90, Truncated: 1. / 9,
		At: []AtK{
			{K: 1, Pass: Estimate{Value: .5}, PassAll: Estimate{Value: .5}, GPass: Estimate{Value: .5}, MeanG: Estimate{Value: 0}, Tokens: 50},
			// A vote of two that differ is a tie, half right; an answer that could not be read has no vote.
			{K: 2, Pass: Estimate{Value: .75}, PassAll: Estimate{Value: .25}, GPass: Estimate{Value: .25}, MeanG: Estimate{Value: .25}, Tokens: 100},
		},
		TokensPerRight: at(450. / 4), CostPerAnswer: at(.05), CostOfPass: at(.05 / (4. / 9)),
		E3: .25 / .05, PerThousand: .5 / .05, Budgets: []Budget{},
		Levels: []Level{{1, 4, Estimate{Value: .5}, Estimate{Value: 50}}},
	}
	options := []cmp.Option{cmpopts.EquateApprox(0, 1e-12), cmpopts.IgnoreFields(Estimate{}, "Interval"), cmpopts.IgnoreFields(Report{}, "Words"), cmpopts.IgnoreFields(AtK{}, "Majority", "Filtered")}
	if diff := cmp.Diff(want, r, options...); diff != "" {
		t.Error(diff)
	}
	if got := r.At[1].Majority.Value; math.Abs(got-(1+.5+0+1)/4) > .08 {
		t.Errorf("vote of two: got %g", got)
	}
	if len(r.Words) != 3 || r.Words[0].Reflecting != 1 || math.Abs(r.Words[0].Per["reflection"]-1000./40) > 1e-9 {
		t.Errorf("markers: %+v", r.Words)
	}
	text := r.Text()
	for _, part := range []string{"4 problems, 10 responses (1 without a score, 1 failed)", "cost of pass    $0.1125", "pass@k"} {
		if !strings.Contains(text, part) {
			t.Errorf("the text lacks %q:\n%s", part, text)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

func TestBudgetsGiveACurve(t *testing.T) {
	var all []traces.Trace
	for i := range 4 {
		x := trace(fmt.Sprint("p", i), 0, traces.Right, "7", 10)
		x.Budgets, x.BudgetScores = []int32{10, 100}, []float64{0, 1}
		all = append(all, x)
	}
	r, err := Summarize(all, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Budgets) != 2 || r.Budgets[1].Accuracy.Value != 1 || *r.Anytime != .5 || *r.Area != .5 {
		t.Errorf("got %+v, anytime %v, area %v", r.Budgets, *r.Anytime, *r.Area)
	}
	all[1].BudgetScores = all[1].BudgetScores[:1]
	all[1].Group = "p0"
	if _, err := Summarize(all, Options{}); err == nil {
		t.Error("responses with different budgets are added up")
	}
}

func TestNothingRightAndNothingScored(t *testing.T) {
	r, err := Summarize([]traces.Trace{trace("a", 0, traces.Wrong, "1", 10)}, Options{K: []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	if r.TokensPerRight != nil || r.CostOfPass != nil || r.TokensRight != nil {
		t.Errorf("nothing right: got %+v", r)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("nothing right has no JSON: %v", err)
	}
	if _, err := Summarize([]traces.Trace{trace("a", 0, traces.NoScore, "", 10)}, Options{}); err == nil {
		t.Error("an evaluation without a score is summarised")
	}
}

func TestTheOrderOfProblemsDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []traces.Trace
		for i := range rapid.IntRange(1, 8).Draw(t, "problems") {
			for j := range rapid.IntRange(1, 4).Draw(t, "samples") {
				v := rapid.SampledFrom([]traces.Verdict{traces.Right, traces.Wrong}).Draw(t, "verdict")
				all = append(all, trace(fmt.Sprint("g", i), j, v, fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "answer")), int32(rapid.IntRange(1, 99).Draw(t, "tokens"))))
			}
		}
		a, err := Summarize(all, Options{K: []int{1}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := Summarize(rapid.Permutation(all).Draw(t, "order"), Options{K: []int{1}})
		if err != nil {
			t.Fatal(err)
		}
		ignore := []cmp.Option{cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.IgnoreFields(Estimate{}, "Interval"), cmpopts.IgnoreFields(AtK{}, "Majority", "Filtered")}
		if diff := cmp.Diff(a, b, ignore...); diff != "" {
			t.Fatal(diff)
		}
		for _, k := range a.At {
			if k.PassAll.Value > k.Pass.Value+1e-12 || k.Pass.Value < 0 || k.Pass.Value > 1 {
				t.Fatalf("pass@%d %g, pass^%d %g", k.K, k.Pass.Value, k.K, k.PassAll.Value)
			}
		}
	})
}

func TestAProblemDrawnTwiceWidensTheIntervals(t *testing.T) {
	evaluate := func(name func(i int) string) [2]float64 {
		var all []traces.Trace
		for i := range 200 {
			v := traces.Wrong
			if i/2%2 == 0 {
				v = traces.Right
			}
			x := trace(fmt.Sprint("g", i), 0, v, "1", 10)
			x.Problem = name(i)
			all = append(all, x)
		}
		r, err := Summarize(all, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r.Accuracy.Interval
	}
	once := evaluate(func(i int) string { return fmt.Sprint(i) })
	twice := evaluate(func(i int) string { return fmt.Sprint(i / 2) })
	if ratio := (twice[1] - twice[0]) / (once[1] - once[0]); ratio < 1.25 || ratio > 1.6 { // √2
		t.Errorf("%v with 200 problems, %v with 100 drawn twice", once, twice)
	}
}

// Coverage: problems differ in difficulty and have four dependent responses each.
func TestTheIntervalHoldsTheTrueAccuracyAsOftenAsItSays(t *testing.T) {
	runs := 200
	if testing.Short() {
		runs = 60
	}
	random := rand.New(rand.NewPCG(9, 9))
	held := 0
	for range runs {
		var all []traces.Trace
		for i := range 100 {
			p := random.Float64() // the mean over problems is one half
			for j := range 4 {
				v := traces.Wrong
				if random.Float64() < p {
					v = traces.Right
				}
				all = append(all, trace(fmt.Sprint("g", i), j, v, "1", 10))
			}
		}
		r, err := Summarize(all, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Accuracy.Interval[0] <= .5 && .5 <= r.Accuracy.Interval[1] {
			held++
		}
	}
	if share := float64(held) / float64(runs); share < .89 || share > .99 {
		t.Errorf("the interval held the accuracy in %.1f %% of %d runs", 100*share, runs)
	}
}

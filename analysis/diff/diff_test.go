package diff

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"pith/configs"
	"pith/traces"
)

// answer is one response of a test run.
type answer struct {
	problem string
	verdict traces.Verdict
	tokens  int32
}

// write makes a run directory with one greedy evaluation for each step given.
func write(t testing.TB, method string, steps map[int64][]answer) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c := configs.Default()
	c.Rewards.Method, c.Run.Name = method, method
	if method == "dler" {
		c.Rewards.Params = map[string]any{"limit": 48}
	}
	text, err := json.Marshal(map[string]any{"run": method, "seed": 7, "data_fingerprint": "f", "config": c})
	must(err)
	must(os.WriteFile(filepath.Join(dir, traces.ManifestFile), text, 0o644))
	must(os.MkdirAll(filepath.Join(dir, traces.EvalsDir), 0o755))
	var evals []traces.Eval
	for _, step := range []int64{0, 10, 20} {
		answers, ok := steps[step]
		if !ok {
			continue
		}
		var rows []traces.Trace
		right := 0
		for i, a := range answers {
			r := traces.Trace{
				Run:  method,
				Step: step, Split: "heldout", Group: fmt.Sprintf("e%02d-%06d", step, i), Problem: a.problem, Level: 2, Gold: "7", PromptText: "solve " + a.problem, PromptTokens: []int32{1},
				Text: fmt.Sprintf("%s at step %d says %s", method, step, a.verdict), Extracted: string(a.verdict), Verdict: a.verdict, Finish: traces.FinishStop, Status: traces.Evaluated, LengthTokens: a.tokens,
				Segments: []traces.Segment{{Kind: traces.Answer, End: a.tokens}}, Spans: []traces.Span{{Policy: "p", End: a.tokens}},
				Tokens: make([]int32, a.tokens), LogProbs: make([]float32, a.tokens),
			}
			r.ID = r.Group + "/0"
			rows = append(rows, r)
			if a.verdict == traces.Right {
				right++
			}
		}
		must(traces.WriteSegment(filepath.Join(dir, traces.EvalsDir), traces.SegmentName(step, "greedy"), rows, nil))
		evals = append(evals, traces.Eval{Step: step, Decoding: "greedy", Policy: fmt.Sprint("p", step), Problems: int64(len(rows)), Accuracy: float64(right) / float64(len(rows)), TokensMean: 10})
	}
	must(traces.WriteTable(dir, traces.EvalsFile, evals, nil))
	return dir
}

func greedy(dir string, step int64) Point { return Point{dir, step, "greedy"} }

func TestFlipsArePairedByProblemAndOccurrence(t *testing.T) {
	a := write(t, "grpo", map[int64][]answer{0: {{"z", traces.Wrong, 3}}, 20: {
		{"p", traces.Right, 30}, {"p", traces.Wrong, 30}, {"q", traces.Right, 20}, {"r", traces.Wrong, 20}, {"s", traces.NoScore, 9}, {"only", traces.Right, 9}, {"t", traces.Right, 5},
	}})
	b := write(t, "dler", map[int64][]answer{10: {{"p", traces.Right, 1}}, 20: {
		{"t", traces.Wrong, 8}, {"p", traces.Wrong, 12}, {"p", traces.Right, 40}, {"q", traces.Right, 10}, {"r", traces.Wrong, 20}, {"s", traces.Right, 9},
	}})
	got, err := Compare(greedy(a, Last), greedy(b, Last), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := &Result{
		A:        Side{Dir: a, Run: "grpo", Method: "grpo", Seed: 7, Step: 20, Policy: "p20", Problems: 7, Accuracy: 4. / 7, Tokens: 10},
		B:        Side{Dir: b, Run: "dler", Method: "dler", Seed: 7, Step: 20, Policy: "p20", Problems: 6, Accuracy: 3. / 6, Tokens: 10},
		Settings: []Change{{"rewards.method", "grpo", "dler"}, {"rewards.params.limit", "", "48"}, {"run.name", "grpo", "dler"}},
		Decoding: "greedy", Paired: 5, NoScore: 1, OnlyA: 1,
		Flips: Flips{BothRight: 1, BothWrong: 1, Lost: 2, LostShorter: 1, Gained: 1}, P: 1,
		Curve:    []Step{{20, 4. / 7, 3. / 6, 10, 10}},
		Accuracy: Estimate{Value: -.2}, Tokens: Estimate{Value: 90./105 - 1},
		Lost:   []Flip{{Problem: "p", Level: 2, Gold: "7", Prompt: "solve p", A: Response{traces.Right, "right", 30, "grpo at step 20 says right"}, B: Response{traces.Wrong, "wrong", 12, "dler at step 20 says wrong"}}},
		Gained: []Flip{{Problem: "p", Level: 2, Gold: "7", Prompt: "solve p", A: Response{traces.Wrong, "wrong", 30, "grpo at step 20 says wrong"}, B: Response{traces.Right, "right", 40, "dler at step 20 says right"}}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12), cmpopts.IgnoreFields(Estimate{}, "Interval"), cmpopts.IgnoreFields(Flip{}, "at")); diff != "" {
		t.Error(diff)
	}
	text := got.Text(80)
	for _, part := range []string{"right → wrong 2, of which 1 while getting shorter", "rewards.params.limit", "(none) → 48", "1 without a score, 1 only in A, 0 only in B", "A right, 30 tokens"} {
		if !strings.Contains(text, part) {
			t.Errorf("the text lacks %q:\n%s", part, text)
		}
	}
}

func TestARunIsComparedWithItsOwnBase(t *testing.T) {
	run := write(t, "grpo", map[int64][]answer{
		0:  {{"p", traces.Wrong, 30}, {"q", traces.Right, 30}},
		20: {{"p", traces.Right, 10}, {"q", traces.Right, 10}},
	})
	got, err := Compare(greedy(run, First), greedy(run, Last), 5)
	if err != nil {
		t.Fatal(err)
	}
	if got.A.Step != 0 || got.B.Step != 20 || got.A.Problems != 2 || got.Flips.GainedShorter != 1 || len(got.Settings) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestWhatCannotBeComparedSaysWhy(t *testing.T) {
	run := write(t, "grpo", map[int64][]answer{0: {{"p", traces.Wrong, 30}}, 20: {{"p", traces.Right, 30}}})
	other := write(t, "grpo", map[int64][]answer{20: {{"x", traces.Right, 30}}})
	tests := []struct {
		name string
		a, b Point
		want string
	}{
		{"a step without evaluation", greedy(run, 5), greedy(run, Last), "has no greedy evaluation after step 5; it has them after 0, 20"},
		{"a decoding without evaluation", Point{run, Last, "sampled"}, Point{run, Last, "sampled"}, "has no sampled evaluation"},
		{"different decodings", Point{run, Last, "sampled"}, greedy(run, Last), "sampled with greedy"},
		{"other problems", greedy(run, Last), greedy(other, Last), "no common problem"},
		{"no run", greedy(filepath.Join(run, "nothing"), Last), greedy(run, Last), "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Compare(tt.a, tt.b, 1); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMcNemarIsTheBinomialTest(t *testing.T) {
	for _, v := range []struct {
		lost, gained int
		want         float64
	}{{0, 0, 1}, {5, 5, 1}, {0, 5, .0625}, {1, 9, .021484375}, {9, 1, .021484375}, {14, 38, .001195}} {
		if got := mcnemar(v.lost, v.gained); math.Abs(got-v.want) > 1e-5 {
			t.Errorf("%d lost, %d gained: got %g, want %g", v.lost, v.gained, got, v.want)
		}
	}
}

func TestAProblemDrawnAgainAndAgainIsOneProblem(t *testing.T) {
	var before, after []answer
	for range 9 {
		before, after = append(before, answer{"p", traces.Wrong, 9}), append(after, answer{"p", traces.Right, 9})
	}
	run := write(t, "grpo", map[int64][]answer{0: before, 20: after})
	got, err := Compare(greedy(run, First), greedy(run, Last), 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Flips.Gained != 9 || got.P != 1 {
		t.Errorf("%d flips of one problem, p = %g; want 9 and 1", got.Flips.Gained, got.P)
	}
}

// The interval is meant to hold the true change 95 times in 100.
func TestTheIntervalHoldsTheTrueChangeAsOftenAsItSays(t *testing.T) {
	runs := 300
	if testing.Short() {
		runs = 80
	}
	random := rand.New(rand.NewPCG(11, 12))
	held := 0
	for range runs {
		var pairs []pair
		for i := range 150 {
			p := pair{problem: fmt.Sprint(i), tokensA: 100, tokensB: 50}
			p.rightA = random.Float64() < .7
			p.rightB = random.Float64() < .8
			pairs = append(pairs, p)
		}
		accuracy, _ := bootstrap(pairs)
		if accuracy.Interval[0] <= .1 && .1 <= accuracy.Interval[1] {
			held++
		}
	}
	if share := float64(held) / float64(runs); share < .91 || share > .99 {
		t.Errorf("the interval held the change in %.1f %% of %d runs", 100*share, runs)
	}
}

func TestWrappedLinesKeepEveryWord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zäß ]{0,200}`).Draw(t, "text")
		width := rapid.IntRange(1, 40).Draw(t, "width")
		lines := wrap(text, width)
		for _, l := range lines {
			if utf8.RuneCountInString(l) > width {
				t.Fatalf("%q is wider than %d", l, width)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(strings.Join(lines, " ")) != squeeze(text) {
			t.Fatalf("%q became %q", text, lines)
		}
	})
}

func TestFieldNamesAreWrittenAsInConfigs(t *testing.T) {
	for in, want := range map[string]string{"MaxTokens": "max_tokens", "TopP": "top_p", "URL": "url", "NKey": "n_key", "PolicyDir": "policy_dir", "limit": "limit", "max_tokens": "max_tokens"} {
		if got := snake(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

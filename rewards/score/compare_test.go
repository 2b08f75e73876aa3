package score

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pith/rewards"
	"pith/traces"
)

// Two groups: mixed, with a long right answer and a short wrong one; and all right.
const pair = `{"group":"mixed","traces":[{"id":"a","correct":true,"tokens":100},{"id":"b","correct":false,"tokens":2},{"id":"c","correct":null,"tokens":5}]}
{"group":"solved","traces":[{"id":"a","correct":true,"tokens":10},{"id":"b","correct":true,"tokens":20}]}
`

func TestCompareSetsMethodsBesideTheBase(t *testing.T) {
	base, naive, dapo := method(t, "dr_grpo", rewards.Options{}), method(t, "naive_length", rewards.Options{Advantage: map[string]any{"kind": "dr_grpo"}}), method(t, "dapo", rewards.Options{})
	got, err := Compare([]*rewards.Method{base, naive, dapo}, strings.NewReader(pair))
	if err != nil {
		t.Fatal(err)
	}
	// naive: mixed -9 and -0.2, so ∓4.4; solved 0 and -1, so ±0.5. Masses 440, 8.8, 5, 10.
	// Equally long, its advantages are ±0.5 and 0.
	want := &Comparison{
		Groups: 2, Traces: 4, Base: "dr_grpo",
		Bands: []LengthBand{{From: 2, To: 4, Traces: 1}, {From: 4, To: 8}, {From: 8, To: 16, Traces: 1}, {From: 16, To: 32, Traces: 1}, {From: 32, To: 64}, {From: 64, To: 128, Traces: 1}},
		Rows: []Row{
			{Method: "dr_grpo", Profile: "paper", Rank: 1, RankGroups: 1, Mass: []float64{1 / 51.0, 0, 0, 0, 0, 50 / 51.0}, Push: []float64{-1, 0, 0, 0, 0, 1}, Kept: 1, Active: 0.5},
			{Method: "naive_length", Profile: "paper", SignChanged: 1, Rank: -1, RankGroups: 1, Inverted: 1 / 3.0,
				Mass: []float64{8.8 / 463.8, 0, 5 / 463.8, 10 / 463.8, 0, 440 / 463.8}, Push: []float64{1, 0, 1, -1, 0, -1}, Kept: 1, Active: 1, FromLength: 10.8 / 11.8},
			{Method: "dapo", Profile: "paper", Rank: 1, RankGroups: 1, Mass: []float64{2 / 102.0, 0, 0, 0, 0, 100 / 102.0}, Push: []float64{-1, 0, 0, 0, 0, 1}, Kept: 0.5, Active: 0.5},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-5)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCompareAgreesWhetherStreamedOrWhole(t *testing.T) {
	one := method(t, "grpo", rewards.Options{})
	streamed, err := Compare([]*rewards.Method{one, method(t, "kimi_length", rewards.Options{})}, strings.NewReader(pair))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Compare([]*rewards.Method{one, method(t, "kimi_length", rewards.Options{}), method(t, "reinforce_pp", rewards.Options{})}, strings.NewReader(pair))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(streamed.Rows, whole.Rows[:2]); diff != "" {
		t.Errorf("(-streamed +whole):\n%s", diff)
	}
}

func TestTheTableIsReadable(t *testing.T) {
	c, err := Compare([]*rewards.Method{method(t, "dr_grpo", rewards.Options{}), method(t, "naive_length", rewards.Options{}), method(t, "dler", rewards.Options{Profile: "released_code"})},
		strings.NewReader(strings.ReplaceAll(pair, `"tokens"`, `"truncated":false,"tokens"`)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", out.Bytes())
}

// golden compares with a file; UPDATE_GOLDEN=1 rewrites it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestSpearmanSharesTheRanksOfTies(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
		ok   bool
	}{
		{[]float64{1, 2, 3}, []float64{10, 20, 30}, 1, true},
		{[]float64{1, 2, 3}, []float64{3, 2, 1}, -1, true},
		{[]float64{1, 1, 2, 2}, []float64{1, 2, 3, 4}, 2 / math.Sqrt(5), true},
		{[]float64{1, 1}, []float64{1, 2}, 0, false},
		{[]float64{1}, []float64{1}, 0, false},
	} {
		got, ok := spearman(c.a, c.b)
		if ok != c.ok || math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v against %v: %v, %v", c.a, c.b, got, ok)
		}
	}
}

// record trains nothing: it writes the log that a trainer would have written with this method.
func record(t *testing.T, m *rewards.Method, steps int) *traces.Run {
	t.Helper()
	dir := t.TempDir()
	for step := range int64(steps) {
		var rows []traces.Trace
		for g := range 3 {
			for i := range int32(4) {
				k := int(step)*12 + g*4 + int(i)
				row := traces.Trace{
					Run: "r", Step: step + 1, Split: "train", Group: string(rune('c' - g)), ID: string(rune('c'-g)) + "-" + string(rune('0'+i)), Problem: string(rune('p' + g)), Sample: i, Formatted: true,
					LengthTokens: int32(20 + k*37%300), Verdict: traces.Right, Finish: traces.FinishStop, Text: strings.Repeat("x", 10+k*7%50),
				}
				n := row.LengthTokens
				row.Tokens, row.LogProbs = make([]int32, n), make([]float32, n)
				row.Segments = []traces.Segment{{Kind: traces.Think, End: n - 5, Train: true}, {Kind: traces.Answer, Start: n - 5, End: n, Train: true}}
				row.Spans = []traces.Span{{Policy: "p", End: n}}
				row.Budgets, row.BudgetScores = []int32{10, 40, 160}, []float64{0, float64(k%2) / 2, 1}
				if (k*k)%3 == 0 {
					row.Verdict = traces.Wrong
				}
				if k%11 == 5 {
					row.Verdict = traces.NoScore
				}
				if k%13 == 7 { // failed on the way, though its text could be graded
					row.Status, row.StatusReason = traces.Failed, "engine lost"
				}
				rows = append(rows, row)
			}
		}
		groups := rewards.GroupsFromTraces(rows)
		if step%2 == 1 { // one group is not kept by dynamic sampling, and never scored
			groups = groups[1:]
		}
		results, err := m.Score(groups)
		if err != nil {
			t.Fatal(err)
		}
		m.Observe(groups)
		for k := range rows {
			if rows[k].Status == "" {
				rows[k].Status, rows[k].StatusReason = traces.Filtered, "group not mixed"
			}
		}
		for i := range groups {
			for j := range groups[i].Samples {
				for k := range rows {
					if row := &rows[k]; row.ID == groups[i].Samples[j].ID && row.Status != traces.Failed {
						r := results[i][j]
						row.Reward, row.Terms, row.Advantage, row.TokenAdvantages = r.Reward, r.Terms, r.Advantage, r.TokenAdvantages
						row.Status = traces.Trained
						if r.Dropped {
							row.Status, row.StatusReason = traces.Filtered, r.Reason
						}
					}
				}
			}
		}
		if err := traces.WriteSegment(filepath.Join(dir, traces.TracesDir), traces.SegmentName(step+1, ""), rows, nil); err != nil {
			t.Fatal(err)
		}
	}
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestReplayReproducesWhatWasRecordedToTheBit(t *testing.T) {
	for _, name := range []string{"kimi_length", "dler", "a_dlp", "acoer", "ceeh", "laser_d", "gfpo_adaptive", "qglas", "brpo", "dot", "dapo"} {
		t.Run(name, func(t *testing.T) {
			run := record(t, method(t, name, rewards.Options{}), 5)
			var out bytes.Buffer
			got, err := Replay(run, method(t, name, rewards.Options{}), ReplayOptions{Out: &out})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&Replayed{Steps: 5, Traces: 60}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if lines := strings.Count(out.String(), "\n"); lines != 60-2*4 { // two groups were never scored
				t.Errorf("%d lines, want 52", lines)
			}
		})
	}
}

func TestReplayNamesTheFirstDifference(t *testing.T) {
	run := record(t, method(t, "kimi_length", rewards.Options{}), 2)
	got, err := Replay(run, method(t, "kimi_length", rewards.Options{Params: map[string]any{"weight": 0.5}}), ReplayOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Different == 0 || got.First == nil || got.First.Field != "reward" || got.First.Step != 1 {
		t.Errorf("got %+v", got)
	}
	prepared, err := Replay(run, method(t, "kimi_length", rewards.Options{Params: map[string]any{"weight": 0.5}}), ReplayOptions{
		Prepare: func(_ int64, m *rewards.Method) error { return m.Set(map[string]any{"weight": 1.0}) },
	})
	if err != nil || prepared.Different != 0 {
		t.Errorf("with the schedule: %+v, %v", prepared, err)
	}
}

func TestCompareReadsARun(t *testing.T) {
	run := record(t, method(t, "a_dlp", rewards.Options{}), 3)
	c, err := CompareBatches([]*rewards.Method{method(t, "grpo", rewards.Options{}), method(t, "a_dlp", rewards.Options{})}, RunBatches(run))
	if err != nil {
		t.Fatal(err)
	}
	if c.Groups != 8 || len(c.Rows) != 2 {
		t.Errorf("got %+v", c)
	}
}

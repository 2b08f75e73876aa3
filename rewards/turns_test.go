package rewards_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"pith/rewards"
	"pith/traces"
)

// answer is a sample of several turns.
func answer(id string, right bool, ends []int, scores []float64, texts ...string) rewards.Sample {
	return rewards.Sample{
		ID: id, Correct: &right, Formatted: true, Tokens: ends[len(ends)-1], Turns: len(ends),
		TurnEnds: ends, TurnScores: scores, TurnTexts: texts, Text: strings.Join(texts, " "),
	}
}

// Responses of one, two and two turns. Rewards are 1, 0 and 1 - 1 = 0: the third sets out anew more often
// than it has turns. Mean 1/3, deviation .577350: outcomes 1.154701, -.577350, -.577350. Turn 1: 1, 0 and
// 1 - 1 = 0, the same three numbers. Turn 2: 0 and 1 - 1 = 0, equal, adds nothing.
func TestMinDGivesEachTurnItsOwnAdvantage(t *testing.T) {
	batch := []rewards.Group{{ID: "g", Samples: []rewards.Sample{
		answer("a", true, []int{4}, []float64{1}, "b 4"),
		answer("b", false, []int{3, 7}, []float64{0, 0}, "b", "c"),
		answer("c", true, []int{5, 6}, []float64{1, 1}, "b wait c", "aha"),
	}}}
	m, err := rewards.New("mind", rewards.Options{Advantage: map[string]any{"kind": "turn", "eps": 0.0}})
	if err != nil {
		t.Fatal(err)
	}
	got := mustScore(t, m, batch)[0]
	near := cmpopts.EquateApprox(0, 1e-6)
	for i, want := range []rewards.Result{
		{Reward: 1, Advantage: 2.309401},
		{Reward: 0, Advantage: (3*-1.154701 + 4*-.577350) / 7, TokenAdvantages: []traces.TokenAdvantage{{Start: 0, End: 3, Value: -1.154701}, {Start: 3, End: 7, Value: -.577350}}},
		{Reward: 0, Advantage: (5*-1.154701 + -.577350) / 6, TokenAdvantages: []traces.TokenAdvantage{{Start: 0, End: 5, Value: -1.154701}, {Start: 5, End: 6, Value: -.577350}}},
	} {
		want.Terms = got[i].Terms
		if diff := gocmp.Diff(want, got[i], near, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", batch[0].Samples[i].ID, diff)
		}
	}
	plain, err := rewards.New("mind", rewards.Options{Advantage: map[string]any{"eps": 0.0}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{1.154701, -.577350, -.577350} {
		if r := mustScore(t, plain, batch)[0][i]; math.Abs(r.Advantage-want) > 1e-6 || len(r.TokenAdvantages) > 0 {
			t.Errorf("without turns: %v, want %v for the whole response", r, want)
		}
	}
}

func TestTurnsNeedTheirEndsAndScores(t *testing.T) {
	right := true
	for _, c := range []struct {
		method string
		sample rewards.Sample
		want   string
	}{
		{"mind", rewards.Sample{Correct: &right, Missing: rewards.FieldTurnEnds}, `field turn_ends: missing, and mind needs it`},
		{"grpo", rewards.Sample{Correct: &right, TurnEnds: []int{2, 4}, Missing: rewards.FieldTurnScores}, `field turn_scores: missing, and grpo needs it`},
		{"grpo", rewards.Sample{Correct: &right, TurnEnds: []int{4, 2}}, "turn_ends: want ascending token counts"},
		{"grpo", rewards.Sample{Correct: &right, TurnEnds: []int{2, 4}, TurnScores: []float64{1}}, "want one for each of 2 turns, got 1"},
		{"grpo", rewards.Sample{Correct: &right, TurnEnds: []int{2, 4}, TurnScores: []float64{1, 2}}, "want numbers from 0 to 1"},
	} {
		m, err := rewards.New(c.method, rewards.Options{Advantage: map[string]any{"kind": "turn"}})
		if err != nil {
			t.Fatal(err)
		}
		c.sample.ID = "t"
		if _, err := m.Score([]rewards.Group{{ID: "g", Samples: []rewards.Sample{c.sample}}}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	for _, name := range []string{"dot", "aspo", "brpo"} {
		if _, err := rewards.New(name, rewards.Options{Advantage: map[string]any{"kind": "turn"}}); err == nil || !strings.Contains(err.Error(), "choose another kind") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTurnAdvantagesCoverTheResponseAndAverageToItsScalar(t *testing.T) {
	m, err := rewards.New("mind", rewards.Options{Advantage: map[string]any{"kind": "turn"}})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		g := rewards.Group{ID: "g"}
		for i := range rapid.IntRange(1, 6).Draw(t, "n") {
			var ends []int
			var scores []float64
			var texts []string
			at := 0
			for range rapid.IntRange(1, 4).Draw(t, "turns") {
				at += rapid.IntRange(1, 9).Draw(t, "tokens")
				ends, scores = append(ends, at), append(scores, rapid.SampledFrom([]float64{0, 0.5, 1, math.NaN()}).Draw(t, "score"))
				texts = append(texts, rapid.SampledFrom([]string{"", "b", "wait"}).Draw(t, "text"))
			}
			g.Samples = append(g.Samples, answer(fmt.Sprint(i), rapid.Bool().Draw(t, "right"), ends, scores, texts...))
		}
		for i, r := range mustScore(t, m, []rewards.Group{g})[0] {
			if math.IsNaN(r.Advantage) || math.IsInf(r.Advantage, 0) {
				t.Fatalf("advantage %v", r.Advantage)
			}
			ends := g.Samples[i].TurnEnds
			if len(ends) == 1 {
				if len(r.TokenAdvantages) > 0 {
					t.Fatalf("one turn, but %v", r.TokenAdvantages)
				}
				continue
			}
			from, sum := 0, 0.0
			for k, a := range r.TokenAdvantages {
				if int(a.Start) != from || int(a.End) != ends[k] {
					t.Fatalf("ranges %v of turns that end at %v", r.TokenAdvantages, ends)
				}
				sum += a.Value * float64(a.End-a.Start)
				from = int(a.End)
			}
			if from != ends[len(ends)-1] || !closeTo(r.Advantage, sum/float64(from)) {
				t.Fatalf("ranges %v average to %v, the scalar is %v", r.TokenAdvantages, sum/float64(from), r.Advantage)
			}
		}
	})
}

func TestTurnsOfATraceReachTheMethod(t *testing.T) {
	one := 1.0
	tr := traces.Trace{
		ID: "t", Text: "ab cd", Verdict: traces.Right,
		TurnRanges: []traces.TurnRange{{End: 2, TextEnd: 2, Score: &one}, {Start: 2, End: 4, TextStart: 2, TextEnd: 5}},
	}
	s := rewards.FromTrace(&tr)
	if diff := gocmp.Diff([]string{"ab", " cd"}, s.TurnTexts); diff != "" || s.TurnScores[0] != 1 || !math.IsNaN(s.TurnScores[1]) || s.TurnEnds[1] != 4 {
		t.Errorf("got ends %v, scores %v, texts %q", s.TurnEnds, s.TurnScores, s.TurnTexts)
	}
	tr.TurnRanges[0].Score = nil
	if s := rewards.FromTrace(&tr); s.TurnScores != nil || s.Missing&rewards.FieldTurnScores == 0 {
		t.Errorf("ungraded turns have scores %v", s.TurnScores)
	}
}

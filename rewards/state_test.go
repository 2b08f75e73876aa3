package rewards

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// group builds a scored group from correctness and lengths; characters are four a token.
func group(problem string, correct []int, tokens []int) Group {
	g := Group{ID: "g-" + problem, Problem: ProblemInfo{ID: problem}}
	for i, c := range correct {
		verdict := c == 1
		g.Samples = append(g.Samples, Sample{ID: fmt.Sprint(i), Correct: &verdict, Formatted: true, Tokens: tokens[i], Chars: 4 * tokens[i]})
	}
	return g
}

func build(t *testing.T, name string, values map[string]any) *Method {
	t.Helper()
	m, err := New(name, Options{Params: values})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func rewardsOf(t *testing.T, m *Method, g Group) []float64 {
	t.Helper()
	results, err := m.Score([]Group{g})
	if err != nil {
		t.Fatal(err)
	}
	var out []float64
	for _, r := range results[0] {
		out = append(out, math.Round(r.Reward*1e6)/1e6)
	}
	return out
}

func wantRewards(t *testing.T, m *Method, g Group, want ...float64) {
	t.Helper()
	if diff := cmp.Diff(want, rewardsOf(t, m, g)); diff != "" {
		t.Errorf("rewards (-want +got):\n%s", diff)
	}
}

// ML 9.6: the multiplier after batches of accuracy .70 and .50.
func TestADLPMovesItsPriceWithAccuracyAfterTheStep(t *testing.T) {
	for _, c := range []struct {
		right, of int
		want      float64
	}{{7, 10, 1.08e-3}, {5, 10, 8.8e-4}} {
		m := build(t, "a_dlp", nil)
		correct := make([]int, c.of)
		for i := range c.right {
			correct[i] = 1
		}
		g := group("p", correct, make([]int, c.of))
		g.Samples[0].Tokens = 1000
		wantRewards(t, m, Group{ID: "g", Samples: g.Samples[:1]}, 0)
		m.Observe([]Group{g})
		wantRewards(t, m, Group{ID: "g", Samples: g.Samples[:1]}, math.Round((1-1000*c.want)*1e6)/1e6)
	}
}

func TestADLPNeverPaysForLength(t *testing.T) {
	m := build(t, "a_dlp", map[string]any{"lambda": 0.0001, "eta": 1.0})
	m.Observe([]Group{group("p", []int{0, 0}, []int{1, 1})})
	wantRewards(t, m, group("p", []int{1}, []int{1000}), 1)
}

// ML 9.2: 205 identical calls at steps 0-204.
func TestACOERControllerActsFromStep200(t *testing.T) {
	m := build(t, "acoer", nil)
	g := group("p", []int{1, 0}, []int{2000, 2000}) // 8000 characters, half right
	for range 200 {
		m.Observe([]Group{g})
	}
	c := m.plan.memory.(*acoerController)
	if alpha, budget := c.setting(); alpha != 0.02 || budget != 16384 {
		t.Fatalf("after 200 steps: α %v, B %v", alpha, budget)
	}
	for range 5 {
		m.Observe([]Group{g})
	}
	if alpha, budget := c.setting(); math.Abs(alpha-0.0220816) > 1e-7 || budget != 6800 {
		t.Errorf("after 205 steps: α %.7f, B %v, want 0.0220816 and 6800", alpha, budget)
	}
}

func TestACOERRelaxesWhenAccuracyFalls(t *testing.T) {
	m := build(t, "acoer", map[string]any{"adapt_from": 10, "window": 5})
	for range 10 {
		m.Observe([]Group{group("p", []int{1, 1}, []int{2000, 2000})})
	}
	for range 3 {
		m.Observe([]Group{group("p", []int{0, 0}, []int{2000, 2000})})
	}
	alpha, budget := m.plan.memory.(*acoerController).setting()
	if want := 0.02 * 0.95 * 0.95 * 0.95; math.Abs(alpha-want) > 1e-12 {
		t.Errorf("α %v, want %v", alpha, want)
	}
	// The averaged length took 0 three times: 8000 · (49/51)³.
	if want := 0.85 * 8000 * math.Pow(49.0/51, 3); math.Abs(budget-want) > 1e-6 {
		t.Errorf("B %v, want %v", budget, want)
	}
}

func TestOTCRemembersTheFewestCallsOfAProblem(t *testing.T) {
	calls := func(problem string, correct, calls []int) Group {
		g := group(problem, correct, make([]int, len(correct)))
		for i := range g.Samples {
			g.Samples[i].ToolCalls = calls[i]
		}
		return g
	}
	m := build(t, "otc_grpo", nil)
	wantRewards(t, m, calls("p", []int{1, 1}, []int{2, 4}), 1, 0.866025)
	m.Observe([]Group{calls("p", []int{1, 0}, []int{2, 0})})
	wantRewards(t, m, calls("p", []int{1, 1}, []int{3, 4}), 0.951057, 0.866025)
	wantRewards(t, m, calls("another", []int{1, 1}, []int{3, 4}), 1, 0.974928)
	wantRewards(t, m, calls("p", []int{1, 1}, []int{1, 2}), 1, 0.866025) // the group lowers it at once

	forgetful := build(t, "otc_grpo", map[string]any{"memory": false})
	forgetful.Observe([]Group{calls("p", []int{1}, []int{1})})
	wantRewards(t, forgetful, calls("p", []int{1}, []int{3}), 1)

	told := build(t, "otc_grpo", map[string]any{"best_known": 2})
	wantRewards(t, told, calls("p", []int{1, 1}, []int{3, 4}), 0.951057, 0.866025)
}

func TestCEEHPressesOnceAProblemDoesBetterThanItsHistory(t *testing.T) {
	m := build(t, "ceeh", nil)
	better := group("p", []int{1, 1, 0}, []int{3000, 1000, 1})
	wantRewards(t, m, better, 1, 1, 0) // no history: inactive
	m.Observe([]Group{group("p", []int{1, 0}, []int{1500, 9})})
	wantRewards(t, m, better, 0.9, 1.033333, 0)
	m.Observe([]Group{better}) // accuracy .5 + .2·(2/3 - .5), shortest 1000
	record := m.plan.memory.(*problemHistory).Problems["p"]
	if math.Abs(record.Accuracy-(0.5+0.2/6)) > 1e-12 || record.Shortest != 1000 {
		t.Errorf("record %+v", record)
	}
	m.Observe([]Group{group("p", []int{0, 0}, []int{5, 5})}) // falls at the slow rate
	if got, want := m.plan.memory.(*problemHistory).Problems["p"].Accuracy, 0.95*(0.5+0.2/6); math.Abs(got-want) > 1e-12 {
		t.Errorf("accuracy %v, want %v", got, want)
	}
}

func TestCEEHTotalsStayPositive(t *testing.T) {
	m := build(t, "ceeh", nil)
	g := group("p", []int{1, 0}, []int{100000, 1})
	history := 0.1
	g.Problem.HistoryAccuracy, g.Problem.HistoryShortest = &history, 10
	wantRewards(t, m, g, 0.01, 0)
}

func TestCEEHExploresHardProblemsThroughTheAdvantage(t *testing.T) {
	m := build(t, "ceeh", map[string]any{"entropy_alpha": 0.1})
	m.Observe([]Group{group("easy", []int{1, 1}, []int{5, 5}), group("hard", []int{0, 1}, []int{5, 5})})
	for problem, want := range map[string][]float64{
		"hard": {0.5 + 0.05, -0.5 + 0.25}, // min(0.1·0.5, 0.5/2) and min(0.1·9, 0.5/2)
		"easy": {0.5, -0.5},
	} {
		g := group(problem, []int{1, 0}, []int{5, 5})
		low, high := 0.5, 9.0
		g.Samples[0].Entropy, g.Samples[1].Entropy = &low, &high
		results, err := m.Score([]Group{g})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results[0] {
			if math.Abs(r.Advantage-want[i]) > 1e-12 {
				t.Errorf("%s problem, sample %d: advantage %v, want %v", problem, i, r.Advantage, want[i])
			}
		}
	}
}

func TestGFPOAdaptiveKeepsFewerOfEasierGroupsOnceQuartilesAreKnown(t *testing.T) {
	m := build(t, "gfpo_adaptive", map[string]any{"warmup": 4})
	kept := func(right int) int {
		correct, tokens := make([]int, 10), make([]int, 10)
		for i := range 10 {
			tokens[i] = i
			if i < right {
				correct[i] = 1
			}
		}
		results, err := m.Score([]Group{group("p", correct, tokens)})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, r := range results[0] {
			if r.Reason == "" {
				n++
			}
		}
		return n
	}
	if got := kept(9); got != 8 {
		t.Errorf("warm-up keeps %d, want 8", got)
	}
	for _, right := range []int{1, 4, 6, 9} { // quartiles .1, .4, .6
		correct := make([]int, 10)
		for i := range right {
			correct[i] = 1
		}
		m.Observe([]Group{group("p", correct, make([]int, 10))})
	}
	for right, want := range map[int]int{9: 4, 6: 4, 5: 6, 4: 6, 3: 8, 1: 8, 0: 8} {
		if got := kept(right); got != want {
			t.Errorf("%d of 10 right: keeps %d, want %d", right, got, want)
		}
	}
}

// ML TV-LASER-3, run against the official function.
func TestLaserTargets(t *testing.T) {
	lengths := []int{1000, 2500, 2600, 3500, 3600, 4500, 5000, 5200, 6000, 9000, 9500, 12000}
	candidates := laserCandidates(2048, 1024, 16384)
	if len(candidates) != 15 || candidates[0] != 2048 || candidates[14] != 16384 {
		t.Fatalf("candidates %v", candidates)
	}
	for _, c := range []struct {
		name     string
		level    int
		coverage string
		longest  int
		want     int
	}{
		{"floor, high", easy, "floor", 16384, 3072},
		{"floor, medium", medium, "floor", 16384, 5120},
		{"ceil, high", easy, "ceil", 16384, 3072},
		{"ceil, medium", medium, "ceil", 16384, 4096},
		{"low, batch maximum 16384", hard, "floor", 16384, 12288},
		{"low, batch maximum 12000", hard, "floor", 12000, 12000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := laserTarget(lengths, laserNeeded(c.level, 8, c.coverage), candidates, c.longest); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
	if got := laserTarget(nil, 6, candidates, 9000); got != 9000 {
		t.Errorf("empty band: got %d, want the longest", got)
	}
	if got, want := laserCandidates(500, 1024, 3000), []int{500, 1024, 2048}; !slices.Equal(got, want) {
		t.Errorf("candidates from below a step: %v, want %v", got, want)
	}
}

// ML TV-LASER-2: levels and bands by number right of 8.
func TestLaserLevels(t *testing.T) {
	for right := range 9 {
		want := easy
		switch {
		case right <= 2:
			want = hard
		case right <= 5:
			want = medium
		}
		if laserLevel(right, 8) != want || laserBand(right, 8) != want {
			t.Errorf("%d of 8: level %d, band %d, want %d", right, laserLevel(right, 8), laserBand(right, 8), want)
		}
	}
	if laserLevel(2, 3) != easy || laserBand(2, 3) != medium || laserLevel(1, 3) != medium || laserBand(1, 3) != hard {
		t.Error("at 2/3 and 1/3 the level takes the easier side, the band the harder")
	}
}

func TestLaserDEstimatesItsTargetsFromWhatItObserved(t *testing.T) {
	m := build(t, "laser_d", map[string]any{"candidate_min": 100, "candidate_step": 100, "candidate_max": 1000, "monitor_every": 2, "target_easy": 50})
	easyGroup := group("p", []int{1, 1, 1, 1, 1, 1, 1, 1}, []int{120, 180, 220, 300, 400, 500, 600, 700})
	wantRewards(t, m, easyGroup, 1, 1, 1, 1, 1, 1, 1, 1)
	m.Observe([]Group{easyGroup})                                          // step 1 estimates: 2 of 8 lie below 200, 1/6 is enough
	wantRewards(t, m, easyGroup, 1.5, 1.5, 1, 1, 1, 1, 1, 1)               //
	m.Observe([]Group{group("p", []int{1, 1, 1}, []int{90, 90, 95})})      // step 2 only collects
	wantRewards(t, m, easyGroup, 1.5, 1.5, 1, 1, 1, 1, 1, 1)               //
	m.Observe([]Group{group("p", []int{1, 1, 1}, []int{1000, 950, 1000})}) // step 3 estimates: 3 of 6 lie below 100, and at 3 samples 1/2 is asked for
	if got := m.plan.memory.(*laserTargets).Targets[easy]; got != 100 {
		t.Errorf("easy target %d, want 100", got)
	}
}

func TestTextsThatEndInALoopAreFound(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"empty", "", false},
		{"varied", "we add three and four and get seven, which is the answer to the question that was asked at the start", false},
		{"one word", strings.Repeat("wait ", 30), true},
		{"a short stutter", "no no no no", false},
		{"a phrase", "first some thought. " + strings.Repeat("let me check that again and ", 6), true},
		{"a loop that was left", strings.Repeat("again and ", 50) + "but finally the answer is clear and it is seven", false},
		{"a long block three times", strings.Repeat(strings.Join(strings.Split("abcdefghijklmnopqrstuvwxyz", ""), " ")+" ", 3), true},
		{"a long block twice", strings.Repeat(strings.Join(strings.Split("abcdefghijklmnopqrstuvwxyz", ""), " ")+" ", 2), false},
	} {
		if got := endsInLoop(c.text); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

// ML 3, both shapes at T = 640.
func TestSIRILimits(t *testing.T) {
	steps := []int64{0, 80, 120, 160, 200, 240, 320, 400, 480, 560, 640}
	for form, want := range map[string][]float64{
		"cosine":       {16384, 15184.309, 13855.471, 12288, 10720.529, 9391.691, 8192, 9391.691, 12288, 15184.309, 16384},
		"stair_cosine": {16384, 16384, 15184.309, 12288, 9391.691, 8192, 8192, 8192, 12288, 16384, 16384},
	} {
		o := &siriParams{LimitMax: 16384, LimitMin: 8192, Period: 640, Form: form}
		for i, step := range steps {
			if got := o.limit(step); got != int(want[i]) {
				t.Errorf("%s, t=%d: %d, want %d", form, step, got, int(want[i]))
			}
		}
	}
}

func TestDOTRefusesGroupsInWhichNothingCanBeCut(t *testing.T) {
	m := build(t, "dot", nil)
	for size, ok := range map[int]bool{4: false, 8: false, 10: false, 11: true, 16: true, 0: true} {
		if err := m.Check(Setting{GroupSize: size}); (err == nil) != ok {
			t.Errorf("group of %d: %v", size, err)
		}
	}
	if err := build(t, "dot", map[string]any{"alpha": 2.0}).Check(Setting{GroupSize: 8}); err != nil {
		t.Errorf("alpha 2 in a group of 8: %v", err)
	}
}

func TestDOTMarginBelowOneIsAShareOfTheLength(t *testing.T) {
	o := &dotParams{Margin: 0.1}
	for _, c := range []struct {
		tokens, threshold float64
		want              bool
	}{{1000, 900, true}, {1000, 901, false}, {100, 84, true}, {100, 85, false}} {
		if got := o.outlier(c.tokens, c.threshold); got != c.want {
			t.Errorf("%v tokens against %v: %v", c.tokens, c.threshold, got)
		}
	}
}

func TestSetRebindsParametersAndKeepsMemory(t *testing.T) {
	m := build(t, "a_dlp", nil)
	m.Observe([]Group{group("p", []int{1, 1}, []int{1, 1})})
	before, _ := m.State()
	if err := m.Set(map[string]any{"eta": 0.5}); err != nil {
		t.Fatal(err)
	}
	after, _ := m.State()
	if string(before) != string(after) {
		t.Errorf("state went from %s to %s", before, after)
	}
	if err := m.Set(map[string]any{"eta": -1.0}); err == nil || !strings.Contains(err.Error(), "method.eta") {
		t.Errorf("got %v", err)
	}
	if m.plan.memory.(*multiplier).o.Eta != 0.5 {
		t.Error("a refused setting changed the method")
	}
}

func TestRestoreRefusesTheStateOfAnotherMethod(t *testing.T) {
	state, err := build(t, "a_dlp", nil).State()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"grpo", "acoer"} {
		if err := build(t, name, nil).Restore(state); err == nil {
			t.Errorf("%s took the state of a_dlp", name)
		}
	}
}

func TestDRSAFReadsTheFirstLabelThatStandsAlone(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"CFRB":                             "CFRB",
		"PFRB":                             "PFRB",
		"[PFRB] then CFRB":                 "PFRB",
		"xCFRBx PFRB":                      "PFRB",
		"xCFRBx only":                      "CFRB", // no word of its own: any in the first 200 characters
		"thinking </think> CFRB":           "",
		"FRB XFRB":                         "",
		"CFRBPFRB":                         "CFRB",
		strings.Repeat("é", 196) + "CFRBx": "CFRB",
		strings.Repeat("é", 197) + "CFRBx": "",
		strings.Repeat("é ", 300) + "CFRB": "CFRB",
	} {
		if got := boundaryLabel(&Sample{Text: text}); got != want {
			t.Errorf("%.40q: got %q, want %q", text, got, want)
		}
	}
}

package curriculum

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pith/datasets"
	"pith/datasets/clock"
)

// pool is a source of n problems with ids "0" … "n-1" in their order, levels 1 … 4 in turn, and a
// reference accuracy where rates are given; endless if n is 0.
type pool struct {
	n     int
	rates []float64
}

func (p pool) Name() string           { return "pool" }
func (p pool) Fingerprint() string    { return "pool" }
func (p pool) Len(datasets.Split) int { return p.n }
func (p pool) Problem(s datasets.Split, i int64) (datasets.Problem, error) {
	if p.n > 0 {
		i %= int64(p.n)
	}
	out := datasets.Problem{ID: fmt.Sprint(i), Level: 1 + int(i%4)}
	if len(p.rates) > 0 {
		out.ReferenceAccuracy = &p.rates[i%int64(len(p.rates))]
	}
	return out, nil
}

func stream(t testing.TB, src datasets.Source, seed uint64, rule Rule, change func(*Options)) *Stream {
	t.Helper()
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	s, err := New(src, seed, rule, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func draw(t testing.TB, s *Stream, k int) []Pick {
	t.Helper()
	picks, err := s.Draw(k)
	if err != nil {
		t.Fatal(err)
	}
	if len(picks) != k {
		t.Fatalf("%d picks, want %d", len(picks), k)
	}
	return picks
}

func ids(picks []Pick) []string {
	var out []string
	for _, p := range picks {
		out = append(out, p.Problem.ID)
	}
	return out
}

// learn observes outcomes that depend on nothing but the problem and the draw.
func learn(s *Stream, picks []Pick, salt int) {
	for _, p := range picks {
		right := (len(p.Problem.ID)*7 + int(p.Index)*3 + salt) % 5
		s.Observe(p.Problem, Outcome{Right: right, Wrong: 4 - right})
	}
}

func TestAStreamResumedAtAnyDrawIsTheSameStream(t *testing.T) {
	generated, err := clock.New(3, clock.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.SampledFrom([]datasets.Source{pool{n: 37}, pool{}, generated}).Draw(t, "source")
		rule := rapid.SampledFrom([]Rule{Uniform{}, CurES{Tau: 0.1}, Window{0.2, 0.8}, Levels{1, 2, 3, 4, 5}}).Draw(t, "rule")
		o := DefaultOptions()
		o.By = rapid.SampledFrom([]By{ByProblem, ByLevel}).Draw(t, "by")
		o.Pool = rapid.IntRange(0, 20).Draw(t, "pool")
		o.Keep = rapid.Float64Range(0, 1).Draw(t, "keep")
		seed := rapid.Uint64().Draw(t, "seed")
		k, steps := rapid.IntRange(1, 6).Draw(t, "k"), 8
		cut := rapid.IntRange(0, steps).Draw(t, "cut")

		whole, err := New(source, seed, rule, o)
		if err != nil {
			t.Fatal(err)
		}
		var want []Pick
		var saved []byte
		for step := range steps {
			if step == cut {
				if saved, err = json.Marshal(whole.State()); err != nil {
					t.Fatal(err)
				}
				want = nil
			}
			picks, err := whole.Draw(k)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, picks...)
			learn(whole, picks, step)
		}
		if cut == steps {
			return
		}
		var state State
		if err := json.Unmarshal(saved, &state); err != nil {
			t.Fatal(err)
		}
		resumed, err := New(source, seed, rule, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := resumed.Restore(state); err != nil {
			t.Fatal(err)
		}
		var got []Pick
		for step := cut; step < steps; step++ {
			picks, err := resumed.Draw(k)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, picks...)
			learn(resumed, picks, step)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("the resumed stream differs: %s", d)
		}
		if d := cmp.Diff(whole.State(), resumed.State()); d != "" {
			t.Fatalf("the states differ: %s", d)
		}
	})
}

func TestAFiniteSourceWithoutACurriculumIsDrawnWithoutRepetition(t *testing.T) {
	s := stream(t, pool{n: 12}, 1, Uniform{}, func(o *Options) { o.Pool = 3 })
	seen := map[string]int{}
	for range 4 {
		for _, id := range ids(draw(t, s, 3)) {
			seen[id]++
		}
	}
	if len(seen) != 12 {
		t.Errorf("an epoch of draws without choice visits %d of 12 problems", len(seen))
	}
}

func TestPicksAreDistinctAndInTheOrderOfTheSource(t *testing.T) {
	s := stream(t, pool{n: 50}, 1, CurES{Tau: 0.1}, nil)
	for range 10 {
		picks := draw(t, s, 20)
		for i := range picks[1:] {
			if picks[i].Index >= picks[i+1].Index {
				t.Fatalf("order %v", ids(picks))
			}
		}
	}
}

// One pick of three candidates has exactly the distribution ρ*.
func TestCurESDrawsWithItsDistribution(t *testing.T) {
	const draws = 20_000
	s := stream(t, pool{n: 3}, 5, CurES{Tau: 0.1}, nil)
	outcomes := []Outcome{{Right: 0, Wrong: 8}, {Right: 4, Wrong: 4}, {Right: 8}}
	for i, o := range outcomes {
		s.Observe(datasets.Problem{ID: fmt.Sprint(i)}, o)
	}
	count := map[string]float64{}
	for range draws {
		count[draw(t, s, 1)[0].Problem.ID]++
	}
	want, err := Distribution([]float64{.1, .5, .9}, 0.1)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range want {
		got := count[fmt.Sprint(i)] / draws
		if sd := math.Sqrt(p * (1 - p) / draws); math.Abs(got-p) > 4.5*sd {
			t.Errorf("problem %d: share %.4f, want %.4f ± %.4f", i, got, p, 4.5*sd)
		}
	}
}

func TestBeliefsByLevelSteerAnEndlessFamily(t *testing.T) {
	s := stream(t, pool{}, 2, CurES{Tau: 0.02}, func(o *Options) { o.By = ByLevel })
	for level := 1; level <= 4; level++ {
		right := []int{0, 100, 50, 95, 0}[level] // level 2 is in the middle
		s.Observe(datasets.Problem{Level: level}, Outcome{Right: right, Wrong: 100 - right})
	}
	middle := 0
	for range 50 {
		for _, p := range draw(t, s, 4) {
			if p.Problem.Level == 2 {
				middle++
			}
		}
	}
	if middle < 180 { // of 200; a quarter without a curriculum
		t.Errorf("the middling level has %d of 200 picks", middle)
	}
}

func TestAWindowLetsInTheUnknownAndTheMiddling(t *testing.T) {
	s := stream(t, pool{n: 4}, 3, Window{0.2, 0.8}, nil)
	s.Observe(datasets.Problem{ID: "0"}, Outcome{Wrong: 20})
	s.Observe(datasets.Problem{ID: "1"}, Outcome{Right: 10, Wrong: 10})
	s.Observe(datasets.Problem{ID: "2"}, Outcome{Right: 20})
	for range 5 {
		if d := cmp.Diff([]string{"1", "3"}, slices.Sorted(slices.Values(ids(draw(t, s, 2))))); d != "" {
			t.Fatal(d)
		}
	}
	// Before anything is observed the data's own estimate counts.
	s = stream(t, pool{n: 3, rates: []float64{0, 0.5, 1}}, 3, Window{0.2, 0.8}, nil)
	if got := draw(t, s, 1)[0]; got.Problem.ID != "1" || got.Excluded {
		t.Errorf("got %+v", got)
	}
}

func TestARuleThatExcludesEverythingDoesNotStallTheDraw(t *testing.T) {
	for name, source := range map[string]datasets.Source{"finite": pool{n: 10}, "endless": pool{}} {
		t.Run(name, func(t *testing.T) {
			s := stream(t, source, 3, Levels{9, 9, 9, 9, 0}, nil)
			for _, p := range draw(t, s, 7) {
				if !p.Excluded {
					t.Errorf("problem %s of level %d is said to be in the window", p.Problem.ID, p.Problem.Level)
				}
			}
		})
	}
}

func TestADrawLargerThanTheSourceGoesRound(t *testing.T) {
	s := stream(t, pool{n: 3}, 3, Uniform{}, nil)
	count := map[string]int{}
	for _, id := range ids(draw(t, s, 9)) {
		count[id]++
	}
	if d := cmp.Diff(map[string]int{"0": 3, "1": 3, "2": 3}, count); d != "" {
		t.Error(d)
	}
}

func TestLevelsMoveFromEasyToHard(t *testing.T) {
	r := Levels{FromMin: 1, FromMax: 2, ToMin: 5, ToMax: 8, Over: 4}
	for draw, want := range [][2]int{{1, 2}, {2, 4}, {3, 5}, {4, 7}, {5, 8}, {5, 8}} {
		if low, high := r.At(draw); low != want[0] || high != want[1] {
			t.Errorf("draw %d: levels %d to %d, want %v", draw, low, high, want)
		}
	}
	if low, high := (Levels{1, 1, 3, 4, 0}).At(0); low != 3 || high != 4 {
		t.Errorf("a move over no draws: %d to %d, want 3 to 4 at once", low, high)
	}
	if w := r.LogWeight(Candidate{Problem: datasets.Problem{Level: 0}}); w != 0 {
		t.Error("a problem without a level is excluded")
	}
}

func TestEvidenceIsForgottenAndReset(t *testing.T) {
	s := stream(t, pool{n: 2}, 1, Uniform{}, func(o *Options) { o.Keep = 0.5 })
	p := datasets.Problem{ID: "0"}
	s.Observe(p, Outcome{Right: 8})
	s.Observe(p, Outcome{NoScore: 8}) // evidence of nothing
	if b, seen := s.Belief(p); !seen || b != (Beta{9, 1}) {
		t.Fatalf("belief %+v, seen %v", b, seen)
	}
	draw(t, s, 1)
	if b, _ := s.Belief(p); b != (Beta{5, 1}) {
		t.Errorf("half of the evidence should be left: %+v", b)
	}
	s.Reset()
	if b, seen := s.Belief(p); seen || b != UniformPrior() {
		t.Errorf("after Reset: %+v, seen %v", b, seen)
	}
	if s.State().Draws != 1 {
		t.Error("Reset moved the position")
	}
}

func TestAStateIsACopy(t *testing.T) {
	s := stream(t, pool{n: 2}, 1, Uniform{}, nil)
	s.Observe(datasets.Problem{ID: "0"}, Outcome{Right: 1})
	state := s.State()
	state.Beliefs["0"] = Beta{50, 50}
	if err := s.Restore(s.State()); err != nil {
		t.Fatal(err)
	}
	if b, _ := s.Belief(datasets.Problem{ID: "0"}); b != (Beta{2, 1}) {
		t.Errorf("a caller changed the belief to %+v", b)
	}
}

func TestMisuseOfAStreamSaysWhatWouldBeValid(t *testing.T) {
	build := func(rule Rule, change func(*Options)) error {
		o := DefaultOptions()
		change(&o)
		_, err := New(pool{n: 3}, 0, rule, o)
		return err
	}
	none := func(*Options) {}
	s := stream(t, pool{n: 3}, 0, Uniform{}, nil)
	_, drawNone := s.Draw(0)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"tau":             {build(CurES{}, none), "tau is 0: it must be positive"},
		"window":          {build(Window{0.8, 0.2}, none), "it must lie in 0 to 1, low first"},
		"levels":          {build(Levels{3, 1, 0, 0, -1}, none), "over is -1"},
		"prior":           {build(Uniform{}, func(o *Options) { o.Prior = Beta{} }), "prior is Beta(0, 0)"},
		"by":              {build(Uniform{}, func(o *Options) { o.By = "colour" }), `by is "colour": use "problem" or "level"`},
		"keep":            {build(Uniform{}, func(o *Options) { o.Keep = 2 }), "keep is 2"},
		"pool":            {build(Uniform{}, func(o *Options) { o.Pool = -1 }), "pool is -1"},
		"pools":           {build(Uniform{}, func(o *Options) { o.MaxPools = 0 }), "max_pools is 0"},
		"an empty draw":   {drawNone, "it must be at least 1"},
		"a broken state":  {s.Restore(State{Beliefs: map[string]Beta{"7": {-1, 1}}}), `belief about "7"`},
		"a negative step": {s.Restore(State{Draws: -1}), "must not be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", c.err, c.want)
			}
		})
	}
}

func BenchmarkDrawFromAllOfGSM8K(b *testing.B) {
	s := stream(b, pool{n: 7473}, 1, CurES{Tau: 0.1}, nil)
	for b.Loop() {
		if _, err := s.Draw(128); err != nil {
			b.Fatal(err)
		}
	}
}

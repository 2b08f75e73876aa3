package rewards_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"pith/rewards"
	"pith/rewards/params"
)

// everyMethod runs a property for each method of the table, in both profiles.
func everyMethod(t *testing.T, check func(t *testing.T, d rewards.Description, m func() *rewards.Method)) {
	for _, d := range rewards.Methods() {
		for _, profile := range []string{params.Paper, params.ReleasedCode} {
			t.Run(d.Name+"/"+profile, func(t *testing.T) {
				check(t, d, func() *rewards.Method {
					m, err := rewards.New(d.Name, rewards.Options{Profile: profile})
					if err != nil {
						t.Fatal(err)
					}
					return m
				})
			})
		}
	}
}

// shape bounds what a generator may draw.
type shape struct {
	noScores bool // some traces without a score
	extreme  bool // lengths up to the largest that count exactly
	plain    bool // well-formed, not truncated
}

func drawGroup(t *rapid.T, id string, s shape) rewards.Group {
	n := rapid.IntRange(1, 12).Draw(t, "n")
	most := 30000
	if s.extreme {
		most = math.MaxInt32 - 1
	}
	// Distinct lengths and entropies: ties are broken by input order, on purpose.
	lengths := rapid.SliceOfNDistinct(rapid.IntRange(0, most), n, n, rapid.ID[int]).Draw(t, "tokens")
	accuracy, known := unit(t, "reference"), rapid.IntRange(0, 3).Draw(t, "best")
	g := rewards.Group{ID: id, Step: rapid.Int64Range(0, 2000).Draw(t, "step"), Problem: rewards.ProblemInfo{
		ID: "p-" + id, ReferenceAccuracy: &accuracy, ReferenceTokens: rapid.Float64Range(1, 20000).Draw(t, "reference tokens"),
		TokenBudget: rapid.IntRange(1, 5000).Draw(t, "budget"), BestKnownCalls: &known,
	}}
	if rapid.Bool().Draw(t, "history") {
		history := unit(t, "history accuracy")
		g.Problem.HistoryAccuracy, g.Problem.HistoryShortest = &history, float64(rapid.IntRange(1, 5000).Draw(t, "shortest"))
	}
	odds := rapid.IntRange(0, 4).Draw(t, "odds")
	for i := range n {
		right := rapid.IntRange(1, 4).Draw(t, "right") <= odds
		entropy := float64(i) + rapid.Float64Range(0, 0.9).Draw(t, "entropy")
		loss, precision, recall, payoff := rapid.Float64Range(0.01, 9).Draw(t, "loss"), unit(t, "precision"), unit(t, "recall"), unit(t, "payoff")
		x := rewards.Sample{
			ID: fmt.Sprintf("t%d", i), Correct: &right, Formatted: s.plain || rapid.Bool().Draw(t, "formatted"),
			Truncated: !s.plain && rapid.IntRange(0, 5).Draw(t, "truncated") == 0,
			Tokens:    lengths[i], Chars: 4 * lengths[i], Mode: rapid.SampledFrom([]string{"think", "no-think", "instant", "reasoning", "agentic"}).Draw(t, "mode"),
			Turns: rapid.IntRange(0, 5).Draw(t, "turns"), ToolCalls: rapid.IntRange(0, 6).Draw(t, "calls"), Entropy: &entropy,
			BudgetScores: []float64{unit(t, "b1"), unit(t, "b2"), unit(t, "b3"), unit(t, "b4")}, Text: rapid.SampledFrom([]string{"", "CFRB go", "PFRB wait, aha", strings.Repeat("again and ", 40)}).Draw(t, "text"),
			BaseLoss: &loss, Precision: &precision, Recall: &recall, Payoff: &payoff,
			ResponseWords: rapid.IntRange(0, 2000).Draw(t, "words"), ReasoningChars: rapid.IntRange(0, 9000).Draw(t, "reasoning"), OutputWords: rapid.IntRange(0, 3000).Draw(t, "output"),
			PromptTokens: rapid.IntRange(0, 100).Draw(t, "prompt"),
		}
		if x.ToolCalls > 0 {
			first := rapid.IntRange(0, 3000).Draw(t, "first")
			x.FirstToolToken = &first
		}
		if s.noScores && rapid.IntRange(0, 5).Draw(t, "scored") == 0 {
			x.Correct = nil
		}
		g.Samples = append(g.Samples, x)
	}
	return g
}

func unit(t *rapid.T, label string) float64 {
	return rapid.OneOf(rapid.SampledFrom([]float64{0, 0.5, 1}), rapid.Float64Range(0, 1)).Draw(t, label)
}

func drawBatch(t *rapid.T, s shape) []rewards.Group {
	batch := make([]rewards.Group, rapid.IntRange(1, 4).Draw(t, "groups"))
	for i := range batch {
		batch[i] = drawGroup(t, fmt.Sprintf("g%d", i), s)
	}
	return batch
}

func mustScore(t interface{ Fatal(...any) }, m *rewards.Method, batch []rewards.Group) [][]rewards.Result {
	results, err := m.Score(batch)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// close compares within rounding, relative to the larger of 1 and the values.
func closeTo(a, b float64) bool {
	return math.Abs(a-b) <= 1e-8*max(1, math.Abs(a), math.Abs(b))
}

func TestPermutingAGroupPermutesItsResults(t *testing.T) {
	everyMethod(t, func(t *testing.T, _ rewards.Description, method func() *rewards.Method) {
		m := method()
		rapid.Check(t, func(t *rapid.T) {
			batch := drawBatch(t, shape{noScores: true})
			want := mustScore(t, m, batch)
			n := len(batch[0].Samples)
			order := rapid.Permutation(ints(n)).Draw(t, "order")
			permuted := slices.Clone(batch)
			permuted[0].Samples = make([]rewards.Sample, n)
			for to, from := range order {
				permuted[0].Samples[to] = batch[0].Samples[from]
			}
			got := mustScore(t, m, permuted)
			if m.Name() == "gfpo_efficient" { // wrong answers all tie at 0 and are kept in input order
				got[0], want[0] = byAdvantage(got[0]), byAdvantage(want[0])
				order = ints(n)
			}
			for to, from := range order {
				a, b := got[0][to], want[0][from]
				if !closeTo(a.Reward, b.Reward) || !closeTo(a.Advantage, b.Advantage) || a.Dropped != b.Dropped || a.Reason != b.Reason {
					t.Fatalf("sample %d became %+v after moving to place %d, was %+v", from, a, to, b)
				}
			}
		})
	})
}

func byAdvantage(results []rewards.Result) []rewards.Result {
	slices.SortFunc(results, func(a, b rewards.Result) int {
		return cmp.Or(cmp.Compare(a.Advantage, b.Advantage), cmp.Compare(a.Reward, b.Reward), strings.Compare(a.Reason, b.Reason))
	})
	return results
}

func TestAnotherGroupChangesNothingUnlessTheMethodIsBatchScoped(t *testing.T) {
	everyMethod(t, func(t *testing.T, _ rewards.Description, method func() *rewards.Method) {
		m := method()
		if m.Batched() {
			t.Skip("batch-scoped")
		}
		rapid.Check(t, func(t *rapid.T) {
			batch := drawBatch(t, shape{noScores: true})
			want := mustScore(t, m, batch)
			twin := batch[rapid.IntRange(0, len(batch)-1).Draw(t, "twin")]
			twin.ID += "-again"
			got := mustScore(t, m, append(slices.Clone(batch), twin))
			if diff := gocmp.Diff(want, got[:len(batch)]); diff != "" {
				t.Fatalf("an identical group changed the others (-want +got):\n%s", diff)
			}
		})
	})
}

func TestEveryResultIsFinite(t *testing.T) {
	everyMethod(t, func(t *testing.T, _ rewards.Description, method func() *rewards.Method) {
		m := method()
		rapid.Check(t, func(t *rapid.T) {
			results := mustScore(t, m, drawBatch(t, shape{noScores: true, extreme: true}))
			for _, group := range results {
				for _, r := range group {
					values := []float64{r.Reward, r.Advantage}
					for _, term := range r.Terms {
						values = append(values, term.Value)
					}
					for _, a := range r.TokenAdvantages {
						values = append(values, a.Value)
					}
					for _, x := range values {
						if math.IsNaN(x) || math.IsInf(x, 0) {
							t.Fatalf("not finite: %+v", r)
						}
					}
				}
			}
		})
	})
}

func TestAdvantagesOfAGroupAddUpToZeroWherePromised(t *testing.T) {
	for _, d := range rewards.Methods() {
		if !d.Promises.ZeroSum {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			m, err := rewards.New(d.Name, rewards.Options{})
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				for _, group := range mustScore(t, m, drawBatch(t, shape{noScores: true})) {
					sum, size := 0.0, 0.0
					for _, r := range group {
						sum += r.Advantage
						size = max(size, math.Abs(r.Advantage))
					}
					// Rewards near 10 that differ by less than ε leave their own rounding, divided by ε.
					if math.Abs(sum) > 1e-8*max(1, size) {
						t.Fatalf("advantages add up to %v: %+v", sum, group)
					}
				}
			})
		})
	}
}

func TestALongerRightAnswerNeverEarnsMoreWherePromised(t *testing.T) {
	everyMethod(t, func(t *testing.T, d rewards.Description, method func() *rewards.Method) {
		if !d.Promises.Monotone {
			t.Skip("not promised")
		}
		m := method()
		rapid.Check(t, func(t *rapid.T) {
			g := drawGroup(t, "g", shape{plain: true})
			// Right answers differ in length only.
			var first *rewards.Sample
			for i := range g.Samples {
				s := &g.Samples[i]
				if !*s.Correct {
					continue
				}
				if first == nil {
					first = s
				}
				id, tokens, chars := s.ID, s.Tokens, s.Chars
				*s = *first
				s.ID, s.Tokens, s.Chars = id, tokens, chars
			}
			results := mustScore(t, m, []rewards.Group{g})[0]
			for i, a := range g.Samples {
				for j, b := range g.Samples {
					if !*a.Correct || !*b.Correct || a.Tokens >= b.Tokens {
						continue
					}
					if slack := 1e-9; results[i].Reward < results[j].Reward-slack || results[i].Advantage < results[j].Advantage-slack {
						t.Fatalf("%d tokens get %+v, %d tokens get %+v", a.Tokens, results[i], b.Tokens, results[j])
					}
				}
			}
		})
	})
}

func TestARightAnswerNeverEarnsLessThanAWrongOneWherePromised(t *testing.T) {
	for _, d := range rewards.Methods() {
		if !d.Promises.Ordered {
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			m, err := rewards.New(d.Name, rewards.Options{})
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				g := drawGroup(t, "g", shape{})
				for i := range g.Samples {
					g.Samples[i].Formatted = true
				}
				results := mustScore(t, m, []rewards.Group{g})[0]
				for i, a := range g.Samples {
					for j, b := range g.Samples {
						if *a.Correct && !*b.Correct && results[i].Reward < results[j].Reward-1e-12 {
							t.Fatalf("right %+v ranks below wrong %+v", results[i], results[j])
						}
					}
				}
			})
		})
	}
}

func TestAWrongAnswersLengthCountsOnlyWhereSaid(t *testing.T) {
	everyMethod(t, func(t *testing.T, d rewards.Description, method func() *rewards.Method) {
		if d.Promises.PressesWrong {
			t.Skip("it does count")
		}
		m := method()
		rapid.Check(t, func(t *rapid.T) {
			g := drawGroup(t, "g", shape{plain: true})
			before := mustScore(t, m, []rewards.Group{g})[0]
			for i := range g.Samples {
				if *g.Samples[i].Correct {
					continue
				}
				changed := g
				changed.Samples = slices.Clone(g.Samples)
				changed.Samples[i].Tokens += 12345
				changed.Samples[i].Chars += 4 * 12345
				if after := mustScore(t, m, []rewards.Group{changed})[0]; after[i].Reward != before[i].Reward {
					t.Fatalf("a wrong answer's reward went from %v to %v with its length", before[i].Reward, after[i].Reward)
				}
			}
		})
	})
}

func TestATraceWithoutAScoreLeavesTheOthersAsIfItWereNotThere(t *testing.T) {
	everyMethod(t, func(t *testing.T, _ rewards.Description, method func() *rewards.Method) {
		m := method()
		rapid.Check(t, func(t *rapid.T) {
			batch := drawBatch(t, shape{noScores: true})
			without := make([]rewards.Group, len(batch))
			for i, g := range batch {
				without[i] = g
				without[i].Samples = slices.DeleteFunc(slices.Clone(g.Samples), func(s rewards.Sample) bool { return s.Correct == nil })
			}
			got, want := mustScore(t, m, batch), mustScore(t, m, without)
			for i, g := range batch {
				rest := want[i]
				for j, s := range g.Samples {
					r := got[i][j]
					if s.Correct != nil {
						if diff := gocmp.Diff(rest[0], r); diff != "" {
							t.Fatalf("(-without +with):\n%s", diff)
						}
						rest = rest[1:]
					} else if !r.Dropped || r.Advantage != 0 || r.Reason != "no score" {
						t.Fatalf("no score, but %+v", r)
					}
				}
			}
		})
	})
}

func TestScoreIsPureAndReusesResults(t *testing.T) {
	everyMethod(t, func(t *testing.T, _ rewards.Description, method func() *rewards.Method) {
		m := method()
		rapid.Check(t, func(t *rapid.T) {
			old, batch := drawBatch(t, shape{}), drawBatch(t, shape{noScores: true})
			want := mustScore(t, m, batch)
			reused, err := m.ScoreInto(batch, mustScore(t, m, old))
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(want, reused, emptyIsNil); diff != "" {
				t.Fatalf("results differ when memory is reused (-fresh +reused):\n%s", diff)
			}
		})
	})
}

var emptyIsNil = cmpopts.EquateEmpty()

func TestMemoryIsSavedAndRestored(t *testing.T) {
	everyMethod(t, func(t *testing.T, _ rewards.Description, method func() *rewards.Method) {
		rapid.Check(t, func(t *rapid.T) {
			m := method()
			for range rapid.IntRange(0, 4).Draw(t, "steps") {
				m.Observe(drawBatch(t, shape{noScores: true}))
			}
			state, err := m.State()
			if err != nil {
				t.Fatal(err)
			}
			if (state != nil) != m.Stateful() {
				t.Fatalf("stateful is %v, but the state has %d bytes", m.Stateful(), len(state))
			}
			other := method()
			if err := other.Restore(state); err != nil {
				t.Fatal(err)
			}
			again, err := other.State()
			if err != nil {
				t.Fatal(err)
			}
			if string(again) != string(state) {
				t.Fatalf("state changed on the way: %s, then %s", state, again)
			}
			batch := drawBatch(t, shape{})
			if diff := gocmp.Diff(mustScore(t, m, batch), mustScore(t, other, batch)); diff != "" {
				t.Fatalf("the restored method scores differently:\n%s", diff)
			}
		})
	})
}

func TestNothingIsLearntFromTracesWithoutAScore(t *testing.T) {
	everyMethod(t, func(t *testing.T, d rewards.Description, method func() *rewards.Method) {
		if d.State == "" || !method().Stateful() || strings.HasPrefix(d.Name, "laser_d") {
			t.Skip("no memory, or one that counts steps")
		}
		rapid.Check(t, func(t *rapid.T) {
			m := method()
			m.Observe(drawBatch(t, shape{}))
			before, err := m.State()
			if err != nil {
				t.Fatal(err)
			}
			batch := drawBatch(t, shape{})
			for i := range batch {
				batch[i].Problem.BestKnownCalls = nil
				for j := range batch[i].Samples {
					batch[i].Samples[j].Correct = nil
				}
			}
			m.Observe(batch)
			after, err := m.State()
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Fatalf("state went from %s to %s", before, after)
			}
		})
	})
}

func TestAMissingInputIsNamed(t *testing.T) {
	for _, d := range rewards.Methods() {
		for _, field := range d.Needs {
			t.Run(d.Name+"/"+field, func(t *testing.T) {
				m, err := rewards.New(d.Name, rewards.Options{})
				if err != nil {
					t.Fatal(err)
				}
				batch := typicalBatch(1, 3)
				lose(&batch[0], field)
				_, err = m.Score(batch)
				input, ok := errors.AsType[*rewards.InputError](err)
				if !ok {
					t.Fatalf("got %v, want an InputError", err)
				}
				want := rewards.InputError{Group: "g0", Trace: "t1", Field: field, Problem: "missing, and " + d.Name + " needs it"}
				if strings.HasPrefix(field, "problem.") || field == "step" {
					want.Trace = ""
				}
				if *input != want {
					t.Errorf("got %+v, want %+v", *input, want)
				}
				if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, `"g0"`) || !strings.Contains(text, field) {
					t.Errorf("message %q", text)
				}
			})
		}
	}
}

// lose removes an input of the group, or of its second trace.
func lose(g *rewards.Group, field string) {
	s, p := &g.Samples[1], &g.Problem
	switch field {
	case "problem.reference_accuracy":
		p.ReferenceAccuracy = nil
	case "problem.reference_tokens":
		p.ReferenceTokens = 0
	case "problem.token_budget":
		p.TokenBudget = 0
	case "step":
		g.NoStep = true
	case "entropy":
		s.Entropy = nil
	case "budget_scores":
		s.BudgetScores = nil
	case "base_loss":
		s.BaseLoss = nil
	case "precision":
		s.Precision = nil
	case "recall":
		s.Recall = nil
	case "payoff":
		s.Payoff = nil
	default:
		for bit := range 32 {
			if f := rewards.Field(1) << bit; slices.Equal(f.Names(), []string{field}) {
				s.Missing = f
				if f == rewards.FieldCorrect {
					s.Correct = nil
				}
			}
		}
	}
}

func ints(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

package strategy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/traces"
)

// exact grades what follows the only end of thinking.
type exact struct{}

func (exact) Grade(gold, response string) grade.Verdict {
	_, answer, ok := strings.Cut(response, "</think>")
	answer = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(answer), "<eos>"))
	switch {
	case !ok || strings.Contains(answer, "</think>"):
		return grade.Verdict{Outcome: grade.Wrong}
	case answer == gold:
		return grade.Verdict{Outcome: grade.Right, Formatted: true}
	}
	return grade.Verdict{Outcome: grade.Wrong, Formatted: true}
}

// opened counts the openers that a prefix holds: think markers, which no script says.
func opened(prefix []int32) (n int) {
	for _, id := range prefix {
		if id == ids("<think>")[0] {
			n++
		}
	}
	return n
}

func partsEnv(texts ...string) (*Env, *script) {
	s := &script{texts: map[int]string{}, inserted: opened}
	for i, text := range texts {
		s.texts[i] = text
	}
	env := testEnv(s)
	env.Grader = exact{}
	return env, s
}

// ranges prints the turns of a trace: text and score.
func ranges(tr *traces.Trace) []string {
	var out []string
	for _, r := range tr.TurnRanges {
		score := "?"
		if r.Score != nil {
			score = map[float64]string{0: "0", 1: "1"}[*r.Score]
		}
		tokens := vocabulary.Decode(tr.Tokens[r.Start:r.End])
		if text := strings.TrimSpace(tr.Text[r.TextStart:r.TextEnd]); text != tokens {
			tokens += " / " + text
		}
		out = append(out, score+" "+tokens)
	}
	return out
}

func TestTurnsEndWhenTwoAgree(t *testing.T) {
	for _, c := range []struct {
		name, options, text, want string
		turns                     []string
		finish                    traces.Finish
	}{
		{"the third agrees with the second", `{"max_turns":5}`, "b </think> 6 <eos> c </think> 7 <eos> </think> 7 <eos> b </think> 1 <eos>",
			"think[b </think>] answer[6 <eos>] injected![<think>] think[c </think>] answer[7 <eos>] injected![<think>] think[</think>] answer[7 <eos>]",
			[]string{"0 b </think> 6 <eos>", "1 <think> c </think> 7 <eos>", "1 <think> </think> 7 <eos>"}, traces.FinishStop},
		{"never agreed", `{"max_turns":2}`, "b </think> 6 <eos> c </think> 7 <eos> </think> 7 <eos>",
			"think[b </think>] answer[6 <eos>] injected![<think>] think[c </think>] answer[7 <eos>]",
			[]string{"0 b </think> 6 <eos>", "1 <think> c </think> 7 <eos>"}, traces.FinishStop},
		{"always all", `{"max_turns":3,"until":"max"}`, "</think> 7 <eos> </think> 7 <eos> </think> 7 <eos>",
			"think[</think>] answer[7 <eos>] injected![<think>] think[</think>] answer[7 <eos>] injected![<think>] think[</think>] answer[7 <eos>]",
			[]string{"1 </think> 7 <eos>", "1 <think> </think> 7 <eos>", "1 <think> </think> 7 <eos>"}, traces.FinishStop},
		{"one turn", `{"max_turns":1}`, "b </think> 7 <eos>", "think[b </think>] answer[7 <eos>]", nil, traces.FinishStop},
		{"a turn that is cut gives no answer", `{"max_turns":3,"turn_tokens":3}`, "b </think> 7 c </think> <eos> </think> 7 <eos>",
			"think[b </think>] answer[7] injected![<think>] think[c </think>] answer[<eos>] injected![<think>] think[</think>] answer[7 <eos>]",
			[]string{"1 b </think> 7", "0 <think> c </think> <eos>", "1 <think> </think> 7 <eos>"}, traces.FinishStop},
		{"the limit ends a turn", "", "b </think> 6 <eos> " + strings.Repeat("c ", 60),
			"think[b </think>] answer[6 <eos>] injected![<think>] think[" + strings.TrimSpace(strings.Repeat("c ", 36)) + "]",
			[]string{"0 b </think> 6 <eos>", "0 <think> " + strings.TrimSpace(strings.Repeat("c ", 36))}, traces.FinishLength},
		{"a response at its limit has no further turn", "", strings.Repeat("c ", 37) + "</think> 6 <eos> b", "think[" + strings.Repeat("c ", 37) + "</think>] answer[6 <eos>]", nil, traces.FinishStop},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, _ := partsEnv(c.text)
			out, err := run(t, "turns", c.options, env, testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			tr := out[0].Trace
			if got := parts(tr); got != c.want || tr.Finish != c.finish {
				t.Errorf("got  %s (%s)\nwant %s (%s)", got, tr.Finish, c.want, c.finish)
			}
			if diff := cmp.Diff(c.turns, ranges(tr)); diff != "" {
				t.Errorf("turns (-want +got):\n%s", diff)
			}
			if n := max(len(c.turns), 1); int(tr.Turns) != n {
				t.Errorf("%d turns recorded, want %d", tr.Turns, n)
			}
		})
	}
}

func TestTurnsOfAGroupGoOnEachByItself(t *testing.T) {
	env, s := partsEnv("</think> 7 <eos> </think> 7 <eos> c", "</think> 6 <eos> </think> 7 <eos> b </think> 7 <eos>", "</think> 7 <eos> </think> 7 <eos> c")
	out, err := run(t, "turns", "", env, testTask(3))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int32{2, 3, 2} {
		if got := out[i].Trace.Turns; got != want {
			t.Errorf("sample %d has %d turns, want %d", i, got, want)
		}
	}
	if len(s.calls) != 1+3+1 {
		t.Errorf("%d calls, want the first together, then each for itself: 5", len(s.calls))
	}
}

func TestATurnThatFailsLeavesWhatThereIs(t *testing.T) {
	env, s := partsEnv("</think> 6 <eos> </think> 7 <eos>")
	s.fail = func(r engine.SampleRequest) error {
		if len(r.Prefix) > 0 {
			return &engine.Error{Class: engine.User, Op: "sample", Msg: "context full"}
		}
		return nil
	}
	out, err := run(t, "turns", "", env, testTask(1))
	if err != nil {
		t.Fatal(err)
	}
	if tr := out[0].Trace; tr.Status != traces.Failed || tr.LengthTokens != 3 {
		t.Errorf("status %s, length %d", tr.Status, tr.LengthTokens)
	}
}

func TestADraftIsRefined(t *testing.T) {
	for _, c := range []struct {
		name, options, text, want string
		turns                     int32
	}{
		{"a draft and an answer", "", "b c </think> 6 <eos> </think> 7 <eos>",
			"think[b c </think>] answer[6 <eos>] injected![<think>] think[</think>] answer[7 <eos>]", 2},
		{"only the answer is trained on", `{"train_draft":false}`, "b c </think> 6 <eos> </think> 7 <eos>",
			"think![b c </think>] answer![6 <eos>] injected![<think>] think[</think>] answer[7 <eos>]", 2},
		{"a draft that is cut", `{"draft_tokens":2,"open":"{cut} {end_think}"}`, "b c 7 <eos>",
			"think[b c] injected![<cut> </think>] answer[7 <eos>]", 2},
		{"two rounds, the first of them short", `{"rounds":2,"draft_tokens":3}`, "b c 1 a 2 3 b b b b </think> 7 <eos>",
			"think[b c 1] injected![<think>] think[a 2 3] injected![<think>] think[b b b b </think>] answer[7 <eos>]", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, s := partsEnv(c.text)
			s.inserted = func(prefix []int32) int {
				if i := strings.Index(vocabulary.Decode(prefix), "<cut>"); i >= 0 {
					return 2
				}
				return opened(prefix)
			}
			out, err := run(t, "refine", c.options, env, testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			tr := out[0].Trace
			if got := parts(tr); got != c.want || tr.Turns != c.turns || len(tr.TurnRanges) != int(c.turns) || tr.TurnRanges[0].Score != nil {
				t.Errorf("got  %s, %d turns, ranges %+v\nwant %s, %d ungraded turns", got, tr.Turns, tr.TurnRanges, c.want, c.turns)
			}
		})
	}
}

func TestHintsAreSaidAndKeptFromTheLoss(t *testing.T) {
	for _, c := range []struct {
		name, options, prompt, want string
		budget, injected            int32
		limit                       int
	}{
		{"the problem's budget, before the thought", `{"text":"c {budget_digits}"}`, "<bos> a 3 c 9 <think>", "think[b </think>] answer[7 <eos>]", 9, 0, 40},
		{"the limit", `{"text":"c {limit_digits}"}`, "<bos> a 3 c 4 0 <think>", "think[b </think>] answer[7 <eos>]", 9, 0, 40},
		{"a forced start", `{"text":"a c","place":"response"}`, "<bos> a 3 <think>", "injected![a c] think[b </think>] answer[7 <eos>]", 9, 2, 42},
		{"a forced end of the thought", `{"text":"{cut} {end_think}","place":"response"}`, "<bos> a 3 <think>", "injected![<cut> </think>] answer[b </think> 7 <eos>]", 9, 2, 42},
		{"one budget only", `{"text":"{budget_digits}","budget_min":12,"budget_max":12}`, "<bos> a 3 1 2 <think>", "think[b </think>] answer[7 <eos>]", 12, 0, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, s := forcedEnv(2, "b </think> 7 <eos>", "b </think> 7 <eos>")
			out, err := run(t, "hints", c.options, env, testTask(2))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out {
				tr := o.Trace
				if got := parts(tr); got != c.want || tr.PromptText != c.prompt || vocabulary.Decode(tr.PromptTokens) != c.prompt {
					t.Errorf("asked %q, got %s\nwant %q, %s", tr.PromptText, got, c.prompt, c.want)
				}
				if tr.Reference.TokenBudget != c.budget || tr.InjectedTokens != c.injected || tr.LengthTokens != 4 {
					t.Errorf("budget %d, injected %d, length %d", tr.Reference.TokenBudget, tr.InjectedTokens, tr.LengthTokens)
				}
			}
			if len(s.calls) != 1 || s.calls[0].Params.MaxTokens != c.limit {
				t.Errorf("%d calls with limit %d, want one with %d", len(s.calls), s.calls[0].Params.MaxTokens, c.limit)
			}
		})
	}
}

func TestAPromptMaySayWhereItsHintGoes(t *testing.T) {
	env := testEnv(nil)
	for _, c := range []struct{ prompt, want string }{
		{"<bos> {hint} a <think>", "<bos> c a <think>"},
		{"<bos> a <think>", "<bos> a c <think>"},
		{"<bos> a", "<bos> a c"},
	} {
		if got := env.hinted(c.prompt, "c"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.prompt, got, c.want)
		}
	}
}

func TestBudgetsAreOneAGroupAndSpreadOverTheirRange(t *testing.T) {
	s := hints{hintsOptions{Text: "{budget}", BudgetMin: 20, BudgetMax: 120}}
	rapid.Check(t, func(rt *rapid.T) {
		tk := testTask(1)
		tk.Params.Seed = rapid.Uint64().Draw(rt, "seed")
		b, err := s.budget(tk)
		if err != nil || b < 20 || b > 120 {
			rt.Fatalf("budget %d, %v", b, err)
		}
		if again, _ := s.budget(tk); again != b {
			rt.Fatal("not a function of the seed")
		}
	})
	sum, n := 0, 2000
	for i := range n {
		tk := testTask(1)
		tk.Params.Seed = uint64(i) * 0x9e3779b97f4a7c15
		b, err := s.budget(tk)
		if err != nil {
			t.Fatal(err)
		}
		sum += b
	}
	if mean := float64(sum) / float64(n); mean < 67 || mean > 73 {
		t.Errorf("mean budget %v of 20…120, want about 70", mean)
	}
	tk := testTask(1)
	tk.Problem.TokenBudget = 0
	if _, err := (hints{hintsOptions{Text: "{budget}"}}).budget(tk); err == nil || !strings.Contains(err.Error(), "set budget_min and budget_max") {
		t.Errorf("a hint without a budget: %v", err)
	}
}

func TestStrategiesAskTheEngineForTheSameAgain(t *testing.T) {
	for name, options := range map[string]string{"turns": "", "refine": "", "hints": `{"text":"c"}`, "modes": ""} {
		env, s := partsEnv("</think> 6 <eos> </think> 7 <eos> </think> 7 <eos>", "</think> 7 <eos> </think> 7 <eos>", "b </think> 7 <eos> </think> 7 <eos>")
		first, err := run(t, name, options, env, testTask(3))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, c := range s.calls {
			if seen[c.ID] {
				t.Errorf("%s: two requests are called %s", name, c.ID)
			}
			seen[c.ID] = true
		}
		again, err := run(t, name, options, env, testTask(3))
		if err != nil {
			t.Fatal(err)
		}
		for i := range first {
			if diff := cmp.Diff(first[i].Trace, again[i].Trace); diff != "" {
				t.Errorf("%s: a second run differs:\n%s", name, diff)
			}
		}
	}
}

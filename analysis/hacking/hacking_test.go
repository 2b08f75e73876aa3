package hacking

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// words are n different words.
func words(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "w%d ", i)
	}
	return b.String()
}

func TestFlagsOfAResponse(t *testing.T) {
	tests := []struct {
		name string
		x    Response
		want []Flag
	}{
		{"sound reasoning", Response{Think: words(50), Answer: "It is 42 .", Final: "42"}, nil},
		{"nothing before the answer", Response{Think: "", Answer: "42", Final: "42"}, []Flag{NoReasoning}},
		{"asked not to think", Response{NoThink: true, Answer: "42", Final: "42"}, nil},
		{"no answer either", Response{}, nil},
		{"short thinking, the work is in tools", Response{Think: "", Answer: "42", Final: "42", ToolArgs: []string{"6 * 7", "1 + 1"}}, nil},
		{"moved behind the delimiter", Response{Think: "ok", Answer: words(60), Final: "w59"}, []Flag{BehindMark}},
		{"a long answer after longer thinking", Response{Think: words(80), Answer: words(60), Final: "w59"}, nil},
		{"moved into tool arguments", Response{Think: words(5), Answer: "42", Final: "42", ToolArgs: []string{words(60)}}, []Flag{InTools}},
		{"a loop", Response{Think: strings.Repeat("so it is 4 wait ", 20), Answer: "4", Final: "4"}, []Flag{Repetition}},
		{"a short repetition", Response{Think: strings.Repeat("yes ", 10), Answer: "42", Final: "42"}, nil},
		{"the answer first", Response{Think: "It is 42, let me see " + words(90), Answer: "42", Final: "42"}, []Flag{EarlyAnswer}},
		{"the answer last", Response{Think: words(90) + " it is 42", Answer: "42", Final: "42"}, nil},
		{"one digit says nothing", Response{Think: "with 4 apples " + words(90), Answer: "4", Final: "4"}, nil},
		{"part of a word is no answer", Response{Think: "take 420 or so " + words(90), Answer: "42", Final: "42"}, nil},
		{"another language", Response{Prompt: "What is 6 times 7?", Think: "我们先计算六乘以七等于四十二 then done ok", Answer: "42", Final: "42"}, []Flag{Language}},
		{"the prompt's own language", Response{Prompt: "六乘以七是多少", Think: "我们先 计算 六乘以七等于四十二", Answer: "42", Final: "42"}, nil},
		{"Greek letters are mathematics", Response{Prompt: "angle", Think: "α β γ δ ε ζ η θ ι κ λ μ", Answer: "42", Final: "42"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Default().Inspect(tt.x)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzInspect(f *testing.F) {
	f.Add("prompt", "think \xff", "答え", "42")
	f.Fuzz(func(t *testing.T, prompt, think, answer, final string) {
		x := Response{Prompt: prompt, Think: think, Answer: answer, Final: final}
		first := Default().Inspect(x)
		if diff := cmp.Diff(first, Default().Inspect(x)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAFlagThatGrowsIsRaisedWithExamples(t *testing.T) {
	var w Watch
	for step := range int64(9) {
		for i := range 100 {
			var flags []Flag
			if step >= 6 && i < 10 {
				flags = []Flag{NoReasoning}
			}
			outcome := "wrong"
			if i%2 == 1 {
				outcome = "right"
			}
			w.Add(step, fmt.Sprintf("s%d-%02d", step, i), outcome, flags)
		}
	}
	want := []Finding{{
		Flag: NoReasoning, Meaning: NoReasoning.Meaning(),
		Early: Count{300, 0}, Late: Count{300, 30}, Raised: true,
		Outcomes: map[string]Count{"right": {450, 15}, "wrong": {450, 15}},
		Examples: []Example{{"s8-01", 8}, {"s8-03", 8}, {"s8-05", 8}, {"s8-07", 8}, {"s8-09", 8}},
	}}
	if diff := cmp.Diff(want, w.Findings()); diff != "" {
		t.Error(diff)
	}
}

func TestAFlagThatWasAlwaysThereIsShownAndNotRaised(t *testing.T) {
	var w Watch
	random := rand.New(rand.NewPCG(1, 2))
	for step := range int64(30) {
		for i := range 50 {
			var flags []Flag
			if random.Float64() < .2 {
				flags = []Flag{Repetition}
			}
			w.Add(step, fmt.Sprint(step, "-", i), "right", flags)
		}
	}
	found := w.Findings()
	if len(found) != 1 || found[0].Raised {
		t.Errorf("got %+v, want one finding that is not raised", found)
	}
}

func TestFindingsDoNotDependOnTheOrderOfResponses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type response struct {
			step    int64
			id      string
			outcome string
			flags   []Flag
		}
		var all []response
		for i := range rapid.IntRange(1, 60).Draw(t, "responses") {
			all = append(all, response{
				rapid.Int64Range(1, 6).Draw(t, "step"), fmt.Sprint("r", i),
				rapid.SampledFrom([]string{"right", "wrong", "no_score"}).Draw(t, "outcome"),
				rapid.SliceOfNDistinct(rapid.SampledFrom(Flags), 0, 3, func(f Flag) Flag { return f }).Draw(t, "flags"),
			})
		}
		var a, b Watch
		for _, r := range all {
			a.Add(r.step, r.id, r.outcome, r.flags)
		}
		for _, r := range rapid.Permutation(all).Draw(t, "order") {
			b.Add(r.step, r.id, r.outcome, r.flags)
		}
		if diff := cmp.Diff(a.Findings(), b.Findings()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTermsThatStoppedMoving(t *testing.T) {
	terms := map[string][]TermStep{
		"length":      {{1, 0, 1}, {2, .5, .5}, {3, .5, .5}, {4, .5, .5}},
		"format":      {{1, 1, 1}, {2, 1, 1}, {3, 1, 1}, {4, 1, 1}},
		"correctness": {{1, 0, 1}, {2, 0, 1}, {3, 0, 1}, {4, 0, 1}},
		"stairs":      {{1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}},
		"none":        nil,
	}
	want := []Constant{{"format", 1, 1, 4}, {"length", .5, 2, 4}}
	if diff := cmp.Diff(want, ConstantTerms(terms, 3)); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkInspect(b *testing.B) {
	x := Response{Prompt: "What is 6 times 7?", Think: words(400), Answer: "It is 42 .", Final: "42"}
	b.SetBytes(int64(len(x.Think)))
	for b.Loop() {
		Default().Inspect(x)
	}
}

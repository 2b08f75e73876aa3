package strategy

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
	"pith/datasets"
)

// forcedEnv is an engine whose texts do not say what the strategy put at their start.
func forcedEnv(lead int, texts ...string) (*Env, *script) {
	s := &script{texts: map[int]string{}, inserted: func(prefix []int32) int { return min(lead, len(prefix)) }}
	for i, text := range texts {
		s.texts[i] = text
	}
	return testEnv(s), s
}

func TestHalfOfAGroupIsForcedNotToThink(t *testing.T) {
	env, s := forcedEnv(1, "7 <eos>", "b 4 </think> 7 <eos>", "8 <eos>", "</think> 7 <eos>")
	out, err := run(t, "modes", "", env, testTask(4))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ parts, mode string }{
		{"forced[</think>] answer[7 <eos>]", "no-think"},
		{"think[b 4 </think>] answer[7 <eos>]", "think"},
		{"forced[</think>] answer[8 <eos>]", "no-think"},
		{"think[</think>] answer[7 <eos>]", "no-think"}, // its own choice
	} {
		tr := out[i].Trace
		if got := parts(tr); got != want.parts || tr.Mode != want.mode {
			t.Errorf("sample %d: got %s (%s), want %s (%s)", i, got, tr.Mode, want.parts, want.mode)
		}
	}
	forced := out[0].Trace
	if got, want := forced.LogProbs[0], float32(math.Log(0.5)); got != want {
		t.Errorf("the forced token has log-probability %v, want that of its share, %v", got, want)
	}
	if forced.LengthTokens != 3 || forced.InjectedTokens != 0 || forced.Spans[0].Policy != "p1" {
		t.Errorf("length %d, injected %d, spans %+v: a trained prefix counts as sampled", forced.LengthTokens, forced.InjectedTokens, forced.Spans)
	}
	for _, c := range s.calls {
		if c.Params.MaxTokens != 40 {
			t.Errorf("a limit of %d: a trained prefix counts towards the limit of 40", c.Params.MaxTokens)
		}
	}
}

func TestAMaskedPrefixIsInsertedAndCountsForNothing(t *testing.T) {
	env, s := forcedEnv(1, "7 <eos>")
	out, err := run(t, "modes", `{"modes":[{"name":"instant","prefix":"{end_think}"}],"train_prefix":false}`, env, testTask(1))
	if err != nil {
		t.Fatal(err)
	}
	tr := out[0].Trace
	if got, want := parts(tr), "injected![</think>] answer[7 <eos>]"; got != want || tr.Mode != "instant" {
		t.Errorf("got %s (%s), want %s (instant)", got, tr.Mode, want)
	}
	if tr.LengthTokens != 2 || tr.InjectedTokens != 1 || tr.LogProbs[0] != 0 || s.calls[0].Params.MaxTokens != 41 {
		t.Errorf("length %d, injected %d, log-probability %v, limit %d", tr.LengthTokens, tr.InjectedTokens, tr.LogProbs[0], s.calls[0].Params.MaxTokens)
	}
}

func TestThreeModesOneOfWhichCallsTools(t *testing.T) {
	const options = `{"modes":[{"name":"instant","prefix":"{end_think}"},{"name":"reasoning"},{"name":"agentic","prefix":"= {call}","tools":true},{"name":"free"}]}`
	s := &script{texts: map[int]string{
		0: "7 <eos>", 1: "b 4 </think> 7 <eos>", 2: "3 + 4 </tool> </think> 7 <eos>", 3: "b <tool> 3 + 4 </tool> </think> 7 <eos>",
	}}
	s.inserted = func(prefix []int32) int {
		lead := 0
		switch text := vocabulary.Decode(prefix); {
		case strings.HasPrefix(text, "= <tool>"):
			lead = 2
		case strings.HasPrefix(text, "</think>"):
			lead = 1
		}
		return lead + inserted(prefix)
	}
	env := testEnv(s)
	env.Tools = []Tool{calculator}
	out, err := run(t, "modes", options, env, testTask(4))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		parts, mode string
		calls       int
	}{
		{"forced[</think>] answer[7 <eos>]", "instant", 0},
		{"think[b 4 </think>] answer[7 <eos>]", "reasoning", 0},
		{"forced[=] tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] think[</think>] answer[7 <eos>]", "agentic", 1},
		{"think[b] tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] think[</think>] answer[7 <eos>]", "agentic", 1},
	} {
		tr := out[i].Trace
		if got := parts(tr); got != want.parts || tr.Mode != want.mode || len(tr.ToolCalls) != want.calls {
			t.Errorf("sample %d: got %s (%s, %d calls)\nwant %s (%s, %d)", i, got, tr.Mode, len(tr.ToolCalls), want.parts, want.mode, want.calls)
		}
	}
}

func TestHeldOutProblemsAreAnsweredInTheModeAskedFor(t *testing.T) {
	for _, c := range []struct{ name, options, want string }{
		{"free unless asked", "", "think[b </think>] answer[7 <eos>]"},
		{"in a mode", `{"held_out":"no-think"}`, "forced[</think>] answer[b </think> 7 <eos>]"},
	} {
		env, _ := forcedEnv(1, "b </think> 7 <eos>")
		tk := testTask(1)
		tk.Split = datasets.HeldOut
		out, err := run(t, "modes", c.options, env, tk)
		if err != nil {
			t.Fatal(err)
		}
		if got := parts(out[0].Trace); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAModeMayBeAskedForInThePrompt(t *testing.T) {
	env, s := forcedEnv(0, "b </think> 7 <eos>", "b </think> 7 <eos>")
	out, err := run(t, "modes", `{"modes":[{"name":"think","prompt":"c"},{"name":"no-think","prompt":"a"}]}`, env, testTask(2))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"<bos> a 3 c <think>", "<bos> a 3 a <think>"} {
		tr := out[i].Trace
		if tr.PromptText != want || vocabulary.Decode(tr.PromptTokens) != want {
			t.Errorf("prompt %q, tokens %q, want %q", tr.PromptText, vocabulary.Decode(tr.PromptTokens), want)
		}
	}
	if len(s.calls) != 2 || out[1].Trace.Mode != "no-think" {
		t.Errorf("%d calls, mode %s", len(s.calls), out[1].Trace.Mode)
	}
}

func TestSharesAreKeptAtEveryLengthOfTheGroup(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		shares := rapid.SliceOfN(rapid.Float64Range(0.05, 1), 1, 4).Draw(rt, "shares")
		var o modesOptions
		total := 0.0
		for _, s := range shares {
			o.Modes = append(o.Modes, modeOptions{Share: s})
			total += s
		}
		given := make([]int, len(shares))
		for i := range 40 {
			k := o.assign(i)
			if k != o.assign(i) {
				rt.Fatal("not a function of the index")
			}
			given[k]++
			for m := range given {
				if d := float64(given[m]) - shares[m]/total*float64(i+1); math.Abs(d) >= float64(len(shares)) {
					rt.Fatalf("after %d samples mode %d of %v has %d", i+1, m, shares, given[m])
				}
			}
		}
	})
}

func TestModesAreTheSameHoweverAGroupIsCut(t *testing.T) {
	texts := []string{"7 <eos>", "b 4 </think> 7 <eos>", "8 <eos>", "b </think> 9 <eos>"}
	env, _ := forcedEnv(1, texts...)
	whole, err := run(t, "modes", "", env, testTask(4))
	if err != nil {
		t.Fatal(err)
	}
	tail := testTask(2)
	tail.First = 2
	env, _ = forcedEnv(1, texts...)
	rest, err := run(t, "modes", "", env, tail)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rest {
		if diff := cmp.Diff(whole[2+i].Trace, rest[i].Trace); diff != "" {
			t.Errorf("(-whole +cut):\n%s", diff)
		}
	}
}

func TestWhatAStrategyLacksIsSaidBeforeTheRun(t *testing.T) {
	for _, c := range []struct {
		strategy, options string
		spoil             func(*Env)
		want              string
	}{
		{"modes", "", func(e *Env) { e.Markers.EndThink = "" }, "prefix of mode no-think: the text \"{end_think}\" needs {end_think}, and the data has no such token"},
		{"modes", `{"modes":[{"name":"think","prefix":"Alright"}]}`, func(*Env) {}, `prefix of mode think: the policy's vocabulary cannot write "Alright": no token "Alright"`},
		{"modes", `{"modes":[{"name":"think","prompt":"slowly"}]}`, func(*Env) {}, `prompt of mode think: the policy's vocabulary cannot write "slowly"`},
		{"modes", `{"modes":[{"name":"agentic","tools":true}]}`, func(*Env) {}, "mode agentic executes calls: this data has no tools"},
		{"tools", "", func(*Env) {}, "this data has no tools"},
		{"anytime", "", func(e *Env) { e.Markers.EndThink = "" }, "no end of thinking token"},
		{"turns", "", func(e *Env) { e.Markers.Think = "" }, "opening of a turn: the text \"{think}\" needs {think}"},
		{"turns", "", func(e *Env) { e.Grader = nil }, "needs a grader"},
		{"refine", `{"open":"shorter"}`, func(*Env) {}, `opening of a refinement: the policy's vocabulary cannot write "shorter"`},
		{"hints", "", func(*Env) {}, `hint: the policy's vocabulary cannot write "Think for 0 tokens."`},
		{"hints", `{"text":"{budget}","budget_min":5,"budget_max":20}`, func(*Env) {}, `hint: the policy's vocabulary cannot write "20"`},
		{"hints", `{"text":"{call}"}`, func(e *Env) { e.Markers.Call = "" }, "the data has no such token"},
	} {
		env := testEnv(nil)
		env.Grader = exact{}
		c.spoil(env)
		err := Check(c.strategy, json.RawMessage(c.options), env)
		if err == nil || !strings.HasPrefix(err.Error(), "strategy "+c.strategy+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: got %v, want %q", c.strategy, c.options, err, c.want)
		}
	}
	env := testEnv(nil)
	env.Grader, env.Tools = exact{}, []Tool{calculator}
	for name, options := range map[string]string{
		"single": "", "anytime": "", "tools": "", "modes": "", "turns": "", "refine": "",
		"hints": `{"text":"{budget_digits}","budget_min":20,"budget_max":90}`,
	} {
		if err := Check(name, json.RawMessage(options), env); err != nil {
			t.Errorf("%s lacks nothing, but: %v", name, err)
		}
	}
}

func TestAForcedPrefixMustLeaveRoom(t *testing.T) {
	env, _ := forcedEnv(1, "7 <eos>")
	tk := testTask(1)
	tk.Params.MaxTokens = 1
	if _, err := run(t, "modes", "", env, tk); err == nil || !strings.Contains(err.Error(), "max_tokens is 1") {
		t.Errorf("got %v", err)
	}
}

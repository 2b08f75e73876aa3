package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pith/rollout/engine"
	"pith/traces"
)

func TestSingleSplitsThoughtFromAnswer(t *testing.T) {
	for _, c := range []struct {
		name, text, want, mode string
		finish                 traces.Finish
	}{
		{"a thought and an answer", "b 4 = 7 </think> 7 <eos>", "think[b 4 = 7 </think>] answer[7 <eos>]", "think", traces.FinishStop},
		{"no thought", "</think> 7 <eos>", "think[</think>] answer[7 <eos>]", "no-think", traces.FinishStop},
		{"a thought without end", "b 4 = 7 <eos>", "think[b 4 = 7 <eos>]", "think", traces.FinishStop},
		{"a second end of thinking", "b </think> 7 </think> 8 <eos>", "think[b </think>] answer[7 </think> 8 <eos>]", "think", traces.FinishStop},
		{"nothing after the thought", "b </think> <eos>", "think[b </think>] answer[<eos>]", "think", traces.FinishStop},
		{"cut by the limit", strings.Repeat("b ", 50), "think[" + strings.TrimSpace(strings.Repeat("b ", 40)) + "]", "think", traces.FinishLength},
		{"cut by the limit at the end of the thought", strings.Repeat("b ", 39) + "</think> 7 <eos>", "think[" + strings.Repeat("b ", 39) + "</think>]", "think", traces.FinishLength},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := run(t, "single", "", testEnv(&script{texts: map[int]string{0: c.text}}), testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			tr := out[0].Trace
			if got := parts(tr); got != c.want || tr.Mode != c.mode || tr.Finish != c.finish {
				t.Errorf("got %s (%s, %s)\nwant %s (%s, %s)", got, tr.Mode, tr.Finish, c.want, c.mode, c.finish)
			}
		})
	}
}

func TestSingleRecordsEverything(t *testing.T) {
	env := testEnv(&script{texts: map[int]string{4: "b </think> 7 <eos>", 5: "</think> 8 <eos>"}})
	tk := testTask(2)
	tk.First = 4
	env.Released = time.Unix(100, 0)
	env.Now = func() time.Time { return time.Unix(103, 0) }
	out, err := run(t, "single", "", env, tk)
	if err != nil {
		t.Fatal(err)
	}
	half := 0.5
	want := &traces.Trace{
		Run: "r", Step: 2, Split: "train", Group: "g", ID: "g/5", Problem: "p", Sample: 5, Seed: 5, Dataset: "clock", Level: 2, Gold: "7",
		PromptText: "<bos> a 3 <think>", PromptTokens: tk.Prompt, Text: "</think> 8 <eos>", Tokens: ids("</think> 8 <eos>"),
		LogProbs: []float32{-1, -2, -3}, Segments: []traces.Segment{{Kind: traces.Think, Start: 0, End: 1, Train: true}, {Kind: traces.Answer, Start: 1, End: 3, Train: true}},
		Spans: []traces.Span{{Policy: "p1", Version: 1, Start: 0, End: 3}}, Finish: traces.FinishStop, Temperature: 1, Mode: "no-think", Turns: 1,
		LengthTokens: 3, Entropy: &half, Reference: traces.Reference{TokenBudget: 9},
	}
	if diff := cmp.Diff(want, out[1].Trace); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&traces.Timing{Step: 2, ID: "g/5", Worker: "w", Queue: 3}, out[1].Timing); diff != "" {
		t.Errorf("timing (-want +got):\n%s", diff)
	}
}

func TestWithoutThinkingEverythingIsTheAnswer(t *testing.T) {
	env := testEnv(&script{texts: map[int]string{0: "7 <eos>"}})
	env.Markers = Markers{EOS: "<eos>"}
	out, err := run(t, "single", "{}", env, testTask(1))
	if err != nil {
		t.Fatal(err)
	}
	if got := parts(out[0].Trace); got != "answer[7 <eos>]" || out[0].Trace.Mode != "" {
		t.Errorf("got %s, mode %q", got, out[0].Trace.Mode)
	}
}

func TestAnEngineOfFewSamplesIsAskedSeveralTimes(t *testing.T) {
	s := &script{texts: map[int]string{0: "0 <eos>", 1: "1 <eos>", 2: "2 <eos>", 3: "3 <eos>", 4: "4 <eos>"}}
	env := testEnv(s)
	env.Caps.MaxN = 2
	out, err := run(t, "single", "", env, testTask(5))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range out {
		if want := vocabulary[6+i] + " <eos>"; r.Trace.Text != want || r.Trace.Sample != int32(i) {
			t.Errorf("sample %d is %q, want %q", r.Trace.Sample, r.Trace.Text, want)
		}
	}
	if len(s.calls) != 3 {
		t.Errorf("%d calls, want 3", len(s.calls))
	}
}

// partial is an engine that gives what it has beside an error.
type partial struct {
	script
	err  error
	seqs []engine.Sequence
}

func (p *partial) Sample(context.Context, engine.SampleRequest) (engine.SampleResult, error) {
	return engine.SampleResult{Seqs: p.seqs}, p.err
}

func seq(text string, finish engine.Finish) engine.Sequence {
	s := engine.Sequence{Tokens: ids(text), Finish: finish}
	s.Logprobs = make([]float32, len(s.Tokens))
	if len(s.Tokens) > 0 {
		s.Spans = []engine.Span{{Policy: engine.PolicyRef{ID: "p1", Step: 1}, End: len(s.Tokens)}}
	}
	return s
}

func TestASampleThatFailsForGoodKeepsItsLength(t *testing.T) {
	nan := seq("b 4 = 7", engine.FinishLength)
	nan.Logprobs[2] = float32(nanValue())
	unowned := seq("b 4 = 7 <eos>", engine.FinishStop)
	unowned.Spans[0].End = 3
	user := &engine.Error{Class: engine.User, Op: "sample", Msg: "prompt too long"}
	malformed := &engine.Error{Class: engine.Malformed, Op: "sample", Msg: "not finite"}
	for _, c := range []struct {
		name   string
		p      *partial
		want   []string // per sample: status, length, finish
		reason string
	}{
		{"a request that can never succeed", &partial{err: user}, []string{"failed 0 error", "failed 0 error"}, "engine: user"},
		{"an error beside whole and partial sequences", &partial{err: malformed, seqs: []engine.Sequence{seq("b </think> 7 <eos>", engine.FinishStop), seq("b 4", engine.FinishAborted)}},
			[]string{" 4 stop", "failed 2 error"}, "engine: malformed"},
		{"a log-probability that is no number", &partial{seqs: []engine.Sequence{seq("b <eos>", engine.FinishStop), nan}}, []string{" 2 stop", "failed 2 error"}, "engine: malformed"},
		{"a token without policy", &partial{seqs: []engine.Sequence{seq("b <eos>", engine.FinishStop), unowned}}, []string{" 2 stop", "failed 3 error"}, "engine: malformed"},
		{"a sequence too few", &partial{seqs: []engine.Sequence{seq("b <eos>", engine.FinishStop)}}, []string{" 2 stop", "failed 0 error"}, "engine: malformed"},
		{"a stop without a token", &partial{seqs: []engine.Sequence{seq("b <eos>", engine.FinishStop), seq("", engine.FinishStop)}}, []string{" 2 stop", "failed 0 error"}, "engine: malformed"},
		{"more tokens than allowed", &partial{seqs: []engine.Sequence{seq("b <eos>", engine.FinishStop), seq(strings.Repeat("b ", 41), engine.FinishLength)}}, []string{" 2 stop", "failed 41 error"}, "engine: malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := testEnv(nil)
			env.Sampler = c.p
			out, err := run(t, "single", "", env, testTask(2))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range out {
				got = append(got, strings.Join([]string{string(r.Trace.Status), itoa(r.Trace.LengthTokens), string(r.Trace.Finish)}, " "))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if last := out[1].Trace; last.StatusReason != c.reason || last.Error == "" {
				t.Errorf("reason %q, error %q", last.StatusReason, last.Error)
			}
		})
	}
}

func TestPassingErrorsAreNotTheSamplesFault(t *testing.T) {
	for _, class := range []engine.Class{engine.Transient, engine.Busy, engine.PolicyGone, engine.Fatal} {
		env := testEnv(&script{fail: func(engine.SampleRequest) error { return &engine.Error{Class: class, Op: "sample"} }})
		if out, err := run(t, "single", "", env, testTask(2)); err == nil {
			t.Errorf("%s: %d rollouts instead of an error", class, len(out))
		}
	}
	env := testEnv(nil)
	env.Sampler = &partial{seqs: []engine.Sequence{seq("b", engine.FinishAborted)}}
	if out, err := run(t, "single", "", env, testTask(1)); err == nil {
		t.Errorf("aborted by the engine: %d rollouts instead of an error", len(out))
	}
}

func TestRetriesAskForTheSame(t *testing.T) {
	n := 0
	s := &script{texts: map[int]string{0: "7 <eos>"}, fail: func(engine.SampleRequest) error {
		if n++; n < 3 {
			return &engine.Error{Class: engine.Transient}
		}
		return nil
	}}
	env := testEnv(s)
	env.Retry = func(ctx context.Context, _ string, call func(context.Context) error) error {
		for {
			if err := call(ctx); err == nil {
				return nil
			}
		}
	}
	if _, err := run(t, "single", "", env, testTask(1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.calls[0], s.calls[2]); diff != "" || len(s.calls) != 3 {
		t.Errorf("%d calls, the last differs from the first:\n%s", len(s.calls), diff)
	}
}

func TestOptionsAreDecodedStrictly(t *testing.T) {
	for _, c := range []struct{ strategy, options, want string }{
		{"guess", "", `no strategy "guess"; there are single, anytime, modes, tools, turns, refine, forced, hints`},
		{"single", `{"budgets":[1]}`, `unknown field "budgets"`},
		{"single", `{} {}`, "more than one JSON value"},
		{"single", `[]`, "cannot unmarshal array"},
		{"anytime", `{"budgets":[8,4]}`, "must be positive and ascend"},
		{"anytime", `{"budgets":[4,4]}`, "must be positive and ascend"},
		{"anytime", `{"budgets":[0]}`, "must be positive and ascend"},
		{"anytime", `{"budgets":[]}`, "must be positive and ascend"},
		{"anytime", `{"budgets":[1.5]}`, "cannot unmarshal number 1.5"},
		{"anytime", `{"estimator":"luck"}`, `estimator is "luck", must be samples or probability`},
		{"anytime", `{"answers":0}`, "answers is 0"},
		{"anytime", `{"answer_tokens":0}`, "answer_tokens is 0"},
		{"tools", `{"max_calls":-1}`, "max_calls is -1"},
		{"tools", `{"call_seconds":0}`, "call_seconds is 0"},
		{"tools", `{"max_result_tokens":0}`, "max_result_tokens is 0"},
		{"tools", `{"price":-1}`, "price is -1"},
		{"modes", `{"modes":[]}`, "modes is empty"},
		{"modes", `{"modes":[{"name":"quick"}]}`, `modes[0].name is "quick", must be one of think, no-think, instant, reasoning, agentic, free`},
		{"modes", `{"modes":[{"name":"think","share":-1}]}`, "modes[0].share is -1"},
		{"modes", `{"modes":[{"name":"free","prefix":"b"}]}`, "modes[0] is free and forces something"},
		{"modes", `{"modes":[{"name":"think"},{"name":"think"}]}`, "a second time"},
		{"modes", `{"modes":[{"name":"think","prefix":"b"},{"name":"instant","prefix":"b"}]}`, "could not be told apart"},
		{"modes", `{"modes":[{"name":"think","opener":"b"}]}`, `unknown field "opener"`},
		{"modes", `{"held_out":"agentic"}`, `held_out is "agentic", must be free or one of modes`},
		{"modes", `{"call_seconds":0}`, "call_seconds is 0"},
		{"turns", `{"max_turns":0}`, "max_turns is 0"},
		{"turns", `{"turn_tokens":-1}`, "turn_tokens is -1"},
		{"turns", `{"open":""}`, "open is empty"},
		{"turns", `{"until":"bored"}`, `until is "bored", must be agree or max`},
		{"refine", `{"rounds":0}`, "rounds is 0"},
		{"refine", `{"draft_tokens":-1}`, "draft_tokens is -1"},
		{"refine", `{"open":""}`, "open is empty"},
		{"hints", `{"text":" "}`, "text is empty"},
		{"hints", `{"place":"margin"}`, `place is "margin", must be prompt or response`},
		{"hints", `{"budget_min":5}`, "budget_min and budget_max are 5 and 0"},
		{"hints", `{"budget_max":5}`, "budget_min and budget_max are 0 and 5"},
	} {
		if _, err := New(c.strategy, json.RawMessage(c.options)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: got %v, want %q", c.strategy, c.options, err, c.want)
		}
	}
}

func TestEveryStrategyIsDocumented(t *testing.T) {
	for _, name := range Names() {
		about, options, err := About(name)
		if err != nil || about == "" {
			t.Errorf("%s: %q, %v", name, about, err)
		}
		defaults := map[string]any{}
		for _, o := range options {
			if o.About == "" {
				t.Errorf("%s.%s says nothing", name, o.Name)
			}
			defaults[o.Name] = o.Default
		}
		b, err := json.Marshal(defaults)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(name, b); err != nil {
			t.Errorf("%s refuses its own documented defaults: %v", name, err)
		}
	}
	if _, _, err := About("x"); err == nil {
		t.Error("an unknown strategy was described")
	}
}

func TestStrategiesSayWhatTheyLack(t *testing.T) {
	for _, c := range []struct {
		strategy, options string
		spoil             func(*Env)
		want              string
	}{
		{"anytime", "", func(e *Env) { e.Markers.EndThink = "" }, "no end of thinking token"},
		{"anytime", "", func(e *Env) { e.Markers.EndThink = "</thought>" }, `no token "</thought>"`},
		{"anytime", "", func(e *Env) {}, "needs a grader on the worker"},
		{"tools", "", func(e *Env) {}, "this data has no tools"},
		{"tools", "", func(e *Env) { e.Tools, e.Markers.Result = []Tool{calculator}, "" }, "no result token"},
	} {
		env := testEnv(&script{texts: map[int]string{0: "b </think> 7 <eos>"}})
		c.spoil(env)
		s, err := New(c.strategy, json.RawMessage(c.options))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Run(t.Context(), env, testTask(1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.strategy, err, c.want)
		}
	}
}

func TestARunThatIsCancelledIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	env := testEnv(&script{fail: func(engine.SampleRequest) error {
		cancel()
		return &engine.Error{Class: engine.User, Err: context.Canceled}
	}})
	s, err := New("single", nil)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Run(ctx, env, testTask(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %d rollouts, %v", len(out), err)
	}
}

package strategy

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pith/datasets"
	"pith/rollout/engine"
	"pith/traces"
)

func nanValue() float64   { return math.NaN() }
func itoa(n int32) string { return strconv.Itoa(int(n)) }

// calculator adds "a + b".
var calculator = FuncTool("calculator", func(_ datasets.Problem, arguments string) (string, bool) {
	f := strings.Fields(arguments)
	if len(f) != 3 || f[1] != "+" {
		return "", false
	}
	a, errA := strconv.Atoi(f[0])
	b, errB := strconv.Atoi(f[2])
	return strconv.Itoa((a + b) % 10), errA == nil && errB == nil
})

// inserted counts the tokens between result markers, which scripts do not say.
func inserted(prefix []int32) (n int) {
	open, end := ids("<result>")[0], ids("</result>")[0]
	inside := false
	for _, id := range prefix {
		if inside = inside || id == open; inside {
			n++
		}
		if id == end {
			inside = false
		}
	}
	return n
}

func toolEnv(texts ...string) *Env {
	s := &script{texts: map[int]string{}, inserted: inserted}
	for i, text := range texts {
		s.texts[i] = text
	}
	env := testEnv(s)
	env.Tools = []Tool{calculator}
	return env
}

func TestCallsAreExecutedAndTheirResultsInserted(t *testing.T) {
	for _, c := range []struct {
		name, options, text, want string
		calls                     []traces.ToolCall
		finish                    traces.Finish
	}{
		{"one call", "", "b <tool> 3 + 4 </tool> </think> 7 <eos>",
			"think[b] tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] think[</think>] answer[7 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Result: "7", Start: 1, End: 6, Tokens: 3}}, traces.FinishStop},
		{"no call", "", "b </think> 7 <eos>", "think[b </think>] answer[7 <eos>]", nil, traces.FinishStop},
		{"two calls in a row", "", "<tool> 3 + 4 </tool> <tool> 7 + 1 </tool> </think> 8 <eos>",
			"tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] tool_call[<tool> 7 + 1 </tool>] tool_result![<result> 8 </result>] think[</think>] answer[8 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Result: "7", Start: 0, End: 5, Tokens: 3}, {Name: "calculator", Arguments: "7 + 1", Result: "8", Start: 8, End: 13, Tokens: 3}}, traces.FinishStop},
		{"malformed arguments", "", "<tool> 3 + </tool> </think> 7 <eos>",
			"tool_call[<tool> 3 + </tool>] tool_result![<result> </result>] think[</think>] answer[7 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 +", Error: "malformed arguments", Start: 0, End: 4, Tokens: 2}}, traces.FinishStop},
		{"an end without a start", "", "b 3 </tool> </think> 7 <eos>",
			"think[b 3] tool_call[</tool>] tool_result![<result> </result>] think[</think>] answer[7 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Error: "no start of a call in this turn", Start: 2, End: 3, Tokens: 2}}, traces.FinishStop},
		{"the last of two starts counts", "", "<tool> 9 <tool> 3 + 4 </tool> </think> 7 <eos>",
			"think[<tool> 9] tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] think[</think>] answer[7 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Result: "7", Start: 2, End: 7, Tokens: 3}}, traces.FinishStop},
		{"a call in the answer", "", "b </think> <tool> 3 + 4 </tool> 7 <eos>",
			"think[b </think>] tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] answer[7 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Result: "7", Start: 2, End: 7, Tokens: 3}}, traces.FinishStop},
		{"a call over the end of the thought", "", "b <tool> </think> </tool> 7 <eos>",
			"think[b] tool_call[<tool> </think> </tool>] tool_result![<result> </result>] answer[7 <eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "</think>", Error: "malformed arguments", Start: 1, End: 4, Tokens: 2}}, traces.FinishStop},
		{"a call too many", `{"max_calls":1}`, "<tool> 3 + 4 </tool> <tool> 7 + 1 </tool> </think> 8 <eos>",
			"tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] tool_call[<tool> 7 + 1 </tool>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Result: "7", Start: 0, End: 5, Tokens: 3}, {Name: "calculator", Arguments: "7 + 1", Error: "not executed: the limit is 1 calls", Start: 8, End: 13}}, traces.FinishLength},
		{"no calls allowed", `{"max_calls":0}`, "<tool> 3 + 4 </tool> </think> 7 <eos>", "tool_call[<tool> 3 + 4 </tool>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Error: "not executed: the limit is 0 calls", Start: 0, End: 5}}, traces.FinishLength},
		{"a price", `{"price":0.25}`, "<tool> 3 + 4 </tool> <eos>",
			"tool_call[<tool> 3 + 4 </tool>] tool_result![<result> 7 </result>] think[<eos>]",
			[]traces.ToolCall{{Name: "calculator", Arguments: "3 + 4", Result: "7", Start: 0, End: 5, Tokens: 3, Price: 0.25}}, traces.FinishStop},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := run(t, "tools", c.options, toolEnv(c.text), testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			tr := out[0].Trace
			if got := parts(tr); got != c.want || tr.Finish != c.finish {
				t.Errorf("got  %s (%s)\nwant %s (%s)", got, tr.Finish, c.want, c.finish)
			}
			if diff := cmp.Diff(c.calls, tr.ToolCalls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if want := int32(len(tr.ToolCalls)); c.finish == traces.FinishStop && tr.Turns != want+1 {
				t.Errorf("%d turns for %d calls", tr.Turns, want)
			}
		})
	}
}

func TestTheLimitCountsWhatThePolicySampled(t *testing.T) {
	tk := testTask(1)
	tk.Params.MaxTokens = 7 // 5 for the call, 2 after it; the 3 of the result are not the policy's
	out, err := run(t, "tools", "", toolEnv("<tool> 3 + 4 </tool> b b b b b <eos>"), tk)
	if err != nil {
		t.Fatal(err)
	}
	if tr := out[0].Trace; tr.LengthTokens != 7 || tr.InjectedTokens != 3 || tr.Finish != traces.FinishLength {
		t.Errorf("length %d, injected %d, finish %s; want 7, 3, length", tr.LengthTokens, tr.InjectedTokens, tr.Finish)
	}
	tk.Params.MaxTokens = 5 // used up by the call
	out, err = run(t, "tools", "", toolEnv("<tool> 3 + 4 </tool> b <eos>"), tk)
	if err != nil {
		t.Fatal(err)
	}
	if tr := out[0].Trace; tr.LengthTokens != 5 || tr.Finish != traces.FinishLength || tr.ToolCalls[0].Result != "7" {
		t.Errorf("length %d, finish %s, calls %+v", tr.LengthTokens, tr.Finish, tr.ToolCalls)
	}
}

func TestContinuationsKeepTheSamplesRandomStream(t *testing.T) {
	env := toolEnv("7 <eos>", "<tool> 3 + 4 </tool> 7 <eos>")
	tk := testTask(2)
	if _, err := run(t, "tools", "", env, tk); err != nil {
		t.Fatal(err)
	}
	calls := env.Sampler.(*script).calls
	if len(calls) != 2 {
		t.Fatalf("%d engine calls, want 2", len(calls))
	}
	r := calls[1]
	want := ids("<tool> 3 + 4 </tool> <result> 7 </result>")
	if r.First != 1 || r.N != 1 || r.Params.Seed != tk.Params.Seed || r.Params.MaxTokens != len(want)+tk.Params.MaxTokens-5 || !cmp.Equal(r.Prefix, want) {
		t.Errorf("the continuation asks for %+v", r)
	}
	if diff := cmp.Diff(ids("<eos>"), tk.Params.StopTokens); diff != "" {
		t.Errorf("the task was changed:\n%s", diff)
	}
}

// toolFunc is a tool that can do anything.
type toolFunc func(context.Context, string) (string, error)

func (toolFunc) Name() string { return "odd" }
func (f toolFunc) Call(ctx context.Context, _ datasets.Problem, arguments string) (string, error) {
	return f(ctx, arguments)
}

func TestNoToolCanHurtARollout(t *testing.T) {
	for _, c := range []struct {
		name, options string
		tool          toolFunc
		want          traces.ToolCall
	}{
		{"it hangs", `{"call_seconds":0.05}`, func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			time.Sleep(20 * time.Millisecond)
			return "9", nil
		},
			traces.ToolCall{Error: "no result within 50ms", Tokens: 2}},
		{"it panics", "", func(context.Context, string) (string, error) { panic("boom") }, traces.ToolCall{Error: "the tool panicked: boom", Tokens: 2}},
		{"it fails", "", func(context.Context, string) (string, error) { return "9", errors.New("no such page") }, traces.ToolCall{Error: "no such page", Tokens: 2}},
		{"it says what the policy cannot read", "", func(context.Context, string) (string, error) { return "zebra", nil },
			traces.ToolCall{Error: `the result is not in the policy's vocabulary: no token "zebra"`, Tokens: 2}},
		{"it says too much", `{"max_result_tokens":2}`, func(context.Context, string) (string, error) { return "1 2 3 4", nil }, traces.ToolCall{Result: "1 2", Tokens: 4}},
		{"it says nothing", "", func(context.Context, string) (string, error) { return "", nil }, traces.ToolCall{Tokens: 2}},
		{"it fails in bytes that are no text", "", func(context.Context, string) (string, error) { return "", errors.New("\xff") }, traces.ToolCall{Error: "\uFFFD", Tokens: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := toolEnv("<tool> 3 </tool> </think> 7 <eos>")
			env.Tools = []Tool{c.tool}
			out, err := run(t, "tools", c.options, env, testTask(1))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Name, c.want.Arguments, c.want.Start, c.want.End = "odd", "3", 0, 3
			if diff := cmp.Diff([]traces.ToolCall{c.want}, out[0].Trace.ToolCalls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if out[0].Trace.Finish != traces.FinishStop {
				t.Errorf("finish %s", out[0].Trace.Finish)
			}
		})
	}
}

func TestOneOfSeveralToolsIsNamedByTheCall(t *testing.T) {
	env := toolEnv("<tool> a 3 + 4 </tool> <tool> b 3 </tool> <tool> c </tool> <eos>")
	env.Tools = []Tool{FuncTool("a", func(p datasets.Problem, args string) (string, bool) { return calculatorResult(p, args) }), toolNamed("b")}
	out, err := run(t, "tools", "", env, testTask(1))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range out[0].Trace.ToolCalls {
		got = append(got, c.Name+"("+c.Arguments+") = "+c.Result+c.Error)
	}
	want := []string{"a(3 + 4) = 7", "b(3) = 5", `c() = no tool "c"; there are a, b`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func calculatorResult(p datasets.Problem, args string) (string, bool) {
	s, err := calculator.Call(context.Background(), p, args)
	return s, err == nil
}

func toolNamed(name string) Tool {
	return FuncTool(name, func(datasets.Problem, string) (string, bool) { return "5", true })
}

func TestAFailureBetweenCallsKeepsWhatThereIs(t *testing.T) {
	env := toolEnv("<tool> 3 + 4 </tool> </think> 7 <eos>", "</think> 7 <eos>")
	env.Sampler.(*script).fail = func(r engine.SampleRequest) error {
		if len(r.Prefix) > 0 {
			return &engine.Error{Class: engine.User, Op: "sample", Msg: "prefix too long"}
		}
		return nil
	}
	out, err := run(t, "tools", "", env, testTask(2))
	if err != nil {
		t.Fatal(err)
	}
	if tr := out[0].Trace; tr.Status != traces.Failed || tr.LengthTokens != 5 || tr.InjectedTokens != 3 || len(tr.ToolCalls) != 1 {
		t.Errorf("got %+v", tr)
	}
	if tr := out[1].Trace; tr.Status != "" || tr.Finish != traces.FinishStop {
		t.Errorf("the other sample: %+v", tr)
	}
}

func TestToolSecondsAreInTheTiming(t *testing.T) {
	env := toolEnv("<tool> 3 </tool> <eos>")
	clock := time.Unix(0, 0)
	env.Now = func() time.Time { return clock }
	env.Tools = []Tool{toolFunc(func(context.Context, string) (string, error) { clock = clock.Add(2 * time.Second); return "1", nil })}
	out, err := run(t, "tools", "", env, testTask(1))
	if err != nil {
		t.Fatal(err)
	}
	if got := out[0].Timing.Tools; got != 2 {
		t.Errorf("%v tool seconds, want 2", got)
	}
}

package traces

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidTracesPass(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := validTrace().Draw(rt, "trace")
		if err := Validate(&tr); err != nil {
			rt.Fatal(err)
		}
	})
}

// toolTrace has every kind of segment: think, call, result, think, injected cut, answer.
func toolTrace() Trace {
	t := plainTrace(1, "g", 0)
	t.Tokens = []int32{1, 2, 3, 4, 5, 6, 7}
	t.LogProbs = []float32{-1, -1, 0, -1, 0, -1, -1}
	t.Segments = []Segment{{Think, 0, 1, true}, {ToolCallBy, 1, 2, true}, {ToolResult, 2, 3, false}, {Think, 3, 4, true}, {Injected, 4, 5, false}, {Answer, 5, 7, false}}
	t.Spans = []Span{{Policy: "p", Start: 0, End: 2}, {Policy: "p", Start: 3, End: 4}, {Policy: "p", Start: 5, End: 6}, {Policy: "q", Start: 6, End: 7}}
	t.LengthTokens, t.InjectedTokens = 5, 2
	t.ToolCalls = []ToolCall{{Name: "clock", Start: 1, End: 2, Tokens: 1}}
	return t
}

func TestEveryRuleIsEnforced(t *testing.T) {
	if tr := toolTrace(); Validate(&tr) != nil {
		t.Fatal(Validate(&tr))
	}
	for _, c := range []struct {
		name  string
		spoil func(*Trace)
		want  string
	}{
		{"turns that leave tokens out", func(t *Trace) { t.TurnRanges = []TurnRange{{End: 6, TextEnd: int32(len(t.Text))}} }, "turn_ranges cover 6 of 7 tokens"},
		{"turns that overlap", func(t *Trace) { t.TurnRanges = []TurnRange{{End: 3}, {Start: 2, End: 7, TextEnd: int32(len(t.Text))}} }, "turn_ranges[1] is tokens [2,7)"},
		{"a turn beyond the text", func(t *Trace) { t.TurnRanges = []TurnRange{{End: 7, TextEnd: 99}} }, "turn_ranges[0] is tokens [0,7), text [0,99)"},
		{"no id", func(t *Trace) { t.ID = "" }, "trace without id is invalid: id is empty"},
		{"no run", func(t *Trace) { t.Run = "" }, "run is empty"},
		{"no split", func(t *Trace) { t.Split = "" }, "split is empty"},
		{"negative step", func(t *Trace) { t.Step = -1 }, "step is -1"},
		{"negative sample", func(t *Trace) { t.Sample = -1 }, "sample is -1"},
		{"bytes that are no text", func(t *Trace) { t.Text = "a\xff" }, "text is not valid UTF-8"},
		{"a log-probability short", func(t *Trace) { t.LogProbs = t.LogProbs[:6] }, "6 logprobs for 7 tokens"},
		{"a NaN log-probability", func(t *Trace) { t.LogProbs[0] = float32(math.NaN()) }, "logprobs[0] is NaN"},
		{"an infinite log-probability", func(t *Trace) { t.LogProbs[0] = float32(math.Inf(-1)) }, "logprobs[0] is -Inf"},
		{"a probability above one", func(t *Trace) { t.LogProbs[1] = 0.5 }, "logprobs[1] is 0.5"},
		{"a negative token", func(t *Trace) { t.Tokens[3] = -1 }, "tokens[3] is -1"},
		{"a negative prompt token", func(t *Trace) { t.PromptTokens[1] = -1 }, "prompt_tokens[1] is -1"},
		{"no finish", func(t *Trace) { t.Finish = "" }, `finish is ""`},
		{"an error without words", func(t *Trace) { t.Finish = FinishError }, "error is empty"},
		{"a segment of unknown kind", func(t *Trace) { t.Segments[0].Kind = "thought" }, `unknown kind "thought"`},
		{"a gap between segments", func(t *Trace) { t.Segments[1].Start = 2 }, "segments[1] is [2,2), must begin at 1"},
		{"segments out of order", func(t *Trace) { t.Segments[0], t.Segments[1] = t.Segments[1], t.Segments[0] }, "segments[0] is [1,2), must begin at 0"},
		{"an empty segment", func(t *Trace) { t.Segments[0].End = 0 }, "segments[0] is [0,0)"},
		{"a segment past the end", func(t *Trace) { t.Segments[5].End = 8 }, "segments[5] is [5,8)"},
		{"tokens without segment", func(t *Trace) { t.Segments = t.Segments[:5] }, "segments cover 5 of 7 tokens"},
		{"a trained tool result", func(t *Trace) { t.Segments[2].Train = true }, "segments[2] (tool_result) is trained on"},
		{"a log-probability of injected text", func(t *Trace) { t.LogProbs[4] = -1 }, "logprobs[4] is -1 in a segment of kind injected"},
		{"a wrong length", func(t *Trace) { t.LengthTokens = 7 }, "length_tokens 7"},
		{"a wrong injected length", func(t *Trace) { t.InjectedTokens = 0 }, "injected_tokens 0"},
		{"no spans", func(t *Trace) { t.Spans = nil }, "no span covers the sampled token 0"},
		{"a span over a tool result", func(t *Trace) { t.Spans[0].End = 3 }, "spans[0] is [0,3)"},
		{"a gap between spans", func(t *Trace) { t.Spans[3].Start = 7 }, "spans[3] is [7,7), must begin at 6"},
		{"overlapping spans", func(t *Trace) { t.Spans[3].Start = 5 }, "spans[3] is [5,7), must begin at 6"},
		{"a span too many", func(t *Trace) { t.Spans = append(t.Spans, Span{Policy: "p", Start: 4, End: 5}) }, "holds no sampled token"},
		{"a span without policy", func(t *Trace) { t.Spans[1].Policy = "" }, "spans[1] names no policy"},
		{"a call outside the tokens", func(t *Trace) { t.ToolCalls[0].End = 8 }, "tool_calls[0] is [1,8)"},
		{"a call of infinite price", func(t *Trace) { t.ToolCalls[0].Price = math.Inf(1) }, "tool_calls[0].price is +Inf"},
		{"a tool result that is no text", func(t *Trace) { t.ToolCalls[0].Result = "\xff" }, "tool_calls[0].result is not valid UTF-8"},
		{"a score without budget", func(t *Trace) { t.BudgetScores = []float64{1} }, "1 budget_scores for 0 budgets"},
		{"budgets out of order", func(t *Trace) { t.Budgets, t.BudgetScores = []int32{8, 4}, []float64{0, 1} }, "budgets[1] is 4, must ascend"},
		{"a score above one", func(t *Trace) { t.Budgets, t.BudgetScores = []int32{4}, []float64{1.5} }, "budget_scores[0] is 1.5"},
		{"a NaN score", func(t *Trace) { t.Budgets, t.BudgetScores = []int32{4}, []float64{math.NaN()} }, "budget_scores[0] is NaN"},
		{"an unknown verdict", func(t *Trace) { t.Verdict = "maybe" }, `verdict is "maybe"`},
		{"an unknown status", func(t *Trace) { t.Status = "lost" }, `status is "lost"`},
		{"a NaN reward", func(t *Trace) { t.Reward = math.NaN() }, "reward is NaN"},
		{"an infinite advantage", func(t *Trace) { t.Advantage = math.Inf(1) }, "advantage is +Inf"},
		{"a NaN term", func(t *Trace) { t.Terms = []Term{{"length", math.NaN()}} }, "reward_terms[0] (length) is NaN"},
		{"a NaN entropy", func(t *Trace) { x := math.NaN(); t.Entropy = &x }, "entropy is NaN"},
		{"overlapping token advantages", func(t *Trace) { t.TokenAdvantages = []TokenAdvantage{{0, 3, 1}, {2, 4, 1}} }, "token_advantages[1] is [2,4)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := toolTrace()
			c.spoil(&tr)
			if err := Validate(&tr); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	tr := toolTrace()
	tr.Run, tr.Temperature, tr.Verdict = "", math.NaN(), "maybe"
	err, ok := errors.AsType[*InvalidError](Validate(&tr))
	if !ok || len(err.Problems) != 3 {
		t.Errorf("got %v, want three problems", err)
	}
}

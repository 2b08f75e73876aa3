package traces

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"
)

// validTrace draws a trace that Validate accepts, with everything the record can hold.
func validTrace() *rapid.Generator[Trace] {
	text := rapid.StringN(0, 12, 40)
	number := rapid.Float64Range(-4, 4)
	return rapid.Custom(func(rt *rapid.T) Trace {
		t := Trace{
			Run: "run", Step: rapid.Int64Range(0, 1000).Draw(rt, "step"), Split: "train",
			Group: fmt.Sprintf("g%d", rapid.IntRange(0, 9).Draw(rt, "group")), Sample: rapid.Int32Range(0, 15).Draw(rt, "sample"),
			Problem: text.Draw(rt, "problem"), Seed: rapid.Uint64().Draw(rt, "seed"), Dataset: "clock", Level: 3,
			Gold: text.Draw(rt, "gold"), PromptText: text.Draw(rt, "prompt"),
			PromptTokens: rapid.SliceOfN(rapid.Int32Range(0, 1<<20), 0, 9).Draw(rt, "prompt tokens"),
			Text:         text.Draw(rt, "text"), Finish: FinishStop, Temperature: 1, Mode: "think", Turns: 1,
			Verdict: Right, Extracted: "4", Formatted: true, Reward: number.Draw(rt, "reward"),
			Advantage: number.Draw(rt, "advantage"), Status: Trained,
			Reference: Reference{Tokens: 12, TokenBudget: 7},
		}
		t.ID = fmt.Sprintf("%s/%d/%s", t.Group, t.Sample, rapid.StringMatching(`[a-z]{4}`).Draw(rt, "id"))
		kinds := rapid.SliceOfN(rapid.SampledFrom([]SegmentKind{Think, Answer, ToolCallBy, ToolResult, Injected, Summary, Forced}), 0, 6).Draw(rt, "kinds")
		for i, kind := range kinds {
			start := int32(len(t.Tokens))
			for range rapid.IntRange(1, 12).Draw(rt, "length") {
				t.Tokens = append(t.Tokens, rapid.Int32Range(0, 150000).Draw(rt, "token"))
				lp := float32(0)
				if kind.Sampled() {
					lp = rapid.Float32Range(-30, 0).Draw(rt, "logprob")
				}
				t.LogProbs = append(t.LogProbs, lp)
			}
			end := int32(len(t.Tokens))
			t.Segments = append(t.Segments, Segment{Kind: kind, Start: start, End: end, Train: kind.Sampled() && rapid.Bool().Draw(rt, "train")})
			if !kind.Sampled() {
				t.InjectedTokens += end - start
				continue
			}
			t.LengthTokens += end - start
			t.Spans = append(t.Spans, Span{Policy: fmt.Sprintf("p%d", i), Version: int64(i), Start: start, End: end})
			if kind == ToolCallBy {
				t.ToolCalls = append(t.ToolCalls, ToolCall{Name: "clock", Arguments: text.Draw(rt, "arguments"), Start: start, End: end, Tokens: 3, Price: 0.5})
			}
			t.TokenAdvantages = append(t.TokenAdvantages, TokenAdvantage{Start: start, End: end, Value: number.Draw(rt, "token advantage")})
		}
		budgets := rapid.SliceOfNDistinct(rapid.Int32Range(1, 64), 0, 4, rapid.ID[int32]).Draw(rt, "budgets")
		slices.Sort(budgets)
		for _, b := range budgets {
			t.Budgets = append(t.Budgets, b)
			t.BudgetScores = append(t.BudgetScores, rapid.Float64Range(0, 1).Draw(rt, "score"))
		}
		if rapid.Bool().Draw(rt, "has entropy") {
			entropy := rapid.Float64Range(0, 3).Draw(rt, "entropy")
			t.Entropy = &entropy
		}
		if n := int32(len(t.Tokens)); n > 1 && rapid.Bool().Draw(rt, "has turns") {
			score, cut := 0.5, rapid.Int32Range(1, n-1).Draw(rt, "turn")
			t.TurnRanges = []TurnRange{{Start: 0, End: cut, Score: &score}, {Start: cut, End: n, TextEnd: int32(len(t.Text))}}
			t.BaseLoss, t.ReferenceKL = &score, &score
		}
		t.Terms = []Term{{"correctness", 1}, {"length", number.Draw(rt, "length term")}}
		return t
	})
}

// plainTrace is a small valid trace with the given identity.
func plainTrace(step int64, group string, sample int32) Trace {
	return Trace{
		Run: "run", Step: step, Split: "train", Group: group, ID: fmt.Sprintf("%s/%d", group, sample), Sample: sample,
		PromptTokens: []int32{1, 2}, Tokens: []int32{5, 6, 7}, LogProbs: []float32{-1, -0.5, -2}, Text: "b 4 </think>",
		Segments: []Segment{{Think, 0, 2, true}, {Answer, 2, 3, true}}, Spans: []Span{{Policy: "base", Start: 0, End: 3}},
		Finish: FinishStop, LengthTokens: 3, Temperature: 1,
	}
}

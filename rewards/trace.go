package rewards

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"pith/traces"
)

// FromTrace is what a method may read of a recorded trace. A trace without a verdict has no score.
func FromTrace(t *traces.Trace) Sample {
	s := Sample{
		ID: t.ID, Formatted: t.Formatted, Truncated: t.Finish == traces.FinishLength, Tokens: int(t.LengthTokens),
		Chars: thinkingChars(t.Text), Mode: t.Mode, Turns: int(t.Turns), ToolCalls: len(t.ToolCalls), Entropy: t.Entropy,
		BudgetScores: t.BudgetScores, Text: t.Text, Segments: t.Segments,
		PromptTokens: len(t.PromptTokens),
	}
	switch t.Verdict {
	case traces.Right:
		s.Correct = &yes
	case traces.Wrong:
		s.Correct = &no
	}
	if len(t.ToolCalls) > 0 {
		first := int(t.ToolCalls[0].Start)
		s.FirstToolToken = &first
	}
	if len(t.BudgetScores) == 0 {
		s.BudgetScores = nil
	}
	return s
}

var yes, no = true, false

// thinkingChars counts the characters before the end of thinking, or all of them without a marker.
func thinkingChars(text string) int {
	thinking, _, _ := strings.Cut(text, "</think>")
	return utf8.RuneCountInString(strings.TrimPrefix(thinking, "<think>"))
}

// GroupsFromTraces rebuilds the groups of one step from recorded traces, so that rewards and
// advantages can be recomputed from the log alone. Groups keep the order of their first trace,
// samples are sorted by index. The problem is read from the group's first trace.
func GroupsFromTraces(rows []traces.Trace) []Group {
	var groups []Group
	at := map[string]int{}
	members := [][]int{}
	for i := range rows {
		t := &rows[i]
		k, ok := at[t.Group]
		if !ok {
			k = len(groups)
			at[t.Group] = k
			groups = append(groups, Group{ID: t.Group, Step: t.Step, Problem: problemOf(t)})
			members = append(members, nil)
		}
		members[k] = append(members[k], i)
	}
	for k := range groups {
		slices.SortStableFunc(members[k], func(a, b int) int { return cmp.Compare(rows[a].Sample, rows[b].Sample) })
		groups[k].Samples = make([]Sample, len(members[k]))
		for j, i := range members[k] {
			groups[k].Samples[j] = FromTrace(&rows[i])
		}
	}
	return groups
}

func problemOf(t *traces.Trace) ProblemInfo {
	p := ProblemInfo{
		ID: t.Problem, Gold: t.Gold, Difficulty: int(t.Level), ReferenceAccuracy: t.Reference.Accuracy,
		ReferenceTokens: t.Reference.Tokens, TokenBudget: int(t.Reference.TokenBudget),
	}
	for _, b := range t.Budgets {
		p.Budgets = append(p.Budgets, int(b))
	}
	return p
}

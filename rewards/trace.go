package rewards

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"pith/traces"
)

// FromTrace is what a method may read of a recorded trace. A trace without a verdict has no score,
// nor has one that failed on the way, whatever was made of its text.
func FromTrace(t *traces.Trace) Sample {
	s := Sample{
		ID: t.ID, Formatted: t.Formatted, Truncated: t.Finish == traces.FinishLength, Tokens: int(t.LengthTokens),
		Chars: charsOf(t), Mode: t.Mode, Turns: int(t.Turns), ToolCalls: len(t.ToolCalls), Entropy: t.Entropy,
		BudgetScores: t.BudgetScores, Text: t.Text, Segments: t.Segments,
		PromptTokens: len(t.PromptTokens), BaseLoss: t.BaseLoss, ReferenceKL: t.ReferenceKL,
	}
	switch failed := t.Status == traces.Failed || t.Status == traces.DeadLettered; {
	case failed:
	case t.Verdict == traces.Right:
		s.Correct = &yes
	case t.Verdict == traces.Wrong:
		s.Correct = &no
	}
	describeText(&s, t.Text)
	precision, recall := coverage(t)
	s.Precision, s.Recall = &precision, &recall
	if len(t.ToolCalls) > 0 {
		first := int(t.ToolCalls[0].Start)
		s.FirstToolToken = &first
	}
	if len(t.BudgetScores) == 0 {
		s.BudgetScores = nil
	}
	turnsOf(t, &s)
	return s
}

// turnsOf fills what is known of a response's turns. The score of a turn that the grader could not
// judge is NaN; where none was graded they are missing.
func turnsOf(t *traces.Trace, s *Sample) {
	graded := false
	for _, r := range t.TurnRanges {
		score := math.NaN()
		if r.Score != nil {
			score, graded = *r.Score, true
		}
		s.TurnEnds = append(s.TurnEnds, int(r.End))
		s.TurnTexts = append(s.TurnTexts, t.Text[r.TextStart:r.TextEnd])
		s.TurnScores = append(s.TurnScores, score)
	}
	if !graded && len(s.TurnEnds) > 0 {
		s.TurnScores = nil
		s.Missing |= FieldTurnScores
	}
}

var yes, no = true, false

// charsOf counts the characters of the thought, of all thoughts where there are several turns.
func charsOf(t *traces.Trace) int {
	if len(t.TurnRanges) == 0 {
		return thinkingChars(t.Text)
	}
	n := 0
	for _, r := range t.TurnRanges {
		n += thinkingChars(strings.TrimSpace(t.Text[r.TextStart:r.TextEnd]))
	}
	return n
}

// thinkingChars counts the characters before the end of thinking, or all of them without a marker.
func thinkingChars(text string) int {
	thinking, _, _ := strings.Cut(text, "</think>")
	return utf8.RuneCountInString(strings.TrimPrefix(thinking, "<think>"))
}

// GroupsFromTraces rebuilds the groups of one step from recorded traces, so that rewards and
// advantages can be recomputed from the log alone. Groups are sorted by id and samples by index, as
// in the log, so that sums run in the same order whatever the order of arrival: score what this
// function returns, and a replay gives the same bits. The problem is read from a group's first
// sample, its budgets from the first that has any.
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
			groups = append(groups, Group{ID: t.Group})
			members = append(members, nil)
		}
		members[k] = append(members[k], i)
	}
	for k := range groups {
		slices.SortStableFunc(members[k], func(a, b int) int {
			return cmp.Or(cmp.Compare(rows[a].Sample, rows[b].Sample), cmp.Compare(rows[a].ID, rows[b].ID))
		})
		g, first := &groups[k], &rows[members[k][0]]
		g.Step, g.Problem = first.Step, problemOf(first)
		g.Samples = make([]Sample, len(members[k]))
		for j, i := range members[k] {
			g.Samples[j] = FromTrace(&rows[i])
			if rows[i].Status == traces.Filtered && strings.HasPrefix(rows[i].StatusReason, ReasonSampling) {
				g.Excluded = rows[i].StatusReason // a trace without a score has a reason of its own
			}
			if g.Problem.Budgets == nil {
				g.Problem.Budgets = budgetsOf(&rows[i])
			}
		}
	}
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.ID, b.ID) })
	return groups
}

func problemOf(t *traces.Trace) ProblemInfo {
	return ProblemInfo{
		ID: t.Problem, Gold: t.Gold, Difficulty: int(t.Level), ReferenceAccuracy: t.Reference.Accuracy,
		ReferenceTokens: t.Reference.Tokens, TokenBudget: int(t.Reference.TokenBudget),
	}
}

func budgetsOf(t *traces.Trace) []int {
	var out []int
	for _, b := range t.Budgets {
		out = append(out, int(b))
	}
	return out
}

package rewards

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// InputError says which input a method cannot use, and why. Trace is empty where the group or its
// problem is at fault.
type InputError struct {
	Group, Trace, Field string
	Problem             string
}

// Error is one line that names group, trace and field.
func (e *InputError) Error() string {
	if e.Trace == "" {
		return fmt.Sprintf("group %q: field %s: %s", e.Group, e.Field, e.Problem)
	}
	return fmt.Sprintf("group %q: trace %q: field %s: %s", e.Group, e.Trace, e.Field, e.Problem)
}

// maxCount is the largest count that a float64 holds exactly.
const maxCount = 1 << 53

// present is the set of fields that a sample has.
func (s *Sample) present() Field {
	have := ^Field(0)
	if s.Entropy == nil {
		have &^= FieldEntropy
	}
	if s.BudgetScores == nil {
		have &^= FieldBudgetScores
	}
	if s.BaseLoss == nil {
		have &^= FieldBaseLoss
	}
	if s.ReferenceKL == nil {
		have &^= FieldReferenceKL
	}
	if s.Precision == nil {
		have &^= FieldPrecision
	}
	if s.Recall == nil {
		have &^= FieldRecall
	}
	if s.Payoff == nil {
		have &^= FieldPayoff
	}
	if s.Values == nil {
		have &^= FieldValues
	}
	return have &^ s.Missing
}

// scored says whether the sample takes part: a verdict is there, or none was ever asked for.
func (s *Sample) scored() bool {
	return s.Correct != nil || s.Missing&FieldCorrect != 0
}

// CheckGroup refuses a group that Score would refuse, with the same error.
func (m *Method) CheckGroup(g *Group) error { return m.check(g) }

// check refuses a group that lacks what the method needs or holds what no method can use.
func (m *Method) check(g *Group) error {
	bad := func(trace, field, format string, args ...any) error {
		return &InputError{Group: g.ID, Trace: trace, Field: field, Problem: fmt.Sprintf(format, args...)}
	}
	p := &g.Problem
	if m.needs&FieldReferenceAccuracy != 0 && p.ReferenceAccuracy == nil {
		return bad("", "problem.reference_accuracy", "missing, and %s needs it", m.name)
	}
	if m.needs&FieldReferenceTokens != 0 && p.ReferenceTokens == 0 {
		return bad("", "problem.reference_tokens", "missing, and %s needs it", m.name)
	}
	if m.needs&FieldTokenBudget != 0 && p.TokenBudget == 0 {
		return bad("", "problem.token_budget", "missing, and %s needs it", m.name)
	}
	if m.needs&FieldStep != 0 && g.NoStep {
		return bad("", "step", "missing, and %s needs it", m.name)
	}
	if g.Step < 0 {
		return bad("", "step", "want at least 0, got %d", g.Step)
	}
	if !share(p.ReferenceAccuracy) {
		return bad("", "problem.reference_accuracy", "want a number from 0 to 1, got %v", *p.ReferenceAccuracy)
	}
	if !share(p.HistoryAccuracy) {
		return bad("", "problem.history_accuracy", "want a number from 0 to 1, got %v", *p.HistoryAccuracy)
	}
	if !(p.ReferenceTokens >= 0 && p.ReferenceTokens <= maxCount) {
		return bad("", "problem.reference_tokens", "want a number of tokens, got %v", p.ReferenceTokens)
	}
	if !(p.HistoryShortest >= 0 && p.HistoryShortest <= maxCount) {
		return bad("", "problem.history_shortest", "want a number of tokens, got %v", p.HistoryShortest)
	}
	if p.TokenBudget < 0 || p.TokenBudget > maxCount {
		return bad("", "problem.token_budget", "want a number of tokens, got %d", p.TokenBudget)
	}
	if p.BestKnownCalls != nil && *p.BestKnownCalls < 0 {
		return bad("", "problem.best_known_calls", "want at least 0, got %d", *p.BestKnownCalls)
	}
	for i, b := range p.Budgets {
		if b < 1 || b > maxCount || i > 0 && b <= p.Budgets[i-1] {
			return bad("", "problem.budgets", "want increasing token counts from 1, got %v", p.Budgets)
		}
	}
	for i := range g.Samples {
		s := &g.Samples[i]
		if s.Correct == nil && s.Missing&FieldCorrect == 0 {
			continue // no score: nothing of it is read
		}
		if lacking := m.needs & sampleFields &^ s.present(); lacking != 0 {
			return bad(s.ID, lacking.Names()[0], "missing, and %s needs it", m.name)
		}
		if m.needs&FieldMode != 0 && !slices.Contains(modes[:], s.Mode) {
			return bad(s.ID, "mode", "want one of %s, got %q", strings.Join(modes[:], ", "), s.Mode)
		}
		if err := s.valid(bad); err != nil {
			return err
		}
	}
	return nil
}

const sampleFields = FieldReferenceAccuracy - 1

// valid refuses values that no method can use, whether needed or not.
func (s *Sample) valid(bad func(trace, field, format string, args ...any) error) error {
	// One comparison covers all counts of an ordinary sample.
	if uint64(s.Tokens)|uint64(s.Chars)|uint64(s.Turns)|uint64(s.ToolCalls)|uint64(s.ResponseWords)|
		uint64(s.ReasoningChars)|uint64(s.OutputWords)|uint64(s.PromptTokens) >= maxCount {
		for _, c := range [...]struct {
			field string
			n     int
		}{
			{"tokens", s.Tokens}, {"chars", s.Chars}, {"turns", s.Turns}, {"tool_calls", s.ToolCalls},
			{"response_words", s.ResponseWords}, {"reasoning_chars", s.ReasoningChars},
			{"output_words", s.OutputWords}, {"prompt_tokens", s.PromptTokens},
		} {
			if c.n < 0 || c.n >= maxCount {
				return bad(s.ID, c.field, "want a count from 0 to 2^53, got %d", c.n)
			}
		}
	}
	if s.FirstToolToken != nil && (*s.FirstToolToken < 0 || *s.FirstToolToken > maxCount) {
		return bad(s.ID, "first_tool_token", "want a position from 0, got %d", *s.FirstToolToken)
	}
	if s.Entropy != nil && !finite(*s.Entropy) {
		return bad(s.ID, "entropy", "want a finite number, got %v", *s.Entropy)
	}
	for _, b := range s.BudgetScores {
		if !(b >= 0 && b <= 1) {
			return bad(s.ID, "budget_scores", "want numbers from 0 to 1, got %v", b)
		}
	}
	if s.Score != nil && !(math.Abs(*s.Score) <= 1e12) {
		return bad(s.ID, "score", "want a finite number of at most 1e12, got %v", *s.Score)
	}
	if s.ReferenceKL != nil && !(math.Abs(*s.ReferenceKL) <= 1e12) {
		return bad(s.ID, "reference_kl", "want a finite number of at most 1e12, got %v", *s.ReferenceKL)
	}
	if s.BaseLoss != nil && !(*s.BaseLoss >= 1e-12 && *s.BaseLoss <= 1e12) {
		return bad(s.ID, "base_loss", "want a positive number from 1e-12 to 1e12, got %v", *s.BaseLoss)
	}
	for _, v := range [...]struct {
		field string
		value *float64
	}{
		{"precision", s.Precision}, {"recall", s.Recall}, {"answer_score", s.AnswerScore}, {"payoff", s.Payoff},
	} {
		if !share(v.value) {
			return bad(s.ID, v.field, "want a number from 0 to 1, got %v", *v.value)
		}
	}
	for _, v := range s.Values {
		if !(math.Abs(v) <= 1e12) {
			return bad(s.ID, "values", "want finite numbers of at most 1e12, got %v", v)
		}
	}
	if s.TurnEnds != nil || s.TurnScores != nil {
		if err := s.validTurns(bad); err != nil {
			return err
		}
	}
	if s.Values != nil && len(s.Values) != s.Tokens {
		return bad(s.ID, "values", "want one for each of %d tokens, got %d", s.Tokens, len(s.Values))
	}
	return nil
}

// The modes of a trace.
const (
	ModeThink     = "think"
	ModeNoThink   = "no-think"
	ModeInstant   = "instant"
	ModeReasoning = "reasoning"
	ModeAgentic   = "agentic"
)

var modes = [...]string{ModeThink, ModeNoThink, ModeInstant, ModeReasoning, ModeAgentic}

func share(v *float64) bool { return v == nil || *v >= 0 && *v <= 1 }

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

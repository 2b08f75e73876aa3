package strategy

import "encoding/json"

// Inputs says what a strategy's traces hold beyond a response and its length.
type Inputs struct {
	Budgets     bool // scores at thinking budgets
	Modes       bool // modes that were forced
	Tools       bool // calls are executed
	Turns       bool // ranges of turns
	TurnScores  bool // and each turn's answer is graded
	TokenBudget bool // a token budget of the strategy's own
}

// Gives says it of a strategy and its options, so that a method can be refused before a run. Of an
// unknown strategy or bad options it says nothing.
func Gives(name string, options map[string]any) Inputs {
	raw, err := json.Marshal(options)
	if err != nil {
		return Inputs{}
	}
	s, err := New(name, raw)
	if err != nil {
		return Inputs{}
	}
	switch s := s.(type) {
	case anytime:
		return Inputs{Budgets: true}
	case modes:
		return Inputs{Modes: true, Tools: s.o.usesTools()}
	case tools:
		return Inputs{Tools: true}
	case turns:
		return Inputs{Turns: true, TurnScores: s.o.Grade}
	case refine:
		return Inputs{Turns: true}
	case hints:
		return Inputs{TokenBudget: s.o.BudgetMax > 0}
	}
	return Inputs{}
}

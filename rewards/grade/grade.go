// Package grade answers one question: is this answer right? It stands alone: it imports nothing
// of pith, so that it can be used by itself.
package grade

// Outcome has three values: an answer that could not be judged is not wrong.
type Outcome string

const (
	Right   Outcome = "right"
	Wrong   Outcome = "wrong"
	NoScore Outcome = "no_score"
)

// Verdict is the judgement of one response. Reason names the rule that decided, as a short
// stable word, or why there is no score.
type Verdict struct {
	Outcome   Outcome `json:"verdict"`
	Extracted string  `json:"extracted"`
	Reason    string  `json:"reason"`
	Formatted bool    `json:"formatted"` // the response has the form that the grader expects
}

// Grader judges a whole response against a gold answer. Implementations are safe for concurrent
// use, never panic and never block: every one has hard limits of its own.
type Grader interface {
	Grade(gold, response string) Verdict
}

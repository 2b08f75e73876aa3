package rewards

import "pith/traces"

// Sample is what a method may read of one trace. Every input is separate: nothing is inferred from
// another field. Pointers and slices are nil where unknown; a plain field that is unknown is named
// in Missing, so that a method which needs it can refuse by name.
type Sample struct {
	ID        string
	Correct   *bool // nil: no score (or unknown, if Missing says so); never counted as wrong
	Formatted bool
	Truncated bool // the engine's finish reason was the length limit
	Tokens    int  // response tokens that the policy sampled, the final stop token included
	Chars     int  // characters of the thinking part
	Mode      string
	Turns     int
	ToolCalls int
	// FirstToolToken is the position of the first tool call's first token; nil: no tool was called.
	FirstToolToken *int
	Entropy        *float64  // mean nats per sampled token
	BudgetScores   []float64 // in [0, 1], one per budget
	Text           string
	Label          string // DR. SAF: CFRB, PFRB or ""

	Score    *float64 // task score where it is not 0/1
	BaseLoss *float64 // Optima: loss of the conversation under the base model, > 0
	// ReferenceKL is the divergence of the whole response from a reference policy, by any estimator.
	ReferenceKL *float64
	Precision   *float64 // WebLeaper, in [0, 1]
	Recall      *float64 // WebLeaper, in [0, 1]
	// GTAlign.
	AnswerScore    *float64 // in [0, 1]; correctness where nil
	Payoff         *float64 // in [0, 1]
	ResponseWords  int      // of the visible response
	ReasoningChars int      // before it, tags included
	OutputWords    int      // of the whole output

	// TurnEnds are the response tokens at which the turns end, ascending; nil: one turn. TurnScores are
	// their own scores in [0, 1], NaN where one could not be judged, and TurnTexts what was written in them; each nil where unknown.
	TurnEnds   []int
	TurnScores []float64
	TurnTexts  []string

	PromptTokens int              // prime_linear; 0 where unknown
	Values       []float64        // gae: a critic's estimate at each token
	Segments     []traces.Segment // where thinking and answer lie; nil: all of it is thinking

	// Missing names fields that the source of this sample did not have. The zero value trusts every
	// plain field.
	Missing Field
}

// ProblemInfo is what was known of the problem before it was sampled.
type ProblemInfo struct {
	ID                string
	ReferenceAccuracy *float64 // of a reference policy, in [0, 1]
	ReferenceTokens   float64  // mean length of a reference policy; 0 where unknown
	TokenBudget       int      // that the prompt asks for; 0 where unknown
	Difficulty        int      // 0 where unknown
	Gold              string
	Budgets           []int    // token counts of the budget scores; nil: the method's
	BestKnownCalls    *int     // fewest tool calls known to solve it
	HistoryAccuracy   *float64 // running accuracy before this group, in [0, 1]
	HistoryShortest   float64  // tokens of the shortest right answer before this group; 0 where unknown
}

// Group is the samples of one problem under one policy.
type Group struct {
	ID      string
	Step    int64
	NoStep  bool // the source had no step
	Problem ProblemInfo
	Samples []Sample
	// Excluded, where not empty, says that the group was taken out of the update before the method
	// saw it, and why: its rewards are computed, and nothing else. See [ReasonSampling].
	Excluded string
}

// ReasonSampling starts the reason of a group that dynamic sampling did not train on. A trainer
// that drops groups by itself sets it in [Group.Excluded] and records it as the trace's status
// reason, so that a replay leaves the same groups out.
const ReasonSampling = "dynamic sampling: "

// ReasonPairs starts the reason of a trace that the method would have trained on and a preference
// loss did not, because it is in no pair.
const ReasonPairs = "no pair: "

// Result is what a method decided about one sample.
type Result struct {
	Reward float64       // 0 for a trace without a score
	Terms  []traces.Term // the parts of Reward in the method's order; empty without a score
	// Advantage is that of every token unless TokenAdvantages is filled, and then their
	// length-weighted mean.
	Advantage       float64
	TokenAdvantages []traces.TokenAdvantage
	Dropped         bool   // the trace takes no part in the update
	Reason          string // why it was dropped, not kept or cut; "" otherwise
}

// Field names an input of a method; a set of them is their union.
type Field uint32

// The inputs.
const (
	FieldCorrect Field = 1 << iota
	FieldFormatted
	FieldTruncated
	FieldTokens
	FieldChars
	FieldMode
	FieldTurns
	FieldToolCalls
	FieldFirstToolToken
	FieldEntropy
	FieldBudgetScores
	FieldText
	FieldBaseLoss
	FieldPrecision
	FieldRecall
	FieldPayoff
	FieldResponseWords
	FieldReasoningChars
	FieldOutputWords
	FieldValues
	FieldTurnEnds
	FieldTurnScores
	FieldReferenceKL
	// Of the problem and the group.
	FieldReferenceAccuracy
	FieldReferenceTokens
	FieldTokenBudget
	FieldStep
)

// fieldNames holds the JSON names in the order of the bits.
var fieldNames = [...]string{
	"correct", "formatted", "truncated", "tokens", "chars", "mode", "turns", "tool_calls",
	"first_tool_token", "entropy", "budget_scores", "text", "base_loss", "precision", "recall",
	"payoff", "response_words", "reasoning_chars", "output_words", "values", "turn_ends", "turn_scores", "reference_kl",
	"problem.reference_accuracy", "problem.reference_tokens", "problem.token_budget", "step",
}

// Names lists the fields of the set by their names in the JSON contract.
func (f Field) Names() []string {
	var out []string
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

package traces

// Verdict says whether an answer was right. The zero value is not a verdict: a trace that was
// never graded carries "".
type Verdict string

const (
	Right   Verdict = "right"
	Wrong   Verdict = "wrong"
	NoScore Verdict = "no_score" // nothing to grade, or a limit was hit; never counted as wrong
)

// Finish is the engine's own reason for ending a response; truncation is read from it alone.
type Finish string

const (
	FinishStop    Finish = "stop"    // a stop token, which is the last sampled token
	FinishLength  Finish = "length"  // the token limit or the context
	FinishAborted Finish = "aborted" // cancelled; Tokens holds what had been produced
	FinishError   Finish = "error"   // the engine failed; Error says how
)

// Status says what became of a released trace. Every released trace ends in exactly one of them.
type Status string

const (
	Trained      Status = "trained"       // took part in the update (possibly with advantage 0)
	Filtered     Status = "filtered"      // removed from the update by the method's filter; Dropped is true
	Failed       Status = "failed"        // the engine, a tool or the grader failed, with the length so far
	DeadLettered Status = "dead_lettered" // could not be delivered or decoded
	Evaluated    Status = "evaluated"     // held out: measured, never trained on
)

// LengthSource is how a trace without token ids came by its lengths. The zero value is a trace that
// has them: its lengths are counts of what the engine returned.
type LengthSource string

const (
	LengthReported  LengthSource = "reported"  // the program that sampled it gave them
	LengthEstimated LengthSource = "estimated" // by a rule that the run's manifest names; never exact
)

// SegmentKind names what a token range of a response is.
type SegmentKind string

const (
	Think      SegmentKind = "think"
	Answer     SegmentKind = "answer"
	ToolCallBy SegmentKind = "tool_call"
	ToolResult SegmentKind = "tool_result"
	Injected   SegmentKind = "injected" // text forced by the environment, a budget cut for example
	Summary    SegmentKind = "summary"  // what the policy wrote after a budget cut
	// Forced tokens stand where the policy would have chosen, drawn by the strategy from a
	// distribution of its own: their log-probabilities are that distribution's, and they may be
	// trained on, as an importance weight corrects for the choice (AdaptThink's first token).
	Forced SegmentKind = "forced"
)

// Trace is one sampled response with all that was decided about it. Token ranges are half-open
// and count from the first response token. Slices are never shared between traces.
type Trace struct {
	// Identity. ID is deterministic: the group and the sample index, never the attempt.
	Run     string `parquet:"run,dict" json:"run"`     // name of the run
	Step    int64  `parquet:"step" json:"step"`        // the learner step the trace was released for, from 1; 0 for evaluations of the base
	Split   string `parquet:"split,dict" json:"split"` // train, heldout
	Group   string `parquet:"group" json:"group"`      // the samples of one problem that were released together
	ID      string `parquet:"id" json:"id"`            // group and sample index: deterministic, never the attempt
	Problem string `parquet:"problem" json:"problem"`  // id of the problem in its data set
	Sample  int32  `parquet:"sample" json:"sample"`    // index within the group, from 0
	Seed    uint64 `parquet:"seed" json:"seed"`        // key of the group's random stream

	Dataset string `parquet:"dataset,dict" json:"dataset"` // name of the data set or task family
	Level   int32  `parquet:"level" json:"level"`          // difficulty; 0 where the data set has none
	Gold    string `parquet:"gold" json:"gold"`            // right answer

	// What was asked and what came back. LogProbs has len(Tokens); it is 0 where no policy sampled
	// the token (injected text, tool results).
	PromptText   string    `parquet:"prompt_text" json:"prompt_text"`          // what was asked
	PromptTokens []int32   `parquet:"prompt_tokens,list" json:"prompt_tokens"` // ids of it
	Text         string    `parquet:"text" json:"text"`                        // what came back, injected text included
	Tokens       []int32   `parquet:"tokens,list" json:"tokens"`               // ids of it
	LogProbs     []float32 `parquet:"logprobs,list" json:"logprobs"`           // natural log, of the distribution drawn from
	Segments     []Segment `parquet:"segments,list" json:"segments"`           // cover Tokens exactly, in order
	Spans        []Span    `parquet:"spans,list" json:"spans"`                 // cover the sampled tokens

	Finish      Finish  `parquet:"finish,dict" json:"finish"`      // the engine's reason for ending
	Error       string  `parquet:"error" json:"error,omitempty"`   // how the engine or a tool failed
	Temperature float64 `parquet:"temperature" json:"temperature"` // 0 = greedy
	Mode        string  `parquet:"mode,dict" json:"mode"`          // think, no-think, instant, reasoning, agentic
	Turns       int32   `parquet:"turns" json:"turns"`             // turns of the policy

	// LengthTokens counts the response tokens that the policy sampled, the final stop token
	// included. InjectedTokens counts the others.
	LengthTokens   int32 `parquet:"length_tokens" json:"length_tokens"`
	InjectedTokens int32 `parquet:"injected_tokens" json:"injected_tokens"`

	// LengthSource says where the two lengths and all token ranges come from where the token ids are
	// not in the log: a trace that another program sampled.
	LengthSource LengthSource `parquet:"length_source,dict" json:"length_source,omitempty"`

	ToolCalls    []ToolCall `parquet:"tool_calls,list" json:"tool_calls,omitempty"`       // in the order of the response
	Budgets      []int32    `parquet:"budgets,list" json:"budgets,omitempty"`             // thinking tokens kept at each cut
	BudgetScores []float64  `parquet:"budget_scores,list" json:"budget_scores,omitempty"` // 0..1, one per budget

	// Judgement.
	Verdict       Verdict `parquet:"verdict,dict" json:"verdict"`               // correctness; filters, curricula and plots read it
	Extracted     string  `parquet:"extracted" json:"extracted"`                // the answer that was found
	VerdictReason string  `parquet:"verdict_reason,dict" json:"verdict_reason"` // rule that decided, or why there is no score
	Formatted     bool    `parquet:"formatted" json:"formatted"`                // the response has the form that the grader expects

	// Shaping. Reward is the total of the method; Terms are its parts by name, in the method's order.
	Terms           []Term           `parquet:"reward_terms,list" json:"reward_terms,omitempty"`         // parts of the reward by name, in the method's order
	Reward          float64          `parquet:"reward" json:"reward"`                                    // their total under the method
	Advantage       float64          `parquet:"advantage" json:"advantage"`                              // of the whole response
	TokenAdvantages []TokenAdvantage `parquet:"token_advantages,list" json:"token_advantages,omitempty"` // where it differs along the response
	Status          Status           `parquet:"status,dict" json:"status"`                               // what became of the trace
	StatusReason    string           `parquet:"status_reason,dict" json:"status_reason"`                 // why it was filtered or failed
	Entropy         *float64         `parquet:"entropy,optional" json:"entropy,omitempty"`               // mean nats per sampled token
	Staleness       int32            `parquet:"staleness" json:"staleness"`                              // learner steps between sampling policy and update
	PromptPrice     float64          `parquet:"prompt_price" json:"prompt_price"`                        // dollars
	CompletionPrice float64          `parquet:"completion_price" json:"completion_price"`                // dollars
	Reference       Reference        `parquet:"reference" json:"reference"`                              // what was known of the problem before

	// TurnRanges are the whole answers that a response is made of, one after the other, where it is
	// made of several: they cover Tokens, and the verdict is the last one's. Empty where the
	// response is one answer, and where its turns are those of a tool.
	TurnRanges []TurnRange `parquet:"turn_ranges,list" json:"turn_ranges,omitempty"`
	// BaseLoss is the mean negative log-likelihood of the trained tokens under the base policy, in
	// nats; with several turns the largest of theirs. nil where no method asked.
	BaseLoss *float64 `parquet:"base_loss,optional" json:"base_loss,omitempty"`
	// ReferenceKL is Σ k(log π - log π_base) over the trained tokens, π the policy that drew them and k
	// the estimator of the run. nil where no reward asked.
	ReferenceKL *float64 `parquet:"reference_kl,optional" json:"reference_kl,omitempty"`
}

// TurnRange is one turn of a response: Tokens[Start:End), what opened it included, and
// Text[TextStart:TextEnd) in bytes.
type TurnRange struct {
	Start     int32    `parquet:"start" json:"start"`
	End       int32    `parquet:"end" json:"end"`
	TextStart int32    `parquet:"text_start" json:"text_start"`
	TextEnd   int32    `parquet:"text_end" json:"text_end"`
	Score     *float64 `parquet:"score,optional" json:"score,omitempty"` // of its own answer, 0..1; nil where it was not graded
}

// KindAt is the kind of response token i, "" where no segment has it.
func (t *Trace) KindAt(i int32) SegmentKind {
	for _, s := range t.Segments {
		if s.Start <= i && i < s.End {
			return s.Kind
		}
	}
	return ""
}

// Segment is a range of response tokens of one kind. Train is false for tokens that the policy
// did not sample and for those that the strategy keeps from the loss.
type Segment struct {
	Kind  SegmentKind `parquet:"kind,dict" json:"kind"` // what the range is
	Start int32       `parquet:"start" json:"start"`
	End   int32       `parquet:"end" json:"end"`
	Train bool        `parquet:"train" json:"train"`
}

// Span says that Tokens[Start:End) were drawn from Policy, learner step Version.
type Span struct {
	Policy   string `parquet:"policy,dict" json:"policy"`
	Version  int64  `parquet:"version" json:"version"`
	Start    int32  `parquet:"start" json:"start"`
	End      int32  `parquet:"end" json:"end"`
	Asserted bool   `parquet:"asserted" json:"asserted"` // inferred from our own fencing, not said by the server
}

// ToolCall is one call in the trace. Start and End delimit the call's own tokens. Its seconds are
// in [Timing].
type ToolCall struct {
	Name      string  `parquet:"name,dict" json:"name"`      // of the tool
	Arguments string  `parquet:"arguments" json:"arguments"` // as the policy wrote them
	Result    string  `parquet:"result" json:"result"`       // as the tool gave it
	Error     string  `parquet:"error" json:"error,omitempty"`
	Start     int32   `parquet:"start" json:"start"`
	End       int32   `parquet:"end" json:"end"`
	Tokens    int32   `parquet:"tokens" json:"tokens"` // of the result, as inserted
	Price     float64 `parquet:"price" json:"price"`
}

// Term is one named part of a reward.
type Term struct {
	Name  string  `parquet:"name,dict" json:"name"`
	Value float64 `parquet:"value" json:"value"`
}

// TokenAdvantage is the advantage of Tokens[Start:End) where it differs along the trace.
type TokenAdvantage struct {
	Start int32   `parquet:"start" json:"start"`
	End   int32   `parquet:"end" json:"end"`
	Value float64 `parquet:"value" json:"value"`
}

// Reference is what was known of the problem before it was sampled and what a method may read;
// 0 or "" where unknown. It is logged so that a reward can be recomputed from the log alone.
type Reference struct {
	Accuracy    *float64 `parquet:"accuracy,optional" json:"accuracy,omitempty"`
	Tokens      float64  `parquet:"tokens" json:"tokens,omitempty"`
	TokenBudget int32    `parquet:"token_budget" json:"token_budget,omitempty"`
}

package traces

// Lengths are mean response tokens by outcome; a mean over nothing is 0 and its count says so.
type Lengths struct {
	All       float64 `parquet:"all" json:"all"`
	Right     float64 `parquet:"right" json:"right"`
	Wrong     float64 `parquet:"wrong" json:"wrong"`
	Truncated float64 `parquet:"truncated" json:"truncated"`
}

// Step is one row of steps.parquet: what one learner step saw and did. Nothing here is read from
// a clock.
type Step struct {
	Step       int64  `parquet:"step" json:"step"`
	Policy     string `parquet:"policy" json:"policy"`               // the policy that the step produced
	Digest     string `parquet:"digest" json:"digest"`               // of its tensors
	Traces     int64  `parquet:"traces" json:"traces"`               // released
	Trained    int64  `parquet:"trained" json:"trained"`             // of them, what became of them
	Filtered   int64  `parquet:"filtered" json:"filtered"`           // removed by the method's filter
	Failed     int64  `parquet:"failed" json:"failed"`               // with the length so far
	DeadLetter int64  `parquet:"dead_lettered" json:"dead_lettered"` // could not be delivered or decoded
	NoScore    int64  `parquet:"no_score" json:"no_score"`           // whatever became of them

	Accuracy  float64 `parquet:"accuracy" json:"accuracy"`   // right / (right + wrong)
	Truncated float64 `parquet:"truncated" json:"truncated"` // share of traces
	Lengths   Lengths `parquet:"lengths" json:"lengths"`     // mean response tokens by outcome
	// The four stations of the length distribution: a filter that moves the mean shows here.
	LengthTrained float64  `parquet:"length_trained" json:"length_trained"`      // mean tokens of what was trained on
	ToolCalls     float64  `parquet:"tool_calls" json:"tool_calls"`              // mean per trace
	Anytime       *float64 `parquet:"anytime,optional" json:"anytime,omitempty"` // mean budget score

	Reward        float64 `parquet:"reward" json:"reward"`                  // mean
	Terms         []Term  `parquet:"reward_terms,list" json:"reward_terms"` // means
	Loss          float64 `parquet:"loss" json:"loss"`                      // of the step's last update
	Entropy       float64 `parquet:"entropy" json:"entropy"`                // nats per trained token
	KL            float64 `parquet:"kl" json:"kl"`                          // k3 estimate, behaviour policy to the updated one
	ReferenceKL   float64 `parquet:"reference_kl" json:"reference_kl"`      // the loss's KL term per trained token, before its coefficient
	ClipLow       float64 `parquet:"clip_low" json:"clip_low"`              // share of tokens clipped below
	ClipHigh      float64 `parquet:"clip_high" json:"clip_high"`            // share of tokens clipped above
	GradNorm      float64 `parquet:"grad_norm" json:"grad_norm"`            // before clipping
	LearningRate  float64 `parquet:"learning_rate" json:"learning_rate"`    // of the last update
	Updates       int64   `parquet:"updates" json:"updates"`                // optimiser steps
	TrainedTokens int64   `parquet:"trained_tokens" json:"trained_tokens"`  // tokens that the loss counted

	// Train/sample agreement on fresh tokens, before the first update of the step.
	MismatchMean float64 `parquet:"mismatch_mean" json:"mismatch_mean"` // mean |Δ log p|
	MismatchMax  float64 `parquet:"mismatch_max" json:"mismatch_max"`

	StalenessMean   float64 `parquet:"staleness_mean" json:"staleness_mean"` // learner steps between sampling and update
	StalenessMax    int64   `parquet:"staleness_max" json:"staleness_max"`
	GeneratedTokens int64   `parquet:"generated_tokens" json:"generated_tokens"` // sampled for the step
	PromptTokens    int64   `parquet:"prompt_tokens" json:"prompt_tokens"`
	Price           float64 `parquet:"price" json:"price"` // dollars of its tokens
}

// LevelEval is an evaluation restricted to one difficulty level.
type LevelEval struct {
	Level    int32   `parquet:"level" json:"level"`
	Problems int64   `parquet:"problems" json:"problems"`
	Accuracy float64 `parquet:"accuracy" json:"accuracy"`
	Tokens   float64 `parquet:"tokens_mean" json:"tokens_mean"`
}

// Eval is one row of evals.parquet: a policy on held-out problems under one way of decoding.
type Eval struct {
	Step         int64       `parquet:"step" json:"step"`
	Policy       string      `parquet:"policy" json:"policy"`
	Decoding     string      `parquet:"decoding,dict" json:"decoding"` // sampled, greedy
	Temperature  float64     `parquet:"temperature" json:"temperature"`
	Problems     int64       `parquet:"problems" json:"problems"`
	Samples      int64       `parquet:"samples" json:"samples"` // responses graded
	Accuracy     float64     `parquet:"accuracy" json:"accuracy"`
	TokensMean   float64     `parquet:"tokens_mean" json:"tokens_mean"`
	TokensRight  float64     `parquet:"tokens_right" json:"tokens_right"`
	TokensWrong  float64     `parquet:"tokens_wrong" json:"tokens_wrong"`
	Truncated    float64     `parquet:"truncated" json:"truncated"`
	NoScore      float64     `parquet:"no_score" json:"no_score"`
	ToolCalls    float64     `parquet:"tool_calls_mean" json:"tool_calls_mean"`
	Anytime      *float64    `parquet:"anytime_accuracy,optional" json:"anytime_accuracy"`
	Budgets      []int32     `parquet:"budgets,list" json:"budgets,omitempty"`
	BudgetScores []float64   `parquet:"budget_scores,list" json:"budget_scores,omitempty"` // mean per budget
	Levels       []LevelEval `parquet:"levels,list" json:"levels"`
}

// Timing holds everything read from a clock, in seconds, apart from the reproducible files. A row
// belongs to a trace (ID set) or to a step (ID empty).
type Timing struct {
	Step        int64   `parquet:"step" json:"step"`
	ID          string  `parquet:"id" json:"id"`
	Worker      string  `parquet:"worker,dict" json:"worker"`
	Queue       float64 `parquet:"queue_seconds" json:"queue_seconds"`               // trace: release to first engine call
	FirstToken  float64 `parquet:"first_token_seconds" json:"first_token_seconds"`   // trace
	Total       float64 `parquet:"total_seconds" json:"total_seconds"`               // trace: in the engine; step: wall clock
	Tools       float64 `parquet:"tool_seconds" json:"tool_seconds"`                 // trace
	Grade       float64 `parquet:"grade_seconds" json:"grade_seconds"`               // step
	Learn       float64 `parquet:"learn_seconds" json:"learn_seconds"`               // step
	Publish     float64 `parquet:"publish_seconds" json:"publish_seconds"`           // step
	Commit      float64 `parquet:"commit_seconds" json:"commit_seconds"`             // step
	TrainerWait float64 `parquet:"trainer_wait_seconds" json:"trainer_wait_seconds"` // step: trainer waited for traces
	EngineIdle  float64 `parquet:"engine_idle_seconds" json:"engine_idle_seconds"`   // step: no sequence in the engine
	Eval        float64 `parquet:"eval_seconds" json:"eval_seconds"`                 // step
}

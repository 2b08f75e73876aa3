package analysis

import (
	"encoding/json"
	"fmt"
	"io"

	"pith/traces"
)

// Report is what is to be said about one or more runs. Its JSON form is a contract that other
// programs rely on: keys are only ever added.
type Report struct {
	Runs []RunReport `json:"runs"`
}

// RunReport is one run. Base and Final are the first and the last evaluation at the training
// temperature (or greedily, where a run has no other); the greedy ones stand beside them.
type RunReport struct {
	Name    string  `json:"name"`
	Method  string  `json:"method"`
	Seed    uint64  `json:"seed"`
	Steps   int64   `json:"steps"`   // committed
	Seconds float64 `json:"seconds"` // wall clock of steps and evaluations

	Base       *Evaluation  `json:"base"`
	Final      *Evaluation  `json:"final"`
	Evals      []Evaluation `json:"evals"`
	Accounting Accounting   `json:"accounting"`
	Waits      Waits        `json:"waits"`
	Cost       Cost         `json:"cost"`

	Directory   string       `json:"directory"`
	Profile     string       `json:"profile,omitempty"`
	Planned     int64        `json:"planned_steps"` // 0 = unknown
	BaseGreedy  *Evaluation  `json:"base_greedy"`
	FinalGreedy *Evaluation  `json:"final_greedy"`
	EvalsGreedy []Evaluation `json:"evals_greedy"`
	Gain        *Gain        `json:"gain"` // from Base to Final
	GainGreedy  *Gain        `json:"gain_greedy"`
	Stations    *Stations    `json:"stations"` // null without training traces
	Watch       *Watch       `json:"watch"`    // null without training traces
	Outlook     *Outlook     `json:"forecast"` // null without two evaluations
	Money       *Money       `json:"money"`    // null without prices in the config
	// Problems are errors found in the log, the accounting first.
	Problems []string `json:"problems"`

	data *runData
}

// Evaluation is a policy on held-out problems under one way of decoding.
type Evaluation struct {
	Step             int64              `json:"step"`
	Decoding         string             `json:"decoding"` // sampled, greedy
	Temperature      float64            `json:"temperature"`
	Problems         int64              `json:"problems"`
	Samples          int64              `json:"samples"`
	Accuracy         float64            `json:"accuracy"`
	AccuracyInterval Interval           `json:"accuracy_interval"`
	TokensMean       float64            `json:"tokens_mean"`
	TokensInterval   *Interval          `json:"tokens_interval"` // null where the traces are not in the log
	TokensMedian     *float64           `json:"tokens_median"`
	TokensP90        *float64           `json:"tokens_p90"`
	TokensRight      float64            `json:"tokens_right"`
	TokensWrong      float64            `json:"tokens_wrong"`
	TokensPerRight   *float64           `json:"tokens_per_right"` // null where nothing is right
	E3               float64            `json:"e3_per_1k_tokens"` // accuracy² for each 1,000 tokens
	Truncated        float64            `json:"truncated"`
	NoScore          float64            `json:"no_score"`
	ToolCallsMean    float64            `json:"tool_calls_mean"`
	AnytimeAccuracy  *float64           `json:"anytime_accuracy"`
	Budgets          []int32            `json:"budgets,omitempty"`
	BudgetScores     []float64          `json:"budget_scores,omitempty"`
	Levels           []traces.LevelEval `json:"levels,omitempty"`
}

// Gain is the change between two evaluations, paired by problem where the traces are in the log.
type Gain struct {
	Accuracy         float64   `json:"accuracy"` // difference: 0.3 is 30 points
	AccuracyInterval *Interval `json:"accuracy_interval"`
	Tokens           float64   `json:"tokens"` // relative: -0.68 is 68 % fewer
	TokensInterval   *Interval `json:"tokens_interval"`
	Paired           int       `json:"paired_problems"`
	AES              *float64  `json:"aes"`
	AESWeights       string    `json:"aes_weights"`
}

// Accounting says what became of every released trace. Exact is true where the four outcomes add up
// to what was released, no trace is there twice, and no group has a gap.
type Accounting struct {
	Released     int64 `json:"released"`
	Trained      int64 `json:"trained"`
	Filtered     int64 `json:"filtered"`
	Failed       int64 `json:"failed"`
	DeadLettered int64 `json:"dead_lettered"`
	NoScore      int64 `json:"no_score"` // among them, whatever their outcome
	Groups       int64 `json:"groups"`
	Exact        bool  `json:"exact"`
}

// Waits are shares of the wall clock of steps, evaluations apart.
type Waits struct {
	Trainer  float64 `json:"trainer"` // waited for traces
	Engine   float64 `json:"engine"`  // had no sequence to decode
	Sentence string  `json:"sentence"`
	// Windows are the same over consecutive parts of a long run, with the setting to change in each.
	Windows []WaitWindow `json:"windows"`
}

// WaitWindow is a range of steps.
type WaitWindow struct {
	From     int64   `json:"from"`
	To       int64   `json:"to"`
	Trainer  float64 `json:"trainer"`
	Engine   float64 `json:"engine"`
	Publish  float64 `json:"publish"`
	Sentence string  `json:"sentence"`
}

// Cost is what the run has consumed.
type Cost struct {
	Tokens       int64    `json:"tokens"`  // generated for training
	Dollars      *float64 `json:"dollars"` // null without prices in the config
	PromptTokens int64    `json:"prompt_tokens"`
	EvalTokens   int64    `json:"eval_tokens"`
}

// WriteJSON writes the report's JSON form, indented.
func (r Report) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

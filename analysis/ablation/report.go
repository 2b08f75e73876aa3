package ablation

import (
	"encoding/json"
	"fmt"
	"io"

	"pith/analysis/stats"
)

// Input is what is to be compared.
type Input struct {
	Name, About string
	Runs        []Run
	Untrained   bool    // make the untrained policy a row
	HardCaps    []int   // and the untrained policy cut off at these limits
	Reference   string  // arm that others are compared with; "" = grpo, else the first
	Points      float64 // the difference in accuracy, in points, that seeds are counted for
	StopRule    string
	Failed      []Excluded // runs that have nothing to compare
	Stopped     []Excluded
}

// Run is one run directory.
type Run struct {
	Arm      string
	Method   string
	Baseline bool
	Seed     uint64
	Dir      string
}

// Excluded is a run that takes no part, and why.
type Excluded struct {
	Run    string `json:"run"`
	Reason string `json:"reason"`
}

// Report is the comparison. Its JSON form only ever gains keys.
type Report struct {
	Name      string     `json:"name"`
	About     string     `json:"about"`
	Reference string     `json:"reference"`
	Points    float64    `json:"points"`
	StopRule  string     `json:"stop_rule,omitempty"`
	Draws     int        `json:"bootstrap_draws"`
	Weights   string     `json:"aes_weights"`
	Tables    []Table    `json:"tables"` // one a way of decoding; the first is at the training temperature
	Sentences []string   `json:"sentences"`
	Failed    []Excluded `json:"failed"`
	Stopped   []Excluded `json:"stopped"`
}

// Table compares the arms under one way of decoding.
type Table struct {
	Decoding    string   `json:"decoding"` // sampled, greedy
	Temperature float64  `json:"temperature"`
	Problems    int      `json:"problems"`    // asked in each final evaluation
	Limit       float64  `json:"token_limit"` // of the evaluation
	Budgets     []int    `json:"budgets"`     // grid of the accuracy-budget curves
	Rows        []Row    `json:"rows"`
	Unlike      []string `json:"unlike"` // arms that were evaluated at another temperature or token limit
	Front       []string `json:"front"`  // by rising tokens
	Hypervolume float64  `json:"hypervolume"`
	Pairs       []Pair   `json:"pairs"` // every two trained arms
}

// Kinds of rows.
const (
	Arm       = "arm"
	Baseline  = "baseline"
	Untrained = "untrained"
	Capped    = "untrained, cut off"
)

// Row is one arm in a table.
type Row struct {
	Number int      `json:"number"` // in figures
	Name   string   `json:"name"`
	Method string   `json:"method,omitempty"`
	Kind   string   `json:"kind"`
	Seeds  []uint64 `json:"seeds"`
	Runs   []string `json:"runs"` // directories

	Accuracy  stats.Estimate  `json:"accuracy"`
	Tokens    stats.Estimate  `json:"tokens"`
	Gain      *stats.Estimate `json:"accuracy_gain"` // against the untrained policy of the same seed; null for itself
	Saving    *stats.Estimate `json:"tokens_change"` // relative
	AES       *stats.Estimate `json:"aes"`
	Area      stats.Estimate  `json:"budget_area"`
	Volume    *stats.Estimate `json:"hypervolume"` // of the run's evaluations; null for untrained rows
	Truncated float64         `json:"truncated"`
	NoScore   float64         `json:"no_score"`

	OnFront    bool    `json:"on_front"`
	FrontShare float64 `json:"front_share"`           // of the bootstrap draws
	Exclusive  float64 `json:"exclusive_hypervolume"` // that the front loses without it

	VsReference *Pair `json:"vs_reference"` // null for the reference and for untrained rows

	Curve      []float64    `json:"budget_curve"` // accuracy at Table.Budgets
	Trajectory []Trajectory `json:"trajectory"`
}

// Trajectory is a run's evaluations.
type Trajectory struct {
	Seed     uint64    `json:"seed"`
	Step     []int64   `json:"step"`
	Tokens   []float64 `json:"tokens"`
	Accuracy []float64 `json:"accuracy"`
}

// Pair compares two arms, the first minus the second, paired by seed and problem.
type Pair struct {
	A            string         `json:"a"`
	B            string         `json:"b"`
	Accuracy     stats.Estimate `json:"accuracy"` // difference
	Tokens       stats.Estimate `json:"tokens"`   // relative difference
	AccuracyHolm *float64       `json:"accuracy_p_holm,omitempty"`
	TokensHolm   *float64       `json:"tokens_p_holm,omitempty"`
	// SeedsNeeded is how many seeds would tell a difference in accuracy of Report.Points; null where
	// it is unknown, or where no number of seeds would without more held-out problems.
	SeedsNeeded *int `json:"seeds_needed"`
	// FlipP is a permutation test over problems, of these runs alone.
	FlipP *float64 `json:"accuracy_p_these_runs"`
	// Unpaired says why nothing is compared: no seed or no problem in common.
	Unpaired string `json:"unpaired,omitempty"`
}

// WriteJSON writes the report, indented.
func (r Report) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("comparison: %w", err)
	}
	if _, err := w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("comparison: %w", err)
	}
	return nil
}

// row finds a row by name.
func (t *Table) row(name string) *Row {
	for i := range t.Rows {
		if t.Rows[i].Name == name {
			return &t.Rows[i]
		}
	}
	return nil
}

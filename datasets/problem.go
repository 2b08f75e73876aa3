// Package datasets yields problems: generated task families and JSONL or Parquet files, in a
// deterministic, resumable order, with held-out splits. It knows nothing of policies or tokens
// beyond the text of a problem.
package datasets

// Split separates what is trained on from what is measured on. The two never share a problem.
type Split string

const (
	Train   Split = "train"
	HeldOut Split = "heldout"
)

// Problem is one question with its answer. It is a plain value that travels on the stream.
type Problem struct {
	ID      string `json:"id"` // unique within Dataset
	Dataset string `json:"dataset"`
	Level   int    `json:"level"`  // difficulty from 1; 0 where unknown
	Prompt  string `json:"prompt"` // as the policy reads it, template applied
	Answer  string `json:"answer"` // gold
	// Hidden is what only the environment knows (a tool's secret, for example). It is never part
	// of the prompt.
	Hidden map[string]string `json:"hidden,omitempty"`
	// What is known of the problem beforehand; 0 or nil where unknown.
	ReferenceAccuracy *float64 `json:"reference_accuracy,omitempty"`
	ReferenceTokens   float64  `json:"reference_tokens,omitempty"`
	TokenBudget       int      `json:"token_budget,omitempty"`
}

// Source yields the i-th problem of a split, i ≥ 0, as a pure function of (split, i) and of the
// seed it was opened with: the position in the data is a counter and resuming is free. Sources
// from files shuffle anew each epoch. Safe for concurrent use.
type Source interface {
	Name() string
	// Fingerprint identifies the data: a digest of the files and the mapping, or of the family's
	// version and parameters.
	Fingerprint() string
	// Len is the number of distinct problems of a split, 0 where generated without end.
	Len(s Split) int
	Problem(s Split, i int64) (Problem, error)
}

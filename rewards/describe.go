package rewards

import "pith/rewards/params"

// Tag says how much of a method's formula was seen at its source.
type Tag string

// The tags, from the firmest to none.
const (
	InCode     Tag = "code"       // read in the official repository
	InPaper    Tag = "paper"      // read in the paper's text
	Secondary  Tag = "secondary"  // read in an abstract, a survey or third-party code only
	Unverified Tag = "unverified" // parts of it were not found anywhere
	Ours       Tag = "ours"       // no complete published formula: our own reading
)

// Firm says whether a formula with this tag may be shown without a warning.
func (t Tag) Firm() bool { return t == InCode || t == InPaper }

// Promises are what a method's advantages and rewards guarantee; the property tests hold it to
// them.
type Promises struct {
	// ZeroSum: with the method's own estimator, the advantages of a group add up to 0.
	ZeroSum bool `json:"zero_sum"`
	// Monotone: of two well-formed right answers that differ in length only, the longer never gets
	// more reward nor more advantage.
	Monotone bool `json:"monotone"`
	// Ordered: with default parameters, a well-formed right answer never earns less reward than a
	// well-formed wrong one of its group. Other parameters are lint's business.
	Ordered bool `json:"ordered"`
	// PressesWrong: a wrong answer's length changes its reward, a known road to collapse.
	PressesWrong bool `json:"presses_wrong"`
}

// Recommended is the rest of a method's recipe, as its source has it, for presets and
// documentation; zero values are left to the config's defaults.
type Recommended struct {
	Strategy    string  `json:"strategy,omitempty"`
	GroupSize   int     `json:"group_size,omitempty"`
	Loss        string  `json:"loss,omitempty"`
	Aggregation string  `json:"aggregation,omitempty"`
	ClipLow     float64 `json:"clip_low,omitempty"`
	ClipHigh    float64 `json:"clip_high,omitempty"`
	DualClip    float64 `json:"dual_clip,omitempty"`
	KL          float64 `json:"kl,omitempty"`
	KLKind      string  `json:"kl_kind,omitempty"` // estimator: k1, k2, k3
	Entropy     float64 `json:"entropy,omitempty"`
	Temperature float64 `json:"temperature,omitempty"`
	Rate        float64 `json:"learning_rate,omitempty"`
	Dynamic     bool    `json:"dynamic_sampling,omitempty"`
	Schedule    string  `json:"schedule,omitempty"` // what changes over steps, in words
	Curriculum  string  `json:"curriculum,omitempty"`
}

// Description is what pith knows of a method.
type Description struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Family   string         `json:"family"` // baseline, length, budget, difficulty, mode, tool, objective
	Formula  string         `json:"formula"`
	Source   string         `json:"source"`
	Verified Tag            `json:"verified"`
	Needs    []string       `json:"needs"`
	Optional []string       `json:"optional,omitempty"` // read where present
	Terms    []string       `json:"terms"`
	Params   []params.Field `json:"params"`
	// Advantage is the method's own estimator and AdvantageParams its settings in profile paper;
	// AdvantageCode and its params those of released_code where they differ.
	Advantage       string         `json:"advantage"`
	AdvantageParams map[string]any `json:"advantage_params"`
	AdvantageCode   string         `json:"released_code_advantage,omitempty"`
	CodeParams      map[string]any `json:"released_code_advantage_params,omitempty"`
	Scope           string         `json:"scope"` // group, batch
	Filter          string         `json:"filter,omitempty"`
	State           string         `json:"state,omitempty"` // what evolves over a run
	Differences     []string       `json:"differences,omitempty"`
	Notes           []string       `json:"notes,omitempty"`
	Promises        Promises       `json:"promises"`
	Recommended     Recommended    `json:"recommended"`
}

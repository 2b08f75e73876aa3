package clock

import (
	"errors"
	"fmt"
)

// Style is how a teacher writes a pass over the operations.
type Style int

const (
	Verbose Style = iota // "b v op = r ;"  6 tokens an operation
	Medium               // "b op = r"      4
	Terse                // "b r"           2
	Skip                 // "c r"           2 for two operations; names the second
	numStyles
)

var styleNames = [numStyles]string{"verbose", "medium", "terse", "skip"}

func (s Style) String() string { return styleNames[s] }

// TeacherOptions describe a reasoner that thinks too much and errs. The probabilities are drawn
// independently for each trace unless said otherwise. Start from [DefaultTeacherOptions] or
// [WarmTeacherOptions].
//
// What makes it an over-thinker rather than a bad one is that first passes slip often and checks
// seldom: longer traces are then more often right, so correctness alone does not reward brevity.
type TeacherOptions struct {
	// Levels are drawn from uniformly; repeat one to weigh it. Empty: the family's range.
	Levels []int `json:"levels" mapstructure:"levels"`

	AtOnceEasy float64 `json:"at_once_easy" mapstructure:"at_once_easy"` // answers at once, rightly, up to level EasyLevel
	AtOnce     float64 `json:"at_once" mapstructure:"at_once"`           // … above it
	EasyLevel  int     `json:"easy_level" mapstructure:"easy_level"`

	Styles     [4]float64 `json:"styles" mapstructure:"styles"`           // weights of verbose, medium, terse, skip
	Plan       float64    `json:"plan" mapstructure:"plan"`               // restates the problem first
	FalseStart float64    `json:"false_start" mapstructure:"false_start"` // begins, then "again"; from level 3

	Slip        float64 `json:"slip" mapstructure:"slip"`                 // each result of a first pass is wrong
	CheckSlip   float64 `json:"check_slip" mapstructure:"check_slip"`     // each result of a check is wrong
	Noticed     float64 `json:"noticed" mapstructure:"noticed"`           // the first pass is of the noticing kind,
	NoticedStep float64 `json:"noticed_step" mapstructure:"noticed_step"` // in which a step is first written wrong, then "wait", then right

	Checks     []float64 `json:"checks" mapstructure:"checks"`           // weights of 0, 1, 2, … intended checks
	CheckLift  float64   `json:"check_lift" mapstructure:"check_lift"`   // a terse or skipping trace checks verbosely
	CheckKeep  float64   `json:"check_keep" mapstructure:"check_keep"`   // otherwise a check keeps the trace's style; else redraws
	MaxPasses  int       `json:"max_passes" mapstructure:"max_passes"`   // passes in all, also when the last two disagree
	MaxThought int       `json:"max_thought" mapstructure:"max_thought"` // tokens of thought; a check that would exceed them is not made

	Cut float64 `json:"cut" mapstructure:"cut"` // a thought is cut at a uniform position and answered rightly
}

// DefaultTeacherOptions are the measured recipe of the over-thinking base policy.
func DefaultTeacherOptions() TeacherOptions {
	return TeacherOptions{
		AtOnceEasy: 0.15, AtOnce: 0.06, EasyLevel: 2,
		Styles: [4]float64{0.55, 0.20, 0.15, 0.10},
		Plan:   0.35, FalseStart: 0.15,
		Slip: 0.08, CheckSlip: 0.01, Noticed: 0.2, NoticedStep: 0.2,
		Checks: []float64{0.15, 0.35, 0.30, 0.20}, CheckLift: 0.5, CheckKeep: 0.7,
		MaxPasses: 5, MaxThought: 188,
		Cut: 0.15,
	}
}

// WarmTeacherOptions teach the facts first: short chains, one clean pass, no slips. The table of
// facts is learned between steps 150 and 300 of 32 sequences; before that the loss stands still.
func WarmTeacherOptions() TeacherOptions {
	o := DefaultTeacherOptions()
	o.Levels = []int{1, 1, 2, 3}
	o.AtOnceEasy, o.AtOnce = 0.35, 0.10
	o.Plan, o.FalseStart, o.Slip, o.CheckSlip, o.Noticed, o.Cut = 0, 0, 0, 0, 0, 0
	o.Checks = []float64{1}
	return o
}

// Validate reports every violation at once.
func (o TeacherOptions) Validate() error {
	v := &violations{}
	v.levels(o.Levels)
	v.chance("at_once_easy", o.AtOnceEasy)
	v.chance("at_once", o.AtOnce)
	v.weights("styles", o.Styles[:])
	v.chance("plan", o.Plan)
	v.chance("false_start", o.FalseStart)
	v.chance("slip", o.Slip)
	v.chance("check_slip", o.CheckSlip)
	v.chance("noticed", o.Noticed)
	v.chance("noticed_step", o.NoticedStep)
	v.weights("checks", o.Checks)
	v.chance("check_lift", o.CheckLift)
	v.chance("check_keep", o.CheckKeep)
	v.chance("cut", o.Cut)
	if o.EasyLevel < 0 {
		v.bad("easy_level is %d: it must not be negative", o.EasyLevel)
	}
	if o.MaxPasses < 1 {
		v.bad("max_passes is %d: it must be at least 1", o.MaxPasses)
	}
	if o.MaxPasses >= 1 && len(o.Checks) > o.MaxPasses {
		v.bad("checks has weights for up to %d checks, but max_passes %d allows %d", len(o.Checks)-1, o.MaxPasses, o.MaxPasses-1)
	}
	if o.MaxThought < 1 {
		v.bad("max_thought is %d: it must be at least 1", o.MaxThought)
	}
	return errors.Join(v.errs...)
}

// ToolTeacherOptions describe a tool user. Start from [ToolTeacherA] or [ToolTeacherB].
type ToolTeacherOptions struct {
	Levels []int `json:"levels" mapstructure:"levels"` // as in TeacherOptions

	// A trace draws its call probability from CallRates with weights CallWeights; each operation is
	// then called for with it, and worked out in the head otherwise.
	CallRates   []float64 `json:"call_rates" mapstructure:"call_rates"`
	CallWeights []float64 `json:"call_weights" mapstructure:"call_weights"`
	// WholeRest is the share of traces whose calls cover all remaining operations instead of one.
	WholeRest float64 `json:"whole_rest" mapstructure:"whole_rest"`
	// Guess is the probability, for an operation with the hidden digit, of a uniform guess; it is
	// called for otherwise, whatever the call probability.
	Guess float64 `json:"guess" mapstructure:"guess"`

	Styles    [4]float64 `json:"styles" mapstructure:"styles"`         // of mental steps: verbose, medium, terse; skip is not used
	Slip      float64    `json:"slip" mapstructure:"slip"`             // a mental result is wrong, first round
	CheckSlip float64    `json:"check_slip" mapstructure:"check_slip"` // … in the round after "check"

	// Each operation copied into a call is replaced by another one with probability CopySlip in
	// the first round and CopyCheckSlip after "check", where the call covers several operations,
	// and with probability CopyOne where it covers one.
	CopySlip      float64 `json:"copy_slip" mapstructure:"copy_slip"`
	CopyCheckSlip float64 `json:"copy_check_slip" mapstructure:"copy_check_slip"`
	CopyOne       float64 `json:"copy_one" mapstructure:"copy_one"`

	Repeat     float64 `json:"repeat" mapstructure:"repeat"`           // the whole is done again after "check"
	MaxThought int     `json:"max_thought" mapstructure:"max_thought"` // sampled tokens of thought; a repetition that would exceed them is not made
}

// ToolTeacherA copies faultlessly: one call is always at least as accurate as many.
func ToolTeacherA() ToolTeacherOptions {
	return ToolTeacherOptions{
		CallRates:   []float64{0, 0.3, 0.7, 1},
		CallWeights: []float64{0.15, 0.15, 0.3, 0.4},
		WholeRest:   0.25, Guess: 0.03,
		Styles: [4]float64{0.6, 0, 0.4, 0},
		Slip:   0.05, CheckSlip: 0.05,
		Repeat: 0.4, MaxThought: 188,
	}
}

// ToolTeacherB slips when it copies several operations into a call, so that more calls are more
// accurate in the base policy and plain reinforcement learning calls more. It gives the contrast
// that a tool-cost reward is measured against.
func ToolTeacherB() ToolTeacherOptions {
	o := ToolTeacherA()
	o.Slip, o.CheckSlip = 0.08, 0.01
	o.CopySlip, o.CopyCheckSlip, o.CopyOne = 0.12, 0.01, 0.01
	return o
}

// Validate reports every violation at once.
func (o ToolTeacherOptions) Validate() error {
	v := &violations{}
	v.levels(o.Levels)
	v.weights("call_weights", o.CallWeights)
	if len(o.CallRates) != len(o.CallWeights) {
		v.bad("call_rates has %d entries and call_weights %d: they must pair up", len(o.CallRates), len(o.CallWeights))
	}
	for i, q := range o.CallRates {
		v.chance(fmt.Sprintf("call_rates[%d]", i), q)
	}
	v.chance("whole_rest", o.WholeRest)
	v.chance("guess", o.Guess)
	v.weights("styles", o.Styles[:])
	if o.Styles[Skip] > 0 {
		v.bad("styles: a tool user cannot skip operations: the weight of skip must be 0")
	}
	v.chance("slip", o.Slip)
	v.chance("check_slip", o.CheckSlip)
	v.chance("copy_slip", o.CopySlip)
	v.chance("copy_check_slip", o.CopyCheckSlip)
	v.chance("copy_one", o.CopyOne)
	v.chance("repeat", o.Repeat)
	if o.MaxThought < 1 {
		v.bad("max_thought is %d: it must be at least 1", o.MaxThought)
	}
	return errors.Join(v.errs...)
}

// violations collects what is wrong with a set of options.
type violations struct{ errs []error }

func (v *violations) bad(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

func (v *violations) chance(name string, p float64) {
	if !(p >= 0 && p <= 1) { // also refuses NaN
		v.bad("%s is %v: it must be 0 to 1", name, p)
	}
}

func (v *violations) weights(name string, w []float64) {
	total := 0.0
	for i, x := range w {
		if !(x >= 0 && x <= 1e9) {
			v.bad("%s[%d] is %v: a weight must not be negative", name, i, x)
			return
		}
		total += x
	}
	if total <= 0 {
		v.bad("%s: at least one weight must be positive", name)
	}
}

func (v *violations) levels(levels []int) {
	for i, l := range levels {
		if l < 1 || l > MaxLevel {
			v.bad("levels[%d] is %d: it must be 1 to %d", i, l, MaxLevel)
		}
	}
}

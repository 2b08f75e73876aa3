package rewards

import (
	"pith/policies/advantage"
)

// spec is a method before its parameters are bound: everything that one file registers.
type spec struct {
	name, title, family string
	formula, source     string
	verified            Tag
	needs               Field
	optional            []string
	differences, notes  []string
	filter, state       string // in words
	promises            Promises
	recommended         Recommended
	// batch says that a group's result depends on the other groups beyond what the estimator does.
	batch bool
	// params gives a pointer to a fresh struct of tagged parameters; nil: the method has none.
	params func() any
	// bind makes a plan from parameters that were decoded and validated.
	bind func(p any, profile string) *plan
}

// plan is a method with its parameters bound. Its functions see scored samples only and may write
// to the columns of the view they are given, nothing else.
type plan struct {
	terms     []string // names of the reward's parts, in order
	compose   compose
	estimator advantage.Estimator
	needs     Field // beyond the spec's, where parameters ask for more

	// prepare reads the whole batch before any reward is computed.
	prepare func(views []view)
	// score fills the columns v.terms of one group. A returned error names a field.
	score func(v *view) error
	// learn may change v.learn, which the estimator reads and which starts as the reward. NaN keeps
	// a sample out of the estimate.
	learn func(v *view)
	// keep says whether the group takes part in the update, and why not. nil keeps all.
	keep func(v *view) (reason string)
	// split gives the estimator scores and prior along the response (brpo).
	split func(v *view, g *advantage.Group) error
	// turn scores turn k of sample i for the estimator turn. nil takes the turn's own score, and the
	// verdict where the response is one turn.
	turn func(v *view, i, k int) float64
	// shape changes v.adv after the estimator; batch-wide variants read v only.
	shape func(v *view)
	// spread gives sample i's advantages along its tokens, from row, the estimator's values along it
	// (nil where it has none). nil keeps one value for the whole response.
	spread func(v *view, i int, row []float64, out []tokenRange) []tokenRange

	memory memory // nil: nothing evolves
	// fits refuses settings with which the method cannot work. nil accepts all.
	fits func(s Setting) error
}

// memory is what a method remembers from step to step. It changes in observe only.
type memory interface {
	observe(views []view)
	// save and load exchange JSON that is equal for equal states.
	save() ([]byte, error)
	load([]byte) error
}

// Setting is what a config says beside the method and what may make it impossible.
type Setting struct {
	GroupSize int // samples per prompt; 0 = unknown
	MaxTokens int // generation limit; 0 = unknown
}

// tokenRange is an advantage on tokens [start, end).
type tokenRange struct {
	start, end int
	value      float64
}

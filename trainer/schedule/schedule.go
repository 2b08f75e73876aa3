// Package schedule holds everything that changes over learner steps: limits, coefficients, mixing
// weights, learning rates. A [Schedule] is a pure function of the step, so that a resumed run goes
// on where it was without any state. What reacts to what a run observes is a [Controller], whose
// state is explicit and goes into the checkpoint.
//
// Schedules give numbers and know nothing of what the number is for; the trainer applies them to a
// target such as rewards.params.limit, loss.params.entropy_coef, optimizer.learning_rate or
// rollout.max_tokens. Only the trainer and cmd import this package.
//
// Cosines are computed with portable arithmetic: a schedule has the same bits on every machine.
package schedule

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pith/policies/model/portable"
)

// Schedule is a number over learner steps. At is pure and safe for concurrent use. Every kind is
// defined for all steps: before its beginning it has its first value, after its end its last one.
//
// Steps are what the caller counts; the trainer's learner steps begin with 1. Kinds take their time
// from t = step - start.
type Schedule interface {
	At(step int64) float64
}

// Constant is a schedule that does not change.
type Constant float64

// At implements Schedule.
func (c Constant) At(int64) float64 { return float64(c) }

// kind is a registry entry: how a schedule is built from its parameters.
type kind struct {
	title, source string
	build         func(r *reader) Schedule
}

// kinds is everything that New can build. A function, as kinds may hold schedules themselves.
func kinds() map[string]kind {
	return map[string]kind{
		"constant":    {"one value", "", buildConstant},
		"linear":      {"a straight line, then its end", "", buildLinear},
		"cosine":      {"half a cosine, then its end", "Loshchilov and Hutter, arXiv 1608.03983, eq. 5, without restarts", buildCosine},
		"exponential": {"a constant factor a step, then its end", "", buildExponential},
		"warmup":      {"another schedule, multiplied by a line from 0 to 1 over the first steps", "", buildWarmup},
		"stages":      {"a value from each of a list of steps on", "", buildStages},
		"thinkprune":  {"limits in stages of equal length", "ThinkPrune, arXiv 2504.01296, released scripts: 4000, 3000, 2000, a stage from about step 180 of the one before", buildThinkPrune},
		"siri":        {"a limit that shrinks and grows in cycles", "SIRI, arXiv 2509.25176; the split of the stair form is ours, the paper gives it in words", buildSIRI},
		"canon":       {"warm-up, then cosine cycles with restarts", "CANON, arXiv 2509.23962, released code: μ schedules (b)", buildCANON},
	}
}

// Kinds lists the kinds that New knows, sorted.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds())) }

// New builds a schedule from what a config holds: a number is a constant; a map has the key kind and
// that kind's parameters. Decoding is strict: unknown keys, wrong types and values out of range are
// errors that say what is valid, all of them at once.
func New(spec any) (Schedule, error) {
	if value, ok := number(spec); ok {
		if !isFinite(value) {
			return nil, fmt.Errorf("schedule: %v is not a finite number", value)
		}
		return Constant(value), nil
	}
	m, ok := spec.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("schedule: got %v (%T); want a number, or a map with the key kind (one of %s) and its parameters", spec, spec, strings.Join(Kinds(), ", "))
	}
	name, ok := m["kind"].(string)
	if !ok {
		return nil, fmt.Errorf("schedule: the key kind is missing or not a text; valid kinds are %s", strings.Join(Kinds(), ", "))
	}
	k, ok := kinds()[name]
	if !ok {
		return nil, fmt.Errorf("schedule: unknown kind %q; valid ones are %s", name, strings.Join(Kinds(), ", "))
	}
	r := &reader{kind: name, given: m}
	s := k.build(r)
	if err := r.finish(); err != nil {
		return nil, err
	}
	return s, nil
}

// Description is what there is to say about a kind, for listings.
type Description struct {
	Kind   string  `json:"kind"`
	Title  string  `json:"title"`
	Source string  `json:"source,omitempty"`
	Params []Param `json:"params"`
}

// Param is one parameter of a kind. Default is nil where it has to be given.
type Param struct {
	Name    string `json:"name"`
	Doc     string `json:"doc"`
	Default any    `json:"default"`
	Allowed string `json:"allowed"`
}

// Describe lists all kinds, sorted by name.
func Describe() []Description {
	var all []Description
	for _, name := range Kinds() {
		k := kinds()[name]
		r := &reader{kind: name, given: map[string]any{"kind": name}}
		k.build(r) // complaints about missing parameters are not of interest here
		all = append(all, Description{Kind: name, Title: k.title, Source: k.source, Params: r.params})
	}
	return all
}

// Floor returns the whole number at or below a schedule's value, for targets that count: tokens,
// samples, steps. A hair below a whole number, as rounding leaves it, counts as that number.
func Floor(value float64) int { return int(math.Floor(value + 1e-9)) }

// cos is the cosine, for any angle that a step can give.
func cos(x float64) float64 {
	_, c := portable.SinCos(math.Mod(math.Abs(x), 2*math.Pi))
	return c
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Observation is what a finished learner step has measured.
type Observation struct {
	Step     int64
	Accuracy float64 // right / (right + wrong) of the step's traces
	KL       float64 // nats a token
	Traces   int64
}

// Controller is a number that answers to what a run observes. Value is what holds for the next
// step; Observe is called once after each step, in order. State and Restore carry it through a
// checkpoint. One goroutine owns a controller.
type Controller interface {
	Value() float64
	Observe(o Observation)
	State() ([]byte, error)
	Restore(state []byte) error
}

var controllers = map[string]func(r *reader) Controller{
	"adaptive_kl": buildAdaptiveKL,
	"multiplier":  buildMultiplier,
	"accuracy":    buildAccuracy,
}

// about says what each controller is.
var about = map[string]string{
	"adaptive_kl": "holds the KL near a target (verl's adaptive controller): initial, target, horizon",
	"multiplier":  "a Lagrange multiplier on accuracy (A-DLP): initial, eta, reference_accuracy",
	"accuracy":    "the last step's accuracy, or its complement (CANON's annealed μ): initial, complement",
}

// About says in one line what a controller is; "" for an unknown one.
func About(controller string) string { return about[controller] }

// Controllers lists the kinds that NewController knows, sorted.
func Controllers() []string { return slices.Sorted(maps.Keys(controllers)) }

// NewController builds a controller from a map with the key kind and that kind's parameters, as
// strictly as New does.
func NewController(spec map[string]any) (Controller, error) {
	name, _ := spec["kind"].(string)
	build, ok := controllers[name]
	if !ok {
		return nil, fmt.Errorf("controller: unknown kind %q; valid ones are %s", name, strings.Join(Controllers(), ", "))
	}
	r := &reader{kind: name, given: spec}
	c := build(r)
	if err := r.finish(); err != nil {
		return nil, err
	}
	return c, nil
}

// level is the state of every controller here: its current value.
type level struct {
	Current float64 `json:"value"`
}

// Value implements Controller.
func (l *level) Value() float64 { return l.Current }

// State implements Controller.
func (l *level) State() ([]byte, error) { return json.Marshal(l) }

// Restore implements Controller.
func (l *level) Restore(state []byte) error {
	var saved struct {
		Current *float64 `json:"value"`
	}
	err := json.Unmarshal(state, &saved)
	if err == nil && saved.Current == nil {
		err = errors.New(`the key "value" is missing`)
	}
	if err != nil {
		return fmt.Errorf("restore controller: %w", err)
	}
	l.Current = *saved.Current
	return nil
}

// adaptiveKL holds the KL near a target (Ziegler et al., arXiv 1909.08593, section 2.2; verl's
// adaptive controller): coef ·= 1 + clip(kl/target - 1, ±0.2) · n/horizon.
type adaptiveKL struct {
	level
	target, horizon float64
}

func buildAdaptiveKL(r *reader) Controller {
	return &adaptiveKL{
		level:   level{r.number("initial", "coefficient of the first step", 0.001, notNegative)},
		target:  r.number("target", "KL to hold, nats a token", 0.1, positive),
		horizon: r.number("horizon", "traces over which the coefficient may change by 20 %", 10000, positive),
	}
}

func (c *adaptiveKL) Observe(o Observation) {
	miss := min(max(o.KL/c.target-1, -0.2), 0.2)
	// A step of more than five horizons would turn the coefficient negative.
	c.Current *= max(1+miss*float64(o.Traces)/c.horizon, 0)
}

// multiplier is a Lagrange multiplier on accuracy (A-DLP): λ ← max(0, λ + η(accuracy - reference)).
type multiplier struct {
	level
	eta, reference float64
}

func buildMultiplier(r *reader) Controller {
	return &multiplier{
		level:     level{r.number("initial", "λ of the first step", 0.001, notNegative)},
		eta:       r.number("eta", "step size η", 0.001, notNegative),
		reference: r.number("reference_accuracy", "accuracy below which the pressure falls", 0.62, limits{low: 0, high: 1}),
	}
}

func (c *multiplier) Observe(o Observation) {
	c.Current = max(0, c.Current+c.eta*(o.Accuracy-c.reference))
}

// accuracy is CANON's annealed μ: the last step's accuracy ("first intra, later inter"), or its
// complement.
type accuracy struct {
	level
	complement bool
}

func buildAccuracy(r *reader) Controller {
	return &accuracy{
		level:      level{r.number("initial", "value of the first step", 0, limits{low: 0, high: 1})},
		complement: r.flag("complement", "use 1 minus the accuracy", false),
	}
}

func (c *accuracy) Observe(o Observation) {
	c.Current = o.Accuracy
	if c.complement {
		c.Current = 1 - o.Accuracy
	}
}

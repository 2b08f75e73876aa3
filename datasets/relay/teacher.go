package relay

import (
	"errors"
	"fmt"
	"slices"

	"pith/datasets"
	"pith/datasets/rng"
)

// TeacherOptions describe a reasoner that slips and checks too much. Start from
// [DefaultTeacherOptions].
type TeacherOptions struct {
	AtOnce    float64   `json:"at_once" mapstructure:"at_once"`       // answers one hop at once, rightly
	Arrow     float64   `json:"arrow" mapstructure:"arrow"`           // writes "a > c ;" a hop, otherwise "c"
	Slip      float64   `json:"slip" mapstructure:"slip"`             // a hop of the first pass leads elsewhere
	CheckSlip float64   `json:"check_slip" mapstructure:"check_slip"` // … of a check
	Checks    []float64 `json:"checks" mapstructure:"checks"`         // weights of 0, 1, 2, … checks
}

// DefaultTeacherOptions follow the pattern that makes clock's teacher an over-thinker: careless
// first passes, careful checks.
func DefaultTeacherOptions() TeacherOptions {
	return TeacherOptions{AtOnce: 0.3, Arrow: 0.7, Slip: 0.05, CheckSlip: 0.01, Checks: []float64{0.2, 0.4, 0.4}}
}

// Validate reports every violation at once.
func (o TeacherOptions) Validate() error {
	var errs []error
	for _, c := range []struct {
		name string
		p    float64
	}{{"at_once", o.AtOnce}, {"arrow", o.Arrow}, {"slip", o.Slip}, {"check_slip", o.CheckSlip}} {
		if !(c.p >= 0 && c.p <= 1) {
			errs = append(errs, fmt.Errorf("%s is %v: it must be 0 to 1", c.name, c.p))
		}
	}
	total := 0.0
	for i, w := range o.Checks {
		if !(w >= 0 && w <= 1e9) {
			errs = append(errs, fmt.Errorf("checks[%d] is %v: a weight must not be negative", i, w))
		}
		total += w
	}
	if !(total > 0) {
		errs = append(errs, fmt.Errorf("checks: at least one weight must be positive"))
	}
	return errors.Join(errs...)
}

// Teacher generates supervised examples on the train split, each a pure function of (seed, step,
// row). It is immutable and safe for concurrent use.
type Teacher struct {
	family *Family
	seed   uint64
	o      TeacherOptions
}

// NewTeacher returns the teacher of a seed.
func NewTeacher(f *Family, seed uint64, o TeacherOptions) (*Teacher, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("teacher options: %w", err)
	}
	return &Teacher{family: f, seed: seed, o: o}, nil
}

// Example returns the ids of a whole sequence and, for each token, whether the loss includes it.
func (t *Teacher) Example(step, row int) (ids []int32, train []bool, err error) {
	prompt, response, err := t.lesson(step, row)
	if err != nil {
		return nil, nil, err
	}
	for i, token := range append(prompt, response...) {
		ids = append(ids, int32(slices.Index(vocabulary, token)))
		train = append(train, i >= len(prompt))
	}
	return ids, train, nil
}

func (t *Teacher) lesson(step, row int) (prompt, response []string, err error) {
	r := rng.New(t.seed, rng.Text("relay/teacher"), uint64(step), uint64(row))
	m, err := t.family.draw(&r, datasets.Train)
	if err != nil {
		return nil, nil, fmt.Errorf("relay teacher: step %d, row %d: %w", step, row, err)
	}
	at := m.follow(m.hops)
	if m.hops > 1 || !r.Chance(t.o.AtOnce) {
		arrow := r.Chance(t.o.Arrow)
		response, at = t.pass(&r, m, arrow, t.o.Slip)
		for range r.Pick(t.o.Checks) {
			var again []string
			again, at = t.pass(&r, m, arrow, t.o.CheckSlip)
			response = append(append(response, wordCheck), again...)
		}
	}
	return m.prompt(), append(response, EndThink, letter(at), EOS), nil
}

func (t *Teacher) pass(r *rng.Stream, m maze, arrow bool, slip float64) (tokens []string, at int) {
	at = m.start
	for range m.hops {
		to := int(m.to[at])
		if r.Chance(slip) {
			to = (to + 1 + r.IntN(len(m.to)-1)) % len(m.to)
		}
		if arrow {
			tokens = append(tokens, letter(at), wordArrow, letter(to), wordEnd)
		} else {
			tokens = append(tokens, letter(to))
		}
		at = to
	}
	return tokens, at
}

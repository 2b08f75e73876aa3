package rewards

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pith/policies/advantage"
	"pith/rewards/params"
)

// Options select how a method runs.
type Options struct {
	Profile   string         // paper (also ""), released_code
	Params    map[string]any // of the method; see Description.Params
	Advantage map[string]any // "kind" swaps the estimator, everything else is one of its options
	// KLCoef, where positive, takes KLCoef · Sample.ReferenceKL from the reward, as its last term.
	KLCoef float64
}

// klTerm is the name of that term.
const klTerm = "reference_kl"

// Method is a reward method with its parameters bound, its estimator and its memory. It is not
// safe for concurrent use: Score reuses scratch space.
type Method struct {
	name    string
	spec    *spec
	options Options
	plan    *plan
	kind    advantage.Kind
	needs   Field
	scratch scratch
}

// New binds a method's parameters. Decoding is strict, and all violations are reported at once.
func New(name string, o Options) (*Method, error) {
	sp := find(name)
	if sp == nil {
		return nil, fmt.Errorf("method %q is unknown; known: %s", name, strings.Join(Names(), ", "))
	}
	switch o.Profile {
	case "":
		o.Profile = params.Paper
	case params.Paper, params.ReleasedCode:
	default:
		return nil, fmt.Errorf("profile %q is unknown; want paper or released_code", o.Profile)
	}
	if !(o.KLCoef >= 0 && o.KLCoef <= 1e6) {
		return nil, fmt.Errorf("the coefficient of the KL term is %v; want a number from 0 to 1e6", o.KLCoef)
	}
	m := &Method{name: name, spec: sp, options: o}
	if err := m.bind(o.Params); err != nil {
		return nil, err
	}
	return m, nil
}

// Name is the method's name.
func (m *Method) Name() string { return m.name }

// Profile is paper or released_code.
func (m *Method) Profile() string { return m.options.Profile }

// Batched says that a trace's advantage depends on other groups of the batch: such a method has to
// be given whole training batches.
func (m *Method) Batched() bool { return m.spec.batch || m.kind.Scope == advantage.ScopeBatch }

// Terms names the parts of the reward, in order.
func (m *Method) Terms() []string {
	terms := slices.Clone(m.plan.terms)
	if m.options.KLCoef > 0 {
		terms = append(terms, klTerm)
	}
	return terms
}

// Needs lists the inputs without which Score refuses a group.
func (m *Method) Needs() []string { return m.needs.Names() }

// Stateful says that the method's results depend on what was observed before.
func (m *Method) Stateful() bool { return m.plan.memory != nil }

// AdvantageKind is the name of the estimator in use.
func (m *Method) AdvantageKind() string { return m.kind.Name }

// Check refuses a setting under which the method cannot do what it is for.
func (m *Method) Check(s Setting) error {
	if m.plan.fits == nil {
		return nil
	}
	if err := m.plan.fits(s); err != nil {
		return fmt.Errorf("method %s: %w", m.name, err)
	}
	return nil
}

// Set rebinds some parameters, as a schedule does, and keeps what the method remembers.
func (m *Method) Set(values map[string]any) error {
	merged := maps.Clone(m.options.Params)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, values)
	memory := m.plan.memory
	var state []byte
	if memory != nil {
		var err error
		if state, err = memory.save(); err != nil {
			return err
		}
	}
	old := *m
	if err := m.bind(merged); err != nil {
		*m = old
		return err
	}
	m.options.Params = merged
	if memory != nil {
		return m.plan.memory.load(state)
	}
	return nil
}

// State serialises what the method remembers; nil where it remembers nothing. Equal states give
// equal bytes.
func (m *Method) State() ([]byte, error) {
	if m.plan.memory == nil {
		return nil, nil
	}
	return m.plan.memory.save()
}

// Restore takes back what State gave.
func (m *Method) Restore(state []byte) error {
	if m.plan.memory == nil {
		if len(state) > 0 {
			return fmt.Errorf("method %s remembers nothing, but the checkpoint holds %d bytes of its state: it belongs to another method", m.name, len(state))
		}
		return nil
	}
	if len(state) == 0 {
		return nil
	}
	if err := m.plan.memory.load(state); err != nil {
		return fmt.Errorf("state of method %s: %w", m.name, err)
	}
	return nil
}

func (m *Method) defaults() any {
	if m.spec.params == nil {
		return &struct{}{}
	}
	p := m.spec.params()
	params.SetDefaults(p, m.options.Profile)
	return p
}

// bind decodes the method's parameters and the estimator's options.
func (m *Method) bind(values map[string]any) error {
	p := m.defaults()
	var violations params.Errors
	collect := func(err error) {
		var several params.Errors
		switch {
		case err == nil:
		case errors.As(err, &several):
			violations = append(violations, several...)
		default:
			violations = append(violations, err)
		}
	}
	err := params.Decode(p, values, "method.")
	collect(err)
	if err != nil { // the plan needs sound parameters; the estimator is still checked, over defaults
		p = m.defaults()
	}
	pl := m.spec.bind(p, m.options.Profile)
	estimator, err := chooseEstimator(pl.estimator, m.options.Advantage, m.options.Profile)
	collect(err)
	if len(violations) > 0 {
		return fmt.Errorf("method %s: %w", m.name, violations)
	}
	kind, _ := kindOf(estimator)
	extra, err := m.estimatorNeeds(pl, estimator, kind)
	if err != nil {
		return fmt.Errorf("method %s: %w", m.name, err)
	}
	pl.estimator = estimator
	m.plan, m.kind = pl, kind
	m.needs = m.spec.needs | pl.needs | extra
	if m.options.KLCoef > 0 {
		m.needs |= FieldReferenceKL
	}
	return nil
}

// estimatorNeeds turns what an estimator needs into fields, or says that this method cannot
// provide it.
func (m *Method) estimatorNeeds(pl *plan, e advantage.Estimator, kind advantage.Kind) (Field, error) {
	var f Field
	if kind.Needs&advantage.NeedTokens != 0 {
		f |= FieldTokens
	}
	if c, ok := e.(*advantage.Canon); ok {
		if c.Metric == "entropy" {
			f |= FieldEntropy
		} else {
			f |= FieldTokens
		}
	}
	if kind.Needs&advantage.NeedValues != 0 {
		f |= FieldValues | FieldTokens
	}
	if kind.Needs&advantage.NeedTurns != 0 {
		if err := turnsFit(m.name, pl); err != nil {
			return 0, err
		}
		if f |= FieldTurnEnds; pl.turn == nil {
			f |= FieldTurnScores
		}
	}
	if kind.Needs&advantage.NeedSteps != 0 && pl.split == nil {
		return 0, errors.New("advantage.kind: brpo needs scores at budgets, which only the method brpo has")
	}
	if g, ok := e.(*advantage.GDPO); ok && len(g.Weights) > 0 && len(g.Weights) != len(pl.terms) {
		return 0, fmt.Errorf("advantage.weights: want one for each of the terms %s, got %d", strings.Join(pl.terms, ", "), len(g.Weights))
	}
	return f, nil
}

// chooseEstimator starts from the method's own estimator, or from the defaults of the kind that
// was asked for, and decodes the options over it.
func chooseEstimator(own advantage.Estimator, options map[string]any, profile string) (advantage.Estimator, error) {
	estimator := own
	if asked, ok := options["kind"]; ok {
		name, isWord := asked.(string)
		at := slices.IndexFunc(advantage.Kinds(), func(k advantage.Kind) bool { return k.Name == name })
		if !isWord || at < 0 {
			return nil, fmt.Errorf("advantage.kind: %v is unknown; known: %s", asked, strings.Join(kindNames(), ", "))
		}
		if current, _ := kindOf(own); current.Name != name {
			estimator = advantage.Kinds()[at].New()
			params.SetDefaults(estimator, profile)
		}
	}
	rest := maps.Clone(options)
	delete(rest, "kind")
	if err := params.Decode(estimator, rest, "advantage."); err != nil {
		return nil, err
	}
	return estimator, nil
}

// kindOf finds the kind of an estimator by its type; the first of two names for one type wins.
func kindOf(e advantage.Estimator) (advantage.Kind, bool) {
	want := fmt.Sprintf("%T", e)
	for _, k := range advantage.Kinds() {
		if fmt.Sprintf("%T", k.New()) == want {
			return k, true
		}
	}
	return advantage.Kind{}, false
}

func kindNames() []string {
	var names []string
	for _, k := range advantage.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

// estimator gives an estimator with its documented defaults in a profile; options name what the
// method sets otherwise.
func estimator[E any, P interface {
	*E
	advantage.Estimator
}](profile string, set func(e *E)) P {
	e := new(E)
	params.SetDefaults(e, profile)
	if set != nil {
		set(e)
	}
	return P(e)
}

func isFinite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

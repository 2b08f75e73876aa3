package schedule

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// reader reads the parameters of one schedule. It collects problems instead of stopping at the
// first, and remembers what was asked for: that list is the documentation and tells unknown keys.
type reader struct {
	kind     string
	given    map[string]any
	params   []Param
	problems []error
}

// limits is a closed range of numbers; above makes its low end exclusive.
type limits struct {
	low, high float64
	above     bool
	whole     bool
}

var (
	anyNumber   = limits{low: math.Inf(-1), high: math.Inf(1)}
	notNegative = limits{low: 0, high: math.Inf(1)}
	positive    = limits{low: 0, high: math.Inf(1), above: true}
	// Steps are bounded so that any sum of them is far from overflow.
	someSteps = limits{low: 1, high: 1 << 52, whole: true}
	anyStep   = limits{low: -(1 << 52), high: 1 << 52, whole: true}
)

func (l limits) String() string {
	kind := "a number"
	if l.whole {
		kind = "a whole number"
	}
	switch {
	case math.IsInf(l.low, -1), l.low <= -(1 << 52):
	case l.above:
		kind += fmt.Sprintf(" > %v", l.low)
	default:
		kind += fmt.Sprintf(" >= %v", l.low)
	}
	if !math.IsInf(l.high, 1) && l.high < 1<<52 {
		kind += fmt.Sprintf(" and <= %v", l.high)
	}
	return kind
}

func (l limits) holds(x float64) bool {
	return isFinite(x) && x >= l.low && x <= l.high && !(l.above && x == l.low) && (!l.whole || x == math.Trunc(x))
}

// bad notes a problem with a parameter.
func (r *reader) bad(name, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("schedule %s: %s: %s", r.kind, name, fmt.Sprintf(format, args...)))
}

// value returns what was given for a parameter; ok is false where the default holds, or where there
// is none, which is noted.
func (r *reader) value(name, doc string, def any, allowed string) (v any, ok bool) {
	r.params = append(r.params, Param{Name: name, Doc: doc, Default: def, Allowed: allowed})
	v, ok = r.given[name]
	if !ok && def == nil {
		r.bad(name, "missing; want %s (%s)", allowed, doc)
	}
	return v, ok
}

// number reads a number; def nil means that it must be given.
func (r *reader) number(name, doc string, def any, l limits) float64 {
	fallback, _ := number(def)
	v, ok := r.value(name, doc, def, l.String())
	if !ok {
		return fallback
	}
	x, ok := number(v)
	if !ok || !l.holds(x) {
		r.bad(name, "got %v (%T); want %s", v, v, l)
		return fallback
	}
	return x
}

func (r *reader) steps(name, doc string, def any) int64 {
	return int64(r.number(name, doc, def, someSteps))
}

// start reads the step at which time begins.
func (r *reader) start() int64 {
	return int64(r.number("start", "the step that is t = 0", 0, anyStep))
}

func (r *reader) flag(name, doc string, def bool) bool {
	v, ok := r.value(name, doc, def, "true, false")
	if !ok {
		return def
	}
	on, ok := v.(bool)
	if !ok {
		r.bad(name, "got %v (%T); want true, false", v, v)
		return def
	}
	return on
}

func (r *reader) choice(name, doc, def string, options ...string) string {
	allowed := strings.Join(options, ", ")
	v, ok := r.value(name, doc, def, allowed)
	if !ok {
		return def
	}
	text, ok := v.(string)
	if !ok || !slices.Contains(options, text) {
		r.bad(name, "got %v (%T); want %s", v, v, allowed)
		return def
	}
	return text
}

// list reads a list of anything with at least one entry.
func (r *reader) list(name, doc string, def any, allowed string) []any {
	v, ok := r.value(name, doc, def, allowed)
	if !ok {
		v = def
	}
	switch items := v.(type) {
	case nil:
		return nil
	case []any:
		if len(items) > 0 {
			return items
		}
	case []float64:
		return anys(items)
	case []int:
		return anys(items)
	}
	r.bad(name, "got %v (%T); want %s", v, v, allowed)
	return nil
}

func anys[T any](items []T) []any {
	if len(items) == 0 {
		return nil
	}
	out := make([]any, len(items))
	for i, x := range items {
		out[i] = x
	}
	return out
}

// schedule reads a schedule inside this one.
func (r *reader) schedule(name, doc string) Schedule {
	v, ok := r.value(name, doc, nil, "a number or a schedule")
	if !ok {
		return Constant(0)
	}
	s, err := New(v)
	if err != nil {
		r.bad(name, "%v", err)
		return Constant(0)
	}
	return s
}

// finish reports unknown keys and everything noted before.
func (r *reader) finish() error {
	known := []string{"kind"}
	for _, p := range r.params {
		known = append(known, p.Name)
	}
	for _, key := range slices.Sorted(maps.Keys(r.given)) {
		if !slices.Contains(known, key) {
			r.problems = append(r.problems, fmt.Errorf("schedule %s: unknown key %q; valid ones are %s", r.kind, key, strings.Join(known[1:], ", ")))
		}
	}
	return errors.Join(r.problems...)
}

// number reads the number types that YAML, JSON and Go code produce.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case int:
		return float64(x), true
	case int32:
		return float64(x), true
	case int64:
		return float64(x), true
	case uint64:
		return float64(x), true
	}
	return 0, false
}

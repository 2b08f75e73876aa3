package rewards

import (
	"slices"

	"pith/policies/advantage"
	"pith/rewards/params"
)

func find(name string) *spec {
	for _, sp := range table {
		if sp.name == name {
			return sp
		}
	}
	return nil
}

// Names lists the methods in the order of the table.
func Names() []string {
	names := make([]string, len(table))
	for i, sp := range table {
		names[i] = sp.name
	}
	return names
}

// Methods describes every method, in the order of the table.
func Methods() []Description {
	out := make([]Description, len(table))
	for i, sp := range table {
		out[i] = sp.describe()
	}
	return out
}

// Lookup describes one method.
func Lookup(name string) (Description, bool) {
	sp := find(name)
	if sp == nil {
		return Description{}, false
	}
	return sp.describe(), true
}

func (sp *spec) describe() Description {
	d := Description{
		Name: sp.name, Title: sp.title, Family: sp.family, Formula: sp.formula, Source: sp.source,
		Verified: sp.verified, Needs: sp.needs.Names(), Optional: sp.optional, Filter: sp.filter, State: sp.state,
		Differences: sp.differences, Notes: sp.notes, Promises: sp.promises, Recommended: sp.recommended,
	}
	bound := func(profile string) (*plan, string, map[string]any) {
		p := (&Method{spec: sp, options: Options{Profile: profile}}).defaults()
		pl := sp.bind(p, profile)
		kind, _ := kindOf(pl.estimator)
		return pl, kind.Name, params.Values(pl.estimator)
	}
	if sp.params != nil {
		d.Params = params.Fields(sp.params())
	}
	pl, name, values := bound(params.Paper)
	d.Terms, d.Advantage, d.AdvantageParams = slices.Clone(pl.terms), name, values
	if _, code, codeValues := bound(params.ReleasedCode); code != name || !sameValues(values, codeValues) {
		d.AdvantageCode, d.CodeParams = code, codeValues
	}
	d.Scope = string(advantage.ScopeGroup)
	if kind, _ := kindOf(pl.estimator); sp.batch || kind.Scope == advantage.ScopeBatch {
		d.Scope = string(advantage.ScopeBatch)
	}
	return d
}

func sameValues(a, b map[string]any) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if list, ok := value.([]float64); ok {
			other, same := b[key].([]float64)
			if !same || !slices.Equal(list, other) {
				return false
			}
			continue
		}
		if value != b[key] {
			return false
		}
	}
	return true
}

package sweep

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pith/configs"
	"pith/rewards"
)

// Setting is one path=value, the value as YAML.
type Setting struct {
	Path  string
	Value any
}

// String renders the setting as --set takes it.
func (s Setting) String() string {
	var node yaml.Node
	if err := node.Encode(s.Value); err != nil {
		return fmt.Sprintf("%s=%v", s.Path, s.Value)
	}
	flow(&node)
	text, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Sprintf("%s=%v", s.Path, s.Value)
	}
	return s.Path + "=" + strings.TrimSpace(string(text))
}

// flow writes lists and maps on one line.
func flow(n *yaml.Node) {
	n.Style |= yaml.FlowStyle
	for _, c := range n.Content {
		flow(c)
	}
}

// Settings is a map of key paths to values, in the order of the file.
type Settings []Setting

// UnmarshalYAML keeps the order of the file.
func (s *Settings) UnmarshalYAML(n *yaml.Node) error {
	return eachPair(n, "set", func(path string, v *yaml.Node) error {
		var value any
		if err := v.Decode(&value); err != nil {
			return err
		}
		*s = append(*s, Setting{path, value})
		return nil
	})
}

func eachPair(n *yaml.Node, what string, each func(key string, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s must map key paths to values", n.Line, what)
	}
	for i := 0; i < len(n.Content); i += 2 {
		if err := each(n.Content[i].Value, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// Axes are what varies.
type Axes struct {
	Methods []Variant
	Seeds   []uint64
	Keys    []Key
}

// Variant is one entry of the method axis: a method, with settings and axes of its own where it
// has any.
type Variant struct {
	Name   string   `yaml:"name"` // of the arm; default the method's
	Method string   `yaml:"method"`
	Set    Settings `yaml:"set"`
	Axes   Axes     `yaml:"axes"` // keys only
}

// Key is an axis over a key path: a list of values or a range to draw from.
type Key struct {
	Path   string
	Values []any
	Range  *Range
}

// Range is drawn from uniformly, or uniformly in the logarithm.
type Range struct {
	Min     float64 `yaml:"min"`
	Max     float64 `yaml:"max"`
	Log     bool    `yaml:"log"`
	Integer bool    `yaml:"integer"`
}

// draw gives one value, rounded to three digits so that names stay readable.
func (r *Range) draw(random *rand.Rand) any {
	u := random.Float64()
	v := r.Min + u*(r.Max-r.Min)
	if r.Log {
		v = math.Exp(math.Log(r.Min) + u*(math.Log(r.Max)-math.Log(r.Min)))
	}
	if r.Integer {
		return int(math.Round(v))
	}
	if v == 0 {
		return v
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// UnmarshalYAML reads method, seed, and any key path.
func (a *Axes) UnmarshalYAML(n *yaml.Node) error {
	return eachPair(n, "axes", func(path string, v *yaml.Node) (err error) {
		switch path {
		case "method":
			a.Methods, err = methodAxis(v)
		case "seed":
			a.Seeds, err = seedAxis(v)
		default:
			var k Key
			k, err = keyAxis(path, v)
			a.Keys = append(a.Keys, k)
		}
		return err
	})
}

// seedAxis reads a list of seeds, or how many: 3 is 1, 2, 3.
func seedAxis(v *yaml.Node) ([]uint64, error) {
	var count int
	if v.Kind == yaml.ScalarNode && v.Decode(&count) == nil && count > 0 {
		var seeds []uint64
		for i := range count {
			seeds = append(seeds, uint64(i)+1)
		}
		return seeds, nil
	}
	var seeds []uint64
	if err := v.Decode(&seeds); err != nil || len(seeds) == 0 {
		return nil, fmt.Errorf("line %d: axes.seed must be a list of seeds, or how many", v.Line)
	}
	slices.Sort(seeds)
	if len(slices.Compact(slices.Clone(seeds))) < len(seeds) {
		return nil, fmt.Errorf("line %d: axes.seed names a seed twice", v.Line)
	}
	return seeds, nil
}

func keyAxis(path string, v *yaml.Node) (Key, error) {
	k := Key{Path: path}
	switch v.Kind {
	case yaml.MappingNode:
		k.Range = &Range{}
		for i := 0; i < len(v.Content); i += 2 {
			if key := v.Content[i].Value; !slices.Contains([]string{"min", "max", "log", "integer"}, key) {
				return k, fmt.Errorf("line %d: axes.%s: %s is not known; a range has min, max, log, integer", v.Line, path, key)
			}
		}
		if err := v.Decode(k.Range); err != nil {
			return k, err
		}
		if r := k.Range; !(r.Min < r.Max) || r.Log && r.Min <= 0 {
			return k, fmt.Errorf("line %d: axes.%s: needs min < max, and min above 0 where log is set", v.Line, path)
		}
	case yaml.SequenceNode:
		if err := v.Decode(&k.Values); err != nil {
			return k, err
		}
	}
	if k.Range == nil && len(k.Values) == 0 {
		return k, fmt.Errorf("line %d: axes.%s: must be a list of values, or a range {min: …, max: …}", v.Line, path)
	}
	return k, nil
}

// methodAxis reads a list of names and variants, or a rule over the table of methods.
func methodAxis(v *yaml.Node) ([]Variant, error) {
	if v.Kind == yaml.MappingNode {
		return methodsByRule(v)
	}
	if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
		return nil, fmt.Errorf("line %d: axes.method must be a list of methods, or a rule {families: […]}", v.Line)
	}
	var out []Variant
	for _, item := range v.Content {
		var m Variant
		if item.Kind == yaml.ScalarNode {
			m.Method = item.Value
		} else {
			for i := 0; i < len(item.Content); i += 2 {
				if key := item.Content[i].Value; !slices.Contains([]string{"name", "method", "set", "axes"}, key) {
					return nil, fmt.Errorf("line %d: axes.method: %s is not known; an entry has name, method, set, axes", item.Line, key)
				}
			}
			if err := item.Decode(&m); err != nil {
				return nil, err
			}
		}
		if m.Method == "" {
			return nil, fmt.Errorf("line %d: axes.method: an entry names no method", item.Line)
		}
		if len(m.Axes.Methods) > 0 || len(m.Axes.Seeds) > 0 {
			return nil, fmt.Errorf("line %d: axes.method: the axes of %s may only be keys", item.Line, m.Method)
		}
		if m.Name == "" {
			m.Name = m.Method
		}
		out = append(out, m)
	}
	return out, nil
}

// methodsByRule selects methods from the table: every one of the families, in the order of the
// table, but for those excepted and those that need an input which one plain response has not.
func methodsByRule(v *yaml.Node) ([]Variant, error) {
	var rule struct {
		Families []string `yaml:"families"`
		Except   []string `yaml:"except"`
		Also     []string `yaml:"also"` // of other families
	}
	for i := 0; i < len(v.Content); i += 2 {
		if key := v.Content[i].Value; !slices.Contains([]string{"families", "except", "also"}, key) {
			return nil, fmt.Errorf("line %d: axes.method: %s is not known; a rule has families, except, also", v.Line, key)
		}
	}
	if err := v.Decode(&rule); err != nil {
		return nil, err
	}
	for _, name := range slices.Concat(rule.Except, rule.Also) {
		if _, ok := rewards.Lookup(name); !ok {
			return nil, &configs.Error{Problems: []string{fmt.Sprintf("sweep.axes.method: method %q does not exist; see pith methods", name)}}
		}
	}
	var out []Variant
	for _, m := range rewards.Methods() {
		chosen := slices.Contains(rule.Families, m.Family) || slices.Contains(rule.Also, m.Name)
		if chosen && !slices.Contains(rule.Except, m.Name) && plainResponse(m.Needs) {
			out = append(out, Variant{Name: m.Name, Method: m.Name})
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("line %d: axes.method: no method of the families %v can be trained on plain responses", v.Line, rule.Families)
	}
	return out, nil
}

// plainResponse says that strategy single gives everything a method needs.
func plainResponse(needs []string) bool {
	given := []string{
		"correct", "formatted", "truncated", "tokens", "chars", "mode", "turns", "tool_calls", "entropy", "text", "step",
		"problem.reference_accuracy", "problem.reference_tokens", "problem.token_budget", // from the config's data section
	}
	return !slices.ContainsFunc(needs, func(n string) bool { return !slices.Contains(given, n) })
}

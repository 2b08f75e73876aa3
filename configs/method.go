package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// Scales of a method file; see [Sources].
const (
	ScaleConfig = "config" // the config's sizes; what counts tokens, steps or samples shrinks or grows with them
	ScalePaper  = "paper"  // the paper's sizes, and its settings as they stand
)

// Method is a method file: the settings that select strategy, reward, advantage, loss, schedules and
// curriculum with the values of the method's source, and what is needed to use them at another scale.
type Method struct {
	Name  string
	About string // its comment, as one line
	// Base is the preset that the method is laid over where none is named.
	Base  string
	Scale Scale

	settings map[string]any            // config sections
	paper    map[string]any            // the sizes of the paper's runs
	profiles map[string]map[string]any // what differs in a profile
}

// Scale says in which units a method's settings count, so that they can be used at another size.
// Paths lead to a number or a list of numbers: rewards.params.limit, schedule.0.params.period.
type Scale struct {
	// Of holds the sizes that the numbers belong to.
	Of ScaleOf `mapstructure:"of"`

	Tokens   []string `mapstructure:"tokens"`    // in proportion to rollout.max_tokens
	PerToken []string `mapstructure:"per_token"` // prices of a token, in inverse proportion to it
	Steps    []string `mapstructure:"steps"`     // in proportion to run.steps
	Samples  []string `mapstructure:"samples"`   // in proportion to rollout.samples_per_prompt
}

// ScaleOf is the paper's setting; 0 where nothing depends on it.
type ScaleOf struct {
	// Tokens is what rollout.max_tokens stands for: the longest response of the policy that the paper
	// starts from. That is its generation limit, unless a tighter one is the method itself.
	Tokens  int `mapstructure:"tokens"`
	Steps   int `mapstructure:"steps"`
	Samples int `mapstructure:"samples"`
}

// OpenMethod reads an embedded method file.
func OpenMethod(name string) (*Method, error) {
	text, err := MethodYAML(name)
	if err != nil {
		return nil, err
	}
	m, err := parseMethod(name, text)
	if err != nil {
		return nil, fmt.Errorf("method file %s: %w", name, err)
	}
	return m, nil
}

func parseMethod(name string, text []byte) (*Method, error) {
	values, err := parse(text, name)
	if err != nil {
		return nil, err
	}
	m := &Method{Name: name, About: comment(text), Base: "quickstart", settings: values}
	take := func(key string, into any) {
		v, ok := values[key]
		if !ok || err != nil {
			return
		}
		delete(values, key)
		var d *mapstructure.Decoder
		if d, err = mapstructure.NewDecoder(&mapstructure.DecoderConfig{ErrorUnused: true, Result: into}); err == nil {
			err = d.Decode(v)
		}
		if err != nil {
			err = fmt.Errorf("%s: %s", key, oneLine(err))
		}
	}
	take("base", &m.Base)
	take("scale", &m.Scale)
	take("paper", &m.paper)
	take("profiles", &m.profiles)
	return m, err
}

// comment joins the leading comment lines of a YAML text.
func comment(text []byte) string {
	var words []string
	for line := range strings.SplitSeq(string(text), "\n") {
		c, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		words = append(words, strings.TrimSpace(c))
	}
	return strings.Join(words, " ")
}

// sizes are those of a config, of which a method's numbers are a share.
type sizes struct{ tokens, steps, samples int }

// layer gives the method's settings in a profile, at the paper's scale or at that of the sizes.
func (m *Method) layer(profile, scale string, at sizes) (map[string]any, error) {
	out := map[string]any{}
	mergeMaps(out, cloneMap(m.settings))
	s := m.Scale
	if over, ok := m.profiles[profile]; ok {
		over = cloneMap(over)
		if extra, ok := over["scale"]; ok {
			delete(over, "scale")
			var more Scale
			if err := mapstructure.Decode(extra, &more); err != nil {
				return nil, fmt.Errorf("method file %s: profiles.%s.scale: %s", m.Name, profile, oneLine(err))
			}
			s.Tokens, s.PerToken = slices.Concat(s.Tokens, more.Tokens), slices.Concat(s.PerToken, more.PerToken)
		}
		mergeLayer(out, over)
	}
	if scale == ScalePaper {
		mergeLayer(out, cloneMap(m.paper))
		return out, nil
	}
	for _, u := range []struct {
		paths   []string
		now, of int
		inverse bool
	}{
		{s.Tokens, at.tokens, s.Of.Tokens, false}, {s.PerToken, at.tokens, s.Of.Tokens, true},
		{s.Steps, at.steps, s.Of.Steps, false}, {s.Samples, at.samples, s.Of.Samples, false},
	} {
		for _, path := range u.paths {
			if u.of < 1 {
				return nil, fmt.Errorf("method file %s: scale: %s has no size that it belongs to; set scale.of", m.Name, path)
			}
			ratio := float64(u.now) / float64(u.of)
			if u.inverse {
				ratio = 1 / ratio
			}
			if u.now < 1 { // invalid, and reported where it is set
				ratio = 1
			}
			if err := scaleAt(out, strings.Split(path, "."), func(v any) (any, bool) { return scaled(v, ratio) }); err != nil {
				return nil, fmt.Errorf("method file %s: scale: %s: %w", m.Name, path, err)
			}
		}
	}
	return out, nil
}

// targets lists what the method's schedules change.
func (m *Method) targets() []string {
	var out []string
	entries, _ := m.settings["schedule"].([]any)
	for _, e := range entries {
		if entry, ok := e.(map[string]any); ok {
			target, _ := entry["target"].(string)
			out = append(out, target)
		}
	}
	return out
}

// scaled multiplies a number or each of a list. Whole numbers stay whole and at least 1.
func scaled(v any, ratio float64) (any, bool) {
	switch x := v.(type) {
	case int:
		if ratio == 1 {
			return x, true
		}
		y := float64(x) * ratio
		if y != y || y > 1<<52 {
			return nil, false
		}
		return max(1, int(y+0.5)), true
	case float64:
		return x * ratio, true
	case []any:
		out := make([]any, len(x))
		for i := range x {
			y, ok := scaled(x[i], ratio)
			if !ok {
				return nil, false
			}
			out[i] = y
		}
		return out, true
	}
	return nil, false
}

// scaleAt replaces the value at a path; a number in the path is the index of a list.
func scaleAt(at any, path []string, f func(any) (any, bool)) error {
	var set func(any)
	var next any
	switch x := at.(type) {
	case map[string]any:
		next = x[path[0]]
		set = func(v any) { x[path[0]] = v }
	case []any:
		i := -1
		if _, err := fmt.Sscan(path[0], &i); err == nil && i >= 0 && i < len(x) {
			next = x[i]
			set = func(v any) { x[i] = v }
		}
	}
	if next == nil {
		return fmt.Errorf("there is no %s", path[0])
	}
	if len(path) > 1 {
		return scaleAt(next, path[1:], f)
	}
	v, ok := f(next)
	if !ok {
		return fmt.Errorf("%v is no number", next)
	}
	set(v)
	return nil
}

// cloneMap copies a parsed YAML map and everything in it.
func cloneMap(m map[string]any) map[string]any {
	out := maps.Clone(m)
	for k, v := range out {
		out[k] = cloneValue(v)
	}
	return out
}

func cloneValue(v any) any {
	switch x := v.(type) {
	case map[string]any:
		return cloneMap(x)
	case map[any]any: // as YAML gives maps inside lists
		out := map[string]any{}
		for k, v := range x {
			out[fmt.Sprint(k)] = cloneValue(v)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = cloneValue(x[i])
		}
		return out
	}
	return v
}

package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// Sources says what a config is made of, in rising precedence: defaults, presets, files, the
// method, the engine file, the environment, settings.
type Sources struct {
	Presets []string // names of embedded presets
	Files   []string // YAML paths
	Method  string   // name of an embedded method file
	// Scale is config (also "") or paper: at which sizes a method file is laid over the rest. In a
	// file it is the key scale.
	Scale   string
	Engine  string   // name of an embedded engine file
	Environ []string // KEY=value; keys start with PITH_ and join the path with __: PITH_RUN__SEED
	Set     []string // path=value, the value in YAML
}

// Error reports every violation of a config at once.
type Error struct {
	Problems []string // each "path: what is wrong; what would be valid"
}

func (e *Error) Error() string {
	return "config: " + strings.Join(e.Problems, "; ")
}

// delimiter between the parts of a viper key. Not a dot: dots occur in users' keys.
const delimiter = "::"

// Load merges the sources and returns the validated config.
func Load(s Sources) (Config, error) {
	c, err := Merge(s)
	if err != nil {
		return Config{}, err
	}
	return c, c.Validate()
}

// Merge is Load without the validation of values.
func Merge(s Sources) (Config, error) {
	layers, err := s.layers()
	if err != nil {
		return Config{}, err
	}
	// A method's numbers are a share of sizes that anything above it may set: a first pass finds the
	// sizes, a second uses them.
	merged, err := s.merge(layers, sizes{}, "")
	if err != nil {
		return Config{}, err
	}
	if slices.ContainsFunc(layers, func(l layer) bool { return l.method != nil }) {
		rollout, _ := merged["rollout"].(map[string]any)
		run, _ := merged["run"].(map[string]any)
		rewards, _ := merged["rewards"].(map[string]any)
		profile, _ := rewards["profile"].(string)
		at := sizes{tokens: whole(rollout["max_tokens"]), steps: whole(run["steps"]), samples: whole(rollout["samples_per_prompt"])}
		if merged, err = s.merge(layers, at, profile); err != nil {
			return Config{}, err
		}
	}
	return decode(merged)
}

// merge lays everything over the defaults, method files in a profile and at a scale.
func (s Sources) merge(layers []layer, at sizes, profile string) (map[string]any, error) {
	merged, err := defaults()
	if err != nil {
		return nil, err
	}
	var scheduled []string // what method files change over steps
	for _, l := range layers {
		if l.method == nil {
			mergeLayer(merged, cloneMap(l.values))
			continue
		}
		values, err := l.method.layer(profile, l.scale, at)
		if err != nil {
			return nil, err
		}
		values["schedule"] = schedules(merged["schedule"], values["schedule"])
		scheduled = append(scheduled, l.method.targets()...)
		mergeLayer(merged, values)
	}
	// What is set by hand holds throughout the run, whatever schedule a method has for it.
	byHand := func(path string) {
		if slices.Contains(scheduled, path) {
			merged["schedule"] = slices.DeleteFunc(entries(merged["schedule"]), func(e any) bool { return target(e) == path })
		}
	}
	if err := applyEnviron(merged, s.Environ, byHand); err != nil {
		return nil, err
	}
	for _, set := range s.Set {
		if err := applySet(merged, set, byHand); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// schedules puts a method's schedules after those of the layers below, in place of those with the
// same target and of those of another method's parameters.
func schedules(below, method any) []any {
	mine := entries(method)
	kept := slices.DeleteFunc(slices.Clone(entries(below)), func(e any) bool {
		return strings.HasPrefix(target(e), "rewards.params.") ||
			slices.ContainsFunc(mine, func(m any) bool { return target(m) == target(e) })
	})
	return append(kept, mine...)
}

func entries(list any) []any {
	out, _ := list.([]any)
	return out
}

func target(entry any) string {
	m, _ := cloneValue(entry).(map[string]any)
	t, _ := m["target"].(string)
	return t
}

// whole reads a positive whole number; 0 for anything else, which decoding reports.
func whole(v any) int {
	switch n := v.(type) {
	case int:
		return max(n, 0)
	case float64:
		return int(max(n, 0))
	}
	return 0
}

// layer is one source: a parsed file, or a method file to be laid over at a scale.
type layer struct {
	values map[string]any
	method *Method
	scale  string
}

// layers reads presets, files and the method, lowest precedence first. A file may name presets, a
// method and a scale of its own.
func (s Sources) layers() ([]layer, error) {
	switch s.Scale {
	case "", ScaleConfig, ScalePaper:
	default:
		return nil, &Error{[]string{fmt.Sprintf("scale: %q is not known; valid: %s, %s", s.Scale, ScaleConfig, ScalePaper)}}
	}
	var out []layer
	add := func(read func(string) ([]byte, error), what, name string) error {
		text, err := read(name)
		if err != nil {
			return err
		}
		m, err := parse(text, name)
		if err != nil {
			return err
		}
		inner, err := references(m, name)
		if err != nil {
			return err
		}
		below, err := inner.layers()
		if err != nil {
			return fmt.Errorf("%s %s: %w", what, name, err)
		}
		out = append(append(out, below...), layer{values: m})
		return nil
	}
	for _, p := range s.Presets {
		if err := add(PresetYAML, "preset", p); err != nil {
			return nil, err
		}
	}
	for _, f := range s.Files {
		if err := add(readFile, "file", f); err != nil {
			return nil, err
		}
	}
	if s.Method != "" {
		m, err := OpenMethod(s.Method)
		if err != nil {
			return nil, err
		}
		out = append(out, layer{method: m, scale: s.Scale})
	}
	if s.Engine != "" {
		if err := add(EngineYAML, "engine", s.Engine); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{[]string{fmt.Sprintf("%s: no such config file; give a YAML path, or --preset with one of: %s", path, strings.Join(Presets(), ", "))}}
	}
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	return text, nil
}

// references takes the keys that pull in other layers out of m.
func references(m map[string]any, name string) (s Sources, err error) {
	if v, ok := m["presets"]; ok {
		list, isList := v.([]any)
		for _, x := range list {
			p, isString := x.(string)
			isList = isList && isString
			s.Presets = append(s.Presets, p)
		}
		if !isList {
			return s, &Error{[]string{name + ": presets: must be a list of preset names"}}
		}
		delete(m, "presets")
	}
	for key, into := range map[string]*string{"method": &s.Method, "scale": &s.Scale} {
		if v, ok := m[key]; ok {
			if *into, ok = v.(string); !ok {
				what := "the name of a method"
				if key == "scale" {
					what = ScaleConfig + " or " + ScalePaper
				}
				return s, &Error{[]string{name + ": " + key + ": must be " + what}}
			}
			delete(m, key)
		}
	}
	return s, nil
}

// parse reads one YAML document into a map with lower-case keys, through viper.
func parse(text []byte, name string) (map[string]any, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	v.SetConfigType("yaml")
	if err := v.ReadConfig(bytes.NewReader(text)); err != nil {
		return nil, &Error{[]string{fmt.Sprintf("%s: not valid YAML: %s", name, oneLine(err))}}
	}
	return v.AllSettings(), nil
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// mergeLayer puts layer over base. A layer that selects another method, strategy, loss, source or
// estimator drops the lower layers' parameters, which belong to the one it replaces.
func mergeLayer(base, layer map[string]any) {
	for _, r := range replaced {
		section, ok := layer[r.section].(map[string]any)
		if !ok {
			continue
		}
		below, _ := base[r.section].(map[string]any)
		if next, ok := section[r.key]; ok && below != nil && next != below[r.key] {
			for _, p := range r.params {
				delete(below, p)
			}
			if r.section == "rewards" {
				below["profile"] = Default().Rewards.Profile
				delete(base, "advantage")
			}
		}
	}
	if data, ok := layer["data"].(map[string]any); ok {
		replaceCurriculum(base, data)
	}
	mergeMaps(base, layer)
}

// replaceCurriculum drops the parameters of a curriculum of another kind.
func replaceCurriculum(base, data map[string]any) {
	below, _ := base["data"].(map[string]any)
	old, _ := below["curriculum"].(map[string]any)
	next, _ := data["curriculum"].(map[string]any)
	if kind, ok := next["kind"]; ok && old != nil && kind != old["kind"] {
		delete(old, "params")
	}
}

var replaced = []struct {
	section, key string
	params       []string
}{
	{"rewards", "method", []string{"params", "allow_inversions"}},
	{"rollout", "strategy", []string{"params"}},
	{"loss", "kind", []string{"params", "pairs"}},
	{"data", "source", []string{"params"}},
	{"data", "grader", []string{"grade"}},
	{"advantage", "kind", []string{"params"}},
}

func mergeMaps(base, over map[string]any) {
	for k, v := range over {
		if m, ok := v.(map[string]any); ok {
			if below, ok := base[k].(map[string]any); ok {
				mergeMaps(below, m)
				continue
			}
			fresh := map[string]any{}
			mergeMaps(fresh, m)
			base[k] = fresh
			continue
		}
		base[k] = v
	}
}

func defaults() (map[string]any, error) {
	text, err := yaml.Marshal(Default())
	if err != nil {
		return nil, fmt.Errorf("config defaults: %w", err)
	}
	return parse(text, "defaults")
}

// applyEnviron reads PITH_SECTION__KEY=value. Variables that name no section are left alone, since
// others (PITH_KERNEL, PITH_SHARED_DATA) share the prefix.
func applyEnviron(m map[string]any, environ []string, byHand func(path string)) error {
	environ = slices.Sorted(slices.Values(environ))
	for _, kv := range environ {
		key, value, ok := strings.Cut(kv, "=")
		name, isOurs := strings.CutPrefix(key, "PITH_")
		if !ok || !isOurs || !strings.Contains(name, "__") {
			continue
		}
		path := strings.ToLower(strings.ReplaceAll(name, "__", "."))
		if err := applySet(m, path+"="+value, byHand); err != nil {
			return fmt.Errorf("environment variable %s: %w", key, err)
		}
	}
	return nil
}

// applySet puts one path=value and tells byHand of the path. method.X is short for rewards.params.X; advantage.X, unless X is
// kind or params, for advantage.params.X.
func applySet(m map[string]any, set string, byHand func(path string)) error {
	path, text, ok := strings.Cut(set, "=")
	path = strings.ToLower(strings.TrimSpace(path))
	if !ok || path == "" {
		return &Error{[]string{fmt.Sprintf("--set %s: must be path=value, for example --set run.seed=7", set)}}
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return &Error{[]string{fmt.Sprintf("--set %s: the value is not valid YAML: %s", set, oneLine(err))}}
	}
	parts := strings.Split(path, ".")
	if len(parts) == 2 {
		switch {
		case parts[0] == "method":
			parts = []string{"rewards", "params", parts[1]}
		case parts[0] == "advantage" && parts[1] != "kind" && parts[1] != "params":
			parts = []string{"advantage", "params", parts[1]}
		}
	}
	byHand(strings.Join(parts, "."))
	values := map[string]any{}
	at := values
	for _, p := range parts[:len(parts)-1] {
		next := map[string]any{}
		at[p] = next
		at = next
	}
	at[parts[len(parts)-1]] = value
	mergeLayer(m, values)
	return nil
}

// decode turns the merged map into a Config through viper, strictly.
func decode(m map[string]any) (Config, error) {
	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	if err := v.MergeConfigMap(m); err != nil {
		return Config{}, fmt.Errorf("config: %w", err)
	}
	var c Config
	err := v.UnmarshalExact(&c, func(d *mapstructure.DecoderConfig) {
		d.WeaklyTypedInput = false
		d.DecodeHook = mapstructure.ComposeDecodeHookFunc(WholeNumbers, numbersFromText)
	})
	if err != nil {
		return Config{}, &Error{decodeProblems(err)}
	}
	return c, nil
}

// WholeNumbers is a decode hook that refuses a fraction where an integer belongs, which mapstructure
// would truncate, and lets an integer stand for a float.
func WholeNumbers(from, to reflect.Type, data any) (any, error) {
	switch to.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		if f, ok := data.(float64); ok {
			if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
				return nil, fmt.Errorf("%v is not a whole number", f)
			}
			return int64(f), nil
		}
		if n, ok := data.(int); ok && n < 0 && to.Kind() == reflect.Uint64 {
			return nil, fmt.Errorf("%d is negative", n)
		}
	case reflect.Float64:
		switch n := data.(type) {
		case int:
			return float64(n), nil
		case int64:
			return float64(n), nil
		}
	}
	return data, nil
}

// numbersFromText names the type it wanted, in words, where text stands for a number or a switch.
func numbersFromText(from, to reflect.Type, data any) (any, error) {
	text, ok := data.(string)
	if !ok {
		return data, nil
	}
	switch to.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return nil, fmt.Errorf("%q is text; a whole number belongs here", text)
	case reflect.Float64:
		return nil, fmt.Errorf("%q is text; a number belongs here", text)
	case reflect.Bool:
		return nil, fmt.Errorf("%q is text; true or false belongs here", text)
	}
	return data, nil
}

// decodeProblems splits mapstructure's joined error into one line each, with valid keys where a
// key is unknown.
func decodeProblems(err error) []string {
	var out []string
	var walk func(error)
	walk = func(err error) {
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				walk(e)
			}
			return
		}
		if many, ok := err.(interface{ WrappedErrors() []error }); ok {
			for _, e := range many.WrappedErrors() {
				walk(e)
			}
			return
		}
		if inner := errors.Unwrap(err); inner != nil {
			if _, ok := inner.(interface{ Unwrap() []error }); ok {
				walk(inner)
				return
			}
		}
		out = append(out, decodeProblem(err)...)
	}
	walk(err)
	sort.Strings(out)
	return out
}

// Package params turns a tagged struct into the parameters of a rule: keys, defaults, ranges and
// documentation come from one place, the struct's own tags.
//
//	type options struct {
//		Limit int     `key:"limit" default:"4000" min:"1" doc:"tokens; a longer response earns nothing"`
//		Std   string  `key:"std" default:"sample" code:"population" enum:"none|sample|population" doc:"…"`
//		Alpha float64 `key:"alpha" default:"0.5" over:"0" max:"1" doc:"…"`
//	}
//
// Tags: key, default, code (the default in the profile "released_code" where it differs from the
// paper's), min and max (inclusive), over and under (exclusive), enum (choices between bars), doc.
// Fields may be int, float64, bool, string, []int or []float64; embedded structs are flattened.
// Bounds on a list hold for each of its items. A struct with a method Validate() error is asked
// for what spans several fields.
//
// The package knows nothing of methods or estimators, so that both can use it.
package params

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Profiles name the two sets of defaults: as the paper has it, or as the released code does.
const (
	Paper        = "paper"
	ReleasedCode = "released_code"
)

// Field documents one parameter.
type Field struct {
	Key     string `json:"key"`
	Kind    string `json:"kind"` // integer, number, boolean, word, integers, numbers
	Default string `json:"default"`
	Code    string `json:"released_code,omitempty"` // default in that profile, where it differs
	Range   string `json:"range,omitempty"`
	Doc     string `json:"doc"`
}

// validator is implemented by structs whose fields constrain each other.
type validator interface{ Validate() error }

// slot is one settable field.
type slot struct {
	value reflect.Value
	tag   reflect.StructTag
	key   string
}

func slots(v reflect.Value, out []slot) []slot {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			out = slots(v.Field(i), out)
			continue
		}
		if key, ok := f.Tag.Lookup("key"); ok {
			out = append(out, slot{value: v.Field(i), tag: f.Tag, key: key})
		}
	}
	return out
}

func structOf(dst any) reflect.Value {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("params: want a pointer to a struct, got %T", dst))
	}
	return v.Elem()
}

// SetDefaults fills dst, a pointer to a tagged struct, with the defaults of a profile. A tag that
// does not parse is a programming error and panics.
func SetDefaults(dst any, profile string) {
	for _, s := range slots(structOf(dst), nil) {
		text, ok := s.tag.Lookup("default")
		if code, has := s.tag.Lookup("code"); has && profile == ReleasedCode {
			text, ok = code, true
		}
		if !ok {
			continue
		}
		value, err := Parse(text)
		if err == nil {
			err = assign(s, value)
		}
		if err != nil {
			panic(fmt.Sprintf("params: default of %s: %v", s.key, err))
		}
	}
}

// Fields documents the parameters of dst in their order of declaration.
func Fields(dst any) []Field {
	var out []Field
	for _, s := range slots(structOf(dst), nil) {
		out = append(out, Field{
			Key: s.key, Kind: kindOf(s.value), Default: s.tag.Get("default"), Code: s.tag.Get("code"),
			Range: rangeOf(s.tag), Doc: s.tag.Get("doc"),
		})
	}
	return out
}

// Values gives the parameters of dst by key, as they stand.
func Values(dst any) map[string]any {
	out := map[string]any{}
	for _, s := range slots(structOf(dst), nil) {
		out[s.key] = s.value.Interface()
	}
	return out
}

func kindOf(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Int:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "word"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Int {
			return "integers"
		}
		return "numbers"
	}
	panic("params: unsupported type " + v.Type().String())
}

func rangeOf(tag reflect.StructTag) string {
	if enum, ok := tag.Lookup("enum"); ok {
		return strings.Join(strings.Split(enum, "|"), ", ")
	}
	var parts []string
	for _, bound := range [...]struct{ key, sign string }{{"min", "≥ "}, {"over", "> "}, {"max", "≤ "}, {"under", "< "}} {
		if limit, ok := tag.Lookup(bound.key); ok {
			parts = append(parts, bound.sign+limit)
		}
	}
	return strings.Join(parts, ", ")
}

// Parse reads a literal as a command line has it: true, 12, 0.5, word, [1, 2.5].
func Parse(text string) (any, error) {
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		if !ok {
			return nil, fmt.Errorf("%q: a list ends with ]", text)
		}
		list := []any{}
		if strings.TrimSpace(inner) == "" {
			return list, nil
		}
		for item := range strings.SplitSeq(inner, ",") {
			value, err := Parse(item)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return f, nil
	}
	return strings.Trim(text, `"'`), nil
}

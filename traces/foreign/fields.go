package foreign

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// record is one trace of a foreign log: values by field name, in the types of encoding/json with
// numbers kept as json.Number or as Go numbers (Parquet).
type record struct {
	values map[string]any
	file   string
	line   int // of JSON lines; the row of Parquet, from 1
	format *Format
	fields map[string][]string // target to sources, in order of preference
}

// FieldError names the record and the field that cannot be used.
type FieldError struct {
	File  string
	Line  int
	Field string // "" where the whole record is meant
	Why   string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Why)
	}
	return fmt.Sprintf("%s:%d: field %s: %s", e.File, e.Line, e.Field, e.Why)
}

func (r *record) fault(field, format string, args ...any) error {
	return &FieldError{r.file, r.line, field, fmt.Sprintf(format, args...)}
}

// find returns the first source of a target that the record has with a value.
func (r *record) find(target string) (value any, source string, ok bool) {
	for _, source := range r.fields[target] {
		if v, ok := lookup(r.values, source); ok && v != nil {
			return v, source, true
		}
	}
	return nil, "", false
}

// lookup follows a dotted path; a name that holds dots itself is tried first.
func lookup(values map[string]any, path string) (any, bool) {
	if v, ok := values[path]; ok {
		return v, true
	}
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		return nil, false
	}
	inner, ok := values[head].(map[string]any)
	if !ok {
		return nil, false
	}
	return lookup(inner, rest)
}

// text reads a string; numbers and truth values are written out. Absent is "".
func (r *record) text(target string) (string, error) {
	v, source, ok := r.find(target)
	if !ok {
		return "", nil
	}
	s, ok := plain(v)
	if !ok {
		return "", r.fault(source, "want a text, got %s", kindOf(v))
	}
	return strings.ToValidUTF8(s, "\uFFFD"), nil
}

func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case []any: // gold answers often come as a list of one
		if len(v) == 1 {
			return plain(v[0])
		}
	}
	return "", false
}

// number reads a finite number; ok is false where it is absent.
func (r *record) number(target string) (x float64, ok bool, err error) {
	v, source, ok := r.find(target)
	if !ok {
		return 0, false, nil
	}
	x, is := numeric(v)
	if !is {
		return 0, false, r.fault(source, "want a number, got %s", kindOf(v))
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, false, r.fault(source, "%v is not finite", x)
	}
	return x, true, nil
}

func numeric(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		x, err := v.Float64()
		return x, err == nil
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// whole reads a whole number within bounds.
func (r *record) whole(target string, least, most float64) (n int64, ok bool, err error) {
	x, ok, err := r.number(target)
	if err != nil || !ok {
		return 0, false, err
	}
	if x != math.Trunc(x) || x < least || x > most {
		_, source, _ := r.find(target)
		return 0, false, r.fault(source, "want a whole number within %.0f..%.0f, got %v", least, most, x)
	}
	return int64(x), true, nil
}

// list reads numbers; ok is false where the field is absent or a lone number.
func (r *record) list(target string) (xs []float64, source string, ok bool, err error) {
	v, source, found := r.find(target)
	items, is := v.([]any)
	if !found || !is {
		return nil, source, false, nil
	}
	for i, item := range items {
		x, is := numeric(item)
		if !is || math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, source, false, r.fault(source, "element %d: want a finite number, got %s", i, kindOf(item))
		}
		xs = append(xs, x)
	}
	return xs, source, true, nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "the text " + strconv.Quote(clip(v))
	case bool:
		return "a truth value"
	case json.Number:
		return "the number " + v.String()
	case float64, int64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%T", v)
}

func clip(s string) string {
	if len(s) > 24 {
		return strings.ToValidUTF8(s[:24], "") + "…"
	}
	return s
}

// mapping merges the overrides into a format's table.
func mapping(f *Format, overrides map[string]string) (map[string][]string, error) {
	out := map[string][]string{}
	for target, sources := range f.Fields {
		out[target] = sources
	}
	for target, source := range overrides {
		if !slices.Contains(Targets, target) {
			return nil, fmt.Errorf("no field %q can be mapped; they are %s", target, strings.Join(Targets, ", "))
		}
		out[target] = []string{source}
	}
	return out, nil
}

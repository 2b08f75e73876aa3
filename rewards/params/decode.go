package params

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Errors is every violation of one decoding, each a line that starts with the key's path.
type Errors []error

// Error joins the violations with semicolons, so that it stays one line.
func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, err := range e {
		parts[i] = err.Error()
	}
	return strings.Join(parts, "; ")
}

// Unwrap gives the violations one by one.
func (e Errors) Unwrap() []error { return e }

// Decode sets the fields of dst that values names. Unknown keys, wrong types, fractions for
// integers and values out of range are violations; all of them are reported at once, as
// [Errors], each with prefix and key. dst keeps what it had where a key is absent.
func Decode(dst any, values map[string]any, prefix string) error {
	fields := slots(structOf(dst), nil)
	var violations Errors
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := slices.IndexFunc(fields, func(s slot) bool { return s.key == key })
		if at < 0 {
			violations = append(violations, fmt.Errorf("%s%s: unknown; valid here: %s", prefix, key, keys(fields)))
			continue
		}
		if err := assign(fields[at], values[key]); err != nil {
			violations = append(violations, fmt.Errorf("%s%s: %w", prefix, key, err))
		}
	}
	for _, s := range fields {
		if err := check(s); err != nil {
			violations = append(violations, fmt.Errorf("%s%s: %w", prefix, s.key, err))
		}
	}
	if v, ok := dst.(validator); ok && len(violations) == 0 {
		if err := v.Validate(); err != nil {
			violations = append(violations, fmt.Errorf("%s%w", prefix, err))
		}
	}
	if len(violations) == 0 {
		return nil
	}
	return violations
}

func keys(fields []slot) string {
	if len(fields) == 0 {
		return "no parameter at all"
	}
	names := make([]string, len(fields))
	for i, s := range fields {
		names[i] = s.key
	}
	return strings.Join(names, ", ")
}

func assign(s slot, value any) error {
	v := s.value
	switch v.Kind() {
	case reflect.Int:
		n, err := integer(value)
		if err != nil {
			return err
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := number(value)
		if err != nil {
			return err
		}
		v.SetFloat(f)
	case reflect.Bool:
		b, ok := value.(bool)
		if !ok {
			return fmt.Errorf("want true or false, got %s", show(value))
		}
		v.SetBool(b)
	case reflect.String:
		text, ok := value.(string)
		if !ok {
			return fmt.Errorf("want a word, got %s", show(value))
		}
		v.SetString(text)
	case reflect.Slice:
		return assignList(v, value)
	default:
		panic("params: unsupported type " + v.Type().String())
	}
	return nil
}

func assignList(v reflect.Value, value any) error {
	in := reflect.ValueOf(value)
	if !in.IsValid() || in.Kind() != reflect.Slice {
		return fmt.Errorf("want a list, got %s", show(value))
	}
	out := reflect.MakeSlice(v.Type(), in.Len(), in.Len())
	for i := range in.Len() {
		item := in.Index(i).Interface()
		if v.Type().Elem().Kind() == reflect.Int {
			n, err := integer(item)
			if err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
			out.Index(i).SetInt(int64(n))
			continue
		}
		f, err := number(item)
		if err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
		out.Index(i).SetFloat(f)
	}
	v.Set(out)
	return nil
}

// integer accepts whole numbers of any numeric type: formats without integers (JSON) give 4000 as
// 4000.0.
func integer(value any) (int, error) {
	v := reflect.ValueOf(value)
	switch {
	case !v.IsValid():
	case v.CanInt():
		return int(v.Int()), nil
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int(v.Uint()), nil
	case v.CanFloat():
		f := v.Float()
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return 0, fmt.Errorf("want a whole number, got %v", f)
		}
		return int(f), nil
	}
	return 0, fmt.Errorf("want a whole number, got %s", show(value))
}

func number(value any) (float64, error) {
	v := reflect.ValueOf(value)
	f := 0.0
	switch {
	case !v.IsValid():
		return 0, errors.New("want a number, got nothing")
	case v.CanInt():
		f = float64(v.Int())
	case v.CanUint():
		f = float64(v.Uint())
	case v.CanFloat():
		f = v.Float()
	default:
		return 0, fmt.Errorf("want a number, got %s", show(value))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, fmt.Errorf("want a finite number, got %v", f)
	}
	return f, nil
}

func show(value any) string {
	if text, ok := value.(string); ok {
		return strconv.Quote(text)
	}
	if value == nil {
		return "nothing"
	}
	return fmt.Sprintf("%v (%T)", value, value)
}

func check(s slot) error {
	if enum, ok := s.tag.Lookup("enum"); ok {
		choices := strings.Split(enum, "|")
		if !slices.Contains(choices, s.value.String()) {
			return fmt.Errorf("want one of %s, got %q", strings.Join(choices, ", "), s.value.String())
		}
		return nil
	}
	switch v := s.value; v.Kind() {
	case reflect.Int:
		return within(s, float64(v.Int()))
	case reflect.Float64:
		return within(s, v.Float())
	case reflect.Slice:
		for i := range v.Len() {
			item := v.Index(i)
			f := 0.0
			if item.CanInt() {
				f = float64(item.Int())
			} else {
				f = item.Float()
			}
			if err := within(s, f); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
	}
	return nil
}

func within(s slot, f float64) error {
	for _, bound := range [...]struct {
		key  string
		want string
		bad  func(f, limit float64) bool
	}{
		{"min", "at least", func(f, l float64) bool { return f < l }},
		{"over", "more than", func(f, l float64) bool { return f <= l }},
		{"max", "at most", func(f, l float64) bool { return f > l }},
		{"under", "less than", func(f, l float64) bool { return f >= l }},
	} {
		text, ok := s.tag.Lookup(bound.key)
		if !ok {
			continue
		}
		limit, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(fmt.Sprintf("params: bound %s of %s: %v", bound.key, s.key, err))
		}
		if bound.bad(f, limit) {
			return fmt.Errorf("want %s %s, got %v", bound.want, text, f)
		}
	}
	return nil
}

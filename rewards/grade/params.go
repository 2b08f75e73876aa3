package grade

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// decodeParams writes params over the defaults already in options, a pointer to a struct with
// json tags. A key that the struct lacks is an error that lists those it has.
func decodeParams(grader string, params map[string]any, options any) error {
	valid := paramNames(options)
	for key := range params {
		if !slices.Contains(valid, key) {
			if len(valid) == 0 {
				return fmt.Errorf("grader %q: unknown parameter %q; it takes none", grader, key)
			}
			return fmt.Errorf("grader %q: unknown parameter %q; valid ones are %s", grader, key, strings.Join(valid, ", "))
		}
	}
	text, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("grader %q: parameters cannot be read as plain values: %w", grader, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(options); err != nil {
		if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return fmt.Errorf("grader %q: parameter %q must be %s, not %s", grader, mismatch.Field, kindName(mismatch.Type), mismatch.Value)
		}
		return fmt.Errorf("grader %q: %w", grader, err)
	}
	return nil
}

// paramNames lists the json names of a struct's fields in sorted order; embedded structs
// contribute theirs.
func paramNames(options any) []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(options).Elem()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || !field.IsExported() || name == "" || name == "-" {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// kindName says in words what a YAML or JSON author has to write for a Go type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list of " + t.Elem().Kind().String() + "s"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint, reflect.Uint64:
		return "a whole number"
	}
	return t.String()
}

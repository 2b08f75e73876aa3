package families

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// Key is a parameter of a source.
type Key struct {
	Name    string `json:"name"` // dotted where nested
	Type    string `json:"type"`
	Default any    `json:"default"`
}

// decode lays params over the defaults in out, a pointer to a struct. Every violation is reported:
// unknown keys with the valid ones, wrong types, fractions for whole numbers. hidden keys are not
// parameters. Lists replace their defaults.
func decode[T any](params map[string]any, out *T, hidden ...string) error {
	if len(params) == 0 {
		return nil
	}
	var meta mapstructure.Metadata
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: out, Metadata: &meta, DecodeHook: refuseFractions, ZeroFields: true,
	})
	if err != nil {
		return fmt.Errorf("parameters: %w", err)
	}
	var errs []error
	if err := decoder.Decode(params); err != nil {
		errs = append(errs, err)
	}
	valid := keysOf(*out, hidden...)
	unknown := meta.Unused
	for _, k := range hidden {
		if _, given := params[k]; given {
			unknown = append(unknown, k)
		}
	}
	if slices.Sort(unknown); len(unknown) > 0 {
		names := make([]string, len(valid))
		for i, k := range valid {
			names[i] = k.Name
		}
		errs = append(errs, fmt.Errorf("unknown parameter %s: valid are %s", strings.Join(unknown, ", "), strings.Join(names, ", ")))
	}
	return errors.Join(errs...)
}

// refuseFractions keeps 2.5 from becoming 2; 2.0, which JSON makes of 2, passes.
func refuseFractions(from, to reflect.Value) (any, error) {
	if from.Kind() != reflect.Float64 && from.Kind() != reflect.Float32 {
		return from.Interface(), nil
	}
	if v := from.Float(); to.CanInt() || to.CanUint() {
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return nil, fmt.Errorf("%v is no whole number", v)
		}
		return int64(v), nil
	}
	return from.Interface(), nil
}

// keysOf lists the parameters of a struct by their mapstructure tags, with the values it holds.
func keysOf(v any, hidden ...string) []Key {
	var keys []Key
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name := v.Type().Field(i).Tag.Get("mapstructure")
			if name == "" || name == "-" || slices.Contains(hidden, prefix+name) {
				continue
			}
			if f := v.Field(i); f.Kind() == reflect.Struct {
				walk(prefix+name+".", f)
			} else {
				keys = append(keys, Key{Name: prefix + name, Type: f.Type().String(), Default: f.Interface()})
			}
		}
	}
	walk("", reflect.ValueOf(v))
	return keys
}

package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
)

// decodeProblem renders one decoding error as "path: what is wrong".
func decodeProblem(err error) []string {
	path, msg := "", oneLine(err)
	var d *mapstructure.DecodeError
	if errors.As(err, &d) {
		path, msg = d.Name(), oneLine(d.Unwrap())
	}
	if keys, ok := strings.CutPrefix(msg, "has invalid keys: "); ok {
		var out []string
		for key := range strings.SplitSeq(keys, ", ") {
			full := key
			if path != "" {
				full = path + "." + key
			}
			out = append(out, fmt.Sprintf("%s: unknown key%s; valid here: %s", full, suggestion(key, validKeys(path)), strings.Join(validKeys(path), ", ")))
		}
		return out
	}
	if path == "" {
		return []string{msg}
	}
	return []string{path + ": " + msg}
}

// validKeys lists the keys of the struct at a key path, in the order of its fields.
func validKeys(path string) []string {
	t := reflect.TypeFor[Config]()
	for part := range strings.SplitSeq(path, ".") {
		part, _, _ = strings.Cut(part, "[")
		if part == "" {
			continue
		}
		next := t
		for i := range t.NumField() {
			if t.Field(i).Tag.Get("mapstructure") == part {
				next = t.Field(i).Type
			}
		}
		if next.Kind() == reflect.Slice {
			next = next.Elem()
		}
		if next.Kind() != reflect.Struct {
			return nil
		}
		t = next
	}
	var keys []string
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("mapstructure"))
	}
	return keys
}

// suggestion names the nearest valid key where one is near enough to be meant.
func suggestion(key string, valid []string) string {
	best, at := 3, ""
	for _, v := range valid {
		if d := distance(key, v); d < best {
			best, at = d, v
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", at)
}

// distance is the Levenshtein distance of two short strings.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// checker collects violations.
type checker struct{ problems []string }

func (c *checker) bad(path, format string, args ...any) {
	c.problems = append(c.problems, path+": "+fmt.Sprintf(format, args...))
}

func atLeast[T int | float64](c *checker, path string, v, low T) {
	if !(v >= low) {
		c.bad(path, "%v is too small; must be at least %v", v, low)
	}
}

func within(c *checker, path string, v, low, high float64) {
	if !(v >= low && v <= high) {
		c.bad(path, "%v is out of range; must be between %v and %v", v, low, high)
	}
}

func oneOf(c *checker, path, v string, valid ...string) {
	if !slices.Contains(valid, v) {
		c.bad(path, "%q is not known%s; valid: %s", v, suggestion(v, valid), strings.Join(valid, ", "))
	}
}

func (c *checker) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	return &Error{c.problems}
}

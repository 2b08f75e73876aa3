package datasets

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// record is one row of a file as plain values: string, bool, json.Number, int64 and its kin, float,
// []any, map[string]any, or nil.
type record map[string]any

// keys returns the names of the row's fields, sorted, for error messages.
func (r record) keys() []string { return slices.Sorted(maps.Keys(r)) }

// find follows a dotted path; a key that contains dots is tried whole first, and a number indexes a list.
// An absent value and a null are both not found.
func (r record) find(path string) (any, bool) { return find(map[string]any(r), path) }

func find(v any, path string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		if x, ok := v[path]; ok {
			return x, x != nil
		}
		for i := range len(path) {
			if path[i] != '.' {
				continue
			}
			if x, ok := v[path[:i]]; ok && x != nil {
				if y, found := find(x, path[i+1:]); found {
					return y, true
				}
			}
		}
	case []any:
		head, rest, nested := strings.Cut(path, ".")
		i, err := strconv.Atoi(head)
		if err != nil || i < 0 || i >= len(v) || v[i] == nil {
			return nil, false
		}
		if !nested {
			return v[i], true
		}
		return find(v[i], rest)
	}
	return nil, false
}

// text renders a scalar as a gold answer or a question would have it: 145.0 is "145", 0.5 is "0.5".
// A list of one scalar is that scalar. ok is false for everything else.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	case bool:
		return strconv.FormatBool(v), true
	case []any:
		if len(v) == 1 {
			return text(v[0])
		}
		return "", false
	}
	if s, ok := number(v); ok {
		return s, true
	}
	return "", false
}

// number renders a numeric value exactly and plainly: no exponent, no trailing ".0".
func number(v any) (string, bool) {
	switch v := v.(type) {
	case json.Number:
		s := v.String()
		if !strings.ContainsAny(s, ".eE") {
			return s, true
		}
		f, err := v.Float64()
		if err != nil || math.Abs(f) >= 1e21 || (f != 0 && math.Abs(f) < 1e-21) {
			return s, true // as written
		}
		// The literal itself, not the nearest float: "0.10" is 0.1, and 27.0 is 27.
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			return s, true
		}
		if r.IsInt() {
			return r.Num().String(), true
		}
		return strconv.FormatFloat(f, 'f', -1, 64), true
	case float64:
		return plainFloat(v, 64)
	case float32:
		return plainFloat(float64(v), 32)
	case int:
		return strconv.Itoa(v), true
	case int32:
		return strconv.FormatInt(int64(v), 10), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case uint32:
		return strconv.FormatUint(uint64(v), 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	}
	return "", false
}

func plainFloat(f float64, bits int) (string, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", false
	}
	return strconv.FormatFloat(f, 'f', -1, bits), true
}

// float reads a numeric value, or text that is one.
func float(v any) (float64, bool) {
	s, ok := text(v)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// level reads a whole number ≥ 0, or the one at the end of a text such as "Level 5".
func level(v any) (int, bool) {
	s, ok := text(v)
	if !ok {
		return 0, false
	}
	s = strings.TrimSpace(s)
	start := len(s)
	for start > 0 && s[start-1] >= '0' && s[start-1] <= '9' {
		start--
	}
	if start > 0 && (s[start-1] == '-' || s[start-1] == '.') {
		return 0, false
	}
	n, err := strconv.Atoi(s[start:])
	return n, err == nil && n <= math.MaxInt32
}

// boxed returns the content of the last \boxed{…} with balanced braces.
func boxed(s string) (string, bool) {
	for end := len(s); ; {
		i := strings.LastIndex(s[:end], `\boxed{`)
		if i < 0 {
			return "", false
		}
		depth, from := 1, i+len(`\boxed{`)
		for j := from; j < len(s); j++ {
			switch s[j] {
			case '\\':
				j++ // an escaped brace does not count
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					return strings.TrimSpace(s[from:j]), true
				}
			}
		}
		end = i
	}
}

// after returns what follows the last mark on its line, without thousands separators.
func after(s, mark string) (string, bool) {
	i := strings.LastIndex(s, mark)
	if i < 0 {
		return "", false
	}
	line, _, _ := strings.Cut(s[i+len(mark):], "\n")
	line = withoutThousands(strings.TrimSpace(line))
	return line, line != ""
}

// withoutThousands turns 1,080 into 1080 where the whole text is such a number.
func withoutThousands(s string) string {
	digits := strings.TrimLeft(s, "+-$")
	whole, _, _ := strings.Cut(digits, ".")
	groups := strings.Split(whole, ",")
	if len(groups) < 2 || len(groups[0]) < 1 || len(groups[0]) > 3 {
		return s
	}
	for i, g := range groups {
		if i > 0 && len(g) != 3 || strings.Trim(g, "0123456789") != "" {
			return s
		}
	}
	return strings.ReplaceAll(s, ",", "")
}

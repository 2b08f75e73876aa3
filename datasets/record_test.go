package datasets

import (
	"encoding/json"
	"testing"
)

func TestNumbersAreWrittenPlainly(t *testing.T) {
	for in, want := range map[any]string{
		json.Number("145.0"): "145", json.Number("27"): "27", json.Number("0.50"): "0.5", json.Number("-3.0"): "-3",
		json.Number("1e3"): "1000", json.Number("2.5e-1"): "0.25", json.Number("123456789012345678901"): "123456789012345678901",
		json.Number("1e400"): "1e400", 3.0: "3", 0.1: "0.1", float32(0.1): "0.1", int64(-4): "-4", uint64(9): "9", int32(5): "5",
	} {
		if got, ok := number(in); !ok || got != want {
			t.Errorf("%v: got %q %v, want %q", in, got, ok, want)
		}
	}
}

func TestLevelsAreWholeNumbersOrEndInOne(t *testing.T) {
	for in, want := range map[any]int{"Level 5": 5, "3": 3, " 2 ": 2, json.Number("4"): 4, json.Number("4.0"): 4, int64(1): 1, "AIME-2024-7x 12": 12} {
		if got, ok := level(in); !ok || got != want {
			t.Errorf("%v: got %d %v, want %d", in, got, ok, want)
		}
	}
	for _, in := range []any{"Level ?", "hard", "", "-1", "2.5", json.Number("2.5"), json.Number("-2"), "99999999999999999999", nil, map[string]any{}} {
		if got, ok := level(in); ok {
			t.Errorf("%v: read as %d", in, got)
		}
	}
}

func TestBoxedTakesTheLastBalancedBox(t *testing.T) {
	for in, want := range map[string]string{
		`\boxed{3}`:                           "3",
		`\boxed{1} then \boxed{\frac{1}{2}}.`: `\frac{1}{2}`,
		`\boxed{ 7 } and \boxed{8`:            "7",
		`\boxed{\{1, 2\}}`:                    `\{1, 2\}`,
		`\boxed{a \boxed{b} c}`:               "b",
	} {
		if got, ok := boxed(in); !ok || got != want {
			t.Errorf("%s: got %q %v, want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "3", `\boxed`, `\boxed{`, `\boxed{a{b}`} {
		if got, ok := boxed(in); ok {
			t.Errorf("%s: got %q", in, got)
		}
	}
}

func TestThousandsSeparatorsGoOnlyWhereTheyAreThat(t *testing.T) {
	for in, want := range map[string]string{
		"1,080": "1080", "850,000": "850000", "1,234,567.5": "1234567.5", "$1,000": "$1000", "-2,500": "-2500",
		"1,2": "1,2", "1,23,456": "1,23,456", "a,bcd": "a,bcd", "1000,000": "1000,000", ",000": ",000", "7": "7",
	} {
		if got := withoutThousands(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

func TestPathsAreFollowedThroughGroupsListsAndDots(t *testing.T) {
	r := record{"a": map[string]any{"b": []any{"x", map[string]any{"c.d": "deep"}}, "n": nil}, "a.b.0": "whole key", "e.f": map[string]any{"g": "dotted group"}}
	for path, want := range map[string]string{"a.b.0": "whole key", "a.b.1.c.d": "deep", "e.f.g": "dotted group"} {
		if got, ok := r.find(path); !ok || got != want {
			t.Errorf("%s: got %v %v, want %q", path, got, ok, want)
		}
	}
	for _, path := range []string{"", "b", "a.n", "a.b.2", "a.b.-1", "a.b.x", "a.b.0.c", "e.f.g.h"} {
		if got, ok := r.find(path); ok {
			t.Errorf("%s: found %v", path, got)
		}
	}
}

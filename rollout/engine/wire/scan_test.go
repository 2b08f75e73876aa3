package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tree reads a value into what encoding/json would make of it.
func tree(s *Scanner) any {
	switch c := s.Kind(); {
	case c == '{':
		m := map[string]any{}
		s.Fields(func(key []byte) { m[string(key)] = tree(s) })
		return m
	case c == '[':
		l := []any{}
		s.Items(func() { l = append(l, tree(s)) })
		return l
	case c == '"':
		return s.Text()
	case c == 't' || c == 'f':
		return s.Bool()
	case s.Null():
		return nil
	}
	return s.Float64()
}

func FuzzScannerReadsWhatEncodingJSONReads(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5,-3e-4,"x\n\u00e9\ud83d\ude00"],"b":null,"c":{"d":true}}`, `[]`, `{}`, ` [ 1 , 2 ] `, `"`, `{"a"}`, `[1,]`, `01`, `-`, `1e`, `NaN`, `[Infinity]`, "\"\x01\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := NewScanner(text)
		got := tree(s)
		err := s.End()
		skipped := NewScanner(text)
		skipped.Skip()
		if skipped.End() != nil && err == nil { // skipping looks less closely
			t.Fatalf("%q: skipping says %v, reading nothing", text, skipped.End())
		}
		var want any
		if !utf8.Valid(text) || json.Unmarshal(text, &want) != nil {
			return // NaN, and strings that are not UTF-8, are taken here
		}
		if err != nil && s.depth < maxDepth && !nestedDeep(want, 0) {
			t.Fatalf("%q is JSON, but: %v", text, err)
		}
		if err == nil {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%q: %s", text, diff)
			}
		}
	})
}

func nestedDeep(v any, depth int) bool {
	if depth >= maxDepth {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for _, x := range v {
			if nestedDeep(x, depth+1) {
				return true
			}
		}
	case []any:
		for _, x := range v {
			if nestedDeep(x, depth+1) {
				return true
			}
		}
	}
	return false
}

func TestTextsThatAreNotJSONAreRefused(t *testing.T) {
	for _, text := range []string{``, `{`, `[1 2]`, `[1,]`, `{"a":}`, `{"a" 1}`, `{a:1}`, `01`, `1.`, `.5`, `-`, `1e`, `+1`, `tru`, `nullx`, `"\x"`, `"abc`, `[1]]`, `{"a":1,}`, "\"\n\"", `<html>`} {
		s := NewScanner([]byte(text))
		tree(s)
		if s.End() == nil {
			t.Errorf("%q is taken for JSON", text)
		}
	}
}

func TestSkippingSeesBracketsAndQuotesThatDoNotClose(t *testing.T) {
	for _, text := range []string{`{`, `[`, `[{]}`, `{"a`, `["]`, `[[]`, `{"a":"]}`} {
		s := NewScanner([]byte(text))
		s.Skip()
		if s.End() == nil {
			t.Errorf("%q is passed over", text)
		}
	}
	for _, text := range []string{`{}`, `[]`, `[[{"a":"]}\""}],{}]`, `"x"`, `-1e3`} {
		s := NewScanner([]byte(text))
		s.Skip()
		if err := s.End(); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestValuesNestedWithoutEndAreRefused(t *testing.T) {
	deep := make([]byte, 1<<20)
	for i := range deep {
		deep[i] = '['
	}
	s := NewScanner(deep)
	s.Skip()
	if s.Err() == nil {
		t.Error("a million brackets are taken")
	}
}

func TestEveryFloat32ComesBackToTheBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
		if want != want || math.IsInf(float64(want), 0) {
			t.Skip("no number")
		}
		// As a Go server writes it, and as Python does, which has it as a float64.
		for _, text := range []string{strconv.FormatFloat(float64(want), 'g', -1, 32), strconv.FormatFloat(float64(want), 'g', -1, 64)} {
			s := NewScanner([]byte(text))
			if got := s.Float32(); s.End() != nil || math.Float32bits(got) != math.Float32bits(want) {
				t.Fatalf("%s is read as %v (%v)", text, got, s.Err())
			}
		}
	})
}

func TestNumbersAreReadAsStrconvReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,18})?(e-?[0-9]{1,2})?`).Draw(t, "text")
		want, err := strconv.ParseFloat(text, 32)
		if err != nil {
			t.Skip("out of range")
		}
		s := NewScanner([]byte(text))
		if got := s.Float32(); s.End() != nil || math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Fatalf("%s is read as %v (%v), want %v", text, got, s.Err(), float32(want))
		}
	})
	// Numbers in the very middle between two float32s, and next to it.
	for _, text := range []string{"1.000000059604644775390625", "1.0000000596046447", "1.0000000596046448", "16777217", "16777216.99999999", "-0", "-0.0", "0.1", "0.30000001192092896"} {
		want, _ := strconv.ParseFloat(text, 32)
		s := NewScanner([]byte(text))
		if got := s.Float32(); math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Errorf("%s is read as %v, want %v", text, got, float32(want))
		}
	}
	for _, text := range []string{"01", "-01", "00.5", "1.", ".5", "-", "-.5", "1..2", "--1", "1-2"} {
		s := NewScanner([]byte(text))
		if s.Float32(); s.End() == nil {
			t.Errorf("%s is taken for a number", text)
		}
	}
}

func TestPythonsWordsForNumbersAreRead(t *testing.T) {
	s := NewScanner([]byte(`[NaN, Infinity, -Infinity, null, 1e999]`))
	var got []float64
	s.Items(func() { got = append(got, s.Float64()) })
	want := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.NaN(), math.Inf(1)}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b float64) bool { return a == b || a != a && b != b })); diff != "" || s.End() != nil {
		t.Error(diff, s.Err())
	}
}

func TestIntegersAreReadExactly(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "151645": 151645, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "null": 0} {
		s := NewScanner([]byte(text))
		if got := s.Int(); got != want || s.End() != nil {
			t.Errorf("%s is read as %d (%v)", text, got, s.Err())
		}
	}
	for _, text := range []string{"1.5", "1e3", "00", "9223372036854775808", `"1"`, "--1"} {
		s := NewScanner([]byte(text))
		if s.Int(); s.End() == nil {
			t.Errorf("%s is taken for an integer", text)
		}
	}
}

func TestWhatIsLeftOfAValueIsSkipped(t *testing.T) {
	s := NewScanner([]byte(`{"skip":{"deep":[1,{"x":2}]},"keep":7,"list":[1,2,3]}`))
	var kept int64
	n := 0
	s.Fields(func(key []byte) {
		switch string(key) {
		case "keep":
			kept = s.Int()
		case "list":
			s.Items(func() { n++ })
		}
	})
	if kept != 7 || n != 3 || s.End() != nil {
		t.Error(kept, n, s.Err())
	}
}

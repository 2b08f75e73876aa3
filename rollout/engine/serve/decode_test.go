package serve

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNumbersKeepTheirBits(t *testing.T) {
	same := func(f float32) bool {
		back, err := strconv.ParseFloat(string(appendFloat(nil, f)), 64) // as every JSON reader does
		return err == nil && (float32(back) == f)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
		if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
			if got := string(appendFloat(nil, f)); got != "null" {
				t.Fatalf("%v is printed as %s", f, got)
			}
			return
		}
		if !same(f) {
			t.Fatalf("%v is printed as %s", f, appendFloat(nil, f))
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		if f := -rapid.Float32Range(0, 100).Draw(t, "log-probability"); !same(f) {
			t.Fatalf("%v is printed as %s", f, appendFloat(nil, f))
		}
	})
}

func TestStringsAreJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		var got string
		if err := json.Unmarshal(appendString(nil, text), &got); err != nil || got != text {
			t.Fatalf("%q is printed as %s: %v", text, appendString(nil, text), err)
		}
	})
}

func FuzzTokenIDs(f *testing.F) {
	for _, seed := range []string{"[]", "[1,2, 3]", "[ -1 ]", "null", "[1,]", "[,1]", "[2147483648]", "[1 2]", "[1.5]", "[1", "[]]", `["1"]`, "[[1]]", "[00]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return // the decoder never hands it over
		}
		var want []int32
		refused := json.Unmarshal([]byte(text), &want) != nil
		var got ids
		err := json.Unmarshal([]byte(text), &got)
		if refused != (err != nil) {
			t.Fatalf("%q: error %v, encoding/json refuses it: %v", text, err, refused)
		}
		if err == nil && len(want)+len(got) > 0 {
			if diff := cmp.Diff(want, []int32(got)); diff != "" {
				t.Fatalf("%q (-want +got):\n%s", text, diff)
			}
		}
	})
}

func FuzzPrompts(f *testing.F) {
	for _, seed := range []string{`"a"`, `["a","b"]`, `[1,2]`, `[[1],[2]]`, `[]`, `[`, `[ `, `{}`, `null`, `["a",1]`, `[1,"a"]`, ``} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text != "" && !json.Valid([]byte(text)) {
			return
		}
		got, err := prompts(json.RawMessage(text), "prompt") // it never panics
		if err == nil && len(got) == 1 && !got[0].isText && got[0].text != "" {
			t.Fatalf("%q: %+v", text, got)
		}
	})
}

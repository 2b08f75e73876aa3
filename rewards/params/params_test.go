package params

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type shared struct {
	Kind string `key:"kind" default:"zero" enum:"zero|raw" doc:"shared"`
}

type options struct {
	Limit   int       `key:"limit" default:"4000" min:"1" doc:"tokens"`
	Alpha   float64   `key:"alpha" default:"0.5" code:"0.25" over:"0" under:"1" doc:"a share"`
	Filter  bool      `key:"filter" default:"true" doc:"a switch"`
	Limits  []int     `key:"limits" default:"[4000,2000]" min:"1" doc:"several"`
	Weights []float64 `key:"weights" default:"[]" max:"2" doc:"several more"`
	shared
	private int
}

func (o *options) Validate() error {
	if len(o.Limits) == 0 {
		return errors.New("limits: want at least one")
	}
	return nil
}

func defaults(profile string) *options {
	o := &options{private: 7}
	SetDefaults(o, profile)
	return o
}

func TestDefaultsFollowTheProfile(t *testing.T) {
	for profile, alpha := range map[string]float64{Paper: 0.5, ReleasedCode: 0.25} {
		want := options{Limit: 4000, Alpha: alpha, Filter: true, Limits: []int{4000, 2000}, Weights: []float64{}, shared: shared{Kind: "zero"}, private: 7}
		if diff := cmp.Diff(want, *defaults(profile), cmp.AllowUnexported(options{}, shared{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", profile, diff)
		}
	}
}

func TestDecodeTakesWhatFits(t *testing.T) {
	o := defaults(Paper)
	err := Decode(o, map[string]any{
		"limit": 12.0, "alpha": float32(0.25), "filter": false, "limits": []any{1, int64(2), 3.0}, "weights": []float64{1, 1.5}, "kind": "raw",
	}, "method.")
	if err != nil {
		t.Fatal(err)
	}
	want := options{Limit: 12, Alpha: 0.25, Limits: []int{1, 2, 3}, Weights: []float64{1, 1.5}, shared: shared{Kind: "raw"}, private: 7}
	if diff := cmp.Diff(want, *o, cmp.AllowUnexported(options{}, shared{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeNamesEveryViolation(t *testing.T) {
	for _, c := range []struct {
		name   string
		values map[string]any
		want   []string
	}{
		{"unknown key", map[string]any{"limitt": 3}, []string{"method.limitt: unknown; valid here: limit, alpha, filter, limits, weights, kind"}},
		{"fraction for an integer", map[string]any{"limit": 2.5}, []string{"method.limit: want a whole number, got 2.5"}},
		{"word for an integer", map[string]any{"limit": "many"}, []string{`method.limit: want a whole number, got "many"`}},
		{"nothing for an integer", map[string]any{"limit": nil}, []string{"method.limit: want a whole number, got nothing"}},
		{"below the minimum", map[string]any{"limit": 0}, []string{"method.limit: want at least 1, got 0"}},
		{"at an exclusive bound", map[string]any{"alpha": 0}, []string{"method.alpha: want more than 0, got 0"}},
		{"at the other exclusive bound", map[string]any{"alpha": 1.0}, []string{"method.alpha: want less than 1, got 1"}},
		{"not a number", map[string]any{"alpha": math.NaN()}, []string{"method.alpha: want a finite number, got NaN"}},
		{"number for a switch", map[string]any{"filter": 1}, []string{"method.filter: want true or false, got 1 (int)"}},
		{"word for a list", map[string]any{"limits": "4000"}, []string{`method.limits: want a list, got "4000"`}},
		{"bad item", map[string]any{"limits": []any{1, 2.5}}, []string{"method.limits: item 1: want a whole number, got 2.5"}},
		{"item out of range", map[string]any{"weights": []any{1, 3}}, []string{"method.weights: item 1: want at most 2, got 3"}},
		{"not a choice", map[string]any{"kind": "both"}, []string{`method.kind: want one of zero, raw, got "both"`}},
		{"several fields", map[string]any{"limits": []any{}}, []string{"method.limits: want at least one"}},
		{"all at once", map[string]any{"limit": 0, "alpha": 2, "x": 1}, []string{"method.x: unknown", "method.limit: want at least 1", "method.alpha: want less than 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Decode(defaults(Paper), c.values, "method.")
			all, ok := errors.AsType[Errors](err)
			if !ok || len(all) != len(c.want) {
				t.Fatalf("got %v, want %d violations", err, len(c.want))
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("message %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestFieldsDocumentTheStruct(t *testing.T) {
	want := []Field{
		{Key: "limit", Kind: "integer", Default: "4000", Range: "≥ 1", Doc: "tokens"},
		{Key: "alpha", Kind: "number", Default: "0.5", Code: "0.25", Range: "> 0, < 1", Doc: "a share"},
		{Key: "filter", Kind: "boolean", Default: "true", Doc: "a switch"},
		{Key: "limits", Kind: "integers", Default: "[4000,2000]", Range: "≥ 1", Doc: "several"},
		{Key: "weights", Kind: "numbers", Default: "[]", Range: "≤ 2", Doc: "several more"},
		{Key: "kind", Kind: "word", Default: "zero", Range: "zero, raw", Doc: "shared"},
	}
	if diff := cmp.Diff(want, Fields(&options{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseReadsLiterals(t *testing.T) {
	for text, want := range map[string]any{
		"12": 12, "-3": -3, "0.5": 0.5, "1e-7": 1e-7, "true": true, "false": false, "raw": "raw", `"12"`: "12",
		"[1, 2.5,x]": []any{1, 2.5, "x"}, "[]": []any{}, " 7 ": 7,
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
	if _, err := Parse("[1,2"); err == nil {
		t.Error("an open list was accepted")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"1", "[1,[2]]", "[", "]", "[,]", `"`, "0x1p-2", "NaN"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, err := Parse(text)
		if err != nil {
			return
		}
		o := defaults(Paper)
		_ = Decode(o, map[string]any{"limit": value, "alpha": value, "limits": value, "kind": value}, "") // must not panic
	})
}

package score

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParserAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range seeds {
		check(t, []byte(text))
	}
}

var seeds = []string{
	`{"group":"g","traces":[{"id":"a","correct":true,"tokens":12}]}`, `null`, ` [1, -2.5e+3, 0.1E-7] `, `{}`, `[]`, `[[]]`, `{"a":{"b":[]}}`,
	`"a\u00e9\n\"\\\/\b\f\r\t"`, `"\ud83d\ude00"`, `"\ud83d"`, `"é"`, "\"\xff\"", `01`, `1.`, `.5`, `-`, `--1`, `1e`, `1e+`, `+1`, `{"a":1,}`, `[1,]`, `[,]`, `{,}`,
	`{"a" 1}`, `{a:1}`, `{"a":}`, `"`, `"\`, `"\u12`, `"\x"`, "\"\n\"", `tru`, `nul`, `true false`, ``, ` `, `{"a":1}}`, `[`, `{`, `NaN`, `[Infinity]`, `-Infinity`, `-I`,
	strings.Repeat("[", 70) + strings.Repeat("]", 70), "\ufeff{}",
}

// check compares the parser with encoding/json as an oracle.
func check(t *testing.T, text []byte) {
	t.Helper()
	var d document
	err := d.parse(text)
	ours := err == nil
	for _, n := range d.nodes {
		ours = ours && n.kind != kindNotNumber
	}
	deep := err != nil && strings.Contains(err.Error(), "levels deep")
	if theirs := json.Valid(text); ours != theirs && !deep {
		t.Errorf("%q: ours says %v (%v), encoding/json %v", text, ours, err, theirs)
	}
	if !ours {
		return
	}
	// Every string and number decodes to what encoding/json makes of its source.
	for i := range d.nodes {
		n := &d.nodes[i]
		switch n.kind {
		case kindString:
			var want string
			if err := json.Unmarshal(text[n.start:n.end], &want); err != nil {
				t.Fatal(err)
			}
			if got := d.unquote(n.start+1, n.end-1); got != want {
				t.Errorf("%s decodes to %q, want %q", text[n.start:n.end], got, want)
			}
		case kindNumber:
			var want float64
			wantErr := json.Unmarshal(text[n.start:n.end], &want)
			got, err := d.float(n)
			if (err == nil) != (wantErr == nil) || got != want && err == nil {
				t.Errorf("%s decodes to %v (%v), want %v (%v)", text[n.start:n.end], got, err, want, wantErr)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) { check(t, text) })
}

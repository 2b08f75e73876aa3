package foreign

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pith/traces"
)

func export(t *testing.T, dir, format string, f traces.Filter, columns ...string) []byte {
	t.Helper()
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := Export(&b, run, f, format, columns, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGroupsGoOutAsTheyCameIn(t *testing.T) {
	dir, _ := importInto(t, Options{}, "groups.jsonl")
	path := filepath.Join(t.TempDir(), "groups.jsonl")
	if err := os.WriteFile(path, export(t, dir, "groups", traces.Filter{}), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := importInto(t, Options{Name: "run"}, path)
	if diff := cmp.Diff(read(t, dir, traces.Filter{}), read(t, again, traces.Filter{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
}

func TestJSONLinesHoldEveryColumn(t *testing.T) {
	dir, _ := importInto(t, Options{}, "prime-rl.jsonl")
	want := read(t, dir, traces.Filter{})
	var got []traces.Trace
	for d := json.NewDecoder(bytes.NewReader(export(t, dir, "jsonl", traces.Filter{}))); d.More(); {
		var row traces.Trace
		d.DisallowUnknownFields()
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		got = append(got, row)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := string(export(t, dir, "jsonl", traces.Filter{ID: "g000000001/0"}, "id", "text", "tokens")); got != `{"id":"g000000001/0","text":"1","tokens":[]}`+"\n" {
		t.Errorf("three columns: %s", got)
	}
}

func TestCSVHasAHeaderAndOneValueACell(t *testing.T) {
	dir, _ := importInto(t, Options{}, "gsm8k.jsonl")
	rows, err := csv.NewReader(bytes.NewReader(export(t, dir, "csv", traces.Filter{Verdict: traces.Right}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 || rows[0][0] != "run" || strings.Contains(strings.Join(rows[0], " "), "tool_calls") {
		t.Fatalf("%d rows, header %v", len(rows), rows[0])
	}
	some, err := csv.NewReader(bytes.NewReader(export(t, dir, "csv", traces.Filter{Group: "g000000001"}, "id", "verdict", "entropy", "length_tokens", "seed", "formatted", "reward"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"id", "verdict", "entropy", "length_tokens", "seed", "formatted", "reward"},
		{"g000000001/0", "right", "", "13", "0", "true", "0"}, {"g000000001/1", "wrong", "", "28", "0", "true", "0"},
	}
	if diff := cmp.Diff(want, some); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOneParquetFileIsASegment(t *testing.T) {
	dir, _ := importInto(t, Options{}, "verl-1.jsonl", "verl-2.jsonl")
	out := t.TempDir()
	if err := os.MkdirAll(filepath.Join(out, traces.TracesDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, traces.TracesDir, traces.SegmentName(1, "")), export(t, dir, "parquet", traces.Filter{}), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, dir, traces.Filter{}), read(t, out, traces.Filter{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExportNamesWhatItDoesNotKnow(t *testing.T) {
	dir, _ := importInto(t, Options{}, "verl-1.jsonl")
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Export(&bytes.Buffer{}, run, traces.Filter{}, "xml", nil, nil); err == nil || !strings.Contains(err.Error(), `no format "xml"; known: groups, jsonl, csv, parquet`) {
		t.Error(err)
	}
	if _, err := Export(&bytes.Buffer{}, run, traces.Filter{}, "csv", []string{"lenght"}, nil); err == nil || !strings.Contains(err.Error(), "no trace has a column lenght") {
		t.Error(err)
	}
}

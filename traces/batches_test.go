package traces

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gather copies what batches yield.
func gather(t testing.TB, r *Run, f Filter, columns ...string) (rows []Trace, errs []error) {
	t.Helper()
	for b, err := range r.Batches(f, columns...) {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		rows = append(rows, b.Rows...)
	}
	return rows, errs
}

// variedRun writes steps of random traces, the last of them longer than a row group.
func variedRun(t testing.TB) (*Run, []Trace) {
	t.Helper()
	dir := t.TempDir()
	all := rapid.SliceOfN(validTrace(), 90, 90).Example(7)
	for i := range all {
		all[i].Step = int64(i/30) + 1
		all[i].Level = int32(i%4) + 1
		all[i].Verdict = []Verdict{Right, Wrong, NoScore}[i%3]
		all[i].ID = fmt.Sprintf("%s/%d", all[i].Group, i)
	}
	for i := range rowGroupRows + 10 {
		all = append(all, plainTrace(4, fmt.Sprintf("h%05d", i/4), int32(i%4)))
	}
	Sort(all)
	for step := range int64(4) {
		rows := slices.DeleteFunc(slices.Clone(all), func(t Trace) bool { return t.Step != step+1 })
		if err := WriteSegment(filepath.Join(dir, TracesDir), SegmentName(step+1, ""), rows, nil); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r, all
}

func TestBatchesHoldWhatWasWritten(t *testing.T) {
	r, want := variedRun(t)
	got, errs := gather(t, r, Filter{}, Columns()...)
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Fatalf("errors %v (-want +got):\n%s", errs, diff)
	}
}

func TestBatchesFillOnlyTheColumnsAskedFor(t *testing.T) {
	r, want := variedRun(t)
	got, errs := gather(t, r, Filter{ToStep: 3}, "id", "segments", "reference")
	var some []Trace
	for _, w := range want[:90] {
		some = append(some, Trace{ID: w.ID, Segments: w.Segments, Reference: w.Reference})
	}
	if diff := cmp.Diff(some, got, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Errorf("errors %v (-want +got):\n%s", errs, diff)
	}
	if _, errs := gather(t, r, Filter{}, "token_length"); len(errs) != 1 || !strings.Contains(errs[0].Error(), "no trace has a column token_length; they are run, step") {
		t.Errorf("an unknown column: %v", errs)
	}
}

func TestFiltersSelectTheSameRowsForEveryReader(t *testing.T) {
	r, all := variedRun(t)
	for _, c := range []struct {
		name  string
		f     Filter
		match func(*Trace) bool
	}{
		{"verdict", Filter{Verdict: Wrong}, func(t *Trace) bool { return t.Verdict == Wrong }},
		{"level", Filter{Level: 2}, func(t *Trace) bool { return t.Level == 2 }},
		{"group", Filter{Group: "h00003"}, func(t *Trace) bool { return t.Group == "h00003" }},
		{"id", Filter{ID: all[40].ID}, func(t *Trace) bool { return t.ID == all[40].ID }},
		{"problem", Filter{Problem: all[7].Problem}, func(t *Trace) bool { return t.Problem == all[7].Problem || all[7].Problem == "" }},
		{"status", Filter{Status: Trained}, func(t *Trace) bool { return t.Status == Trained }},
		{"finish", Filter{Finish: FinishLength}, func(t *Trace) bool { return false }},
		{"lengths", Filter{MinTokens: 4, MaxTokens: 12}, func(t *Trace) bool { return t.LengthTokens >= 4 && t.LengthTokens <= 12 }},
		{"a least length", Filter{MinTokens: 4}, func(t *Trace) bool { return t.LengthTokens >= 4 }},
		{"several", Filter{FromStep: 2, Verdict: Right, Level: 1, MaxTokens: 30}, func(t *Trace) bool {
			return t.Step >= 2 && t.Verdict == Right && t.Level == 1 && t.LengthTokens <= 30
		}},
		{"nothing", Filter{Group: "zzz"}, func(*Trace) bool { return false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []Trace
			for i := range all {
				if c.match(&all[i]) {
					want = append(want, all[i])
				}
			}
			got, errs := gather(t, r, c.f, Columns()...)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
				t.Errorf("batches: errors %v (-want +got):\n%s", errs, diff)
			}
			got, errs = collect(t, r.Traces(c.f))
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
				t.Errorf("rows: errors %v (-want +got):\n%s", errs, diff)
			}
		})
	}
}

func TestStatisticsRuleOutWhatCannotMatch(t *testing.T) {
	r, _ := variedRun(t)
	l, err := openLog(r.fs, filepath.Join(r.Dir, TracesDir, SegmentName(4, "")), "traces")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, c := range []struct {
		name string
		f    Filter
		want []bool // per row group
	}{
		{"a group of the first", Filter{Group: "h00003"}, []bool{false, true}},
		{"an id of the second", Filter{ID: "h01025/1"}, []bool{true, false}},
		{"a level that never occurs", Filter{Level: 9}, []bool{true, true}},
		{"a length that occurs", Filter{MinTokens: 3}, []bool{false, false}},
		{"a length that never occurs", Filter{MinTokens: 4}, []bool{true, true}},
	} {
		p, err := tracePlan(&c.f, nil)
		if err != nil {
			t.Fatal(err)
		}
		first, err := locate(l.pq, p.first)
		if err != nil {
			t.Fatal(err)
		}
		var got []bool
		for _, g := range l.pq.RowGroups() {
			got = append(got, p.ruledOut(g.ColumnChunks(), first))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestEveryColumnHasALeaf(t *testing.T) {
	for _, c := range []struct {
		name   string
		schema *parquet.Schema
		leaves []string
	}{
		{"traces", parquet.SchemaOf(Trace{}), paths(traceLeaves)},
		{"timings", parquet.SchemaOf(Timing{}), paths(timingLeaves)},
	} {
		var want []string
		for _, path := range c.schema.Columns() {
			want = append(want, strings.Join(path, "."))
		}
		if diff := cmp.Diff(want, c.leaves); diff != "" {
			t.Errorf("%s (-struct tags +leaves):\n%s", c.name, diff)
		}
	}
}

func paths[T any](leaves []leaf[T]) (out []string) {
	for _, l := range leaves {
		out = append(out, l.path)
	}
	return out
}

func TestBatchesCanBeLeftEarly(t *testing.T) {
	r, _ := variedRun(t)
	for stop := range 4 {
		n := 0
		for _, err := range r.Batches(Filter{}, "id") {
			if err != nil {
				t.Fatal(err)
			}
			if n == stop {
				break
			}
			n++
		}
	} // goleak looks for what is left behind
}

// newer is a trace as a later pith may write it.
type newer struct {
	Trace
	Mood  string   `parquet:"mood,dict"`
	Marks []string `parquet:"marks,list"`
}

func writeRows[T any](t testing.TB, path string, rows []T, table string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[T](f, parquet.KeyValueMetadata(MetaSchema, "1"), parquet.KeyValueMetadata(MetaTable, table))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestColumnsFromTheFutureArePassedOverWithANote(t *testing.T) {
	dir := sampleRun(t)
	path := filepath.Join(dir, TracesDir, SegmentName(2, ""))
	writeRows(t, path, []newer{{plainTrace(2, "g", 0), "glad", []string{"a"}}, {plainTrace(2, "g", 1), "sad", nil}}, "traces")
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	rows, errs := gather(t, r, Filter{}, Columns()...)
	if len(rows) != 6 || rows[2].Text != plainTrace(2, "g", 0).Text {
		t.Errorf("%d rows, %+v", len(rows), rows)
	}
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), path+" was written by a newer pith; passed over: the columns mood, marks") {
		t.Errorf("note: %v", errs)
	} else if columns, is := Newer(errs[0]); !is || columns != "mood, marks" {
		t.Errorf("columns from the future: %q", columns)
	}
	whole, errs := collect(t, r.Traces(Filter{}))
	if diff := cmp.Diff(rows, whole, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Errorf("rows: errors %v (-batches +rows):\n%s", errs, diff)
	}
}

func TestMissingColumnsAreNamed(t *testing.T) {
	dir := sampleRun(t)
	type bare struct {
		Run  string `parquet:"run"`
		Step int64  `parquet:"step"`
		ID   string `parquet:"id"`
	}
	writeRows(t, filepath.Join(dir, TracesDir, SegmentName(2, "")), []bare{{"r", 2, "g/0"}}, "traces")
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	const want = "it lacks the columns split, group, problem, sample, finish, length_tokens, verdict, status"
	for name, read := range map[string]func() ([]Trace, []error){
		"batches": func() ([]Trace, []error) { return gather(t, r, Filter{}, "id") },
		"rows":    func() ([]Trace, []error) { return collect(t, r.Traces(Filter{})) },
	} {
		rows, errs := read()
		if len(rows) != 4 || len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%s: %d rows, %v", name, len(rows), errs)
		}
	}
}

func TestOlderFilesReadAsZeros(t *testing.T) {
	dir := sampleRun(t)
	type older struct {
		Run          string  `parquet:"run"`
		Step         int64   `parquet:"step"`
		Split        string  `parquet:"split"`
		Group        string  `parquet:"group"`
		ID           string  `parquet:"id"`
		Problem      string  `parquet:"problem"`
		Sample       int32   `parquet:"sample"`
		Finish       Finish  `parquet:"finish,dict"`
		LengthTokens int32   `parquet:"length_tokens"`
		Verdict      Verdict `parquet:"verdict"`
		Status       Status  `parquet:"status"`
	}
	writeRows(t, filepath.Join(dir, TracesDir, SegmentName(2, "")), []older{{Run: "run", Step: 2, ID: "g/0", LengthTokens: 9}}, "traces")
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	rows, errs := gather(t, r, Filter{FromStep: 2, ToStep: 2}, Columns()...)
	if diff := cmp.Diff([]Trace{{Run: "run", Step: 2, ID: "g/0", LengthTokens: 9}}, rows, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Errorf("errors %v (-want +got):\n%s", errs, diff)
	}
}

func TestStepTimingsAreTheRowsOfSteps(t *testing.T) {
	dir := sampleRun(t)
	rows := []Timing{{Step: 1, Learn: 2, Total: 3}, {Step: 1, ID: "g/0", Total: 0.125}, {Step: 2, Learn: 1}}
	later := []Timing{{Step: 3, ID: "g/1"}, {Step: 3, EngineIdle: 4}}
	for _, err := range []error{WriteTable(dir, TimingsFile, rows, nil), WriteTable(filepath.Join(dir, TimingsDir), SegmentName(3, ""), later, nil)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, errs := collect(t, r.StepTimings())
	if diff := cmp.Diff([]Timing{rows[0], rows[2], later[1]}, got); diff != "" || len(errs) > 0 {
		t.Errorf("errors %v (-want +got):\n%s", errs, diff)
	}
	for range r.StepTimings() {
		break
	}
}

// Damage anywhere in a file gives errors, never a panic, and whatever is read besides is whole.
func TestBatchesSurviveAnyDamage(t *testing.T) {
	dir := sampleRun(t)
	path := filepath.Join(dir, TracesDir, SegmentName(2, ""))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	stride := 29
	if testing.Short() {
		stride = 211
	}
	for at := 0; at < len(whole); at += stride {
		spoilt := slices.Clone(whole)
		spoilt[at] ^= 0x5b
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		rows, _ := gather(t, r, Filter{}, Columns()...)
		others := slices.DeleteFunc(rows, func(t Trace) bool { return t.Step == 2 })
		if len(others) < 4 {
			t.Fatalf("byte %d: %d rows of the other segments", at, len(others))
		}
	}
}

func TestUncountedTracesNeedNoTokens(t *testing.T) {
	tr := plainTrace(1, "g", 0)
	tr.Tokens, tr.LogProbs, tr.Spans = nil, nil, nil
	if err := Validate(&tr); err == nil {
		t.Error("a trace that lost its tokens passed")
	}
	tr.LengthSource = LengthEstimated
	if err := Validate(&tr); err != nil {
		t.Error(err)
	}
	tr.LengthTokens = 5
	if err := Validate(&tr); err == nil || !strings.Contains(err.Error(), "segments cover 3 of 5 tokens") {
		t.Errorf("lengths beyond the segments: %v", err)
	}
	tr = plainTrace(1, "g", 0)
	tr.LengthSource = LengthReported
	if err := Validate(&tr); err == nil || !strings.Contains(err.Error(), "which count themselves") {
		t.Errorf("both: %v", err)
	}
	tr.LengthSource = "guessed"
	if err := Validate(&tr); err == nil || !strings.Contains(err.Error(), "must be reported, estimated or absent") {
		t.Errorf("unknown: %v", err)
	}
}

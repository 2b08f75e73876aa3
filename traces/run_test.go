package traces

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
)

// sampleRun writes three training segments and two evaluations.
func sampleRun(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	write := func(sub, name string, rows ...Trace) {
		t.Helper()
		if err := WriteSegment(filepath.Join(dir, sub), name, rows, map[string]string{MetaManifest: "m1"}); err != nil {
			t.Fatal(err)
		}
	}
	for step := range int64(3) {
		write(TracesDir, SegmentName(step+1, ""), plainTrace(step+1, "g", 0), plainTrace(step+1, "g", 1))
	}
	held := plainTrace(2, "e", 0)
	held.Split = "heldout"
	write(EvalsDir, SegmentName(2, "greedy"), held)
	write(EvalsDir, SegmentName(2, "sampled"), held)
	return dir
}

func TestFilterSelectsSegments(t *testing.T) {
	r, err := OpenRun(sampleRun(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		f    Filter
		want string
	}{
		{"everything trained on", Filter{}, "1 1 2 2 3 3"},
		{"from a step", Filter{FromStep: 2}, "2 2 3 3"},
		{"a range", Filter{FromStep: 2, ToStep: 2}, "2 2"},
		{"nothing", Filter{FromStep: 9}, ""},
		{"evaluations", Filter{Set: Evaluations}, "2 2"},
		{"greedy evaluations", Filter{Set: Evaluations, Decoding: "greedy"}, "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, errs := collect(t, r.Traces(c.f))
			var steps []string
			for _, row := range rows {
				steps = append(steps, fmt.Sprint(row.Step))
			}
			if got := strings.Join(steps, " "); got != c.want || len(errs) > 0 {
				t.Errorf("got %q (%v), want %q", got, errs, c.want)
			}
		})
	}
}

func TestScanReadsFewerColumns(t *testing.T) {
	r, err := OpenRun(sampleRun(t))
	if err != nil {
		t.Fatal(err)
	}
	type slim struct {
		ID       string    `parquet:"id"`
		Tokens   []int32   `parquet:"tokens,list"`
		Segments []Segment `parquet:"segments,list"`
	}
	got, errs := collect(t, Scan[slim](r, Filter{ToStep: 1}))
	full := plainTrace(1, "g", 0)
	want := []slim{{"g/0", full.Tokens, full.Segments}, {"g/1", full.Tokens, full.Segments}}
	if diff := cmp.Diff(want, got); diff != "" || len(errs) > 0 {
		t.Errorf("errors %v (-want +got):\n%s", errs, diff)
	}

	type typo struct {
		ID     string `parquet:"id"`
		Length int32  `parquet:"token_length"`
	}
	_, errs = collect(t, Scan[typo](r, Filter{}))
	if len(errs) != 1 || !strings.Contains(errs[0].Error(), "column token_length, which no trace has") {
		t.Errorf("a column that no trace has: %v", errs)
	}
}

func TestLeavingALoopEarlyIsFine(t *testing.T) {
	r, err := OpenRun(sampleRun(t))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range r.Traces(Filter{}) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("saw %d traces", n)
	}
}

func TestRowsOutliveTheIteration(t *testing.T) {
	dir := t.TempDir()
	var want []Trace
	for i := range int32(300) { // several batches of the reader
		row := plainTrace(1, "g", i)
		row.Tokens = []int32{i, i + 1, i + 2}
		row.Text = strings.Repeat(fmt.Sprint(i), 20)
		want = append(want, row)
	}
	if err := WriteSegment(filepath.Join(dir, TracesDir), SegmentName(1, ""), want, nil); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, errs := collect(t, r.Traces(Filter{}))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Errorf("errors %v (-want +got):\n%s", errs, diff)
	}
}

func TestABadFileIsOneErrorAndTheRestIsRead(t *testing.T) {
	write := func(t *testing.T, path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign := func(t *testing.T, path string, options ...parquet.WriterOption) {
		t.Helper()
		type row struct{ A int64 }
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		w := parquet.NewGenericWriter[row](f, options...)
		if _, err := w.Write([]row{{1}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string, whole []byte)
		want  string
	}{
		{"empty", func(t *testing.T, p string, b []byte) { write(t, p, nil) }, "0 bytes are no Parquet file"},
		{"text", func(t *testing.T, p string, b []byte) { write(t, p, []byte("hello, hello, hello")) }, "not a Parquet file"},
		{"cut short", func(t *testing.T, p string, b []byte) { write(t, p, b[:len(b)/2]) }, "cut short"},
		{"without the last byte", func(t *testing.T, p string, b []byte) { write(t, p, b[:len(b)-1]) }, "cut short"},
		{"a footer length beyond the file", func(t *testing.T, p string, b []byte) {
			b[len(b)-5] = 0xff
			write(t, p, b)
		}, "cut short"},
		{"a damaged footer", func(t *testing.T, p string, b []byte) {
			for i := len(b) - 200; i < len(b)-8; i++ {
				b[i] = 0xff
			}
			write(t, p, b)
		}, "damaged"},
		{"damaged data", func(t *testing.T, p string, b []byte) {
			for i := 4; i < 400; i++ {
				b[i] = 0xff
			}
			write(t, p, b)
		}, "damaged"},
		{"someone else's Parquet", func(t *testing.T, p string, b []byte) { foreign(t, p) }, "not written by pith"},
		{"from the future", func(t *testing.T, p string, b []byte) {
			foreign(t, p, parquet.KeyValueMetadata(MetaSchema, "2"), parquet.KeyValueMetadata(MetaTable, "traces"))
		}, "schema 2 was written by a newer pith"},
		{"another table", func(t *testing.T, p string, b []byte) {
			foreign(t, p, parquet.KeyValueMetadata(MetaSchema, "1"), parquet.KeyValueMetadata(MetaTable, "steps"))
		}, `holds the table "steps"`},
		{"other columns", func(t *testing.T, p string, b []byte) {
			type row struct {
				Tokens string `parquet:"tokens"`
				Step   string `parquet:"step"`
			}
			f, err := os.Create(p)
			if err != nil {
				t.Fatal(err)
			}
			w := parquet.NewGenericWriter[row](f, parquet.KeyValueMetadata(MetaSchema, "1"), parquet.KeyValueMetadata(MetaTable, "traces"))
			if _, err := w.Write([]row{{"a", "b"}}); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}, "cannot read"},
		{"a directory in its place", func(t *testing.T, p string, b []byte) {
			if err := os.Mkdir(p, 0o700); err != nil {
				t.Fatal(err)
			}
		}, ""}, // a directory is not a segment: passed over
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := sampleRun(t)
			path := filepath.Join(dir, TracesDir, SegmentName(2, ""))
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			c.spoil(t, path, whole)
			r, err := OpenRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			rows, errs := collect(t, r.Traces(Filter{}))
			var steps []int64
			for _, row := range rows {
				steps = append(steps, row.Step)
			}
			steps = slices.DeleteFunc(steps, func(s int64) bool { return s == 2 })
			if !slices.Equal(steps, []int64{1, 1, 3, 3}) {
				t.Errorf("read the steps %v besides, want 1 1 3 3", steps)
			}
			if c.want == "" {
				if len(errs) != 0 {
					t.Errorf("got %v, want no error", errs)
				}
				return
			}
			if len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want) || !strings.Contains(errs[0].Error(), path) || strings.Contains(errs[0].Error(), "\n") {
				t.Errorf("got %v, want one line naming the file with %q", errs, c.want)
			}
		})
	}
}

func TestFilesThatAreNoSegmentsAreNamed(t *testing.T) {
	dir := sampleRun(t)
	for _, name := range []string{"notes.txt", ".step-000009.parquet.tmp", "step-1.parquet"} {
		if err := os.WriteFile(filepath.Join(dir, TracesDir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	rows, errs := collect(t, r.Traces(Filter{}))
	if len(rows) != 6 || len(errs) != 2 || !strings.Contains(errs[0].Error(), "notes.txt: not a segment") {
		t.Errorf("%d rows, errors %v; want 6 rows and an error for each of notes.txt, step-1.parquet", len(rows), errs)
	}
}

func TestOpenRunRefusesOtherDirectories(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "absent")} {
		if _, err := OpenRun(dir); err == nil || !strings.Contains(err.Error(), "not a run directory") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestTablesReadBackAsWritten(t *testing.T) {
	dir := t.TempDir()
	anytime := 0.5
	steps := []Step{{Step: 1, Policy: "p1", Anytime: &anytime, Terms: []Term{{"correctness", 0.5}}, Lengths: Lengths{All: 60}}, {Step: 2}}
	evals := []Eval{{Step: 0, Decoding: "greedy", Budgets: []int32{4, 8}, BudgetScores: []float64{0.1, 0.2}, Levels: []LevelEval{{Level: 1, Accuracy: 0.9}}}}
	if err := WriteTable(dir, StepsFile, steps, nil); err != nil {
		t.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	if rows, errs := collect(t, r.Evals()); len(rows)+len(errs) != 0 {
		t.Errorf("a table that is not there yet: %v, %v", rows, errs)
	}
	if err := WriteTable(dir, EvalsFile, evals, nil); err != nil {
		t.Fatal(err)
	}
	gotSteps, errs := collect(t, r.Steps())
	if diff := cmp.Diff(steps, gotSteps, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Errorf("steps: %v\n%s", errs, diff)
	}
	gotEvals, errs := collect(t, r.Evals())
	if diff := cmp.Diff(evals, gotEvals, cmpopts.EquateEmpty()); diff != "" || len(errs) > 0 {
		t.Errorf("evals: %v\n%s", errs, diff)
	}
}

func TestMetaHoldsTheManifestHash(t *testing.T) {
	r, err := OpenRun(sampleRun(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Meta(filepath.Join(TracesDir, SegmentName(1, "")))
	want := map[string]string{MetaSchema: "1", MetaTable: "traces", MetaManifest: "m1"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestCompactedTimingsAreReadOnceWhereverItStops(t *testing.T) {
	for stop := 0; ; stop++ {
		dir := t.TempDir()
		add := func(step int64) {
			t.Helper()
			if err := WriteTable(filepath.Join(dir, TimingsDir), SegmentName(step, ""), []Timing{{Step: step, Worker: "w"}, {Step: step, ID: "x"}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		read := func() string {
			t.Helper()
			rows, errs := collect(t, (&Run{Dir: dir, fs: OS}).Timings())
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			var got []string
			for _, row := range rows {
				got = append(got, fmt.Sprint(row.Step))
			}
			return strings.Join(got, " ")
		}
		add(1)
		add(2)
		if err := CompactTimings(dir, nil); err != nil {
			t.Fatal(err)
		}
		add(3)
		add(4)
		fsys := &stopFS{FS: OS, left: stop, err: os.ErrInvalid}
		err := compactTimings(fsys, dir, nil)
		if got := read(); got != "1 1 2 2 3 3 4 4" {
			t.Fatalf("stopped at operation %d: steps %q", stop, got)
		}
		if err := CompactTimings(dir, nil); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != "1 1 2 2 3 3 4 4" {
			t.Fatalf("stopped at operation %d and repeated: steps %q", stop, got)
		}
		if left, _ := os.ReadDir(filepath.Join(dir, TimingsDir)); len(left) != 0 {
			t.Fatalf("segments left: %v", left)
		}
		if err == nil {
			return
		}
	}
}

func TestSegmentNamesParseBack(t *testing.T) {
	for _, c := range []struct {
		name   string
		step   int64
		suffix string
		ok     bool
	}{
		{"step-000001.parquet", 1, "", true},
		{"step-000020-greedy.parquet", 20, "greedy", true},
		{"step-1234567.parquet", 1234567, "", true},
		{"step-1.parquet", 0, "", false},
		{"step-0000001.parquet", 0, "", false},
		{"step-000001-.parquet", 0, "", false},
		{"step--00001.parquet", 0, "", false},
		{"step-000001.parquet.tmp", 0, "", false},
		{"steps.parquet", 0, "", false},
	} {
		step, suffix, ok := ParseSegmentName(c.name)
		if ok != c.ok || (ok && (step != c.step || suffix != c.suffix)) {
			t.Errorf("%s: got %d %q %v", c.name, step, suffix, ok)
		}
	}
}

func BenchmarkWriteSegment(b *testing.B) {
	for _, n := range []int{192, 1024} {
		rows := make([]Trace, n)
		for i := range rows {
			rows[i] = *benchTrace(70)
			rows[i].Sample = int32(i)
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for j := range rows[i].Tokens { // of their own: equal rows would compress to nothing
				rows[i].Tokens[j], rows[i].LogProbs[j] = r.Int32N(64), -r.Float32()
			}
		}
		dir := b.TempDir()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if err := WriteSegment(dir, "step-000001.parquet", rows, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/trace")
			info, err := os.Stat(filepath.Join(dir, "step-000001.parquet"))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/float64(n), "bytes/trace")
		})
	}
}

func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	rows := make([]Trace, 2048)
	for i := range rows {
		rows[i] = *benchTrace(70)
		rows[i].Sample = int32(i)
	}
	if err := WriteSegment(filepath.Join(dir, TracesDir), SegmentName(1, ""), rows, nil); err != nil {
		b.Fatal(err)
	}
	r, err := OpenRun(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("whole", func(b *testing.B) {
		for b.Loop() {
			for _, err := range r.Traces(Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
	})
	type slim struct {
		Step         int64   `parquet:"step"`
		LengthTokens int32   `parquet:"length_tokens"`
		Verdict      Verdict `parquet:"verdict,dict"`
	}
	b.Run("three columns", func(b *testing.B) {
		for b.Loop() {
			for _, err := range Scan[slim](r, Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(rows)), "ns/row")
	})
}

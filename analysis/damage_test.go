package analysis

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"pith/traces"
)

// future is a trace as a later pith may write it.
type future struct {
	traces.Trace
	Mood string `parquet:"mood,dict"`
}

// writeForeign writes one row of any shape with metadata of its own.
func writeForeign[T any](t *testing.T, path string, row T, meta map[string]string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	var options []parquet.WriterOption
	for k, v := range meta {
		options = append(options, parquet.KeyValueMetadata(k, v))
	}
	w := parquet.NewGenericWriter[T](f, options...)
	if _, err := w.Write([]T{row}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// A file that cannot be read is one line in the report, and everything that does not stand in it is
// as in the report of the whole run.
func TestABadSegmentIsOneLineAndTheRestIsAnalysed(t *testing.T) {
	const name = "step-000003.parquet"
	whole := *summary(t, fixture{})
	for _, c := range []struct {
		name     string
		spoil    func(t *testing.T, path string)
		want     string
		readable bool // the accounting knows what it holds
	}{
		{"truncated", func(t *testing.T, path string) {
			if err := os.Truncate(path, 1000); err != nil {
				t.Fatal(err)
			}
		}, "cut short: the footer is missing", false},
		{"foreign", func(t *testing.T, path string) { writeForeign(t, path, struct{ A int64 }{1}, nil) }, "not written by pith", false},
		{"of a future schema", func(t *testing.T, path string) {
			writeForeign(t, path, traces.Trace{}, map[string]string{traces.MetaSchema: "99", traces.MetaTable: "traces"})
		}, "schema 99 was written by a newer pith", false},
		{"without columns that every trace has", func(t *testing.T, path string) {
			writeForeign(t, path, struct {
				ID string `parquet:"id"`
			}{"x"}, map[string]string{traces.MetaSchema: "1", traces.MetaTable: "traces"})
		}, "lacks the columns run, step, split, group, problem", false},
		{"with a column more", func(t *testing.T, path string) {
			writeForeign(t, path, future{traces.Trace{Group: "g000000006", ID: "x"}, "glad"}, map[string]string{traces.MetaSchema: "1", traces.MetaTable: "traces"})
		}, "passed over: the columns mood", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
			c.spoil(t, filepath.Join(dir, traces.TracesDir, name))
			r, err := Summarize([]string{dir})
			if err != nil {
				t.Fatal(err)
			}
			run := r.Runs[0]
			var lines []string
			for _, p := range run.Problems {
				if strings.Contains(p, name) {
					lines = append(lines, p)
				}
			}
			if len(lines) != 1 || !strings.Contains(lines[0], c.want) || strings.Contains(lines[0], "\n") {
				t.Errorf("the report says %q, want one line with %q", lines, c.want)
			}
			if run.Final.Accuracy != whole.Final.Accuracy || run.Gain.Tokens != whole.Gain.Tokens || run.Steps != whole.Steps {
				t.Error("the rest of the report is not as without the damage")
			}
			if c.readable {
				return
			}
			if want := int64(8*groupsPerStep*groupSize - groupsPerStep*groupSize); run.Accounting.Released != want {
				t.Errorf("%d traces counted, want those of the other segments, %d", run.Accounting.Released, want)
			}
			compared, err := r.Compare()
			if err != nil {
				t.Fatalf("not compared: %v", err)
			}
			if len(compared.Groups) != 1 || len(compared.Notes) != 1 || !strings.Contains(compared.Notes[0], c.want) {
				t.Errorf("%d groups, notes %q", len(compared.Groups), compared.Notes)
			}
		})
	}
}

func TestADamagedTableOfEvaluationsIsWhatCompareNames(t *testing.T) {
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	if err := os.Truncate(filepath.Join(dir, traces.EvalsFile), 100); err != nil {
		t.Fatal(err)
	}
	if _, err := Compare([]string{dir}); err == nil || !strings.Contains(err.Error(), "evals.parquet: cut short") {
		t.Errorf("compared: %v", err)
	}
}

// probe is an observer that records what it is shown.
type probe struct {
	columns []string
	rows    []traces.Trace
	texts   int
}

func (p *probe) Columns() []string { return p.columns }

func (p *probe) Observe(b *traces.Batch) {
	for i := range b.Rows {
		p.rows = append(p.rows, traces.Trace{ID: b.Rows[i].ID, LengthTokens: b.Rows[i].LengthTokens})
		p.texts += len(b.Rows[i].Text)
	}
}

func TestObserversShareOnePassOverTheUnionOfTheirColumns(t *testing.T) {
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	log, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, b := &probe{columns: []string{"id"}}, &probe{columns: []string{"length_tokens", "id"}}
	if errs := Observe(log, traces.Filter{ToStep: 2}, a, b); len(errs) > 0 {
		t.Fatal(errs)
	}
	if len(a.rows) != 2*groupsPerStep*groupSize || len(b.rows) != len(a.rows) || b.rows[3].LengthTokens == 0 || b.rows[3].ID == "" {
		t.Errorf("%d and %d rows", len(a.rows), len(b.rows))
	}
	if a.texts != 0 {
		t.Error("texts were read that nobody asked for")
	}
	if errs := Observe(log, traces.Filter{}, &probe{columns: []string{"mood"}}); len(errs) != 1 || !strings.Contains(errs[0].Error(), "no trace has a column mood") {
		t.Errorf("a column that no trace has: %v", errs)
	}
}

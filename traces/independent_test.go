package traces

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestIndependentReadersOpenTheLogsUnchanged reads every table with DuckDB and with pyarrow and
// compares all values of all columns. PITH_PYTHON names a Python that has at least one of them;
// without it, python3 on the path is tried and the test skips where it has neither.
func TestIndependentReadersOpenTheLogsUnchanged(t *testing.T) {
	python, demanded := os.LookupEnv("PITH_PYTHON")
	if !demanded {
		var err error
		if python, err = exec.LookPath("python3"); err != nil {
			t.Skip("no python3; set PITH_PYTHON to a Python with duckdb or pyarrow to run this test")
		}
	}
	dir := t.TempDir()
	rows := rapid.SliceOfN(validTrace(), 60, 60).Example(3)
	Sort(rows)
	half := 0.5
	steps := []Step{{Step: 1, Policy: "p", Anytime: &half, Terms: []Term{{"length", 0.25}}, Lengths: Lengths{All: 60.5}}, {Step: 2, Reward: -1}}
	evals := []Eval{{Decoding: "greedy", Budgets: []int32{4, 8}, BudgetScores: []float64{0.25, 1}, Levels: []LevelEval{{1, 20, 0.9, 12}}}, {Step: 2}}
	timings := []Timing{{Step: 1, ID: "g/0", Worker: "w1", Total: 0.125}, {Step: 1, Learn: 2}}
	for _, err := range []error{
		WriteSegment(filepath.Join(dir, TracesDir), SegmentName(1, ""), rows[:30], map[string]string{MetaManifest: "m"}),
		WriteSegment(filepath.Join(dir, TracesDir), SegmentName(2, ""), rows[30:], nil),
		WriteTable(dir, StepsFile, steps, nil),
		WriteTable(dir, EvalsFile, evals, nil),
		WriteTable(dir, TimingsFile, timings, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ran := 0
	for _, library := range []string{"duckdb", "pyarrow"} {
		t.Run(library, func(t *testing.T) {
			read := func(names ...string) []any {
				t.Helper()
				args := []string{filepath.Join("testdata", "read_parquet.py"), library}
				for _, name := range names {
					args = append(args, filepath.Join(dir, name))
				}
				var stderr bytes.Buffer
				cmd := exec.CommandContext(t.Context(), python, args...)
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 3 {
					t.Skipf("%s of %s: %s", library, python, strings.TrimSpace(stderr.String()))
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, stderr.String())
				}
				var rows []any
				for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
					var row any
					dec.UseNumber()
					if err := dec.Decode(&row); err != nil {
						t.Fatal(err)
					}
					rows = append(rows, row)
				}
				return rows
			}
			check(t, rows, read(filepath.Join(TracesDir, SegmentName(1, "")), filepath.Join(TracesDir, SegmentName(2, ""))))
			check(t, steps, read(StepsFile))
			check(t, evals, read(EvalsFile))
			check(t, timings, read(TimingsFile))
			ran++
		})
	}
	if ran == 0 && demanded {
		t.Errorf("PITH_PYTHON=%s has neither duckdb nor pyarrow", python)
	}
}

// check compares records with what another library read from their columns.
func check[T Row](t *testing.T, want []T, got []any) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", tableOf[T](), len(got), len(want))
	}
	for i := range want {
		w := columns(reflect.ValueOf(want[i]))
		if diff := cmp.Diff(w, number(got[i])); diff != "" {
			t.Fatalf("%s, row %d (-want +got):\n%s", tableOf[T](), i, diff)
		}
	}
}

// columns turns a record into what a reader of its Parquet columns should see.
func columns(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("parquet"), ",")
			m[name] = columns(v.Field(i))
		}
		return m
	case reflect.Slice:
		list := []any{}
		for i := range v.Len() {
			list = append(list, columns(v.Index(i)))
		}
		return list
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return columns(v.Elem())
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Int32, reflect.Int64:
		return float64(v.Int())
	case reflect.Uint64:
		return float64(v.Uint())
	case reflect.Bool:
		return v.Bool()
	default:
		return v.String()
	}
}

// number turns JSON numbers into float64; -0 and 0 are one value in a column.
func number(v any) any {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return math.NaN()
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = number(v[k])
		}
	case []any:
		for i := range v {
			v[i] = number(v[i])
		}
	}
	return v
}

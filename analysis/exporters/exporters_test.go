package exporters

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/traces"
)

// writeRun makes the tables of a run of so many steps, with evaluations through another step.
func writeRun(t *testing.T, dir string, steps, evaluated int) *traces.Run {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, traces.ManifestFile), []byte(`{"run":"demo","seed":7,"config":{"rewards":{"method":"dler"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var rows []traces.Step
	var clock []traces.Timing
	var evals []traces.Eval
	for step := range steps {
		n := int64(step + 1)
		rows = append(rows, traces.Step{Step: n, Accuracy: 0.5 + 0.01*float64(n), Traces: 8, Trained: 7, Filtered: 1, GeneratedTokens: 100 * n,
			Terms: []traces.Term{{Name: "length", Value: -0.125}}})
		clock = append(clock, traces.Timing{Step: n, Total: 2, Learn: 0.75, TrainerWait: 1, Eval: 0.5}, traces.Timing{Step: n, ID: "g/0", Total: 9})
	}
	for step := 0; step <= evaluated; step += 2 {
		evals = append(evals, traces.Eval{Step: int64(step), Decoding: "greedy", Accuracy: 0.25, TokensMean: 60, Levels: []traces.LevelEval{{Level: 3, Accuracy: 0.5}}})
	}
	for _, err := range []error{
		traces.WriteTable(dir, traces.StepsFile, rows, nil), traces.WriteTable(dir, traces.TimingsFile, clock, nil), traces.WriteTable(dir, traces.EvalsFile, evals, nil),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func export(t *testing.T, run *traces.Run, name, out string) int {
	t.Helper()
	d, errs := Read(run)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	target, err := Open(name, out, d)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Export(d, target)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// points reads an export back: series, step and value, in order.
type point struct {
	Series string
	Step   int64
	Value  float64
}

func sorted(points []point) []point {
	slices.SortFunc(points, func(a, b point) int {
		if a.Series != b.Series {
			return strings.Compare(a.Series, b.Series)
		}
		return int(a.Step - b.Step)
	})
	return points
}

// wanted are all points that a run's log holds.
func wanted(t *testing.T, run *traces.Run) []point {
	t.Helper()
	d, _ := Read(run)
	var out []point
	for _, kind := range d.Kinds() {
		for _, row := range d.Rows[kind] {
			for _, v := range row.Values {
				out = append(out, point{v.Name, row.Step, v.Value})
			}
		}
	}
	return sorted(out)
}

var readers = map[string]func(t *testing.T, dir string) []point{
	"tensorboard": readEvents, "mlflow": readMLflow, "wandb-jsonl": readHistory,
}

func TestAnExportHoldsEveryCommittedRowOnceHoweverOftenItIsRepeated(t *testing.T) {
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			dir, out := filepath.Join(t.TempDir(), "run"), t.TempDir()
			// The evaluation of step 4 is committed after an export has seen the step itself.
			for _, stage := range []struct{ steps, evaluated, want int }{{3, 2, 3 + 3 + 2}, {3, 2, 0}, {4, 2, 2}, {4, 4, 1}, {7, 6, 7}, {7, 6, 0}} {
				run := writeRun(t, dir, stage.steps, stage.evaluated)
				if n := export(t, run, name, out); n != stage.want {
					t.Errorf("%d steps, evaluated through %d: %d new rows, want %d", stage.steps, stage.evaluated, n, stage.want)
				}
				if diff := cmp.Diff(wanted(t, run), read(t, out), cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Abs(a) })); diff != "" {
					t.Fatalf("after %d steps (-log +export):\n%s", stage.steps, diff)
				}
			}
		})
	}
}

// readEvents decodes TFRecords without the encoder's help and checks both sums of each.
func readEvents(t *testing.T, dir string) []point {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []point
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for len(text) > 0 {
			n := binary.LittleEndian.Uint64(text)
			if masked(text[:8]) != binary.LittleEndian.Uint32(text[8:]) || masked(text[12:12+n]) != binary.LittleEndian.Uint32(text[12+n:]) {
				t.Fatalf("%s: a sum differs", file)
			}
			var step int64
			for number, value := range fields(text[12 : 12+n]) {
				switch number {
				case 2:
					step = int64(value.integer)
				case 5:
					for _, v := range fields(value.bytes) {
						p := point{Step: step}
						for number, value := range fields(v.bytes) {
							switch number {
							case 1:
								p.Series = string(value.bytes)
							case 2:
								p.Value = float64(math.Float32frombits(uint32(value.integer)))
							}
						}
						out = append(out, p)
					}
				}
			}
			text = text[16+n:]
		}
	}
	return sorted(out)
}

type wireValue struct {
	integer uint64
	bytes   []byte
}

// fields yields the fields of a protobuf message.
func fields(b []byte) func(yield func(int, wireValue) bool) {
	return func(yield func(int, wireValue) bool) {
		for len(b) > 0 {
			key, n := binary.Uvarint(b)
			b = b[n:]
			var v wireValue
			switch key & 7 {
			case 0:
				v.integer, n = binary.Uvarint(b)
				b = b[n:]
			case 1:
				v.integer, b = binary.LittleEndian.Uint64(b), b[8:]
			case 5:
				v.integer, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
			case 2:
				size, n := binary.Uvarint(b)
				v.bytes, b = b[n:n+int(size)], b[n+int(size):]
			}
			if !yield(int(key>>3), v) {
				return
			}
		}
	}
}

func readMLflow(t *testing.T, dir string) []point {
	t.Helper()
	var out []point
	roots, err := filepath.Glob(filepath.Join(dir, mlflowExperiment, "*", "metrics"))
	if err != nil || len(roots) != 1 {
		t.Fatal(roots, err)
	}
	if err := filepath.WalkDir(roots[0], func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(roots[0], path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			var millis, step int64
			var value float64
			cells := strings.Fields(line)
			for i, into := range []any{&millis, &value, &step} {
				if err := json.Unmarshal([]byte(cells[i]), into); err != nil {
					return err
				}
			}
			out = append(out, point{filepath.ToSlash(name), step, value})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return sorted(out)
}

func readHistory(t *testing.T, dir string) []point {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []point
	for d := json.NewDecoder(f); d.More(); {
		var row map[string]any
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		for name, v := range row {
			if x, ok := v.(float64); ok && name != "step" && name != "seconds" {
				out = append(out, point{name, int64(row["step"].(float64)), x})
			}
		}
	}
	return sorted(out)
}

// The sum of the empty string is 0, that of "123456789" 0xe3069283 (RFC 3720, appendix B.4 names the
// polynomial); rotated by 15 and shifted by the constant they give these.
func TestMaskedSumsMatchVectors(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint32
	}{
		{"", 0xa282ead8},
		{"123456789", 0xc78ab0e5},
	} {
		if got := masked([]byte(c.text)); got != c.want {
			t.Errorf("%q: %#x, want %#x", c.text, got, c.want)
		}
	}
}

func TestAnInterruptedAppendIsMadeGood(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "run"), t.TempDir()
	run := writeRun(t, dir, 4, 4)
	export(t, run, "mlflow", out)
	d, _ := Read(run)
	metric := filepath.Join(out, mlflowExperiment, d.ID, "metrics", "train", "accuracy")
	text, err := os.ReadFile(metric)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(metric, text[:len(text)/2], 0o600); err != nil { // a line cut in the middle
		t.Fatal(err)
	}
	export(t, run, "mlflow", out)
	if diff := cmp.Diff(wanted(t, run), readMLflow(t, out)); diff != "" {
		t.Errorf("(-log +export):\n%s", diff)
	}
}

func TestPrometheusTextIsServedFromTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	run := writeRun(t, dir, 3, 2)
	server := httptest.NewServer(Handler(run))
	defer server.Close()
	scrape := func() string {
		r, err := http.Get(server.URL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain; version=0.0.4") {
			t.Fatal(r.Status, err)
		}
		return string(text)
	}
	text := scrape()
	for _, want := range []string{
		"# TYPE pith_train_accuracy gauge\npith_train_accuracy{run=\"demo\"} 0.53\n",
		"pith_eval_accuracy{run=\"demo\",decoding=\"greedy\"} 0.25\n",
		"pith_eval_level_accuracy{run=\"demo\",decoding=\"greedy\",level=\"3\"} 0.5\n",
		"pith_reward_term{run=\"demo\",term=\"length\"} -0.125\n",
		"# TYPE pith_generated_tokens_total counter\npith_generated_tokens_total{run=\"demo\"} 600\n",
		"pith_traces_total{run=\"demo\",outcome=\"trained\"} 21\n",
		"pith_last_step{run=\"demo\",kind=\"evals-greedy\"} 2\n",
		"pith_run_seconds_total{run=\"demo\"} 7.5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	writeRun(t, dir, 5, 2)
	if !strings.Contains(scrape(), "pith_last_step{run=\"demo\",kind=\"steps\"} 5\n") {
		t.Error("a later scrape does not see later steps")
	}
}

func TestSpansNestAndDoNotOverlap(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "run"), t.TempDir()
	export(t, writeRun(t, dir, 2, 2), "otlp", out)
	export(t, writeRun(t, dir, 3, 2), "otlp", out)
	files, err := filepath.Glob(filepath.Join(out, "spans.timings.*.json"))
	if err != nil || len(files) != 2 {
		t.Fatal(files, err)
	}
	var spans []otlpSpan
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			ResourceSpans []struct{ ScopeSpans []struct{ Spans []otlpSpan } }
		}
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatal(err)
		}
		spans = append(spans, r.ResourceSpans[0].ScopeSpans[0].Spans...)
	}
	var got []string
	ids := map[string]bool{}
	for _, s := range spans {
		if len(s.TraceID) != 32 || len(s.SpanID) != 16 || ids[s.SpanID] {
			t.Errorf("span %+v", s)
		}
		ids[s.SpanID] = true
		got = append(got, s.Name+" "+s.Start+" "+s.End)
	}
	want := []string{
		"step 1 0 2500000000", "trainer_wait 0 1000000000", "learn 1000000000 1750000000", "eval 1750000000 2250000000",
		"step 2 2500000000 5000000000", "trainer_wait 2500000000 3500000000", "learn 3500000000 4250000000", "eval 4250000000 4750000000",
		"step 3 5000000000 7500000000", "trainer_wait 5000000000 6000000000", "learn 6000000000 6750000000", "eval 6750000000 7250000000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOpenNamesTheTargets(t *testing.T) {
	if _, err := Open("aim", t.TempDir(), &Data{}); err == nil || !strings.Contains(err.Error(), `no target "aim"; known: tensorboard, mlflow`) {
		t.Error(err)
	}
}

// The trackers' own readers see what the log holds. PITH_PYTHON names a Python that has them
// (.ci/parquet-reader.sh makes one).
func TestTheTrackersReadersOpenTheExports(t *testing.T) {
	python := os.Getenv("PITH_PYTHON")
	if python == "" {
		t.Skip("PITH_PYTHON is not set; PITH_PYTHON=$(sh .ci/parquet-reader.sh) runs this test")
	}
	run := writeRun(t, filepath.Join(t.TempDir(), "run"), 5, 4)
	for _, name := range []string{"tensorboard", "mlflow"} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			export(t, run, name, out)
			cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "read_export.py"), name, out)
			cmd.Env = append(os.Environ(), "MLFLOW_ALLOW_FILE_STORE=true")
			text, err := cmd.Output()
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 3 {
				t.Skipf("%s has no reader for %s: %s", python, name, exit.Stderr)
			} else if ok {
				t.Fatalf("%v\n%s", err, exit.Stderr)
			}
			var got []point
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(wanted(t, run), sorted(got), cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*math.Abs(a) })); diff != "" {
				t.Errorf("(-log +reader):\n%s", diff)
			}
		})
	}
}

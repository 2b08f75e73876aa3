package analysis

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/configs"
	"pith/traces"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s; run with -update if it is right:\n%s", path, diff)
	}
}

// shared is a folder for fixtures that several tests read.
var shared string

func TestMain(m *testing.M) {
	flag.Parse()
	var err error
	if shared, err = os.MkdirTemp("", "pith-analysis-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(shared)
	os.Exit(code)
}

// written are the summaries of fixtures without hooks, which tests only read.
var written = map[string]RunReport{}

// summary writes a fixture into a directory of a fixed name and summarises it.
func summary(t *testing.T, f fixture) *RunReport {
	t.Helper()
	key := fmt.Sprintf("%+v", f)
	if run, ok := written[key]; ok {
		return &run
	}
	root, err := os.MkdirTemp(shared, "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Summarize([]string{f.write(t, filepath.Join(root, "run"))})
	if err != nil {
		t.Fatal(err)
	}
	run := r.Runs[0]
	if f.spoil == nil && f.config == nil {
		written[key] = run
	}
	return &run
}

func TestReportJSONIsAsBefore(t *testing.T) {
	run := summary(t, fixture{tools: true, prices: true})
	run.Directory = "run"
	var b bytes.Buffer
	if err := (Report{Runs: []RunReport{*run}}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", b.String())
}

func TestReportJSONHasTheKeysOfTheContract(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Runs: []RunReport{*summary(t, fixture{})}}).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var report struct{ Runs []map[string]json.RawMessage }
	if err := json.Unmarshal(b.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	evaluation := []string{"problems", "accuracy", "tokens_mean", "tokens_right", "tokens_wrong", "truncated", "tool_calls_mean", "anytime_accuracy"}
	for path, keys := range map[string][]string{
		"":           {"name", "method", "seed", "steps", "seconds", "base", "final", "evals", "accounting", "waits", "cost"},
		"base":       evaluation,
		"final":      evaluation,
		"accounting": {"released", "trained", "filtered", "failed", "dead_lettered"},
		"waits":      {"trainer", "engine"},
		"cost":       {"tokens", "dollars"},
	} {
		object := report.Runs[0]
		if path != "" {
			object = nil
			if err := json.Unmarshal(report.Runs[0][path], &object); err != nil {
				t.Fatal(err)
			}
		}
		for _, key := range keys {
			if _, ok := object[key]; !ok {
				t.Errorf("%s.%s is missing", path, key)
			}
		}
	}
	var evals []struct{ Step *int64 }
	if err := json.Unmarshal(report.Runs[0]["evals"], &evals); err != nil || len(evals) != 5 || *evals[0].Step != 0 || *evals[4].Step != 8 {
		t.Errorf("evals: %v, %v", evals, err)
	}
	if string(report.Runs[0]["cost"][:1]) != "{" || !strings.Contains(string(report.Runs[0]["cost"]), `"dollars": null`) {
		t.Error("a run without prices has a bill")
	}
}

func TestSummaryAgreesWithTheLog(t *testing.T) {
	run := summary(t, fixture{prices: true})
	var tokens int64
	var trained, filtered, failed int64
	for row, err := range run.data.log.Traces(traces.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		tokens += int64(row.LengthTokens)
		switch row.Status {
		case traces.Trained:
			trained++
		case traces.Filtered:
			filtered++
		case traces.Failed:
			failed++
		}
	}
	want := Accounting{Released: 96, Trained: trained, Filtered: filtered, Failed: failed, Groups: 24, Exact: true}
	if diff := cmp.Diff(want, run.Accounting); diff != "" {
		t.Error(diff)
	}
	if run.Cost.Tokens != tokens {
		t.Errorf("%d tokens, want %d", run.Cost.Tokens, tokens)
	}
	seconds := 0.0
	for step := 1.0; step <= 8; step++ {
		seconds += 2 - step/8 + 0.5
	}
	if math.Abs(run.Seconds-seconds) > 1e-9 {
		t.Errorf("%v seconds, want %v", run.Seconds, seconds)
	}
	if want := float64(tokens)*2e-6 + 1.5*seconds/3600; math.Abs(*run.Cost.Dollars-want) > 1e-9 {
		t.Errorf("%v dollars, want %v", *run.Cost.Dollars, want)
	}
	if g := run.Gain; g.Paired != 120 || math.Abs(g.Accuracy-(run.Final.Accuracy-run.Base.Accuracy)) > 1e-12 ||
		math.Abs(g.Tokens-(run.Final.TokensMean/run.Base.TokensMean-1)) > 1e-12 ||
		g.AccuracyInterval[0] > g.Accuracy || g.Accuracy > g.AccuracyInterval[1] || g.TokensInterval[0] > g.Tokens || g.Tokens > g.TokensInterval[1] {
		t.Errorf("gain %+v", g)
	}
	for _, e := range run.Evals {
		if i := e.TokensInterval; i == nil || i[0] > e.TokensMean || e.TokensMean > i[1] {
			t.Errorf("step %d: mean %v, interval %v", e.Step, e.TokensMean, i)
		}
	}
}

func TestAccountingThatDoesNotCloseIsAnErrorInTheReport(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(rows []traces.Trace) []traces.Trace
		want  []string
	}{
		{"a lost trace", func(rows []traces.Trace) []traces.Trace {
			if rows[0].Step != 3 {
				return rows
			}
			return rows[1:]
		}, []string{"steps.parquet says 96 released, the traces themselves 95", "1 of 24 groups do not have the 4 traces"}},
		{"a trace counted twice", func(rows []traces.Trace) []traces.Trace {
			if rows[0].Step != 3 {
				return rows
			}
			return append(rows, rows[1])
		}, []string{"1 traces are in the log more than once", "the traces themselves 97"}},
		{"a trace without an outcome", func(rows []traces.Trace) []traces.Trace {
			if rows[0].Step == 3 {
				rows[1].Status = ""
			}
			return rows
		}, []string{"96 traces were released, but trained 86 + filtered 8 + failed 1 + dead-lettered 0 = 95; 1 have no outcome"}},
		{"a lost group", func(rows []traces.Trace) []traces.Trace {
			if rows[0].Step != 3 {
				return rows
			}
			return rows[groupSize:]
		}, []string{"23 groups are numbered from 0 to 23; 1 are missing"}},
		{"an outcome that changed", func(rows []traces.Trace) []traces.Trace {
			if rows[0].Step == 4 {
				rows[1].Status = traces.DeadLettered
			}
			return rows
		}, []string{"steps.parquet says 87 trained, the traces themselves 86", "steps.parquet says 0 dead-lettered, the traces themselves 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			run := summary(t, fixture{spoil: tc.spoil})
			if run.Accounting.Exact {
				t.Error("taken to be exact")
			}
			all := strings.Join(run.Problems, "\n")
			for _, want := range tc.want {
				if !strings.Contains(all, want) {
					t.Errorf("problems:\n%s\nwant %s", all, want)
				}
			}
			if s := strings.Join(run.Sentences(), "\n"); !strings.Contains(s, "ERROR, the accounting does not close: ") {
				t.Errorf("not said:\n%s", s)
			}
			var page bytes.Buffer
			if err := WriteHTML(&page, Report{Runs: []RunReport{*run}}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(page.String(), "Errors found in the log") || !strings.Contains(page.String(), "The outcomes do not add up") {
				t.Error("not in the page")
			}
			if _, err := (Report{Runs: []RunReport{*run}}).Compare(); err == nil || !strings.Contains(err.Error(), "accounting: ") {
				t.Errorf("compared: %v", err)
			}
		})
	}
}

func TestSentencesSayWhatWasGainedAndWhatWasLost(t *testing.T) {
	var b strings.Builder
	for _, f := range []fixture{
		{name: "plain"},
		{name: "tools", method: "otc_grpo", tools: true},
		{name: "anytime", method: "brpo", budgets: []int32{4, 8, 16}},
		{name: "lost", lost: true, problems: 200},
	} {
		run := summary(t, f)
		b.WriteString("# " + f.name + "\n")
		for _, s := range run.Sentences() {
			b.WriteString(s + "\n")
		}
	}
	golden(t, "sentences.txt", b.String())
}

func TestWaitsNameTheBottleneckAndTheSetting(t *testing.T) {
	step := func(wait, learn, grade, idle float64) []traces.Timing {
		return []traces.Timing{{Step: 1, Total: 100, TrainerWait: wait, Learn: learn, Grade: grade, EngineIdle: idle}}
	}
	for _, tc := range []struct {
		name  string
		clock []traces.Timing
		set   func(c *configs.Config)
		want  string
	}{
		{"no timings", nil, nil, "No timings are in the log, so nothing can be said about who waited for whom."},
		{"local, sampling", step(60, 30, 0, 10), nil,
			"Of 100 s in steps, the trainer spent 60\u00a0% waiting for traces and 30\u00a0% learning; the engine had nothing to decode for 10\u00a0%: sampling is the bottleneck and shares its cores with learning; more cores, or a smaller rollout.max_tokens while responses are long, would help."},
		{"remote, synchronous, sampling", step(60, 30, 0, 30), func(c *configs.Config) { c.Engine.Kind = "vllm" },
			"rollout.max_staleness: 1 lets the engine go on while the trainer learns"},
		{"remote, overlapping, sampling", step(60, 30, 0, 5), func(c *configs.Config) { c.Engine.Kind, c.Rollout.MaxStaleness = "vllm", 2 },
			"add engines, or raise engine.slots if they are not full"},
		{"remote, learning", step(5, 90, 0, 40), func(c *configs.Config) { c.Engine.Kind, c.Rollout.MaxStaleness = "vllm", 1 },
			"rollout.max_staleness: 2 lets it sample ahead"},
		{"grading", step(5, 20, 70, 40), nil, "most of it went to grading; look for answers that run into the grader's deadline"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := &runData{clock: tc.clock}
			d.manifest.Config = configs.Default()
			if tc.set != nil {
				tc.set(&d.manifest.Config)
			}
			if got := d.waits().Sentence; !strings.Contains(got, tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestARunThatHasJustBegunIsReported(t *testing.T) {
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	for _, name := range []string{traces.StepsFile, traces.EvalsFile, traces.TimingsFile, traces.TracesDir, traces.EvalsDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Summarize([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, r); err != nil {
		t.Fatal(err)
	}
	run := r.Runs[0]
	if run.Base != nil || run.Gain != nil || run.Steps != 0 || len(run.Evals) != 0 {
		t.Errorf("%+v", run)
	}
	if diff := cmp.Diff([]string{"the log is empty: neither a step nor an evaluation has been committed"}, run.Problems); diff != "" {
		t.Error(diff)
	}
	if s := run.Sentences(); len(s) == 0 || s[0] != "The run has done 0 of 8 steps." {
		t.Errorf("%q", s)
	}
}

func TestADamagedFileIsAProblemAndTheRestIsRead(t *testing.T) {
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	broken := filepath.Join(dir, traces.TracesDir, traces.SegmentName(3, ""))
	if err := os.WriteFile(broken, []byte("PAR1 not really"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := Summarize([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	run := r.Runs[0]
	if run.Accounting.Exact || run.Accounting.Released != 84 || run.Gain == nil {
		t.Errorf("accounting %+v, gain %v", run.Accounting, run.Gain)
	}
	if !strings.Contains(strings.Join(run.Problems, "\n"), traces.SegmentName(3, "")) {
		t.Errorf("the broken file is not named: %q", run.Problems)
	}
}

func TestARunWithoutManifestKeepsItsNumbers(t *testing.T) {
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "imported"))
	if err := os.Remove(filepath.Join(dir, traces.ManifestFile)); err != nil {
		t.Fatal(err)
	}
	r, err := Summarize([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if run := r.Runs[0]; run.Name != "imported" || run.Gain == nil || !run.Accounting.Exact || len(run.Problems) != 1 {
		t.Errorf("name %q, gain %v, accounting %+v, problems %q", run.Name, run.Gain, run.Accounting, run.Problems)
	}
}

func TestADirectoryThatIsNoRunIsAnError(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, err := Summarize([]string{dir}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	dir := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	if err := os.WriteFile(filepath.Join(dir, traces.ManifestFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Summarize([]string{dir}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("broken manifest: %v", err)
	}
}

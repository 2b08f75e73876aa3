package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"

	"pith/traces"
)

func importInto(t *testing.T, o Options, files ...string) (string, *Summary) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	for i := range files {
		if !filepath.IsAbs(files[i]) {
			files[i] = filepath.Join("testdata", files[i])
		}
	}
	s, err := Import(dir, files, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func read(t *testing.T, dir string, f traces.Filter) []traces.Trace {
	t.Helper()
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	var rows []traces.Trace
	for row, err := range run.Traces(f) {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// line is a trace in short: identity, verdict, lengths and what they are worth, shape.
func line(t *traces.Trace) string {
	var shape []string
	for _, s := range t.Segments {
		shape = append(shape, fmt.Sprintf("%s:%d-%d", s.Kind, s.Start, s.End))
	}
	source := string(t.LengthSource)
	if source == "" {
		source = "exact"
	}
	return fmt.Sprintf("%d %s %s %s %s %d+%d %s calls=%d [%s]", t.Step, t.ID, t.Verdict, t.Finish, source, t.LengthTokens, t.InjectedTokens, t.Gold, len(t.ToolCalls), strings.Join(shape, " "))
}

func TestFrameworksLogsBecomeRuns(t *testing.T) {
	for _, c := range []struct {
		name    string
		files   []string
		options Options
		format  string
		want    []string
	}{
		{"verl, interleaved samples and a file a step", []string{"verl-1.jsonl", "verl-2.jsonl"}, Options{}, "verl", []string{
			"1 g000000000/0 right stop estimated 14+0 5 calls=0 [answer:0-14]",
			"1 g000000000/1 wrong stop estimated 3+0 5 calls=0 [answer:0-3]",
			"1 g000000001/0 wrong stop estimated 3+0 8 calls=0 [answer:0-3]",
			"1 g000000001/1 right stop estimated 3+0 8 calls=0 [answer:0-3]",
			"2 g000000002/0 right stop estimated 1+0 6 calls=0 [answer:0-1]",
			"2 g000000002/1 wrong stop estimated 1+0 6 calls=0 [answer:0-1]",
		}},
		{"TRL, plain and conversational", []string{"trl.jsonl"}, Options{}, "trl", []string{
			"3 g000000000/0 right stop estimated 11+0  calls=0 [think:0-10 answer:10-11]",
			"3 g000000000/1 wrong stop estimated 13+0  calls=0 [think:0-12 answer:12-13]",
			"4 g000000001/0 right stop estimated 1+0  calls=0 [answer:0-1]",
		}},
		{"prime-rl, messages, token ids and counts", []string{"prime-rl.jsonl"}, Options{}, "prime-rl", []string{
			"12 g000000000/0 right stop estimated 14+1 144 calls=1 [answer:0-4 tool_call:4-10 tool_result:10-11 answer:11-15]",
			"12 g000000000/1 wrong length exact 4+0 144 calls=0 [answer:0-4]",
			"12 g000000001/0 right stop reported 9+0 1 calls=0 [answer:0-9]",
		}},
		{"groups", []string{"groups.jsonl"}, Options{}, "groups", []string{
			"12 g1/0 right stop reported 12+0 42 calls=2 [think:0-11 answer:11-12]",
			"12 g1/1 no_score length reported 40+0 42 calls=0 [answer:0-40]",
			"12 g2/0 wrong stop reported 0+0  calls=0 []",
		}},
		{"solutions of several models, with calculator calls", []string{"gsm8k.jsonl"}, Options{}, "gsm8k-solutions", []string{
			"1 g000000000/0 wrong stop estimated 3+0 5 calls=0 [answer:0-3]",
			"1 g000000000/1 right stop estimated 19+0 5 calls=1 [answer:0-6 tool_call:6-15 answer:15-19]",
			"1 g000000001/0 right stop estimated 13+0 8 calls=1 [tool_call:0-9 answer:9-13]",
			"1 g000000001/1 wrong stop estimated 28+0 8 calls=2 [tool_call:0-9 answer:9-15 tool_call:15-24 answer:24-28]",
		}},
		{"one model of several, held out", []string{"gsm8k.jsonl"}, Options{Policy: "large", HeldOut: true}, "gsm8k-solutions", []string{
			"0 e000000-sampled-000000/0 wrong stop estimated 3+0 5 calls=0 [answer:0-3]",
			"0 e000000-sampled-000001/0 right stop estimated 13+0 8 calls=1 [tool_call:0-9 answer:9-13]",
		}},
		{"another rule, another threshold, other fields", []string{"verl-1.jsonl"}, Options{
			Format: "verl", Count: "bytes/4", RightAt: -1, Fields: map[string]string{"correct": "score", "gold": "pred"},
		}, "verl", []string{
			"1 g000000000/0 right stop estimated 7+0 5 calls=0 [answer:0-7]",
			"1 g000000000/1 wrong stop estimated 3+0  calls=0 [answer:0-3]",
			"1 g000000001/0 right stop estimated 2+0 6 calls=0 [answer:0-2]",
			"1 g000000001/1 right stop estimated 2+0 8 calls=0 [answer:0-2]",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, s := importInto(t, c.options, slices.Clone(c.files)...)
			f := traces.Filter{}
			if c.options.HeldOut {
				f.Set = traces.Evaluations
			}
			rows := read(t, dir, f)
			var got []string
			for i := range rows {
				got = append(got, line(&rows[i]))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if s.Format != c.format || s.Traces != int64(len(rows)) || s.Exact+s.Reported+s.Estimated != s.Traces || s.Right+s.Wrong+s.NoScore != s.Traces {
				t.Errorf("summary %+v", s)
			}
			again, imported, err := Imported(dir)
			if err != nil || !imported {
				t.Fatalf("imported %v, %v", imported, err)
			}
			if diff := cmp.Diff(*s, again, cmpopts.IgnoreUnexported(Agreement{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the manifest differs:\n%s", diff)
			}
		})
	}
}

func TestARunOfOurOwnIsNotImported(t *testing.T) {
	dir := t.TempDir()
	if _, imported, err := Imported(dir); imported || err != nil {
		t.Errorf("without a manifest: %v, %v", imported, err)
	}
	if err := os.WriteFile(filepath.Join(dir, traces.ManifestFile), []byte(`{"run":"r"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, imported, err := Imported(dir); imported || err != nil {
		t.Errorf("with its own manifest: %v, %v", imported, err)
	}
}

func TestParquetReadsAsJSONLinesDo(t *testing.T) {
	type message struct {
		Role    string `parquet:"role"`
		Content string `parquet:"content"`
	}
	type row struct {
		Step       int64     `parquet:"step"`
		Prompt     string    `parquet:"prompt"`
		Completion []message `parquet:"completion,list"`
		IDs        []int64   `parquet:"completion_ids,list"`
		Logprobs   []float64 `parquet:"logprobs,list"`
		Accuracy   *float64  `parquet:"accuracy_reward,optional"`
		Brevity    float32   `parquet:"brevity"`
		Advantage  float64   `parquet:"advantage"`
	}
	one, none := 1.0, 0.0
	path := filepath.Join(t.TempDir(), "completions_00042.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := parquet.NewGenericWriter[row](f)
	if _, err := w.Write([]row{
		{42, "2+3?", []message{{"assistant", "5"}}, []int64{3, 4}, []float64{-0.5, -0.25}, &one, 0.5, 1},
		{42, "2+3?", []message{{"assistant", "6 or"}, {"assistant", "7"}}, nil, nil, &none, 0, -1},
		{42, "2+3?", nil, nil, nil, nil, 0.25, 0},
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	dir, s := importInto(t, Options{Format: "trl"}, path)
	rows := read(t, dir, traces.Filter{})
	var got []string
	for i := range rows {
		got = append(got, line(&rows[i])+" "+rows[i].Text+fmt.Sprint(rows[i].Terms))
	}
	want := []string{
		"42 g000000000/0 right stop exact 2+0  calls=0 [answer:0-2] 5[{accuracy_reward 1} {brevity 0.5}]",
		"42 g000000000/1 wrong stop estimated 3+0  calls=0 [answer:0-3] 6 or7[{accuracy_reward 0} {brevity 0}]",
		"42 g000000000/2 no_score stop estimated 0+0  calls=0 [] [{brevity 0.25}]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if rows[0].LogProbs[1] != -0.25 || rows[0].Tokens[0] != 3 || s.Exact != 1 {
		t.Errorf("tokens %v, %v, %d exact", rows[0].Tokens, rows[0].LogProbs, s.Exact)
	}
}

func TestABadRecordNamesFileLineAndField(t *testing.T) {
	const good = `{"step":1,"input":"q","output":"a","score":1}`
	for _, c := range []struct{ name, text, want string }{
		{"no JSON", good + "\n\n{oops\n", ":3: no JSON object"},
		{"a list", "[1]\n", ":1: want a JSON object, got array"},
		{"null", "null\n", ":1: want a JSON object, got null"},
		{"two objects", good + good + "\n", ":1: something follows the JSON object"},
		{"a step that is none", good + "\n" + `{"step":1.5,"input":"q","output":"a"}`, ":2: field step: want a whole number"},
		{"a step in words", `{"step":"one","input":"q","output":"a"}`, `:1: field step: want a number, got the text "one"`},
		{"steps out of order", `{"step":2,"input":"q","output":"a"}` + "\n" + good, ":2: field step: step 1 comes after step 2"},
		{"steps here and there", good + "\n" + `{"input":"q","output":"a"}`, ":2: field step: some records have a step"},
		{"a text that is an object", `{"step":1,"input":"q","output":{"a":1}}`, ":1: field output: want a text, got an object"},
		{"a score in words", `{"step":1,"input":"q","output":"a","score":"good"}`, ":1: field score: want a number"},
		{"a score beyond floats", `{"step":1,"input":"q","output":"a","score":1e999}`, ":1: field score"},
		{"ids that are none", `{"step":1,"input":"q","output":"a","response_ids":[1,"x"]}`, ":1: field response_ids: element 1: want a finite number"},
		{"a message without a role", `{"step":1,"input":"q","output":[{"content":"a"}]}`, ":1: field output[0].role: want assistant, tool, user or system, got null"},
		{"no known shape", `{"foo":1,"bar":2}`, ":1: no known format has the fields bar, foo; name one with --format"},
		{"traces that are no list", `{"group":"g","traces":3}`, ":1: field traces: want a list, got the number 3"},
		{"negative tokens", `{"group":"g","traces":[{"id":"a","tokens":-4}]}`, ":1: field tokens: want a whole number within 0..1073741824, got -4"},
		{"nothing", "\n", "the files hold no trace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log.jsonl")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "run")
			_, err := Import(dir, []string{path}, Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
			if strings.HasPrefix(c.want, ":") && !strings.Contains(err.Error(), path+c.want[:2]) {
				t.Errorf("%v does not name the file", err)
			}
			if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) > 0 {
				t.Errorf("something is left behind: %v", left)
			}
		})
	}
}

func TestImportRefusesADirectoryInUseAndUnknownNames(t *testing.T) {
	dir, _ := importInto(t, Options{}, "verl-1.jsonl")
	file := []string{filepath.Join("testdata", "verl-1.jsonl")}
	fresh := filepath.Join(t.TempDir(), "run")
	for _, c := range []struct {
		name, dir, want string
		o               Options
	}{
		{"in use", dir, "is not empty; name a directory that is new", Options{}},
		{"format", fresh, `no format "openrlhf"; known: trl, verl, prime-rl, groups, gsm8k-solutions, auto`, Options{Format: "openrlhf"}},
		{"decoding", fresh, `no decoding "beam"; a report knows sampled and greedy`, Options{Decoding: "beam"}},
		{"rule", fresh, `no counting rule "bpe"; known: pieces, words, bytes/4`, Options{Count: "bpe"}},
		{"target", fresh, `no field "answer" can be mapped; they are step, group`, Options{Fields: map[string]string{"answer": "gts"}}},
	} {
		if _, err := Import(c.dir, file, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestALogWithoutStepsIsCutBetweenGroups(t *testing.T) {
	var b bytes.Buffer
	for g := range 7 {
		for range 4 {
			fmt.Fprintf(&b, `{"input":"q%d","output":"a","score":1}`+"\n", g)
		}
	}
	path := filepath.Join(t.TempDir(), "log.jsonl")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, s := importInto(t, Options{PerStep: 6}, path)
	var steps []int64
	for _, row := range read(t, dir, traces.Filter{}) {
		steps = append(steps, row.Step)
	}
	want := slices.Concat(slices.Repeat([]int64{1}, 8), slices.Repeat([]int64{2}, 8), slices.Repeat([]int64{3}, 8), slices.Repeat([]int64{4}, 4))
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(s.StepRule, "whole groups of at least 6") {
		t.Error(s.StepRule)
	}
}

func TestTheGraderJudgesWhatHasNoLabelAndIsComparedWithLabels(t *testing.T) {
	grade := func(gold, response string) (traces.Verdict, string, string) {
		if strings.HasSuffix(response, gold) {
			return traces.Right, gold, "equal"
		}
		return traces.Wrong, "?", "differs"
	}
	_, s := importInto(t, Options{Grade: grade}, "gsm8k.jsonl")
	if a := s.Agreement; a == nil || a.BothRight != 2 || a.BothWrong != 2 || a.Share() != 1 {
		t.Errorf("agreement %+v", a)
	}
	dir, s := importInto(t, Options{Grade: grade, Fields: map[string]string{"correct": "none", "score": "none"}}, "verl-2.jsonl")
	rows := read(t, dir, traces.Filter{})
	if s.Right != 1 || s.Agreement != nil || rows[0].Verdict != traces.Right || rows[0].VerdictReason != "equal" || rows[1].Extracted != "?" {
		t.Errorf("%+v, %+v", s, rows)
	}
}

func TestCountingRules(t *testing.T) {
	for _, c := range []struct {
		text                   string
		pieces, words, quarter int
	}{
		{"", 0, 0, 0},
		{"It is 42.", 4, 3, 3},
		{"<<16-3=13>>13", 10, 1, 4},
		{"élan vital", 2, 2, 3},
		{" \n\t", 0, 0, 1},
	} {
		got := []int{Rules[0].Count(c.text), Rules[1].Count(c.text), Rules[2].Count(c.text)}
		if diff := cmp.Diff([]int{c.pieces, c.words, c.quarter}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

// Whatever a file holds, importing it ends with a run that reads back whole, or with one line.
func FuzzImport(f *testing.F) {
	for _, name := range []string{"verl-1.jsonl", "trl.jsonl", "prime-rl.jsonl", "groups.jsonl", "gsm8k.jsonl"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("PAR1PAR1"))
	dir := f.TempDir()
	n := 0
	f.Fuzz(func(t *testing.T, text []byte) {
		n++
		path, out := filepath.Join(dir, fmt.Sprintf("%d-%d", os.Getpid(), n)), filepath.Join(dir, fmt.Sprintf("run-%d-%d", os.Getpid(), n))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		defer os.RemoveAll(out)
		s, err := Import(out, []string{path}, Options{})
		if err != nil {
			if strings.Contains(err.Error(), "\n") && !bytes.Contains(text, []byte("\\n")) {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		if rows := read(t, out, traces.Filter{}); int64(len(rows)) != s.Traces {
			t.Errorf("%d rows of %d", len(rows), s.Traces)
		}
	})
}

package gradeio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func run(t *testing.T, in string, o Options) (string, Summary, error) {
	t.Helper()
	var out bytes.Buffer
	sum, err := Run(t.Context(), strings.NewReader(in), &out, o)
	return out.String(), sum, err
}

func TestVerdictsComeInTheOrderOfTheInputForAnyNumberOfJobs(t *testing.T) {
	var in, want strings.Builder
	for i := range 2000 {
		answer, verdict := i, "right"
		if i%3 == 0 {
			answer, verdict = i+1, "wrong"
		}
		fmt.Fprintf(&in, `{"id":%d,"gold":"%d","prediction":"so \\boxed{%d}"}`+"\n", i, i, answer)
		fmt.Fprintf(&want, "%d %s\n", i, verdict)
	}
	for _, jobs := range []int{1, 2, 7} {
		out, sum, err := run(t, in.String(), Options{Jobs: jobs})
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		dec := json.NewDecoder(strings.NewReader(out))
		for {
			var l struct {
				ID      int
				Verdict string
			}
			if err := dec.Decode(&l); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&got, "%d %s\n", l.ID, l.Verdict)
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Errorf("jobs %d (-want +got):\n%s", jobs, diff)
		}
		if diff := cmp.Diff(Summary{Pairs: 2000, Right: 1333, Wrong: 667}, sum); diff != "" {
			t.Errorf("jobs %d: summary (-want +got):\n%s", jobs, diff)
		}
	}
}

func TestOutputHasTheContractsKeys(t *testing.T) {
	cases := []struct {
		name, in string
		o        Options
		want     string
	}{
		{"a verdict", `{"id":"a","gold":"$\\frac12$","prediction":"\\boxed{0.5}","more":1}`, Options{},
			`{"id":"a","verdict":"right","extracted":"0.5","reason":"equal: number","formatted":true}` + "\n"},
		{"no id", `{"gold":"1","prediction":"2"}`, Options{},
			`{"id":null,"verdict":"wrong","extracted":"2","reason":"not equal: number","formatted":false}` + "\n"},
		{"an id of any kind", `{"id":{"k":[1]},"gold":"","prediction":"2"}`, Options{},
			`{"id":{"k":[1]},"verdict":"no_score","extracted":"","reason":"no gold answer","formatted":false}` + "\n"},
		{"explained", `{"id":1,"gold":"1/2","prediction":"\\boxed{0.5}"}`, Options{Explain: true},
			`{"id":1,"verdict":"right","extracted":"0.5","reason":"equal: number","formatted":true,"extraction_rule":"boxed","gold_read":"(1/2)","prediction_read":"1/2","decided_by":"number"}` + "\n"},
		{"another grader", `{"id":1,"gold":"B","prediction":"so (B)"}`, Options{Grader: "choice"},
			`{"id":1,"verdict":"right","extracted":"B","reason":"equal: choice","formatted":false}` + "\n"},
		{"a profile", `{"id":1,"gold":"1/2","prediction":"\\boxed{0.5}"}`, Options{Profile: "hendrycks"},
			`{"id":1,"verdict":"right","extracted":"0.5","reason":"equal: text","formatted":true}` + "\n"},
		{"a gold that is a JSON number", `{"id":1,"gold":42,"prediction":"42"}`, Options{},
			`{"id":1,"verdict":"right","extracted":"42","reason":"equal: identical","formatted":false}` + "\n"},
		{"blank lines are skipped", "\n\n", Options{}, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, _, err := run(t, c.in, c.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, out); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsNameTheLineAndEarlierVerdictsAreKept(t *testing.T) {
	good := `{"id":1,"gold":"1","prediction":"1"}` + "\n"
	cases := []struct {
		name, in string
		o        Options
		want     string
		lines    int
	}{
		{"no JSON", good + good + "{oops\n" + good, Options{Jobs: 1}, "line 3: not a JSON object", 2},
		{"no gold", good + `{"prediction":"1"}`, Options{Jobs: 1}, `line 2: field "gold" is missing`, 1},
		{"no prediction", `{"gold":"1"}`, Options{}, `line 1: field "prediction" is missing`, 0},
		{"gold of a wrong type", `{"gold":[1],"prediction":"1"}`, Options{}, "line 1", 0},
		{"an endless line", strings.Repeat("x", 300_000), Options{MaxLine: 1 << 17}, "a line of more than 131072 bytes", 0},
		{"an unknown grader", "", Options{Grader: "nope"}, "unknown grader", 0},
		{"a profile of another grader", "", Options{Grader: "choice", Profile: "dapo"}, "a profile belongs to", 0},
		{"an unknown profile", "", Options{Profile: "nope"}, `"profile" is "nope"`, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out, _, err := run(t, c.in, c.o)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one containing %q", err, c.want)
			}
			if got := strings.Count(out, "\n"); got != c.lines {
				t.Errorf("got %d verdicts before the error, want %d", got, c.lines)
			}
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAFailingOutputEndsTheRun(t *testing.T) {
	in := strings.Repeat(`{"id":1,"gold":"1","prediction":"1"}`+"\n", 5000)
	if _, err := Run(t.Context(), strings.NewReader(in), failingWriter{}, Options{Jobs: 4}); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got error %v, want the writer's", err)
	}
}

func TestVerdictsStreamWhileInputIsOpen(t *testing.T) {
	in, feed := io.Pipe()
	sink, out := io.Pipe()
	finished := make(chan error, 1)
	go func() {
		_, err := Run(t.Context(), in, out, Options{Jobs: 2})
		out.Close()
		finished <- err
	}()
	feed.Write([]byte(`{"id":1,"gold":"1","prediction":"1"}` + "\n"))
	got := make([]byte, 7)
	arrived := make(chan error, 1)
	go func() { _, err := io.ReadFull(sink, got); arrived <- err }()
	select {
	case err := <-arrived:
		if err != nil || string(got) != `{"id":1` {
			t.Errorf("read %q, %v", got, err)
		}
	case <-time.After(10 * time.Second):
		t.Error("no verdict while the input is open")
	}
	feed.Close()
	if _, err := io.Copy(io.Discard, sink); err != nil {
		t.Error(err)
	}
	if err := <-finished; err != nil {
		t.Error(err)
	}
}

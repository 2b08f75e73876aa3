package analysis

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/traces"
)

func htmlOf(t *testing.T, runs ...RunReport) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteHTML(&b, Report{Runs: runs}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var svgElement = regexp.MustCompile(`(?s)<svg .*?aria-label="([^"]*)".*?</svg>`)

func TestReportPageIsAsBefore(t *testing.T) {
	run := summary(t, fixture{tools: true, prices: true})
	golden(t, "report.html", svgElement.ReplaceAllString(htmlOf(t, *run), "[figure: $1]"))
}

// void are the elements without an end tag.
var void = []string{"meta", "br", "hr", "img", "link", "input"}

var tag = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"]|"[^"]*")*?)(/?)>`)

// checkPage finds tags that do not match, references to anything outside, and scripts.
func checkPage(t *testing.T, page string) {
	t.Helper()
	if !strings.HasPrefix(page, "<!DOCTYPE html>\n<html lang=\"en\">") {
		t.Error("no doctype or language")
	}
	var open []string
	for _, m := range tag.FindAllStringSubmatch(page, -1) {
		closing, name, attributes, selfClosed := m[1] != "", strings.ToLower(m[2]), m[3], m[4] != ""
		switch {
		case closing && (len(open) == 0 || open[len(open)-1] != name):
			t.Fatalf("</%s> closes %v", name, open)
		case closing:
			open = open[:len(open)-1]
		case !selfClosed && !slices.Contains(void, name):
			open = append(open, name)
		}
		if name == "script" || name == "link" || name == "iframe" || name == "img" {
			t.Errorf("element %s", name)
		}
		if regexp.MustCompile(`(?i)\s(on[a-z]+|src)=`).MatchString(attributes) {
			t.Errorf("attribute in <%s%s>", name, attributes)
		}
	}
	if len(open) > 0 {
		t.Errorf("never closed: %v", open)
	}
	outside := regexp.MustCompile(`(?i)https?://[^"\s]*`).FindAllString(page, -1)
	for _, url := range outside {
		if url != "http://www.w3.org/2000/svg" {
			t.Errorf("reference to %s", url)
		}
	}
	if strings.Contains(page, "url(") || strings.Contains(page, "@import") {
		t.Error("style refers to something outside")
	}
	for _, bad := range []string{"NaN", "+Inf", "%!", "<no value>", "ZgotmplZ"} {
		if strings.Contains(page, bad) {
			t.Errorf("page holds %q", bad)
		}
	}
	ids := regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(page, -1)
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id[1]] {
			t.Errorf("id %s twice", id[1])
		}
		seen[id[1]] = true
	}
}

func TestReportPageStandsAloneAndIsWellFormed(t *testing.T) {
	plain, budgets := summary(t, fixture{}), summary(t, fixture{name: "anytime", method: "brpo", budgets: []int32{4, 8}})
	for name, page := range map[string]string{
		"one run":  htmlOf(t, *plain),
		"two runs": htmlOf(t, *plain, *budgets),
		"none":     htmlOf(t),
	} {
		t.Run(name, func(t *testing.T) { checkPage(t, page) })
	}
	if page := htmlOf(t, *plain, *budgets); !strings.Contains(page, "2 runs compared") || !strings.Contains(page, "All runs in one plane") {
		t.Error("no comparison")
	}
}

func TestHostileTextStaysText(t *testing.T) {
	hostile := `</pre></main><script>alert("x")</script><img src=x onerror=y> & "quotes" {{.}}`
	f := fixture{name: hostile}.withDefaults()
	dir := filepath.Join(t.TempDir(), "run")
	f.write(t, dir)
	for _, decoding := range []string{sampled} {
		for _, step := range []int64{0, 8} {
			var rows []traces.Trace
			log, err := traces.OpenRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			for row, err := range log.Traces(traces.Filter{Set: traces.Evaluations, FromStep: step, Decoding: decoding}) {
				if err != nil {
					t.Fatal(err)
				}
				if row.Step == step {
					row.Text, row.PromptText, row.Gold = hostile+strings.Repeat("é", longestShown), hostile, hostile
					rows = append(rows, row)
				}
			}
			if err := traces.WriteSegment(filepath.Join(dir, traces.EvalsDir), traces.SegmentName(step, decoding), rows, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	r, err := Summarize([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	page := htmlOf(t, r.Runs...)
	checkPage(t, page)
	if !strings.Contains(page, "bytes left out") {
		t.Error("an over-long text is shown whole")
	}
	if strings.Contains(page, "\uFFFD") {
		t.Error("a character was cut in half")
	}
}

func TestSamplesShowTheSameProblemsBeforeAndAfter(t *testing.T) {
	run := summary(t, fixture{})
	samples := run.samples()
	if len(samples) != 4 {
		t.Fatalf("%d samples, want a gain, the hardest and the easiest level, and a loss", len(samples))
	}
	seen := map[string]bool{}
	for _, s := range samples {
		if seen[s.Problem] {
			t.Errorf("%s twice", s.Problem)
		}
		seen[s.Problem] = true
		if s.Prompt == "" || s.Before.Parts == nil || s.After.Parts == nil {
			t.Errorf("%s: not read", s.Problem)
		}
	}
	verdicts := func(s pairing) [2]traces.Verdict { return [2]traces.Verdict{s.Before.Verdict, s.After.Verdict} }
	want := [][2]traces.Verdict{{traces.Wrong, traces.Right}, {traces.Right, traces.Right}, {traces.Right, traces.Right}, {traces.Right, traces.Wrong}}
	var got [][2]traces.Verdict
	for _, s := range samples {
		got = append(got, verdicts(s))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if samples[1].Level != 4 || samples[2].Level != 1 {
		t.Errorf("levels %d and %d, want 4 and 1", samples[1].Level, samples[2].Level)
	}
}

func TestFiguresFollowWhatTheLogHolds(t *testing.T) {
	always := []string{"plane", "trajectory", "difficulty", "levels", "lengths", "rewards", "learning", "agreement", "waits"}
	for _, tc := range []struct {
		name string
		f    fixture
		more []string
	}{
		{"plain", fixture{}, nil},
		{"tools", fixture{tools: true}, []string{"tools"}},
		{"budgets", fixture{budgets: []int32{4, 8}}, []string{"budgets"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range summary(t, tc.f).Figures() {
				got = append(got, f.Name)
				if f.Title == "" || f.Alt == "" {
					t.Errorf("%s has no title or no description", f.Name)
				}
				if strings.Contains(f.SVG(), "NaN") {
					t.Errorf("%s holds a number that is none", f.Name)
				}
			}
			want := append(slices.Clone(always), tc.more...)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWriteIsReproducibleAndTidiesUpAfterItself(t *testing.T) {
	run := fixture{}.write(t, filepath.Join(t.TempDir(), "run"))
	read := func() map[string]string {
		t.Helper()
		r, err := Summarize([]string{run})
		if err != nil {
			t.Fatal(err)
		}
		if err := write(run, r, 0.5); err != nil { // small pictures, for speed
			t.Fatal(err)
		}
		files := map[string]string{}
		for _, pattern := range []string{"report.*", "figures/*", ".*"} {
			paths, err := filepath.Glob(filepath.Join(run, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				files[strings.TrimPrefix(path, run+"/")] = string(text)
			}
		}
		return files
	}
	first := read()
	for _, name := range []string{"tools.svg", "tools.png", "mine.svg"} {
		if err := os.WriteFile(filepath.Join(run, FiguresDir, name), []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	second := read()
	if _, kept := second["figures/mine.svg"]; !kept {
		t.Error("a foreign file was removed")
	}
	delete(second, "figures/mine.svg")
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("two reports of one log differ, or a stale figure has stayed:\n%.2000s", diff)
	}
	if len(first) != 2+3*9 {
		t.Errorf("%d files, want report.html, report.json and three of each of 9 figures", len(first))
	}
	if _, err := png.Decode(strings.NewReader(first["figures/plane.png"])); err != nil {
		t.Error(err)
	}
}

package ablation

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/analysis/htmlcheck"
	"pith/configs"
	"pith/traces"
)

// policy is a made-up arm: how often right, how long, and how far its seeds lie apart.
type policy struct {
	accuracy, tokens, apart float64
}

// asked is how many held-out problems a fixture has.
const asked = 240

// writeRun makes a run directory with evaluations before, between and after training, in which a
// policy that is right .6 of the time in 60 tokens becomes another. Everything follows from the seed.
func writeRun(t testing.TB, dir string, p policy, seed uint64) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, traces.EvalsDir), 0o755))
	must(os.MkdirAll(filepath.Join(dir, traces.TracesDir), 0o755))
	c := configs.Default()
	c.Run.Seed = seed
	text, err := json.Marshal(map[string]any{"run": "x", "config": c})
	must(err)
	must(os.WriteFile(filepath.Join(dir, traces.ManifestFile), text, 0o600))
	shift := p.apart * rand.New(rand.NewPCG(seed, math.Float64bits(p.tokens))).NormFloat64()
	var evals []traces.Eval
	for i, step := range []int64{0, 10, 20} {
		learnt := float64(i) / 2
		for _, decoding := range []string{sampled, greedy} {
			// The same problems and luck for every policy of a seed.
			random := rand.New(rand.NewPCG(seed, 42))
			var rows []traces.Trace
			e := traces.Eval{Step: step, Policy: "p", Decoding: decoding, Temperature: 1, Problems: asked, Samples: asked}
			if decoding == greedy {
				e.Temperature = 0
			}
			for n := range asked {
				luck, size := random.Float64(), random.Float64()
				accuracy := .6*(1-learnt) + (p.accuracy+shift)*learnt
				length := int32(max(3, (60*(1-learnt)+p.tokens*learnt)*(.5+size)))
				r := traces.Trace{
					Run: "x", Step: step, Split: "heldout", Group: fmt.Sprintf("e%06d-%s-%06d", step, decoding, n), Problem: fmt.Sprintf("h%d-%d", seed, n),
					Dataset: "clock", PromptTokens: []int32{1}, PromptText: "a", Gold: "7", Verdict: traces.Wrong, Finish: traces.FinishStop, Temperature: e.Temperature,
					Mode: "think", Turns: 1, Status: traces.Evaluated, Spans: []traces.Span{{Policy: "p", End: length}},
					Segments: []traces.Segment{{Kind: traces.Think, End: length, Train: true}}, LengthTokens: length,
				}
				r.ID = r.Group + "/0"
				for range length {
					r.Tokens, r.LogProbs = append(r.Tokens, 5), append(r.LogProbs, -.1)
				}
				if luck < accuracy {
					r.Verdict, r.Extracted = traces.Right, "7"
					e.Accuracy += 1.0 / asked
				}
				e.TokensMean += float64(length) / asked
				rows = append(rows, r)
			}
			traces.Sort(rows)
			must(traces.WriteSegment(filepath.Join(dir, traces.EvalsDir), traces.SegmentName(step, decoding), rows, nil))
			evals = append(evals, e)
		}
	}
	must(traces.WriteTable(dir, traces.EvalsFile, evals, nil))
	return dir
}

// sample is a comparison with a clear winner, an arm like the reference and one that collapses.
func sample(t testing.TB, seeds int) Input {
	t.Helper()
	root := t.TempDir()
	in := Input{Name: "sample", About: "Made up.", Untrained: true, HardCaps: []int{30}, Points: 1.5, StopRule: "Every run goes to its last step."}
	for _, a := range []struct {
		name     string
		p        policy
		baseline bool
	}{
		{"grpo", policy{.9, 58, .01}, true},
		{"short", policy{.9, 20, .01}, false},
		{"twin", policy{.9, 20.2, .01}, false},
		{"collapse", policy{.2, 4, .01}, false},
	} {
		for s := range seeds {
			dir := writeRun(t, filepath.Join(root, fmt.Sprintf("%s-%d", a.name, s)), a.p, uint64(s+1))
			in.Runs = append(in.Runs, Run{Arm: a.name, Method: a.name, Baseline: a.baseline, Seed: uint64(s + 1), Dir: dir})
		}
	}
	return in
}

func compare(t testing.TB, in Input) Report {
	t.Helper()
	r, err := Compare(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestComparisonTellsWhatIsThereAndNotMore(t *testing.T) {
	r := compare(t, sample(t, 3))
	if len(r.Tables) != 2 || r.Reference != "grpo" {
		t.Fatalf("%d tables against %s", len(r.Tables), r.Reference)
	}
	table := r.Tables[0]
	var got []string
	for _, x := range table.Rows {
		got = append(got, fmt.Sprintf("%d %s: %s", x.Number, x.Name, x.Kind))
	}
	want := []string{"1 untrained: untrained", "2 untrained, cut at 30: untrained, cut off", "3 grpo: baseline", "4 short: arm", "5 twin: arm", "6 collapse: arm"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	short, collapse, untrained := table.row("short"), table.row("collapse"), table.row("untrained")
	if v := short.VsReference; !v.Tokens.Excludes(0) || v.Accuracy.Excludes(0) || v.Tokens.Mean > -.6 || *v.TokensHolm >= .05 {
		t.Errorf("short against grpo: %+v", v)
	}
	if v := collapse.VsReference; !v.Accuracy.Excludes(0) || v.Accuracy.Mean > -.6 || *v.FlipP > .001 {
		t.Errorf("collapse against grpo: %+v", v)
	}
	if short.Gain == nil || !short.Gain.Excludes(0) || short.AES == nil || short.AES.Mean < 1 || untrained.Gain != nil {
		t.Errorf("against the untrained policy: %+v", short.Gain)
	}
	if math.Abs(untrained.Accuracy.Mean-.6) > .08 || len(untrained.Seeds) != 3 {
		t.Errorf("untrained: %+v", untrained.Accuracy)
	}
	if !slices.Contains(table.Front, "collapse") || !short.OnFront && !table.row("twin").OnFront || table.row("grpo").FrontShare > .9 {
		t.Errorf("front %v", table.Front)
	}
	text := strings.Join(r.Sentences, "\n")
	for _, want := range []string{
		"Against grpo (3 seeds, Holm-corrected over 3 comparisons), fewer tokens, with no difference in accuracy that could be told: short",
		"fewer tokens at the price of accuracy: collapse",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestPairSentencesSayWhatCouldNotBeToldAndWhatWouldTellIt(t *testing.T) {
	r := compare(t, sample(t, 3))
	i := slices.IndexFunc(r.Tables[0].Pairs, func(p Pair) bool { return p.A == "short" && p.B == "twin" })
	text := r.Tables[0].Pairs[i].Sentence(1.5)
	if !regexp.MustCompile(`^short is not distinguishable from twin in accuracy at 3 seeds \(difference .* points, 95 % interval .* to .*\); (about \d+ seeds would tell a difference of 1\.5 points|a difference of 1\.5 points would have been told|no number)`).MatchString(text) {
		t.Error(text)
	}
	i = slices.IndexFunc(r.Tables[0].Pairs, func(p Pair) bool { return p.A == "grpo" && p.B == "collapse" })
	if text := r.Tables[0].Pairs[i].Sentence(1.5); !strings.HasPrefix(text, "grpo is more accurate than collapse at 3 seeds, by ") || !strings.Contains(text, "it takes +") {
		t.Error(text)
	}
}

func TestOneSeedSpeaksOfItsProblemsOnly(t *testing.T) {
	r := compare(t, sample(t, 1))
	text := r.Tables[0].row("short").VsReference.Sentence(1.5)
	if !strings.Contains(text, "with one seed each, which says nothing about another seed") || strings.Contains(text, "would tell") {
		t.Error(text)
	}
	if r.Tables[0].row("short").VsReference.SeedsNeeded != nil {
		t.Error("one seed knows how many would do")
	}
}

func TestArmsWithoutACommonSeedAreNotPaired(t *testing.T) {
	in := sample(t, 2)
	for i := range in.Runs {
		if in.Runs[i].Arm == "short" {
			in.Runs[i].Dir = writeRun(t, filepath.Join(t.TempDir(), fmt.Sprint(i)), policy{.9, 20, 0}, uint64(i+50))
			in.Runs[i].Seed = uint64(i + 50)
		}
	}
	r := compare(t, in)
	if v := r.Tables[0].row("short").VsReference; v.Unpaired == "" || v.AccuracyHolm != nil || !strings.Contains(v.Sentence(1), "are not compared") {
		t.Errorf("%+v", v)
	}
}

// A limit that is read from recorded responses: longer ones are wrong and cost the limit.
func TestHardCapsAreReadFromTheRecordedResponses(t *testing.T) {
	in := sample(t, 1)
	r := compare(t, in)
	log, err := traces.OpenRun(in.Runs[0].Dir)
	if err != nil {
		t.Fatal(err)
	}
	var right, tokens, n float64
	for row, err := range log.Traces(traces.Filter{Set: traces.Evaluations, Decoding: sampled}) {
		if err != nil {
			t.Fatal(err)
		}
		if row.Step != 0 {
			continue
		}
		n++
		tokens += float64(min(row.LengthTokens, 30))
		if row.Verdict == traces.Right && row.LengthTokens <= 30 {
			right++
		}
	}
	x := r.Tables[0].row("untrained, cut at 30")
	if math.Abs(x.Accuracy.Mean-right/n) > 1e-12 || math.Abs(x.Tokens.Mean-tokens/n) > 1e-12 || right == 0 {
		t.Errorf("%v right in %v tokens, want %v in %v", x.Accuracy.Mean, x.Tokens.Mean, right/n, tokens/n)
	}
	untrained := r.Tables[0].row("untrained")
	if c := x.Curve; c[len(c)-1] != x.Accuracy.Mean || untrained.Curve[len(c)-1] != untrained.Accuracy.Mean {
		t.Errorf("the curve does not end at the accuracy: %v", c)
	}
}

func TestUnequalEvaluationsAreNamedFirst(t *testing.T) {
	in := sample(t, 1)
	path := filepath.Join(in.Runs[1].Dir, traces.ManifestFile)
	c := configs.Default()
	c.Eval.MaxTokens = 77
	text, err := json.Marshal(map[string]any{"config": c})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := compare(t, in); !strings.HasPrefix(r.Sentences[0], "Not like with like: short was evaluated at another temperature or token limit than grpo") {
		t.Error(r.Sentences[0])
	}
}

func TestARunThatCannotBeReadIsNamedAndTheRestIsCompared(t *testing.T) {
	in := sample(t, 2)
	in.Runs[0].Dir = filepath.Join(t.TempDir(), "gone")
	if err := os.WriteFile(filepath.Join(in.Runs[3].Dir, traces.EvalsFile), []byte("no parquet"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := compare(t, in)
	if len(r.Failed) != 2 || len(r.Tables[0].row("grpo").Seeds) != 1 {
		t.Errorf("%+v", r.Failed)
	}
	if !strings.Contains(strings.Join(r.Sentences, " "), "2 runs are excluded because they failed") {
		t.Error(r.Sentences)
	}
	if _, err := Compare(Input{Runs: in.Runs[:1]}); err == nil || !strings.Contains(err.Error(), "nothing to compare: none of 1 runs") {
		t.Error(err)
	}
}

var tag = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"]|"[^"]*")*?)(/?)>`)

// checkPage finds tags that do not match, references to anything outside, and scripts.
func checkPage(t *testing.T, page string) {
	t.Helper()
	var open []string
	for _, m := range tag.FindAllStringSubmatch(page, -1) {
		name := strings.ToLower(m[2])
		switch {
		case m[1] != "" && (len(open) == 0 || open[len(open)-1] != name):
			t.Fatalf("</%s> closes %v", name, open)
		case m[1] != "":
			open = open[:len(open)-1]
		case m[4] == "" && name != "meta":
			open = append(open, name)
		}
		if slices.Contains([]string{"script", "link", "iframe", "img"}, name) {
			t.Errorf("element %s", name)
		}
	}
	if len(open) > 0 {
		t.Errorf("never closed: %v", open)
	}
	for _, url := range regexp.MustCompile(`(?i)https?://[^"\s]*`).FindAllString(page, -1) {
		if url != "http://www.w3.org/2000/svg" {
			t.Errorf("reference to %s", url)
		}
	}
	for _, bad := range []string{"NaN", "+Inf", "%!", "<no value>", "ZgotmplZ", "url("} {
		if strings.Contains(page, bad) {
			t.Errorf("page holds %q", bad)
		}
	}
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		if seen[id[1]] {
			t.Errorf("id %s twice", id[1])
		}
		seen[id[1]] = true
	}
}

func TestEveryFormHoldsTheSameAndStandsAlone(t *testing.T) {
	in := sample(t, 2)
	in.Failed = []Excluded{{"arora-s1", `</ul><script>alert("x")</script> & more`}}
	in.Stopped = []Excluded{{"laser-s1", "rank 3 of 3"}}
	r := compare(t, in)
	dir := t.TempDir()
	if err := write(dir, r, 1); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	page := read(HTMLFile)
	checkPage(t, page)
	markdown := read(MarkdownFile)
	for _, want := range []string{"untrained, cut at 30", "short", "arora-s1"} {
		if !strings.Contains(page, want) || !strings.Contains(markdown, want) {
			t.Errorf("no %q in the page or the Markdown", want)
		}
	}
	var back struct {
		Tables []struct{ Rows []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(read(JSONFile)), &back); err != nil || len(back.Tables) != 2 || len(back.Tables[0].Rows) != 6 {
		t.Errorf("%v %+v", err, back)
	}
	rows, err := csv.NewReader(strings.NewReader(read(CSVFile))).ReadAll()
	if err != nil || len(rows) != 1+2*6 {
		t.Errorf("%d lines of CSV, %v", len(rows), err)
	}
	for _, f := range r.Figures() {
		if f.Title == "" || f.Alt == "" || strings.Contains(f.SVG(), "NaN") {
			t.Errorf("figure %s: %q", f.Name, f.Alt)
		}
		if data, err := csv.NewReader(strings.NewReader(read(filepath.Join(FiguresDir, f.Name+".csv")))).ReadAll(); err != nil || len(data) < 3 {
			t.Errorf("data of %s: %d lines, %v", f.Name, len(data), err)
		}
		if _, err := png.Decode(strings.NewReader(read(filepath.Join(FiguresDir, f.Name+".png")))); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	var first, second bytes.Buffer
	if err := r.WriteJSON(&first); err != nil {
		t.Fatal(err)
	}
	if err := compare(t, in).WriteJSON(&second); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() {
		t.Error("two comparisons of the same logs differ")
	}
}

func TestThePageIsValidHTML(t *testing.T) {
	in := sample(t, 2)
	in.Failed = []Excluded{{"arora-s1", `</ul><script>alert("x")</script> & more`}}
	var page bytes.Buffer
	if err := compare(t, in).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	htmlcheck.Valid(t, page.Bytes())
}

// TestLook writes a large made-up comparison for a look at its pictures: PITH_LOOK=DIR.
func TestLook(t *testing.T) {
	dir := os.Getenv("PITH_LOOK")
	if dir == "" {
		t.Skip("set PITH_LOOK=DIR to write the pictures of a made-up sweep there")
	}
	root := t.TempDir()
	in := Input{Name: "look", About: "Made up.", Untrained: true, HardCaps: []int{24, 48, 96}, StopRule: "Every run goes to its last step."}
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 34 {
		name := fmt.Sprintf("method_%d", i)
		p := policy{.8 + .19*random.Float64(), 15 + 50*random.Float64()*random.Float64(), .01}
		switch i {
		case 0:
			name, p = "grpo", policy{.96, 58, .01}
		case 1:
			name, p = "truncation-48", policy{.93, 30, .02}
		case 2:
			name, p = "naive_length", policy{.22, 4, .01}
		}
		for s := range uint64(3) {
			in.Runs = append(in.Runs, Run{Arm: name, Baseline: i < 2, Seed: s + 1, Dir: writeRun(t, filepath.Join(root, fmt.Sprintf("%d-%d", i, s)), p, s+1)})
		}
	}
	if err := Write(dir, compare(t, in)); err != nil {
		t.Fatal(err)
	}
}

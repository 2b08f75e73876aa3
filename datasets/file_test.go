package datasets

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func open(t testing.TB, spec Spec, seed uint64) *File {
	t.Helper()
	f, err := Open(spec, seed)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func all(t testing.TB, f *File, s Split) []Problem {
	t.Helper()
	var out []Problem
	for i := range int64(f.Len(s)) {
		p, err := f.Problem(s, i)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func ptr(x float64) *float64 { return &x }

func TestEveryKnownShapeIsRecognisedAndRead(t *testing.T) {
	for name, c := range map[string]struct {
		file, shape string
		want        []Problem
	}{
		"gsm8k: what follows ####, without thousands separators": {"gsm8k.jsonl", "gsm8k", []Problem{
			{ID: "gsm8k.jsonl:1", Prompt: "A baker sells 12 rolls in the morning and twice as many after noon. How many rolls is that in a day?", Answer: "36"},
			{ID: "gsm8k.jsonl:2", Prompt: "A print run of 3 volumes has 360 copies of each volume. How many books is that?", Answer: "1080"},
			{ID: "gsm8k.jsonl:3", Prompt: "Ines has 9 euros and spends a third of them. How many euros are left?", Answer: "6"},
			{ID: "gsm8k.jsonl:4", Prompt: "A lift climbs 4 floors, then sinks 7. On which floor is it if it began on floor 1?", Answer: "-2"},
		}},
		"math: answer as it stands, numbers plainly, unknown levels are 0": {"math.jsonl", "math", []Problem{
			{ID: "1", Level: 1, Prompt: "What is $2^{10}$?", Answer: "1024"},
			{ID: "2", Level: 2, Prompt: `Write $\frac{6}{8}$ in lowest terms.`, Answer: `\frac{3}{4}`},
			{ID: "3", Prompt: "How many sides has a hexagon?", Answer: "6"},
		}},
		"math-solution: the last box, with nested and escaped braces": {"math-solution.jsonl", "math-solution", []Problem{
			{ID: "math-solution.jsonl:1", Level: 2, Prompt: "Solve $x^2=9$ for $x>0$.", Answer: "3"},
			{ID: "math-solution.jsonl:2", Level: 1, Prompt: "Which set has no element?", Answer: `\{\}`},
			{ID: "math-solution.jsonl:3", Level: 4, Prompt: `Simplify $\sqrt{\frac{1}{4}}$.`, Answer: `\frac{1}{2}`},
		}},
		"svamp: body and question are sentences": {"svamp.jsonl", "svamp", []Problem{
			{ID: "row-1", Prompt: "A shelf holds 20 cups and 5 of them break. How many cups are whole?", Answer: "15"},
			{ID: "row-2", Prompt: "Two buses carry 31 people each. How many people do they carry?", Answer: "62"},
			{ID: "row-3", Prompt: "A rope of 5 metres is cut into 2 equal parts. How many metres long is a part?", Answer: "2.5"},
		}},
		"olympiadbench: context where there is one, answer from a list": {"olympiadbench.jsonl", "olympiadbench", []Problem{
			{ID: "11", Prompt: "Find the least prime above $20$.", Answer: "23"},
			{ID: "12", Prompt: "Let $n$ be a positive integer. For which $n$ is $n^2 = 2n$?", Answer: "$2$"},
		}},
		"qa: taken as it is": {"qa.jsonl", "qa", []Problem{
			{ID: "qa.jsonl:1", Prompt: "What is the capital of the letter a?", Answer: "A"},
			{ID: "qa.jsonl:2", Prompt: "Is 7 odd?", Answer: "true"},
		}},
		"pith: with what is known beforehand": {"pith.jsonl", "pith", []Problem{
			{ID: "p1", Level: 1, Prompt: "Name the digit after 3.", Answer: "4", ReferenceAccuracy: ptr(0.75), ReferenceTokens: 120.5, TokenBudget: 400},
			{ID: "p2", Level: 2, Prompt: "Name the digit before 3.", Answer: "2"},
		}},
		"verl: chat messages from Parquet, two row groups": {"verl.parquet", "verl", []Problem{
			{ID: "0", Prompt: "Reason, then answer.\n\nA crate holds 12 pears and 3 crates arrive. How many pears are there?", Answer: "36"},
			{ID: "1", Prompt: "Reason, then answer.\n\nMia has 50 cents and spends 18. How many cents are left?", Answer: "32"},
			{ID: "2", Prompt: "Reason, then answer.\n\nA tram comes every 4 minutes. How often does it come in 2 hours, the first after 4 minutes?", Answer: "30"},
			{ID: "3", Prompt: "Reason, then answer.\n\nHalf of a rope of 7 metres is cut off. How many metres are left?", Answer: "3.5"},
			{ID: "4", Prompt: "Reason, then answer.\n\nTwo dice show 5 and 6. What is the product?", Answer: "30"},
			{ID: "5", Prompt: "Reason, then answer.\n\nHow many even digits are there?", Answer: "5"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, Spec{Path: filepath.Join("testdata", c.file), Order: "file"}, 0)
			for i := range c.want {
				c.want[i].Dataset = c.shape
			}
			if d := cmp.Diff(c.want, all(t, f, Train)); d != "" {
				t.Errorf("problems (-want +got):\n%s", d)
			}
			if got := f.Report(); got.Shape != c.shape || got.Rows != len(c.want) || got.Bad != 0 {
				t.Errorf("report %+v", got)
			}
		})
	}
}

func TestFieldsAreMappedByDottedPaths(t *testing.T) {
	f := open(t, Spec{
		Path: "testdata/custom.jsonl", Name: "mine", Order: "file", Template: "Q: {question}\nPut it in \\boxed{}.\n",
		Fields: Fields{Question: "task.text", Answer: "gold.value", AnswerRule: "after answer is", ID: "key", Level: "task.stars"},
	}, 0)
	want := []Problem{
		{ID: "k1", Dataset: "mine", Level: 3, Prompt: "Q: What is 6 times 7?\nPut it in \\boxed{}.\n", Answer: "42"},
		{ID: "k2", Dataset: "mine", Level: 1, Prompt: "Q: What is 6 plus 7?\nPut it in \\boxed{}.\n", Answer: "13"},
	}
	if d := cmp.Diff(want, all(t, f, Train)); d != "" {
		t.Error(d)
	}
}

func TestTheTemplatePlacesTheSystemMessage(t *testing.T) {
	f := open(t, Spec{Path: "testdata/verl.parquet", Order: "file", Limit: 1, Template: "[sys]{system}[user]{question}[bot]"}, 0)
	p, _ := f.Problem(Train, 0)
	want := "[sys]Reason, then answer.[user]A crate holds 12 pears and 3 crates arrive. How many pears are there?[bot]"
	if p.Prompt != want {
		t.Errorf("got %q, want %q", p.Prompt, want)
	}
}

func TestMarksInsideAQuestionStandForThemselves(t *testing.T) {
	path := write(t, "x.jsonl", `{"question": "What does {question} mean in {system}?", "answer": "1"}`)
	f := open(t, Spec{Path: path, Template: "{system}> {question}"}, 0)
	if p, _ := f.Problem(Train, 0); p.Prompt != "> What does {question} mean in {system}?" {
		t.Errorf("got %q", p.Prompt)
	}
}

func write(t testing.TB, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBadRowsAreReportedTogetherWithLineAndCure(t *testing.T) {
	_, err := Open(Spec{Path: "testdata/bad/rows.jsonl"}, 0)
	rows, ok := errors.AsType[*RowsError](err)
	if !ok {
		t.Fatalf("got %v, want a RowsError", err)
	}
	var got []string
	for _, r := range rows.Rows {
		got = append(got, r.Error())
	}
	at := "testdata/bad/rows.jsonl:"
	want := []string{
		at + "2: the JSON object does not end on its line: one object a line is expected; jq -c . writes them so",
		at + `3: no field "answer" for the answer; the row has question`,
		at + "4: the line begins with [: one object a line is expected; an array becomes that with jq -c '.[]'",
		at + "5: the line is no JSON object: one object a line is expected",
		at + `6: field "question" is empty`,
		at + `7: field "answer" is a group of fields: an answer must be text, a number, or a list of one`,
		at + `8: bad JSON: "trailing" follows the object`,
		at + `10: the row does not look like qa, the shape recognised from the first row: set shape`,
		at + `11: the row does not look like qa, the shape recognised from the first row: set shape`,
		at + `12: no field "answer" for the answer; the row has answer, question`,
		at + "13: the line is not valid UTF-8: is the file compressed, or in another encoding?",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if !strings.Contains(err.Error(), "11 rows cannot be used: correct them, or leave them out with skip_bad") {
		t.Errorf("no summary in %q", err)
	}
}

func TestThePageShowsWhatBadRowsAreAnsweredWith(t *testing.T) {
	page, err := os.ReadFile("../docs/datasets.md")
	if err != nil {
		t.Fatal(err)
	}
	good := `{"question": "a", "answer": "1"}`
	t.Chdir(filepath.Dir(write(t, "problems.jsonl", good, `{"question": "a",`, `{"question": "a"}`, good, good, good, `{"question": "a", "answer": {"b": 1}}`)))
	_, err = Open(Spec{Path: "problems.jsonl"}, 0)
	if err == nil || !strings.Contains(string(page), "```\n"+err.Error()+"\n```") {
		t.Errorf("docs/datasets.md does not show\n%v", err)
	}
}

func TestBadRowsCanBeLeftOutAndAreCounted(t *testing.T) {
	f := open(t, Spec{Path: "testdata/bad/rows.jsonl", SkipBad: true}, 0)
	if got := f.Report(); got.Bad != 11 || got.Rows != 12 || f.Len(Train) != 1 {
		t.Errorf("report %+v, %d problems", got, f.Len(Train))
	}
}

func TestManyBadRowsAreCountedBeyondTheFirstTwenty(t *testing.T) {
	path := write(t, "x.jsonl", append([]string{`{"question": "a", "answer": "b"}`}, slices.Repeat([]string{"{"}, 50)...)...)
	_, err := Open(Spec{Path: path}, 0)
	if err == nil || !strings.Contains(err.Error(), "and 30 more rows\n50 rows cannot be used") {
		t.Errorf("got %v", err)
	}
}

func TestFilesThatCannotBeReadSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"ambiguous":        {Spec{Path: "testdata/bad/ambiguous.jsonl"}, "testdata/bad/ambiguous.jsonl:1: the shape is ambiguous: the fields answer, problem, question can be read as math or as qa: set shape"},
		"unknown":          {Spec{Path: "testdata/bad/unknown.jsonl"}, "testdata/bad/unknown.jsonl:1: the shape is not recognised from the fields instruction, output: name the fields of question and answer"},
		"an array":         {Spec{Path: "testdata/bad/array.json"}, "array.json:1: the line begins with [: one object a line is expected"},
		"blank":            {Spec{Path: "testdata/bad/blank.jsonl"}, "testdata/bad/blank.jsonl: the file has no rows"},
		"conversation":     {Spec{Path: "testdata/bad/chat.jsonl"}, `chat.jsonl:1: field "prompt": chat message 2 has the role "assistant"`},
		"cut Parquet":      {Spec{Path: "testdata/bad/cut.parquet"}, "testdata/bad/cut.parquet: not a readable Parquet file (was it written to the end?)"},
		"JSON as Parquet":  {Spec{Path: "testdata/qa.jsonl", Format: "parquet"}, "testdata/qa.jsonl: not a readable Parquet file"},
		"Parquet as JSON":  {Spec{Path: "testdata/verl.parquet", Format: "jsonl"}, "is the file compressed, or in another encoding?"},
		"repeated ids":     {Spec{Path: "testdata/bad/ids.jsonl", Fields: Fields{ID: "name"}}, `ids.jsonl:2: the id "a" is that of testdata/bad/ids.jsonl:1: map fields.id to a field that is unique`},
		"wrong shape":      {Spec{Path: "testdata/qa.jsonl", Shape: "svamp"}, `qa.jsonl:1: no field "Question" for the question; the row has answer, question`},
		"no such field":    {Spec{Path: "testdata/qa.jsonl", Fields: Fields{Level: "stars"}}, `qa.jsonl:1: no field "stars" for the level`},
		"no level":         {Spec{Path: "testdata/qa.jsonl", Fields: Fields{Level: "question"}}, `qa.jsonl:1: field "question" is no level: it must be a whole number, or text that ends in one`},
		"missing":          {Spec{Path: "testdata/none.jsonl"}, "testdata/none.jsonl: file does not exist"},
		"a directory":      {Spec{Path: "testdata"}, "testdata is a directory: name a file, or a pattern such as testdata/*.jsonl"},
		"compressed":       {Spec{Path: write(t, "x.jsonl.gz", "x")}, "unpack it first"},
		"no ending":        {Spec{Path: write(t, "problems", "x")}, "set format to jsonl or parquet"},
		"nothing held out": {Spec{Path: "testdata/qa.jsonl", HeldOut: 1e-9}, "held_out 1e-09 holds none of 2 problems out"},
		"all held out":     {Spec{Path: "testdata/qa.jsonl", HeldOutPath: "testdata/qa.jsonl"}, "no problem is left to train on: of 4 rows 2 are held out and 2 removed"},
		"no held-out file": {Spec{Path: "testdata/qa.jsonl", HeldOutPath: "testdata/none.jsonl"}, "held_out_path: testdata/none.jsonl: file does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.spec, 0)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant an error that says %q", err, c.want)
			}
		})
	}
}

func TestASpecIsValidatedAtOnce(t *testing.T) {
	err := Spec{
		Format: "csv", Shape: "gsm9k", Fields: Fields{AnswerRule: "after "}, Template: "Q", HeldOut: 1, HeldOutPath: "x", Order: "random", Limit: -1,
	}.Validate()
	for _, want := range []string{
		"path is empty", `format is "csv"`, `shape is "gsm9k": use auto, fields, or one of pith, verl, gsm8k`, `fields.answer_rule is "after "`,
		"template has 0 times {question}", "held_out is 1", "held_out and held_out_path are both given", `order is "random"`, "limit is -1",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if err := (Spec{Path: "x", Shape: "fields"}).Validate(); err == nil {
		t.Error("shape fields without fields is accepted")
	}
}

// numbered writes n problems, each twice where double is set.
func numbered(t testing.TB, n int, double bool) string {
	t.Helper()
	var lines []string
	for i := range n {
		q := "What is " + strings.Repeat("1+", i) + "1?"
		lines = append(lines, `{"question": "`+q+`", "answer": "1"}`)
		if double {
			lines = append(lines, `{"question": "  `+strings.ReplaceAll(q, " ", "  ")+` ", "answer": "2"}`)
		}
	}
	return write(t, "n.jsonl", lines...)
}

func TestSplitsNeverShareAQuestionAndHoldEveryRowOnce(t *testing.T) {
	path := numbered(t, 120, true)
	rapid.Check(t, func(rt *rapid.T) {
		spec := Spec{Path: path, HeldOut: rapid.Float64Range(0.05, 0.8).Draw(rt, "held out")}
		f, err := Open(spec, rapid.Uint64().Draw(rt, "seed"))
		if err != nil {
			rt.Fatal(err)
		}
		side, ids := map[string]Split{}, map[string]bool{}
		for _, s := range []Split{Train, HeldOut} {
			for _, p := range all(t, f, s) {
				q := normal(p.Prompt)
				if other, seen := side[q]; seen && other != s {
					rt.Fatalf("%q is on both sides", q)
				}
				side[q] = s
				if ids[p.ID] {
					rt.Fatalf("problem %s occurs twice in an epoch", p.ID)
				}
				ids[p.ID] = true
			}
		}
		if len(ids) != 240 || f.Report().Duplicates != 120 {
			rt.Fatalf("%d problems, %d duplicates", len(ids), f.Report().Duplicates)
		}
	})
}

func TestTheHeldOutSideDependsOnNothingButTheQuestion(t *testing.T) {
	a := open(t, Spec{Path: numbered(t, 120, false), HeldOut: 0.3}, 1)
	b := open(t, Spec{Path: numbered(t, 80, false), HeldOut: 0.3, Order: "file", Template: "{question}"}, 2)
	side := map[string]Split{}
	for _, s := range []Split{Train, HeldOut} {
		for _, p := range all(t, a, s) {
			side[p.Prompt] = s
		}
	}
	for _, s := range []Split{Train, HeldOut} {
		for _, p := range all(t, b, s) {
			if side[p.Prompt] != s {
				t.Errorf("%q moved to %s", p.Prompt, s)
			}
		}
	}
	if n := a.Len(HeldOut); n < 18 || n > 54 { // 36 ± 3.6 standard deviations
		t.Errorf("%d of 120 held out, want about 36", n)
	}
}

func TestAHeldOutFileTakesItsQuestionsFromTraining(t *testing.T) {
	train := write(t, "train.jsonl", `{"question": "a  b", "answer": "1"}`, `{"question": "c", "answer": "2"}`)
	test := write(t, "test.jsonl", `{"question": "a b", "answer": "1"}`, `{"question": "d", "answer": "3"}`)
	f := open(t, Spec{Path: train, HeldOutPath: test, Order: "file"}, 0)
	if got := all(t, f, Train); len(got) != 1 || got[0].Prompt != "c" || f.Report().Removed != 1 {
		t.Errorf("training on %v, report %+v", got, f.Report())
	}
	held := all(t, f, HeldOut)
	if len(held) != 2 || held[0].Dataset != "train" || !strings.HasPrefix(held[0].ID, "heldout/test.jsonl:") {
		t.Errorf("held out %+v", held)
	}
}

func TestTrainingGoesThroughEveryProblemOnceAnEpochInANewOrder(t *testing.T) {
	f, again := open(t, Spec{Path: numbered(t, 50, false)}, 9), open(t, Spec{Path: numbered(t, 50, false)}, 9)
	other := open(t, Spec{Path: numbered(t, 50, false)}, 10)
	epochs := make([][]string, 3)
	for i := range int64(150) {
		p, _ := f.Problem(Train, i)
		epochs[i/50] = append(epochs[i/50], p.ID)
	}
	for e, ids := range epochs {
		sorted := slices.Sorted(slices.Values(ids))
		if len(slices.Compact(sorted)) != 50 {
			t.Errorf("epoch %d repeats a problem", e)
		}
		if e > 0 && slices.Equal(ids, epochs[e-1]) {
			t.Errorf("epoch %d has the order of the one before", e)
		}
	}
	// Resuming anywhere, backwards too, is free.
	for _, i := range []int64{149, 0, 75, 50, 1 << 40} {
		p, _ := f.Problem(Train, i)
		q, _ := again.Problem(Train, i)
		if p.ID != q.ID {
			t.Errorf("problem %d: %s and %s", i, p.ID, q.ID)
		}
	}
	var first []string
	for i := range int64(50) {
		p, _ := other.Problem(Train, i)
		first = append(first, p.ID)
	}
	if slices.Equal(first, epochs[0]) {
		t.Error("two seeds give one order")
	}
}

func TestHeldOutProblemsHaveOneOrderUnderEverySeed(t *testing.T) {
	path := numbered(t, 100, false)
	a, b := open(t, Spec{Path: path, HeldOut: 0.4}, 1), open(t, Spec{Path: path, HeldOut: 0.4}, 2)
	if d := cmp.Diff(all(t, a, HeldOut), all(t, b, HeldOut)); d != "" {
		t.Error(d)
	}
	inFile := slices.IsSortedFunc(all(t, a, HeldOut), func(p, q Problem) int { return len(p.Prompt) - len(q.Prompt) })
	if inFile {
		t.Error("held-out problems are in the order of the file: the first k are no fair sample")
	}
	p, _ := a.Problem(HeldOut, 0)
	q, _ := a.Problem(HeldOut, int64(a.Len(HeldOut)))
	if p.ID != q.ID {
		t.Error("the second round differs from the first")
	}
}

func TestTheFingerprintIsThatOfContentsAndMapping(t *testing.T) {
	base := Spec{Path: "testdata/math.jsonl", HeldOut: 0}
	content, err := os.ReadFile(base.Path)
	if err != nil {
		t.Fatal(err)
	}
	copied := write(t, "elsewhere.jsonl", strings.TrimSuffix(string(content), "\n"))
	want := open(t, base, 0).Fingerprint()
	for name, c := range map[string]struct {
		spec Spec
		seed uint64
		same bool
	}{
		"another seed":     {base, 5, true},
		"another place":    {Spec{Path: copied}, 0, true},
		"another order":    {Spec{Path: base.Path, Order: "file"}, 0, true},
		"the shape named":  {Spec{Path: base.Path, Shape: "math"}, 0, true},
		"another template": {Spec{Path: base.Path, Template: "Q: {question}"}, 0, false},
		"another field":    {Spec{Path: base.Path, Fields: Fields{Answer: "id"}}, 0, false},
		"a limit":          {Spec{Path: base.Path, Limit: 2}, 0, false},
		"a held-out share": {Spec{Path: base.Path, HeldOut: 0.5}, 0, false},
		"one more byte":    {Spec{Path: write(t, "m.jsonl", string(content))}, 0, false},
		"a held-out file":  {Spec{Path: base.Path, HeldOutPath: "testdata/qa.jsonl"}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := open(t, c.spec, c.seed).Fingerprint(); (got == want) != c.same {
				t.Errorf("got %s, base %s, want the same: %v", got, want, c.same)
			}
		})
	}
	// What a limit leaves unread is part of the contents.
	a := open(t, Spec{Path: write(t, "a.jsonl", `{"question":"a","answer":"1"}`, `{"question":"b","answer":"1"}`), Limit: 1}, 0)
	b := open(t, Spec{Path: write(t, "a.jsonl", `{"question":"a","answer":"1"}`, `{"question":"b","answer":"2"}`), Limit: 1}, 0)
	if a.Fingerprint() == b.Fingerprint() {
		t.Error("files that differ behind the limit have one fingerprint")
	}
}

func TestAPatternReadsItsFilesAsOneDataSet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sums")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{"b.jsonl": `{"question":"b","answer":"2","id":1}`, "a.jsonl": `{"question":"a","answer":"1","id":1}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, Spec{Path: filepath.Join(dir, "*.jsonl"), Order: "file"}, 0)
	want := []Problem{
		{ID: "1", Dataset: "sums", Prompt: "a", Answer: "1"},
		{ID: "b.jsonl:1", Dataset: "sums", Prompt: "b", Answer: "2"}, // its id is taken
	}
	if d := cmp.Diff(want, all(t, f, Train)); d != "" {
		t.Error(d)
	}
}

func TestAFileIsReadFromManyGoroutines(t *testing.T) {
	f := open(t, Spec{Path: numbered(t, 40, false), HeldOut: 0.2}, 3)
	want := make([]string, 200)
	for i := range want {
		p, _ := f.Problem(Train, int64(i))
		want[i] = p.ID
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range want {
				at := (i*7 + w*50) % len(want)
				if p, err := f.Problem(Train, int64(at)); err != nil || p.ID != want[at] {
					t.Errorf("problem %d: %s, %v", at, p.ID, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestMisuseOfAnOpenFile(t *testing.T) {
	f := open(t, Spec{Path: "testdata/qa.jsonl"}, 0)
	if _, err := f.Problem(HeldOut, 0); !errors.Is(err, ErrNoHeldOut) {
		t.Errorf("got %v, want ErrNoHeldOut", err)
	}
	if _, err := f.Problem(Train, -1); err == nil {
		t.Error("a negative index is accepted")
	}
	if _, err := f.Problem("test", 0); err == nil || f.Len("test") != 0 {
		t.Error("an unknown split is accepted")
	}
}

func FuzzReadJSONL(f *testing.F) {
	for _, name := range []string{"gsm8k.jsonl", "bad/rows.jsonl", "svamp.jsonl", "custom.jsonl"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Add("\xef\xbb\xbf{\"question\":\"a\",\"answer\":1e400}\r\n")
	f.Add(strings.Repeat("[", 2000))
	f.Add(`{"a":` + strings.Repeat(`{"a":`, 200))
	f.Fuzz(func(t *testing.T, content string) {
		m := mapping{fields: Fields{Question: "question", Answer: "answer", Level: "level"}, template: questionMark}
		rows, last := 0, 0
		err := readJSONL(strings.NewReader(content), func(line int, r record, err error) bool {
			rows++
			if line <= last || line > strings.Count(content, "\n")+1 {
				t.Errorf("line %d after %d", line, last)
			}
			last = line
			if (err == nil) != (r != nil) {
				t.Errorf("line %d: record %v with error %v", line, r, err)
			}
			if err != nil {
				return true
			}
			_, _ = recognise(r)
			p, q, err := m.problem(r)
			if err == nil && (p.Answer == "" || strings.TrimSpace(q) == "" || !strings.Contains(p.Prompt, q)) {
				t.Errorf("line %d: accepted %+v", line, p)
			}
			return true
		})
		if err != nil {
			t.Errorf("reading from memory failed: %v", err)
		}
	})
}

func TestALineThatIsTooLongIsPassedOver(t *testing.T) {
	in := io.MultiReader(
		strings.NewReader(`{"question":"`), io.LimitReader(endless{}, maxLine+1), strings.NewReader("\"}\n{\"question\":\"a\",\"answer\":\"b\"}\n"))
	var got []string
	err := readJSONL(in, func(line int, r record, err error) bool {
		if err != nil {
			got = append(got, err.Error())
		} else {
			got = append(got, strings.Join(r.keys(), ","))
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"the line is longer than 16 MiB", "answer,question"}, got); d != "" {
		t.Error(d)
	}
}

// endless reads as the letter a.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

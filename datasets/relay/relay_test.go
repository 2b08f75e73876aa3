package relay

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pith/datasets"
)

func family(t testing.TB, seed uint64, o Options) *Family {
	t.Helper()
	f, err := New(seed, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// walk follows the arrows of a prompt as a reader would, without the package's own code.
func walk(prompt string) string {
	tokens := strings.Fields(prompt)
	to := map[string]string{}
	for i, token := range tokens {
		if token == ">" {
			to[tokens[i-1]] = tokens[i+1]
		}
	}
	ask := len(tokens) - 3 // … a 3 <think>
	at := tokens[ask]
	hops, _ := strconv.Atoi(tokens[ask+1])
	for range hops {
		at = to[at]
	}
	return at
}

func TestTheAnswerIsWhereTheArrowsLead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := DefaultOptions()
		o.Letters = rapid.IntRange(4, MaxLetters).Draw(t, "letters")
		o.MinLevel = rapid.IntRange(1, MaxLevel).Draw(t, "min")
		o.MaxLevel = rapid.IntRange(o.MinLevel, MaxLevel).Draw(t, "max")
		f, err := New(rapid.Uint64().Draw(t, "seed"), o)
		if err != nil {
			t.Fatal(err)
		}
		split := rapid.SampledFrom([]datasets.Split{datasets.Train, datasets.HeldOut}).Draw(t, "split")
		i := rapid.Int64Range(0, math.MaxInt64).Draw(t, "i")
		p, err := f.Problem(split, i)
		if err != nil {
			t.Fatal(err)
		}
		if got := walk(p.Prompt); got != p.Answer {
			t.Fatalf("%s: the arrows lead to %s, the answer is %s", p.Prompt, got, p.Answer)
		}
		if f.Split(p.ID) != split || p.Level < o.MinLevel || p.Level > o.MaxLevel || !strings.Contains(p.Prompt, p.ID) {
			t.Fatalf("%+v does not belong to split %s", p, split)
		}
		again, err := f.Problem(split, i)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, again); d != "" {
			t.Fatal(d)
		}
	})
}

// These may never change for a given Version.
func TestProblemsAndLessonsArePinned(t *testing.T) {
	f := family(t, 0, DefaultOptions())
	p, err := f.Problem(datasets.Train, 0)
	if err != nil {
		t.Fatal(err)
	}
	teacher, err := NewTeacher(f, 0, DefaultTeacherOptions())
	if err != nil {
		t.Fatal(err)
	}
	_, response, err := teacher.lesson(0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(pinned, []string{p.Prompt, p.Answer, strings.Join(response, " "), f.Fingerprint()}); d != "" {
		t.Error(d)
	}
}

func TestAnEighthIsHeldOut(t *testing.T) {
	const n = 8000
	f := family(t, 1, DefaultOptions())
	held := 0
	for i := range int64(n) {
		p, err := f.Problem(datasets.Train, i)
		if err != nil {
			t.Fatal(err)
		}
		if f.Split("another "+p.ID) == datasets.HeldOut { // a text that no split was drawn for
			held++
		}
	}
	if got := float64(held) / n; math.Abs(got-0.125) > 0.017 {
		t.Errorf("share %.3f", got)
	}
}

func TestTheTeacherOverThinks(t *testing.T) {
	f := family(t, 1, DefaultOptions())
	teacher, err := NewTeacher(f, 2, DefaultTeacherOptions())
	if err != nil {
		t.Fatal(err)
	}
	var n, right [3]float64
	for i := range 6000 {
		prompt, response, err := teacher.lesson(i, 0)
		if err != nil {
			t.Fatal(err)
		}
		checks := strings.Count(strings.Join(response, " "), wordCheck)
		n[checks]++
		if response[len(response)-2] == walk(strings.Join(prompt, " ")) {
			right[checks]++
		}
	}
	// First passes slip one hop in twenty: mean of .95^n over 1 to 12 hops is .73, and some slips cancel.
	if got := right[0] / n[0]; got < 0.7 || got > 0.85 {
		t.Errorf("without a check %.3f are right", got)
	}
	for checks := 1; checks < 3; checks++ {
		if got := right[checks] / n[checks]; got < 0.9 {
			t.Errorf("with %d checks %.3f are right", checks, got)
		}
	}
}

func TestExamplesAreInTheVocabularyAndTrainOnlyTheResponse(t *testing.T) {
	teacher, err := NewTeacher(family(t, 1, DefaultOptions()), 2, DefaultTeacherOptions())
	if err != nil {
		t.Fatal(err)
	}
	for row := range 200 {
		ids, train, err := teacher.Example(3, row)
		if err != nil {
			t.Fatal(err)
		}
		trained := false
		for i, id := range ids {
			if id < 0 {
				t.Fatalf("token %d is not in the vocabulary", i)
			}
			if train[i] != trained {
				t.Fatalf("token %d: trained is %v", i, train[i])
			}
			trained = trained || vocabulary[id] == Think
		}
	}
}

func TestMisuseSaysWhatWouldBeValid(t *testing.T) {
	_, options := New(0, Options{Letters: 1, MinLevel: 0, MaxLevel: 13})
	_, teaching := NewTeacher(family(t, 0, DefaultOptions()), 0, TeacherOptions{Slip: 2})
	_, split := family(t, 0, DefaultOptions()).Problem("test", 0)
	_, index := family(t, 0, DefaultOptions()).Problem(datasets.Train, -1)
	_, empty := family(t, 0, Options{Letters: 3, MinLevel: 1, MaxLevel: 1, HeldOutOneIn: 1000}).Problem(datasets.HeldOut, 0)
	for _, c := range []struct {
		err  error
		want string
	}{
		{options, "letters is 1: it must be 3 to 10"}, {options, "held_out_one_in is 0"}, {options, "max_level is 13"},
		{teaching, "slip is 2: it must be 0 to 1"}, {teaching, "checks: at least one weight must be positive"},
		{split, `unknown split "test"`}, {index, "the index is negative"}, {empty, "raise letters"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %v, want an error that says %q", c.err, c.want)
		}
	}
}

// pinned is what Version 1 generates.
var pinned = []string{
	"<bos> a > d b > c c > e d > b e > a f > f ? e 5 <think>",
	"e",
	"e > a ; a > b ; b > c ; c > e ; e > a ; a > b ; b > c ; c > e ; e > a ; a > b ; b > c ; </think> c <eos>",
	"sha256:6d88b6210d853655c9ce246dd050d0f556a6cd977e7e395a6d6018b3c08ad861",
}

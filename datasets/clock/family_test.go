package clock

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pith/datasets"
	"pith/datasets/rng"
)

func family(t testing.TB, seed uint64, o Options) *Family {
	t.Helper()
	f, err := New(seed, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestVocabularyHas64TokensInTheOrderOfTheRecipe(t *testing.T) {
	v := Vocabulary()
	if len(v) != 64 {
		t.Fatalf("got %d tokens, want 64", len(v))
	}
	want := map[int]string{
		0: "<pad>", 1: "<bos>", 2: "<eos>", 3: "<think>", 4: "</think>", 5: "<cut>", 6: "0", 15: "9",
		16: "+0", 25: "+9", 26: "-0", 35: "-9", 36: "*3", 37: "*7", 38: "*9", 39: "a", 47: "i",
		48: "=", 49: ";", 50: "check", 51: "again", 52: "wait", 53: "plan", 54: "x", 55: "+x", 56: "-x", 57: "*x",
		58: "<tool>", 59: "</tool>", 60: "<result>", 61: "</result>",
	}
	for id, token := range want {
		if v[id] != token {
			t.Errorf("id %d: got %q, want %q", id, v[id], token)
		}
	}
	seen := map[string]bool{}
	for _, token := range v {
		if seen[token] || token == "" || strings.ContainsAny(token, " \t\n") {
			t.Errorf("token %q is empty, repeated or holds a blank", token)
		}
		seen[token] = true
	}
	for _, s := range Special() {
		if !seen[s] {
			t.Errorf("special token %q is not in the vocabulary", s)
		}
	}
	v[0] = "changed"
	if Vocabulary()[0] != "<pad>" {
		t.Error("a caller can change the vocabulary")
	}
}

// These problems may never change for a given Version.
func TestProblemsArePinned(t *testing.T) {
	plain, tools := family(t, 0, DefaultOptions()), family(t, 0, DefaultToolOptions())
	var got []datasets.Problem
	for i := range int64(2) {
		for _, f := range []*Family{plain, tools} {
			for _, s := range []datasets.Split{datasets.Train, datasets.HeldOut} {
				p, err := f.Problem(s, i)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p)
			}
		}
	}
	if d := cmp.Diff(pinnedProblems, got); d != "" {
		t.Errorf("problems changed (-want +got):\n%s", d)
	}
	if got := plain.Fingerprint(); got != pinnedFingerprint {
		t.Errorf("fingerprint changed: got %s, want %s", got, pinnedFingerprint)
	}
}

func TestEveryProblemIsWellFormedAndItsAnswerIsTheValueOfItsChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := DefaultOptions()
		o.MinLevel = rapid.IntRange(1, MaxLevel).Draw(t, "min")
		o.MaxLevel = rapid.IntRange(o.MinLevel, MaxLevel).Draw(t, "max")
		o.MaxOperand = rapid.IntRange(1, 9).Draw(t, "operand")
		o.MultiplyShare = rapid.Float64Range(0.1, 1).Draw(t, "multiply")
		o.Tools = rapid.Bool().Draw(t, "tools")
		f, err := New(rapid.Uint64().Draw(t, "seed"), o)
		if err != nil {
			t.Fatal(err)
		}
		split := rapid.SampledFrom([]datasets.Split{datasets.Train, datasets.HeldOut}).Draw(t, "split")
		p, err := f.Problem(split, rapid.Int64Range(0, math.MaxInt64).Draw(t, "i"))
		if err != nil {
			t.Skip("this small family has no problem of the split") // the error itself is tested below
		}
		if _, err := Encode(p.Prompt); err != nil {
			t.Fatal(err)
		}
		if p.Level < o.MinLevel || p.Level > o.MaxLevel {
			t.Fatalf("level %d outside %d … %d", p.Level, o.MinLevel, o.MaxLevel)
		}
		text, _, _ := strings.Cut(p.ID, " x=")
		if got := f.Split(text); got != split {
			t.Fatalf("%q of split %s belongs to %s", text, split, got)
		}
		want, err := Evaluate(text, p.Hidden[HiddenX])
		if err != nil {
			t.Fatal(err)
		}
		if p.Answer != want {
			t.Fatalf("%s: answer %s, want %s", p.ID, p.Answer, want)
		}
		// The tool, given the whole chain as the prompt names it, agrees.
		arguments := strings.TrimSuffix(strings.TrimPrefix(p.Prompt, "<bos> a "), " <think>")
		if got, ok := Call(p, arguments); !ok || got != p.Answer {
			t.Fatalf("tool on %q: got %q %v, want %q", arguments, got, ok, p.Answer)
		}
	})
}

func TestSplitsLevelsAndOperationsHaveTheSharesOfTheRecipe(t *testing.T) {
	const n = 20_000
	f := family(t, 3, DefaultToolOptions())
	var levels [MaxLevel + 1]int
	ops, multiplied, hidden, digitsSeen := 0, 0, 0, map[string]int{}
	for i := range int64(n) {
		p, err := f.Problem(datasets.Train, i)
		if err != nil {
			t.Fatal(err)
		}
		levels[p.Level]++
		if p.Hidden != nil {
			hidden++
			digitsSeen[p.Hidden[HiddenX]]++
		}
		text, _, _ := strings.Cut(p.ID, " x=")
		for _, o := range strings.Fields(text)[1:] {
			if o[1] == 'x' {
				continue
			}
			ops++
			if o[0] == '*' {
				multiplied++
			}
		}
	}
	near := func(what string, got, want, sd float64) {
		t.Helper()
		if math.Abs(got-want) > 4.5*sd {
			t.Errorf("%s: got %.4f, want %.4f ± %.4f", what, got, want, 4.5*sd)
		}
	}
	for l := 1; l <= MaxLevel; l++ {
		near("share of a level", float64(levels[l])/n, 1.0/8, math.Sqrt(1.0/8*7/8/n))
	}
	near("share of multiplications", float64(multiplied)/float64(ops), 0.2, math.Sqrt(.16/float64(ops)))
	near("share with a hidden digit", float64(hidden)/n, 0.5, math.Sqrt(.25/n))
	if len(digitsSeen) != 10 {
		t.Errorf("hidden digits: got %v, want all ten", digitsSeen)
	}

	// A random chain is held out one time in eight.
	heldOut := 0
	r := rng.New(3)
	for i := range n {
		if f.Split(f.drawAny(&r, 1+i%MaxLevel).text()) == datasets.HeldOut {
			heldOut++
		}
	}
	near("share held out", float64(heldOut)/n, 1.0/8, math.Sqrt(1.0/8*7/8/n))
}

func TestASeedAndASplitNameDifferentProblems(t *testing.T) {
	a, b := family(t, 1, DefaultOptions()), family(t, 2, DefaultOptions())
	same := 0
	for i := range int64(200) {
		p, _ := a.Problem(datasets.Train, i)
		q, _ := b.Problem(datasets.Train, i)
		again, _ := a.Problem(datasets.Train, i)
		if d := cmp.Diff(p, again); d != "" {
			t.Fatalf("problem %d differs from itself: %s", i, d)
		}
		if p.ID == q.ID {
			same++
		}
	}
	if same > 10 {
		t.Errorf("%d of 200 problems are the same under two seeds", same)
	}
	if a.Fingerprint() != b.Fingerprint() {
		t.Error("the fingerprint depends on the seed")
	}
	o := DefaultOptions()
	o.MaxOperand = 6
	if family(t, 1, o).Fingerprint() == a.Fingerprint() {
		t.Error("the fingerprint does not depend on the options")
	}
}

func TestMisuseOfTheFamilySaysWhatWouldBeValid(t *testing.T) {
	tiny := DefaultOptions()
	tiny.MaxLevel, tiny.MaxOperand, tiny.MultiplyShare, tiny.HeldOutOneIn = 1, 1, 0, 1000
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"zero options": {func() error { _, err := New(0, Options{}); return err }, "min_level is 0: it must be 1 to 8"},
		"all violations at once": {func() error {
			_, err := New(0, Options{MinLevel: 5, MaxLevel: 3, MaxOperand: 12, MultiplyShare: math.NaN(), HeldOutOneIn: 8})
			return err
		}, "multiply_share is NaN: it must be 0 to 1"},
		"negative index":   {func() error { _, err := family(t, 0, DefaultOptions()).Problem(datasets.Train, -1); return err }, "the index is negative"},
		"unknown split":    {func() error { _, err := family(t, 0, DefaultOptions()).Problem("test", 0); return err }, `unknown split "test"`},
		"an empty split":   {func() error { _, err := family(t, 0, tiny).Problem(datasets.HeldOut, 0); return err }, "raise min_level or max_operand"},
		"unknown token":    {func() error { _, err := Encode("<bos> 77"); return err }, `token 1 "77" is not in the vocabulary`},
		"no hidden digit":  {func() error { _, err := Evaluate("3 +x", ""); return err }, "needs the hidden digit"},
		"no operation":     {func() error { _, err := Evaluate("3 plus", ""); return err }, `operation 1, "plus", is not in the vocabulary`},
		"no start":         {func() error { _, err := Evaluate("x +1", ""); return err }, "is not a digit"},
		"empty expression": {func() error { _, err := Evaluate(" ", ""); return err }, "is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.do()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}

package clock

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"pith/datasets"
)

func reasonerFor(t testing.TB, seed uint64, o TeacherOptions) *Teacher {
	t.Helper()
	teacher, err := NewTeacher(family(t, 1, DefaultOptions()), seed, o)
	if err != nil {
		t.Fatal(err)
	}
	return teacher
}

func toolUserFor(t testing.TB, seed uint64, o ToolTeacherOptions) *Teacher {
	t.Helper()
	teacher, err := NewToolTeacher(family(t, 1, DefaultToolOptions()), seed, o)
	if err != nil {
		t.Fatal(err)
	}
	return teacher
}

func lesson(t testing.TB, teacher *Teacher, i int) Lesson {
	t.Helper()
	l, err := teacher.Lesson(i/32, i%32)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// These lessons may never change for a given Version: the shipped base policy was made of them.
func TestLessonsArePinned(t *testing.T) {
	for name, teacher := range map[string]*Teacher{
		"warm": reasonerFor(t, 0, WarmTeacherOptions()), "default": reasonerFor(t, 0, DefaultTeacherOptions()),
		"tool A": toolUserFor(t, 0, ToolTeacherA()), "tool B": toolUserFor(t, 0, ToolTeacherB()),
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for i := range 3 {
				got = append(got, strings.Join(lesson(t, teacher, i).Tokens, " "))
			}
			if d := cmp.Diff(pinnedLessons[name], got); d != "" {
				t.Errorf("lessons changed (-want +got):\n%s", d)
			}
		})
	}
}

// stats are what the recipe's section 3 tabulates, over uncut traces.
type stats struct {
	n, right, tokens int
}

func (s *stats) add(l Lesson) {
	s.n++
	s.tokens += l.Length()
	if l.Right {
		s.right++
	}
}

func (s stats) accuracy() float64 { return float64(s.right) / float64(s.n) }
func (s stats) length() float64   { return float64(s.tokens) / float64(s.n) }

// The recipe's table was measured on 320 samples of a base policy trained on this teacher. Shares
// and lengths are inherited by the policy, so they are compared with it, within 2.5 standard
// errors of a share over 320 samples and a fifth of a length. Accuracies are not: a small policy
// errs more often than its teacher. What the teacher must show is their order, with checked traces
// above unchecked ones, and a first pass as accurate as its slips say.
func TestTheTeacherOverThinksAsTheRecipeMeasured(t *testing.T) {
	const n = 20_000
	teacher := reasonerFor(t, 5, DefaultTeacherOptions())
	byChecks := map[int]*stats{}
	var all, thoughtUnchecked stats
	var planned, again, waited, cut, thought int
	for i := range n {
		l := lesson(t, teacher, i)
		if !l.AtOnce {
			thought++
		}
		if l.Cut {
			cut++
			continue
		}
		if byChecks[l.Checks] == nil {
			byChecks[l.Checks] = &stats{}
		}
		byChecks[l.Checks].add(l)
		all.add(l)
		if l.Checks == 0 && !l.AtOnce {
			thoughtUnchecked.add(l)
		}
		planned += bit(l.Planned)
		again += bit(l.FalseStart)
		waited += bit(l.Waited)
	}

	table := []struct{ share, tokens float64 }{{.19, 21}, {.26, 55}, {.32, 83}, {.17, 100}, {.05, 126}}
	for checks, row := range table {
		s := byChecks[checks]
		share := float64(s.n) / float64(all.n)
		if se := math.Sqrt(row.share * (1 - row.share) / 320); math.Abs(share-row.share) > 2.5*se {
			t.Errorf("%d checks: share %.3f, want %.2f ± %.3f", checks, share, row.share, 2.5*se)
		}
		if math.Abs(s.length()-row.tokens) > 0.2*row.tokens {
			t.Errorf("%d checks: %.1f tokens, want %.0f ± a fifth", checks, s.length(), row.tokens)
		}
		if checks > 0 && s.accuracy() <= byChecks[0].accuracy() {
			t.Errorf("%d checks: accuracy %.3f is not above that of unchecked traces, %.3f", checks, s.accuracy(), byChecks[0].accuracy())
		}
	}
	if len(byChecks) > 5 {
		t.Errorf("traces with more than 4 checks exist: %v", byChecks)
	}
	for _, marker := range []struct {
		name        string
		count       int
		want, error float64
	}{{"plan", planned, .37, .07}, {"again", again, .08, .04}, {"wait", waited, .12, .05}} {
		if got := float64(marker.count) / float64(all.n); math.Abs(got-marker.want) > marker.error {
			t.Errorf("%s: share %.3f, want %.2f ± %.2f", marker.name, got, marker.want, marker.error)
		}
	}
	if got := float64(cut) / float64(thought); math.Abs(got-0.15) > 0.012 {
		t.Errorf("cut thoughts: share %.3f, want .15", got)
	}
	// Of the unchecked traces with a thought: right are those whose first pass slipped nowhere, a
	// few whose slips cancelled, mean over levels of .92^n = .70 for one result an operation.
	if got := thoughtUnchecked.accuracy(); got < .66 || got > .82 {
		t.Errorf("unchecked first passes: accuracy %.3f, want about .70 to .78", got)
	}
	if got := all.length(); got < 58 || got > 72 {
		t.Errorf("mean length %.1f, want near the 60 to 67 tokens of the base policy", got)
	}
}

func TestInsideALevelLongerThoughtsAreMoreOftenRight(t *testing.T) {
	teacher := reasonerFor(t, 6, DefaultTeacherOptions())
	type pair struct{ length, right float64 }
	byLevel := map[int][]pair{}
	for i := range 20_000 {
		if l := lesson(t, teacher, i); !l.Cut && !l.AtOnce {
			byLevel[l.Problem.Level] = append(byLevel[l.Problem.Level], pair{float64(l.Length()), float64(bit(l.Right))})
		}
	}
	mean := 0.0
	for level, pairs := range byLevel {
		var sx, sy, sxx, syy, sxy float64
		for _, p := range pairs {
			sx, sy, sxx, syy, sxy = sx+p.length, sy+p.right, sxx+p.length*p.length, syy+p.right*p.right, sxy+p.length*p.right
		}
		n := float64(len(pairs))
		r := (sxy - sx*sy/n) / math.Sqrt((sxx-sx*sx/n)*(syy-sy*sy/n))
		if r <= 0 {
			t.Errorf("level %d: correlation %.3f is not positive", level, r)
		}
		mean += r / float64(len(byLevel))
	}
	if mean < 0.15 {
		t.Errorf("mean correlation inside a level %.3f, want at least .15", mean)
	}
	t.Logf("mean correlation of length and correctness inside a level: %.3f", mean)
}

func TestEveryLessonHoldsTogether(t *testing.T) {
	teachers := []*Teacher{
		reasonerFor(t, 1, WarmTeacherOptions()), reasonerFor(t, 1, DefaultTeacherOptions()),
		toolUserFor(t, 1, ToolTeacherA()), toolUserFor(t, 1, ToolTeacherB()),
	}
	rapid.Check(t, func(t *rapid.T) {
		teacher := rapid.SampledFrom(teachers).Draw(t, "teacher")
		l, err := teacher.Lesson(rapid.IntRange(0, 1<<30).Draw(t, "step"), rapid.IntRange(0, 1<<20).Draw(t, "row"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(l.Tokens[:l.Prompt], " "); got != l.Problem.Prompt {
			t.Fatalf("the prompt is %q, the problem's is %q", got, l.Problem.Prompt)
		}
		text, _, _ := strings.Cut(l.Problem.ID, " x=")
		if teacher.family.Split(text) != datasets.Train {
			t.Fatalf("%q is held out", text)
		}
		response := l.Tokens[l.Prompt:]
		end := slices.Index(response, EndThink)
		if end != len(response)-3 || response[len(response)-1] != EOS {
			t.Fatalf("the response does not end in %s, a digit, %s: %v", EndThink, EOS, response)
		}
		if (response[end+1] == l.Problem.Answer) != l.Right {
			t.Fatalf("right is %v for answer %s, gold %s", l.Right, response[end+1], l.Problem.Answer)
		}
		if len(l.Train) != len(l.Tokens) || slices.Contains(l.Train[:l.Prompt], true) {
			t.Fatal("the prompt is trained on, or the mask has another length")
		}
		if l.Cut {
			if slices.Contains(l.Train[:len(l.Train)-2], true) || !l.Train[len(l.Train)-1] || !l.Train[len(l.Train)-2] || response[end-1] != Cut {
				t.Fatalf("a cut lesson trains more than its answer: %v %v", l.Tokens, l.Train)
			}
			return
		}
		inResult, calls, trained := false, 0, 0
		for i, token := range response {
			switch token {
			case BOS, Pad, Think, Cut:
				t.Fatalf("the policy would learn to write %s", token)
			case Result:
				inResult = true
				calls++
			}
			if l.Train[l.Prompt+i] == inResult {
				t.Fatalf("token %d %q: trained is %v, written by the environment is %v", i, token, !inResult, inResult)
			}
			if !inResult {
				trained++
			}
			if token == EndResult {
				inResult = false
			}
		}
		if calls != l.Calls {
			t.Fatalf("%d results, %d calls", calls, l.Calls)
		}
		if trained != l.Length() || trained > 188+3 {
			t.Fatalf("length %d, trained %d, limit 191", l.Length(), trained)
		}
	})
}

func TestWarmLessonsAreShortCleanAndRight(t *testing.T) {
	teacher := reasonerFor(t, 2, WarmTeacherOptions())
	levels := map[int]int{}
	for i := range 4000 {
		l := lesson(t, teacher, i)
		levels[l.Problem.Level]++
		if !l.Right || l.Checks > 0 || l.Planned || l.FalseStart || l.Waited || l.Cut {
			t.Fatalf("not a clean pass: %v", l.Tokens)
		}
	}
	if len(levels) != 3 || math.Abs(float64(levels[1])/4000-.5) > .04 {
		t.Errorf("levels %v, want half of level 1 and a quarter each of 2 and 3", levels)
	}
}

// The base policies of the recipe made 3.7 (A) and 3.9 (B) calls in 44 and 47 tokens.
func TestToolTeachersCallAsTheRecipeMeasured(t *testing.T) {
	const n = 10_000
	accuracy := map[string][3]float64{} // all calls single, calls of several, overall
	for name, o := range map[string]ToolTeacherOptions{"A": ToolTeacherA(), "B": ToolTeacherB()} {
		teacher := toolUserFor(t, 3, o)
		var all, many, few stats
		calls := 0
		for i := range n {
			l := lesson(t, teacher, i)
			all.add(l)
			calls += l.Calls
			if l.Problem.Level >= 5 && l.Checks == 0 {
				switch {
				case l.Calls >= l.Problem.Level:
					many.add(l)
				case l.Tokens[l.Prompt] == wordEquals && slices.Index(l.Tokens[l.Prompt:], EndTool) == 3+2*l.Problem.Level: // one call over everything
					few.add(l)
				}
			}
		}
		if got := float64(calls) / n; got < 3.3 || got > 4.1 {
			t.Errorf("teacher %s: %.2f calls, want 3.3 to 4.1", name, got)
		}
		if got := all.length(); got < 40 || got > 50 {
			t.Errorf("teacher %s: %.1f tokens, want 40 to 50", name, got)
		}
		accuracy[name] = [3]float64{many.accuracy(), few.accuracy(), all.accuracy()}
	}
	if a := accuracy["A"]; a[0] != 1 || a[1] != 1 {
		t.Errorf("teacher A: calls alone are right %.3f and %.3f of the time, want always", a[0], a[1])
	}
	if b := accuracy["B"]; b[0]-b[1] < 0.3 {
		t.Errorf("teacher B: many calls are right %.3f of the time and one long call %.3f: the long call should be far worse", b[0], b[1])
	}
	t.Logf("accuracy of calls one by one, in one call, overall: %v", accuracy)
}

func TestExampleIsTheLessonInIDs(t *testing.T) {
	teacher := reasonerFor(t, 4, DefaultTeacherOptions())
	l := lesson(t, teacher, 70)
	ids, train, err := teacher.Example(70/32, 70%32)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Encode(strings.Join(l.Tokens, " "))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, ids); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(l.Train, train); d != "" {
		t.Error(d)
	}
}

func TestACourseRunsItsStagesInTurnAndTheLastForEver(t *testing.T) {
	warm, full := reasonerFor(t, 1, WarmTeacherOptions()), reasonerFor(t, 1, DefaultTeacherOptions())
	course := Course{{Steps: 2, Teacher: warm}, {Steps: 1, Teacher: full}}
	for step, want := range []*Teacher{warm, warm, full, full, full} {
		got, _, err := course.Example(step, 9)
		if err != nil {
			t.Fatal(err)
		}
		expected, _, _ := want.Example(step, 9)
		if d := cmp.Diff(expected, got); d != "" {
			t.Errorf("step %d: another teacher's example: %s", step, d)
		}
	}
	if _, _, err := (Course{}).Example(0, 0); err == nil {
		t.Error("an empty course gave an example")
	}
}

func TestMisuseOfTheTeachersSaysWhatWouldBeValid(t *testing.T) {
	plain, tools := family(t, 0, DefaultOptions()), family(t, 0, DefaultToolOptions())
	reason := func(change func(*TeacherOptions)) error {
		o := DefaultTeacherOptions()
		change(&o)
		_, err := NewTeacher(plain, 0, o)
		return err
	}
	call := func(change func(*ToolTeacherOptions)) error {
		o := ToolTeacherB()
		change(&o)
		_, err := NewToolTeacher(tools, 0, o)
		return err
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a level too high":      {reason(func(o *TeacherOptions) { o.Levels = []int{1, 9} }), "levels[1] is 9: it must be 1 to 8"},
		"a chance above one":    {reason(func(o *TeacherOptions) { o.Slip = 8 }), "slip is 8: it must be 0 to 1"},
		"no style":              {reason(func(o *TeacherOptions) { o.Styles = [4]float64{} }), "styles: at least one weight must be positive"},
		"too many checks":       {reason(func(o *TeacherOptions) { o.MaxPasses = 3 }), "max_passes 3 allows 2"},
		"no room":               {reason(func(o *TeacherOptions) { o.MaxThought = 0 }), "max_thought is 0"},
		"rates without weights": {call(func(o *ToolTeacherOptions) { o.CallRates = o.CallRates[:2] }), "they must pair up"},
		"a skipping tool user":  {call(func(o *ToolTeacherOptions) { o.Styles[Skip] = 1 }), "the weight of skip must be 0"},
		"no tool":               {func() error { _, err := NewToolTeacher(plain, 0, ToolTeacherB()); return err }(), "set tools in its options"},
		"a hidden digit":        {func() error { _, err := NewTeacher(tools, 0, DefaultTeacherOptions()); return err }(), "use NewToolTeacher"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", c.err, c.want)
			}
		})
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func BenchmarkExample(b *testing.B) {
	teacher := reasonerFor(b, 1, DefaultTeacherOptions())
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, _, err := teacher.Example(i, 0); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

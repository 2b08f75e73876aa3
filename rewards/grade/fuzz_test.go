package grade

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func FuzzGrade(f *testing.F) {
	for _, c := range readCases(f)[:60] {
		f.Add(c.gold, c.response)
	}
	grader := mustMath(f, nil)
	f.Fuzz(func(t *testing.T, gold, response string) {
		took, _, v := cost(grader, gold, response)
		if v.Reason == "" || v.Reason == ReasonInternal {
			t.Errorf("verdict %+v", v)
		}
		if took > 10*50e6*slowdown { // a fuzzing worker shares its core
			t.Errorf("took %v", took)
		}
		if again := grader.Grade(gold, response); again.Outcome != v.Outcome && v.Reason != ReasonLimit && again.Reason != ReasonLimit {
			t.Errorf("a second grading gives %+v, the first gave %+v", again, v)
		}
	})
}

// expression draws an arithmetic expression in x and y, and how it may be respelt.
func expression(depth int) *rapid.Generator[[2]string] {
	return rapid.Custom(func(t *rapid.T) [2]string {
		kind := 0
		if depth > 0 {
			kind = rapid.IntRange(0, 6).Draw(t, "kind")
		}
		sub := func() [2]string { return expression(depth-1).Draw(t, "part") }
		switch kind {
		case 1: // sums commute
			a, b := sub(), sub()
			return [2]string{a[0] + "+" + b[0], "(" + b[1] + ")+(" + a[1] + ")"}
		case 2: // products commute
			a, b := sub(), sub()
			return [2]string{"(" + a[0] + ")(" + b[0] + ")", "\\left( " + b[1] + "\\right) \\cdot (" + a[1] + ")"}
		case 3: // quotients
			a := sub()
			return [2]string{"\\frac{" + a[0] + "}{3}", "( " + a[1] + " )/3"}
		case 4: // squares
			a := sub()
			return [2]string{"(" + a[0] + ")^2", "(" + a[1] + ") * (" + a[1] + ")"}
		case 5: // differences
			a, b := sub(), sub()
			return [2]string{a[0] + "-(" + b[0] + ")", "-(" + b[1] + ") + (" + a[1] + ")"}
		case 6: // roots of squares plus one, which are real everywhere
			a := sub()
			return [2]string{"\\sqrt{(" + a[0] + ")^2+1}", "(1 + (" + a[1] + ")^{2})^{1/2}"}
		}
		leaf := rapid.SampledFrom([]string{"x", "y", "2", "7", "x^3", "0.5", "\\pi"}).Draw(t, "leaf")
		return [2]string{leaf, " " + leaf + " "}
	})
}

func TestRewritingKeepsEqualityAndPerturbingBreaksIt(t *testing.T) {
	grader := mustMath(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		e := expression(3).Draw(t, "expression")
		if len(e[0]) > 1500 || len(e[1]) > 1500 {
			t.Skip("too long")
		}
		box := func(s string) string { return "\\boxed{" + s + "}" }
		for _, pair := range [][2]string{{e[0], e[0]}, {e[0], e[1]}, {e[1], e[0]}, {e[0], strings.ReplaceAll(e[0], "+", " + ")}} {
			if x := grader.Explain(pair[0], box(pair[1])); x.Outcome == Wrong {
				t.Errorf("%q against %q: %s (%s against %s)", pair[0], pair[1], x.Reason, x.GoldRead, x.PredictionRead)
			}
		}
		for _, wrong := range []string{e[1] + "+1", "(" + e[1] + ")-x", "2*(" + e[1] + ")+1/7"} {
			if x := grader.Explain(e[0], box(wrong)); x.Outcome == Right {
				// 2v + 1/7 = v has the solution v = -1/7, which no drawn constant has
				t.Errorf("%q against %q is right (%s against %s)", e[0], wrong, x.GoldRead, x.PredictionRead)
			}
		}
	})
}

func TestListsSetsAndTuplesUnderRewriting(t *testing.T) {
	grader := mustMath(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2", "\\frac{1}{2}", "\\sqrt{3}", "-4", "x", "x+1", "0.25"}), 2, 5, rapid.ID[string]).Draw(t, "items")
		mixed := rapid.Permutation(items).Draw(t, "order")
		set := func(s []string) string { return "\\{" + strings.Join(s, ", ") + "\\}" }
		if x := grader.Explain(set(items), "\\boxed{"+set(mixed)+"}"); x.Outcome != Right {
			t.Errorf("set %v against %v: %s", items, mixed, x.Reason)
		}
		if x := grader.Explain(strings.Join(items, ","), "\\boxed{"+strings.Join(mixed, " , ")+"}"); x.Outcome != Right {
			t.Errorf("list %v against %v: %s", items, mixed, x.Reason)
		}
		if x := grader.Explain(set(items), "\\boxed{"+set(mixed[1:])+"}"); x.Outcome == Right {
			t.Errorf("set %v accepts %v", items, mixed[1:])
		}
		tuple := func(s []string) string { return "(" + strings.Join(s, ",") + ")" }
		same := strings.Join(items, ",") == strings.Join(mixed, ",")
		if x := grader.Explain(tuple(items), "\\boxed{"+tuple(mixed)+"}"); (x.Outcome == Right) != same {
			t.Errorf("tuple %v against %v: %s", items, mixed, x.Outcome)
		}
	})
}

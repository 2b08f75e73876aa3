package compare

import (
	"errors"
	"testing"
	"time"

	"pith/rewards/grade/expr"
	"pith/rewards/grade/latex"
)

func budget() *expr.Budget { return expr.NewBudget(200_000, time.Now().Add(5*time.Second)) }

func parse(t testing.TB, src string) *expr.Node {
	t.Helper()
	p, err := latex.Parse(src, latex.Options{}, budget())
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return p.Node
}

func TestEqualNamesTheRuleThatDecided(t *testing.T) {
	cases := []struct {
		name, gold, prediction string
		want                   bool
		rule                   string
	}{
		{"numbers", "\\frac12", "0.5", true, "number"},
		{"expressions", "(x+1)^2", "x^2+2x+1", true, "expression"},
		{"sets", "\\{1,2\\}", "2,1", true, "set"},
		{"tuples", "(1,2)", "(2,1)", false, "tuple"},
		{"intervals", "(0,1]", "[0,1)", false, "interval"},
		{"assignments", "5", "x=5", true, "assignment"},
		{"relations", "x<1", "1>x", true, "relation"},
		{"matrices", "\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix}1\\\\3\\end{pmatrix}", false, "matrix"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, rule, err := Equal(parse(t, c.gold), parse(t, c.prediction), DefaultPolicy(), budget())
			if err != nil || got != c.want || rule != c.rule {
				t.Errorf("got %v by %q (%v), want %v by %q", got, rule, err, c.want, c.rule)
			}
		})
	}
}

func TestScalarEqualityIsSymmetric(t *testing.T) {
	answers := []string{"1", "0.5", "\\frac12", "50\\%", "\\sqrt2", "1.414214", "x", "x+1", "1+x", "\\pi", "3.141593", "2^{100}", "i", "-1", "i^2", "\\ln 8", "3\\ln 2", "n!", "n(n-1)!", "2:4"}
	for _, a := range answers {
		for _, b := range answers {
			forward, _, _ := Equal(parse(t, a), parse(t, b), DefaultPolicy(), budget())
			backward, _, _ := Equal(parse(t, b), parse(t, a), DefaultPolicy(), budget())
			if forward != backward {
				t.Errorf("%q and %q: %v one way, %v the other", a, b, forward, backward)
			}
		}
	}
}

func TestALimitIsNoVerdict(t *testing.T) {
	_, _, err := Equal(parse(t, "5"), parse(t, "9^{9^{9^9}}"), DefaultPolicy(), budget())
	if !errors.Is(err, expr.ErrLimit) {
		t.Errorf("got %v, want a limit", err)
	}
	_, _, err = Equal(parse(t, "(x+1)^2"), parse(t, "x^2+2x+1"), DefaultPolicy(), expr.NewBudget(40, time.Time{}))
	if !errors.Is(err, expr.ErrLimit) {
		t.Errorf("with a small budget: got %v, want a limit", err)
	}
}

func FuzzEqual(f *testing.F) {
	for _, seed := range [][2]string{{"\\frac12", "0.5"}, {"(x+1)^2", "x^2+2x+1"}, {"\\{1,2\\}", "2,1"}, {"(0,1]", "x>0"}, {"x=1", "1"}, {"\\pm 2", "-2,2"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, gold, prediction string) {
		g, err1 := latex.Parse(gold, latex.Options{}, budget())
		p, err2 := latex.Parse(prediction, latex.Options{}, budget())
		if err1 != nil || err2 != nil {
			return
		}
		for _, n := range []*expr.Node{g.Node, p.Node} {
			if ok, _, err := Equal(n, n, DefaultPolicy(), budget()); err == nil && !ok {
				t.Errorf("%s is not equal to itself", n)
			}
		}
		if _, _, err := Equal(g.Node, p.Node, DefaultPolicy(), budget()); err != nil && !errors.Is(err, expr.ErrLimit) {
			t.Errorf("error %v is no limit", err)
		}
	})
}

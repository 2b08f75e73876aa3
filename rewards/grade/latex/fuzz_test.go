package latex

import (
	"errors"
	"testing"
	"time"

	"pith/rewards/grade/expr"
)

func budget() *expr.Budget { return expr.NewBudget(200_000, time.Now().Add(5*time.Second)) }

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"\\frac{1}{2}", "2\\frac13", "x^2+2x+1", "\\sqrt[3]{8}", "(1,2]\\cup\\{3\\}", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "1<x\\le 2", "\\sum_{i=1}^{n} i",
		"\\int_0^1 x\\,dx", "12,345.67", "0.\\overline{3}", "5\\text{ cm}^2", "\\{x | x>1\\}", "|x-|y||", "2^{2^2}", "½π", "x=1 \\text{ or } x=2", "1:2:3", "101_2", "n!!",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		start := time.Now()
		p, err := Parse(src, Options{}, budget())
		if took := time.Since(start); took > 500*time.Millisecond { // a fuzzing worker shares its core
			t.Errorf("took %v", took)
		}
		if err != nil {
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, expr.ErrLimit) {
				t.Errorf("error %v is neither a syntax error nor a limit", err)
			}
			return
		}
		if p.Node == nil {
			t.Fatal("no tree and no error")
		}
		depth := 0
		p.Node.Walk(func(n *expr.Node) bool {
			depth++
			if n.Kind == expr.Number && n.Rat == nil {
				t.Errorf("a number without a value in %s", p.Node)
			}
			return true
		})
		if depth > 64*MaxBytes {
			t.Errorf("%d nodes of %d bytes", depth, len(src))
		}
		_ = p.Node.String()
		if again, err := Parse(src, Options{}, budget()); err != nil || again.Node.String() != p.Node.String() {
			t.Errorf("a second reading gives %v, %v", again.Node, err)
		}
	})
}

func TestParseReadsNotation(t *testing.T) {
	cases := []struct{ name, src, want string }{
		{"fraction", "\\frac{1}{2}", "(1/2)"},
		{"fraction of digits", "\\frac12", "(1/2)"},
		{"mixed number", "2\\frac{1}{3}", "(2 + (1/3))"},
		{"plain mixed number", "2 1/3", "(2 + (1/3))"},
		{"product with a fraction", "2\\frac{x}{3}", "(2*(x/3))"},
		{"power of a long exponent", "x^10", "(x^10)"},
		{"unary minus binds weaker than power", "-x^2", "-((x^2))"},
		{"implicit product", "2xy", "(2*(x*y))"},
		{"function of a product", "\\sin 2x", "sin((2*x))"},
		{"squared function", "\\sin^2 x", "(sin(x)^2)"},
		{"logarithm with base", "\\log_2 8", "log(8, 2)"},
		{"thousands", "1,234,567", "1234567"},
		{"list", "1, 234", "list(1, 234)"},
		{"set", "\\{1,2\\}", "set(1, 2)"},
		{"half-open interval", "(1,2]", "interval(1, 2]"},
		{"chain", "1<x\\le2", "1 < x <= 2"},
		{"absolute value inside another", "|x-|y||", "abs((x + -(abs(y))))"},
		{"repeating decimal", "0.1\\overline{6}", "1/6"},
		{"percent", "25\\%", "1/4"},
		{"unit", "5\\text{ km/h}", "5"},
		{"plus or minus", "1\\pm\\sqrt2", "(1 + ±(root(2, 2)))"},
		{"index named i", "\\sum_{i=1}^{3} i", "sum[i](i, 1, 3)"},
		{"derivative", "\\frac{d}{dx}x^2", "derivative[x]((x^2))"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := Parse(c.src, Options{}, budget())
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Node.String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

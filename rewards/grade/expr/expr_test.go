package expr

import (
	"errors"
	"math"
	"math/big"
	"math/cmplx"
	"testing"
	"time"
)

func budget() *Budget { return NewBudget(1_000_000, time.Time{}) }

func rat(a, b int64) *Node { return &Node{Kind: Number, Rat: big.NewRat(a, b)} }

func TestModularAgreesWithRational(t *testing.T) {
	x := Sym("x")
	tree := New(Div, New(Add, New(Pow, x, Int(5)), negThree(x), rat(2, 7)), New(Mul, x, Int(11)))
	env := map[string]*big.Rat{"x": big.NewRat(13, 1)}
	exact, err := Rational(tree, env, budget())
	if err != nil {
		t.Fatal(err)
	}
	want, err := ratMod(exact)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Modular(tree, Point{"x": {Residue: 13}}, budget())
	if err != nil || got != want {
		t.Errorf("got %d (%v), want %d", got, err, want)
	}
}

// negThree is -3x.
func negThree(x *Node) *Node { return New(Neg, New(Mul, Int(3), x)) }

func TestModularArithmeticAgreesWithBigIntegers(t *testing.T) {
	values := []uint64{0, 1, 2, Prime - 1, Prime - 2, 1 << 60, 0x123456789abcdef}
	for _, a := range values {
		for _, b := range values {
			want := new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
			want.Mod(want, primeInt)
			if got := mulMod(a, b); got != want.Uint64() {
				t.Errorf("%d*%d: got %d, want %v", a, b, got, want)
			}
		}
	}
}

func TestComplexEvaluatesCalculus(t *testing.T) {
	x := Sym("x")
	inf := &Node{Kind: Const, Name: "inf"}
	square := New(Pow, x, Int(2))
	reciprocal := New(Div, Int(1), square)
	cases := []struct {
		name string
		tree *Node
		want complex128
	}{
		{"integral", &Node{Kind: Integral, Name: "x", Args: []*Node{square, Int(0), Int(3)}}, 9},
		{"integral with a singular end", &Node{Kind: Integral, Name: "x", Args: []*Node{New(Div, Int(1), Call("root", x, Int(2))), Int(0), Int(1)}}, 2},
		{"integral to infinity", &Node{Kind: Integral, Name: "x", Args: []*Node{reciprocal, Int(1), inf}}, 1},
		{"endless sum", &Node{Kind: Sum, Name: "x", Args: []*Node{reciprocal, Int(1), inf}}, complex(math.Pi*math.Pi/6, 0)},
		{"geometric sum", &Node{Kind: Sum, Name: "x", Args: []*Node{New(Pow, rat(9, 10), x), Int(0), inf}}, 10},
		{"limit", &Node{Kind: Limit, Name: "x", Args: []*Node{New(Div, Call("sin", x), x), Int(0)}}, 1},
		{"limit at infinity", &Node{Kind: Limit, Name: "x", Args: []*Node{New(Pow, New(Add, Int(1), New(Div, Int(1), x)), x), inf}}, complex(math.E, 0)},
		{"odd root of a negative number", Call("root", Int(-8), Int(3)), -2},
		{"even root of a negative number", Call("root", Int(-4), Int(2)), 2i},
		{"degrees inside a sine", Call("sin", &Node{Kind: Number, Rat: big.NewRat(30, 1), Degree: true}), 0.5},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, err := Complex(c.tree, nil, budget())
			if err != nil || cmplx.Abs(v.V-c.want) > 1e-6 {
				t.Errorf("got %v (%v), want %v", v.V, err, c.want)
			}
		})
	}
}

func TestDerivativeAtAPoint(t *testing.T) {
	d := &Node{Kind: Deriv, Name: "x", Args: []*Node{New(Pow, Sym("x"), Int(3))}}
	v, err := Complex(d, Point{"x": {Float: 2}}, budget())
	if err != nil || cmplx.Abs(v.V-12) > 1e-8 {
		t.Errorf("got %v (%v), want 12", v.V, err)
	}
}

func TestEvaluationSaysWhyThereIsNoValue(t *testing.T) {
	big9 := New(Pow, Int(9), New(Pow, Int(9), Int(9)))
	cases := []struct {
		name string
		tree *Node
		want error
	}{
		{"division by zero", New(Div, Int(1), Int(0)), ErrUndefined},
		{"zero to a negative power", New(Pow, Int(0), Int(-1)), ErrUndefined},
		{"factorial of a negative number", Call("fact", Int(-1)), ErrUndefined},
		{"a root that is no rational", Call("root", Int(2), Int(2)), ErrKind},
		{"a variable", Sym("x"), ErrKind},
		{"a tower", big9, ErrLimit},
		{"a huge factorial", Call("fact", Int(100000)), ErrLimit},
		{"a sum of too many terms", &Node{Kind: Sum, Name: "k", Args: []*Node{Sym("k"), Int(1), Int(1 << 30)}}, ErrLimit},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Rational(c.tree, nil, budget()); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestABudgetThatIsUsedUpStaysSo(t *testing.T) {
	b := NewBudget(10, time.Time{})
	if err := b.Spend(10); err != nil {
		t.Errorf("within the budget: %v", err)
	}
	if err := b.Spend(1); !errors.Is(err, ErrLimit) || !b.Exhausted() {
		t.Errorf("past the budget: %v, exhausted %v", err, b.Exhausted())
	}
	late := NewBudget(1<<30, time.Now().Add(-time.Second))
	if err := late.Spend(2 * timeCheckSteps); !errors.Is(err, ErrLimit) {
		t.Errorf("past the deadline: %v", err)
	}
}

func TestSymbolsLeavesBoundVariablesOut(t *testing.T) {
	sum := &Node{Kind: Sum, Name: "k", Args: []*Node{New(Mul, Sym("k"), Sym("x")), Int(1), Sym("n")}}
	if got := sum.Symbols(); len(got) != 2 || got[0] != "n" || got[1] != "x" {
		t.Errorf("got %v, want [n x]", got)
	}
}

package expr

import (
	"math"
	"math/big"
	"math/cmplx"
)

// Value is the outcome of evaluation in floating point.
type Value struct {
	V complex128
	// Scale is the largest magnitude met on the way, the measure of what rounding may have cost.
	Scale float64
	// RootOfNegative says that an even root of a negative real was taken although the tree does
	// not speak of i: a point outside the real domain.
	RootOfNegative bool
	// Approximate says that a limit, an integral, a derivative or an endless sum took part.
	Approximate bool
}

// Complex evaluates a tree in floating point on principal branches; odd roots of negative reals
// are the real ones. It returns ErrUndefined for poles and values that are not finite, ErrKind for
// collections and words.
func Complex(n *Node, at Point, b *Budget) (Value, error) {
	env := make(map[string]complex128, len(at))
	for name, v := range at {
		env[name] = complex(v.Float, 0)
	}
	e := &cmplxEval{env: env, b: b}
	v, err := e.eval(n)
	if err != nil {
		return Value{}, err
	}
	if cmplx.IsNaN(v) || cmplx.IsInf(v) {
		return Value{}, ErrUndefined
	}
	return Value{V: v, Scale: max(e.scale, cmplx.Abs(v)), RootOfNegative: e.rootOfNegative, Approximate: e.approximate}, nil
}

type cmplxEval struct {
	env            map[string]complex128
	b              *Budget
	scale          float64
	rootOfNegative bool
	approximate    bool
	inTrig         bool
}

func (e *cmplxEval) note(v complex128) complex128 {
	if s := cmplx.Abs(v); s > e.scale && !math.IsInf(s, 0) {
		e.scale = s
	}
	return v
}

func (e *cmplxEval) eval(n *Node) (complex128, error) {
	if err := e.b.Spend(1); err != nil {
		return 0, err
	}
	switch n.Kind {
	case Number:
		f := float(n.Rat)
		if n.Degree && e.inTrig {
			f *= math.Pi / 180
		}
		return e.note(complex(f, 0)), nil
	case Symbol:
		if v, ok := e.env[n.Name]; ok {
			return v, nil
		}
		return 0, ErrKind
	case Const:
		switch n.Name {
		case "pi":
			return math.Pi, nil
		case "e":
			return math.E, nil
		case "i":
			return 1i, nil
		}
		return 0, ErrUndefined
	case Add, Mul, Div, Neg, Pow:
		return e.arithmetic(n)
	case Ratio:
		if len(n.Args) != 2 {
			return 0, ErrKind
		}
		return e.arithmetic(&Node{Kind: Div, Args: n.Args})
	case Func:
		return e.function(n)
	case Sum, Prod:
		return e.series(n)
	case Limit:
		return e.limit(n)
	case Integral:
		return e.integral(n)
	case Deriv:
		return e.derivative(n)
	}
	return 0, ErrKind
}

// float rounds a rational; small ones, which are nearly all, without allocating.
func float(r *big.Rat) float64 {
	const exact = 53 // bits a float64 holds
	if r.Num().BitLen() <= exact && r.IsInt() {
		return float64(r.Num().Int64())
	}
	if r.Num().BitLen() <= exact && r.Denom().BitLen() <= exact {
		return float64(r.Num().Int64()) / float64(r.Denom().Int64())
	}
	f, _ := r.Float64()
	return f
}

func (e *cmplxEval) arithmetic(n *Node) (complex128, error) {
	acc, err := e.eval(n.Args[0])
	if err != nil {
		return 0, err
	}
	if n.Kind == Neg {
		return -acc, nil
	}
	for i, arg := range n.Args[1:] {
		v, err := e.eval(arg)
		if err != nil {
			return 0, err
		}
		switch n.Kind {
		case Add:
			e.note(v)
			acc = e.note(acc + v)
		case Mul:
			acc *= v
		case Div:
			if v == 0 {
				return 0, ErrUndefined
			}
			acc /= v
		case Pow:
			acc, err = e.power(acc, v, n.Args[i+1])
			if err != nil {
				return 0, err
			}
		}
	}
	return e.note(acc), nil
}

func (e *cmplxEval) power(base, exp complex128, written *Node) (complex128, error) {
	if base == 0 {
		if real(exp) > 0 {
			return 0, nil
		}
		return 0, ErrUndefined
	}
	if imag(exp) == 0 && imag(base) == 0 {
		b, x := real(base), real(exp)
		if b > 0 || x == math.Trunc(x) {
			return complex(math.Pow(b, x), 0), nil
		}
		if r, err := Rational(written, nil, e.b); err == nil {
			if v, ok := oddRoot(b, r); ok {
				return complex(v, 0), nil
			}
		}
		e.rootOfNegative = true
	}
	return cmplx.Pow(base, exp), nil
}

// oddRoot takes negative^(p/q) for odd q as the real root.
func oddRoot(b float64, r *big.Rat) (float64, bool) {
	if r.Denom().Bit(0) == 0 {
		return 0, false
	}
	x, _ := r.Float64()
	v := math.Pow(-b, x)
	if r.Num().Bit(0) == 1 {
		v = -v
	}
	return v, true
}

var trig = map[string]func(complex128) complex128{
	"sin": cmplx.Sin, "cos": cmplx.Cos, "tan": cmplx.Tan, "cot": cmplx.Cot,
	"sec": func(z complex128) complex128 { return 1 / cmplx.Cos(z) },
	"csc": func(z complex128) complex128 { return 1 / cmplx.Sin(z) },
}

var plainFunctions = map[string]func(complex128) complex128{
	"sinh": cmplx.Sinh, "cosh": cmplx.Cosh, "tanh": cmplx.Tanh,
	"coth":   func(z complex128) complex128 { return 1 / cmplx.Tanh(z) },
	"arcsin": cmplx.Asin, "arccos": cmplx.Acos, "arctan": cmplx.Atan,
	"arccot": func(z complex128) complex128 { return cmplx.Atan(1 / z) },
	"arcsec": func(z complex128) complex128 { return cmplx.Acos(1 / z) },
	"arccsc": func(z complex128) complex128 { return cmplx.Asin(1 / z) },
	"arsinh": cmplx.Asinh, "arcosh": cmplx.Acosh, "artanh": cmplx.Atanh,
	"exp":  cmplx.Exp,
	"abs":  func(z complex128) complex128 { return complex(cmplx.Abs(z), 0) },
	"re":   func(z complex128) complex128 { return complex(real(z), 0) },
	"im":   func(z complex128) complex128 { return complex(imag(z), 0) },
	"conj": cmplx.Conj,
	"arg":  func(z complex128) complex128 { return complex(cmplx.Phase(z), 0) },
}

func (e *cmplxEval) function(n *Node) (complex128, error) {
	saved := e.inTrig
	_, isTrig := trig[n.Name]
	e.inTrig = isTrig
	var few [2]complex128
	args := few[:0]
	if len(n.Args) > len(few) {
		args = make([]complex128, 0, len(n.Args))
	}
	for _, arg := range n.Args {
		v, err := e.eval(arg)
		if err != nil {
			e.inTrig = saved
			return 0, err
		}
		args = append(args, v)
	}
	e.inTrig = saved
	if f, ok := trig[n.Name]; ok {
		return e.note(f(args[0])), nil
	}
	if f, ok := plainFunctions[n.Name]; ok {
		return e.note(f(args[0])), nil
	}
	switch n.Name {
	case "log":
		if args[0] == 0 || args[1] == 0 || args[1] == 1 {
			return 0, ErrUndefined
		}
		if args[1] == math.E {
			return e.note(cmplx.Log(args[0])), nil
		}
		return e.note(cmplx.Log(args[0]) / cmplx.Log(args[1])), nil
	case "root":
		return e.root(args[0], args[1])
	}
	for _, v := range args {
		if imag(v) != 0 {
			return 0, ErrKind
		}
	}
	v, err := realFunction(n.Name, args)
	return e.note(complex(v, 0)), err
}

func (e *cmplxEval) root(x, index complex128) (complex128, error) {
	if index == 0 {
		return 0, ErrUndefined
	}
	if imag(x) == 0 && real(x) < 0 && imag(index) == 0 {
		k := real(index)
		if k == math.Trunc(k) && math.Mod(k, 2) != 0 {
			return complex(-math.Pow(-real(x), 1/k), 0), nil
		}
		e.rootOfNegative = true
	}
	if index == 2 {
		if imag(x) == 0 && real(x) >= 0 {
			return complex(math.Sqrt(real(x)), 0), nil
		}
		return cmplx.Sqrt(x), nil
	}
	if x == 0 {
		return 0, nil
	}
	return cmplx.Pow(x, 1/index), nil
}

func realFunction(name string, args []complex128) (float64, error) {
	x := real(args[0])
	switch name {
	case "floor":
		return math.Floor(x + 1e-12), nil
	case "ceil":
		return math.Ceil(x - 1e-12), nil
	case "round":
		return math.Floor(x + 0.5), nil
	case "sgn":
		switch {
		case x > 0:
			return 1, nil
		case x < 0:
			return -1, nil
		}
		return 0, nil
	case "fact":
		if x < 0 && x == math.Trunc(x) {
			return 0, ErrUndefined
		}
		return math.Gamma(x + 1), nil
	case "binom":
		return binomial(x, real(args[1]))
	case "max", "min":
		for _, v := range args[1:] {
			if name == "max" {
				x = max(x, real(v))
			} else {
				x = min(x, real(v))
			}
		}
		return x, nil
	case "mod":
		m := real(args[1])
		if m == 0 {
			return 0, ErrUndefined
		}
		return x - m*math.Floor(x/m), nil
	}
	return 0, ErrKind
}

func binomial(n, k float64) (float64, error) {
	if k == math.Trunc(k) {
		if k < 0 || k > 4096 {
			return 0, ErrKind
		}
		v := 1.0
		for i := range int(k) {
			v *= (n - float64(i)) / (k - float64(i))
		}
		return v, nil
	}
	return math.Gamma(n+1) / (math.Gamma(k+1) * math.Gamma(n-k+1)), nil
}

package expr

import (
	"math/big"
	"math/bits"
)

// Prime is the modulus of exact evaluation at random points, the Mersenne prime 2^61-1. Two
// different rational functions of total degree d agree at a random point with a chance of at
// most d/Prime (Schwartz 1980, Zippel 1979).
const Prime = 1<<61 - 1

var primeInt = new(big.Int).SetUint64(Prime)

// Point assigns values to variables: Residue for evaluation modulo Prime, and Whole, when not
// nil, the same value as a small whole number, which exponents and bounds of sums need.
type Point map[string]PointValue

// PointValue is one variable's value.
type PointValue struct {
	Residue uint64
	Whole   *big.Rat
	Float   float64
}

// Modular evaluates a tree modulo Prime. It returns ErrKind for anything but rational functions
// with whole exponents, ErrUndefined when a denominator vanishes.
func Modular(n *Node, at Point, b *Budget) (uint64, error) {
	whole := make(map[string]*big.Rat, len(at))
	for name, v := range at {
		if v.Whole != nil {
			whole[name] = v.Whole
		}
	}
	return modEval{at, ratEval{whole, b}, b}.eval(n)
}

type modEval struct {
	at    Point
	exact ratEval
	b     *Budget
}

func (m modEval) eval(n *Node) (uint64, error) {
	if err := m.b.Spend(1); err != nil {
		return 0, err
	}
	switch n.Kind {
	case Number:
		return ratMod(n.Rat)
	case Symbol:
		if v, ok := m.at[n.Name]; ok {
			return v.Residue, nil
		}
		return 0, ErrKind
	case Neg:
		v, err := m.eval(n.Args[0])
		return subMod(0, v), err
	case Add, Mul, Div:
		return m.fold(n)
	case Pow:
		return m.power(n)
	case Func, Sum, Prod:
		v, err := m.exact.eval(n)
		if err != nil {
			return 0, err
		}
		return ratMod(v)
	}
	return 0, ErrKind
}

func (m modEval) fold(n *Node) (uint64, error) {
	acc, err := m.eval(n.Args[0])
	if err != nil {
		return 0, err
	}
	for _, arg := range n.Args[1:] {
		v, err := m.eval(arg)
		if err != nil {
			return 0, err
		}
		switch n.Kind {
		case Add:
			acc = addMod(acc, v)
		case Mul:
			acc = mulMod(acc, v)
		case Div:
			if v == 0 {
				return 0, ErrUndefined
			}
			acc = mulMod(acc, powMod(v, Prime-2))
		}
	}
	return acc, nil
}

func (m modEval) power(n *Node) (uint64, error) {
	base, err := m.eval(n.Args[0])
	if err != nil {
		return 0, err
	}
	exp, err := m.exact.eval(n.Args[1])
	if err != nil {
		return 0, err
	}
	if !exp.IsInt() {
		return 0, ErrKind
	}
	if base == 0 {
		if exp.Sign() <= 0 {
			return 0, ErrUndefined
		}
		return 0, nil
	}
	e := new(big.Int).Mod(exp.Num(), new(big.Int).SetUint64(Prime-1))
	return powMod(base, e.Uint64()), nil
}

func ratMod(v *big.Rat) (uint64, error) {
	num := new(big.Int).Mod(v.Num(), primeInt).Uint64()
	if v.IsInt() {
		return num, nil
	}
	den := new(big.Int).Mod(v.Denom(), primeInt).Uint64()
	if den == 0 {
		return 0, ErrUndefined
	}
	return mulMod(num, powMod(den, Prime-2)), nil
}

func addMod(a, b uint64) uint64 {
	s := a + b
	if s >= Prime {
		s -= Prime
	}
	return s
}

func subMod(a, b uint64) uint64 {
	if a >= b {
		return a - b
	}
	return a + Prime - b
}

func mulMod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	// 2^61 = 1 modulo Prime: fold the bits above 61 back in.
	s := lo&Prime + (lo>>61 | hi<<3)
	if s >= Prime {
		s -= Prime
	}
	return s
}

func powMod(base, exp uint64) uint64 {
	result := uint64(1)
	for ; exp > 0; exp >>= 1 {
		if exp&1 == 1 {
			result = mulMod(result, base)
		}
		base = mulMod(base, base)
	}
	return result
}

package expr

import (
	"math"
	"math/big"
)

// MaxBits bounds numerators and denominators of exact values: about 4,900 decimal digits.
const MaxBits = 1 << 14

// MaxTerms bounds the terms of one evaluated sum or product.
const MaxTerms = 4096

// Rational evaluates a tree exactly, with whole numbers for variables (env may be nil). It
// returns ErrKind where the value need not be rational, ErrUndefined at poles, ErrLimit when a
// number would exceed MaxBits.
func Rational(n *Node, env map[string]*big.Rat, b *Budget) (*big.Rat, error) {
	return ratEval{env, b}.eval(n)
}

type ratEval struct {
	env map[string]*big.Rat
	b   *Budget
}

func (r ratEval) eval(n *Node) (*big.Rat, error) {
	if err := r.b.Spend(1); err != nil {
		return nil, err
	}
	switch n.Kind {
	case Number:
		return n.Rat, nil
	case Symbol:
		if v, ok := r.env[n.Name]; ok {
			return v, nil
		}
		return nil, ErrKind
	case Add, Mul, Neg, Div, Pow:
		return r.arithmetic(n)
	case Ratio:
		if len(n.Args) != 2 {
			return nil, ErrKind
		}
		return r.arithmetic(&Node{Kind: Div, Args: n.Args})
	case Func:
		return r.function(n)
	case Sum, Prod:
		return r.series(n)
	}
	return nil, ErrKind
}

func (r ratEval) arithmetic(n *Node) (*big.Rat, error) {
	first, err := r.eval(n.Args[0])
	if err != nil {
		return nil, err
	}
	if n.Kind == Neg {
		return new(big.Rat).Neg(first), nil
	}
	acc := first
	for _, arg := range n.Args[1:] {
		v, err := r.eval(arg)
		if err != nil {
			return nil, err
		}
		switch n.Kind {
		case Add:
			acc = new(big.Rat).Add(acc, v)
		case Mul:
			acc = new(big.Rat).Mul(acc, v)
		case Div:
			if v.Sign() == 0 {
				return nil, ErrUndefined
			}
			acc = new(big.Rat).Quo(acc, v)
		case Pow:
			if acc, err = r.power(acc, v); err != nil {
				return nil, err
			}
		}
		if err := r.size(acc); err != nil {
			return nil, err
		}
	}
	return acc, nil
}

// size charges for large numbers and refuses oversized ones.
func (r ratEval) size(v *big.Rat) error {
	bits := max(v.Num().BitLen(), v.Denom().BitLen())
	if bits > MaxBits {
		return ErrLimit
	}
	return r.b.Spend(numberCost + bits/bitsPerOp)
}

func (r ratEval) power(base, exp *big.Rat) (*big.Rat, error) {
	if !exp.IsInt() {
		return ratRoot(base, exp, r)
	}
	if base.Sign() == 0 {
		if exp.Sign() <= 0 {
			return nil, ErrUndefined
		}
		return base, nil
	}
	if base.IsInt() && base.Num().IsInt64() {
		switch base.Num().Int64() {
		case 1:
			return base, nil
		case -1:
			if exp.Num().Bit(0) == 0 {
				return new(big.Rat).SetInt64(1), nil
			}
			return base, nil
		}
	}
	if !exp.Num().IsInt64() {
		return nil, ErrLimit
	}
	e := exp.Num().Int64()
	negative := e < 0
	if negative {
		e = -e
	}
	bits := int64(max(base.Num().BitLen(), base.Denom().BitLen()))
	if e < 0 || e > MaxBits || bits*e > 2*MaxBits {
		return nil, ErrLimit
	}
	num := new(big.Int).Exp(base.Num(), big.NewInt(e), nil)
	den := new(big.Int).Exp(base.Denom(), big.NewInt(e), nil)
	if negative {
		num, den = den, num
	}
	return new(big.Rat).SetFrac(num, den), nil
}

// ratRoot takes base^(p/q) where it is rational: perfect powers only.
func ratRoot(base, exp *big.Rat, r ratEval) (*big.Rat, error) {
	if !exp.Denom().IsInt64() || exp.Denom().Int64() > 64 {
		return nil, ErrKind
	}
	q := int(exp.Denom().Int64())
	if base.Sign() < 0 && q%2 == 0 {
		return nil, ErrKind
	}
	num, okNum := intRoot(base.Num(), q)
	den, okDen := intRoot(base.Denom(), q)
	if !okNum || !okDen {
		return nil, ErrKind
	}
	root := new(big.Rat).SetFrac(num, den)
	return r.power(root, new(big.Rat).SetInt(exp.Num()))
}

// intRoot returns the exact integer q-th root, if there is one.
func intRoot(v *big.Int, q int) (*big.Int, bool) {
	abs := new(big.Int).Abs(v)
	var root *big.Int
	switch {
	case abs.BitLen() > 2048:
		return nil, false
	case q == 2:
		root = new(big.Int).Sqrt(abs)
	default: // Newton's iteration from above, on integers
		root = new(big.Int).Lsh(big.NewInt(1), uint(abs.BitLen()/q+1))
		k, km := big.NewInt(int64(q)), big.NewInt(int64(q-1))
		for range 256 {
			next := new(big.Int).Exp(root, km, nil)
			next.Quo(abs, next)
			next.Add(next, new(big.Int).Mul(km, root))
			next.Quo(next, k)
			if next.Cmp(root) >= 0 {
				break
			}
			root = next
			if root.Sign() == 0 {
				break
			}
		}
	}
	if new(big.Int).Exp(root, big.NewInt(int64(q)), nil).Cmp(abs) != 0 {
		return nil, false
	}
	if v.Sign() < 0 {
		root.Neg(root)
	}
	return root, true
}

func (r ratEval) function(n *Node) (*big.Rat, error) {
	if err := r.b.Spend(numberCost); err != nil {
		return nil, err
	}
	args := make([]*big.Rat, len(n.Args))
	for i, arg := range n.Args {
		v, err := r.eval(arg)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	switch n.Name {
	case "abs":
		return new(big.Rat).Abs(args[0]), nil
	case "floor":
		return floorRat(args[0]), nil
	case "ceil":
		return new(big.Rat).Neg(floorRat(new(big.Rat).Neg(args[0]))), nil
	case "round":
		return floorRat(new(big.Rat).Add(args[0], big.NewRat(1, 2))), nil
	case "fact":
		k, ok := smallInt(args[0])
		if !ok {
			return nil, ErrKind
		}
		if k < 0 {
			return nil, ErrUndefined
		}
		if k > 1600 {
			return nil, ErrLimit
		}
		v := new(big.Rat).SetInt(new(big.Int).MulRange(1, max(k, 1)))
		return v, r.b.Spend(numberCost + int(k) + v.Num().BitLen())
	case "dfact":
		k, ok := smallInt(args[0])
		if !ok || k < -1 || k > 1600 {
			return nil, ErrKind
		}
		v := big.NewInt(1)
		for ; k > 1; k -= 2 {
			v.Mul(v, big.NewInt(k))
		}
		return new(big.Rat).SetInt(v), r.b.Spend(numberCost + 2*v.BitLen())
	case "binom":
		nn, ok := smallInt(args[0])
		k, ok2 := smallInt(args[1])
		if !ok || !ok2 || nn < 0 {
			return nil, ErrKind
		}
		if k < 0 || k > nn {
			return new(big.Rat), nil
		}
		if min(k, nn-k) > 3000 || nn > 1<<32 {
			return nil, ErrLimit
		}
		if err := r.b.Spend(int(min(k, nn-k))); err != nil {
			return nil, err
		}
		v := new(big.Rat).SetInt(new(big.Int).Binomial(nn, k))
		return v, r.size(v)
	case "gcd", "lcm":
		return gcdLcm(n.Name, args)
	case "max", "min":
		best := args[0]
		for _, v := range args[1:] {
			if c := v.Cmp(best); (n.Name == "max") == (c > 0) && c != 0 {
				best = v
			}
		}
		return best, nil
	case "mod":
		if args[1].Sign() == 0 {
			return nil, ErrUndefined
		}
		q := floorRat(new(big.Rat).Quo(args[0], args[1]))
		return new(big.Rat).Sub(args[0], q.Mul(q, args[1])), nil
	case "root":
		if args[1].Sign() == 0 {
			return nil, ErrUndefined
		}
		return r.power(args[0], new(big.Rat).Inv(args[1]))
	case "log":
		return ratLog(args[0], args[1])
	}
	return nil, ErrKind
}

// ratLog finds log_base(x) when it is a whole number of modest size.
func ratLog(x, base *big.Rat) (*big.Rat, error) {
	if x.Sign() <= 0 || base.Sign() <= 0 || base.Cmp(big.NewRat(1, 1)) == 0 {
		return nil, ErrKind
	}
	fx, _ := x.Float64()
	fb, _ := base.Float64()
	k := math.Round(math.Log(fx) / math.Log(fb))
	if math.IsNaN(k) || math.Abs(k) > 256 {
		return nil, ErrKind
	}
	p := big.NewRat(1, 1)
	for range int(math.Abs(k)) {
		p.Mul(p, base)
		if p.Num().BitLen() > MaxBits || p.Denom().BitLen() > MaxBits {
			return nil, ErrKind
		}
	}
	if k < 0 {
		p.Inv(p)
	}
	if p.Cmp(x) != 0 {
		return nil, ErrKind
	}
	return new(big.Rat).SetInt64(int64(k)), nil
}

func gcdLcm(name string, args []*big.Rat) (*big.Rat, error) {
	acc := new(big.Int)
	for i, v := range args {
		if !v.IsInt() {
			return nil, ErrKind
		}
		abs := new(big.Int).Abs(v.Num())
		switch {
		case i == 0:
			acc = abs
		case name == "gcd":
			acc = new(big.Int).GCD(nil, nil, acc, abs)
		case acc.Sign() == 0 || abs.Sign() == 0:
			acc = new(big.Int)
		default:
			g := new(big.Int).GCD(nil, nil, acc, abs)
			acc = new(big.Int).Mul(acc, abs.Quo(abs, g))
		}
		if acc.BitLen() > MaxBits {
			return nil, ErrLimit
		}
	}
	return new(big.Rat).SetInt(acc), nil
}

func (r ratEval) series(n *Node) (*big.Rat, error) {
	from, to, err := r.bounds(n)
	if err != nil {
		return nil, err
	}
	env := make(map[string]*big.Rat, len(r.env)+1)
	for k, v := range r.env {
		env[k] = v
	}
	inner := ratEval{env, r.b}
	acc := new(big.Rat)
	if n.Kind == Prod {
		acc.SetInt64(1)
	}
	for k := from; k <= to; k++ {
		env[n.Name] = new(big.Rat).SetInt64(k)
		v, err := inner.eval(n.Args[0])
		if err != nil {
			return nil, err
		}
		if n.Kind == Sum {
			acc.Add(acc, v)
		} else {
			acc.Mul(acc, v)
		}
		if err := r.size(acc); err != nil {
			return nil, err
		}
	}
	return acc, nil
}

func (r ratEval) bounds(n *Node) (from, to int64, err error) {
	lo, err := r.eval(n.Args[1])
	if err != nil {
		return 0, 0, err
	}
	hi, err := r.eval(n.Args[2])
	if err != nil {
		return 0, 0, err
	}
	from, ok := smallInt(lo)
	to, ok2 := smallInt(hi)
	if !ok || !ok2 {
		return 0, 0, ErrKind
	}
	if to-from > MaxTerms {
		return 0, 0, ErrLimit
	}
	return from, to, nil
}

func floorRat(v *big.Rat) *big.Rat {
	q := new(big.Int).Div(v.Num(), v.Denom()) // Euclidean; the denominator is positive
	return new(big.Rat).SetInt(q)
}

// smallInt reads a whole number of at most 48 bits.
func smallInt(v *big.Rat) (int64, bool) {
	if !v.IsInt() || v.Num().BitLen() > 48 {
		return 0, false
	}
	return v.Num().Int64(), true
}

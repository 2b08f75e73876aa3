package compare

import (
	"errors"
	"hash/maphash"
	"math"
	"math/big"
	"math/cmplx"
	"math/rand/v2"
	"slices"
	"strings"

	"pith/rewards/grade/expr"
)

func isDecimal(n *expr.Node) bool {
	return n.Has(func(m *expr.Node) bool { return m.Kind == expr.Number && (m.Decimal || m.Percent) })
}

func isPercent(n *expr.Node) bool {
	return n.Has(func(m *expr.Node) bool { return m.Kind == expr.Number && m.Percent })
}

// scalars compares two numbers or expressions.
func (c *comparer) scalars(g, p *expr.Node) (bool, error) {
	if c.Percent != "number" || isPercent(g) == isPercent(p) {
		if ok, err := c.scalarValues(g, p); ok || notLimit(err) != nil {
			return ok, notLimit(err)
		}
	}
	if c.Percent != "value" && (isPercent(g) != isPercent(p)) {
		hundred := expr.Int(100)
		if isPercent(g) {
			g = expr.New(expr.Mul, g, hundred)
		} else {
			p = expr.New(expr.Mul, p, hundred)
		}
		ok, err := c.scalarValues(g, p)
		return ok, notLimit(err)
	}
	if c.DegreesAsRadians && degree(g) != degree(p) {
		per := expr.New(expr.Div, &expr.Node{Kind: expr.Const, Name: "pi"}, expr.Int(180))
		if degree(g) {
			g = expr.New(expr.Mul, g, per)
		} else {
			p = expr.New(expr.Mul, p, per)
		}
		ok, err := c.scalarValues(g, p)
		return ok, notLimit(err)
	}
	return false, nil
}

func degree(n *expr.Node) bool { return n.Kind == expr.Number && n.Degree }

func (c *comparer) scalarValues(g, p *expr.Node) (bool, error) {
	if infinity(g) != 0 || infinity(p) != 0 {
		return infinity(g) == infinity(p), nil
	}
	if g.Kind == expr.Number && p.Kind == expr.Number && g.Base != p.Base {
		if g.Base != 0 && p.Base != 0 || !c.BareBase {
			return false, nil
		}
	}
	if g.Kind == expr.Ratio && len(g.Args) > 2 || p.Kind == expr.Ratio && len(p.Args) > 2 {
		return c.ratios(g, p)
	}
	names := union(g.Symbols(), p.Symbols())
	if len(names) == 0 {
		return c.constants(g, p)
	}
	c.decide("expression")
	return c.expressions(g, p, names)
}

func infinity(n *expr.Node) int {
	switch {
	case n.IsConst("inf"):
		return 1
	case n.Kind == expr.Neg && n.Args[0].IsConst("inf"):
		return -1
	}
	return 0
}

// ratios compares a:b:c up to a common factor.
func (c *comparer) ratios(g, p *expr.Node) (bool, error) {
	if g.Kind != p.Kind || len(g.Args) != len(p.Args) {
		return false, nil
	}
	for i := range g.Args[1:] {
		left := expr.New(expr.Mul, g.Args[i], p.Args[i+1])
		right := expr.New(expr.Mul, g.Args[i+1], p.Args[i])
		if ok, err := c.scalarValues(left, right); !ok {
			return false, err
		}
	}
	return true, nil
}

func union(a, b []string) []string {
	out := append([]string(nil), a...)
	for _, name := range b {
		found := false
		for _, have := range a {
			found = found || have == name
		}
		if !found {
			out = append(out, name)
		}
	}
	return out
}

// constants compares values without variables: as rationals when both are, modulo a prime when a
// rational would be too large, else in floating point.
func (c *comparer) constants(g, p *expr.Node) (bool, error) {
	decimal := isDecimal(g) || isDecimal(p)
	gr, gerr := expr.Rational(g, nil, c.b)
	pr, perr := expr.Rational(p, nil, c.b)
	if gerr == nil && perr == nil {
		if gr.Cmp(pr) == 0 {
			return true, nil
		}
		return decimal && c.sameRounded(gr, pr), nil
	}
	if errors.Is(gerr, expr.ErrUndefined) || errors.Is(perr, expr.ErrUndefined) {
		return same(g, p), nil
	}
	large := errors.Is(gerr, expr.ErrLimit) || errors.Is(perr, expr.ErrLimit)
	if large {
		gm, err1 := expr.Modular(g, nil, c.b)
		pm, err2 := expr.Modular(p, nil, c.b)
		if err1 == nil && err2 == nil {
			return gm == pm, nil
		}
	}
	gv, err1 := expr.Complex(g, nil, c.b)
	pv, err2 := expr.Complex(p, nil, c.b)
	if err1 != nil || err2 != nil {
		if same(g, p) {
			return true, nil
		}
		if c.b.Exhausted() || large || errors.Is(err1, expr.ErrLimit) || errors.Is(err2, expr.ErrLimit) {
			return false, expr.ErrLimit
		}
		return c.structural(g, p)
	}
	if close(gv, pv) {
		return true, nil
	}
	return decimal && c.roundedClose(gv.V, pv.V), nil
}

// sameRounded compares to the policy's decimal places, halves to even as printf and most graders do.
func (c *comparer) sameRounded(a, b *big.Rat) bool {
	diff := new(big.Rat).Sub(a, b)
	diff.Abs(diff)
	limit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Places)), nil))
	if diff.Cmp(limit) >= 0 {
		return false
	}
	fa, _ := a.Float64()
	fb, _ := b.Float64()
	return c.roundedClose(complex(fa, 0), complex(fb, 0))
}

func (c *comparer) roundedClose(a, b complex128) bool {
	unit := math.Pow(10, float64(c.Places))
	for _, pair := range [2][2]float64{{real(a), real(b)}, {imag(a), imag(b)}} {
		x, y := pair[0], pair[1]
		if math.Abs(x) > 1e15/unit {
			if math.Abs(x-y) > 1e-12*math.Abs(x) {
				return false
			}
			continue
		}
		if math.RoundToEven(x*unit) != math.RoundToEven(y*unit) && math.Abs(x-y)*unit > 1e-3 {
			return false
		}
		if math.Abs(x-y) > c.SmallRelative*max(math.Abs(x), math.Abs(y)) && max(math.Abs(x), math.Abs(y)) > 1e-12 {
			return false
		}
	}
	return true
}

// close compares floating-point values with an error bound that grows with what was cancelled.
func close(a, b expr.Value) bool {
	relative := 1e-9
	if a.Approximate || b.Approximate {
		relative = 1e-6
	}
	size := max(cmplx.Abs(a.V), cmplx.Abs(b.V))
	bound := relative*size + 1e-13*max(a.Scale, b.Scale)
	if a.Approximate || b.Approximate {
		bound += 1e-7
	}
	return cmplx.Abs(a.V-b.V) <= bound
}

// expressions compares at random points: modulo a prime where both are rational functions, and
// else in floating point, at points of the real domain of both.
func (c *comparer) expressions(g, p *expr.Node, names []string) (bool, error) {
	if err := c.b.Spend(numbersCost * len(names)); err != nil {
		return false, err
	}
	whole := wholeNames(g, p)
	rng := rand.New(rand.NewPCG(seedOf(names), 0x9e3779b97f4a7c15))
	// Two residues decide; variables that must be whole are tried at consecutive values, because
	// floors and signs of (-1)^n repeat.
	exactPoints := 2
	if len(whole) > 0 {
		exactPoints = 8
	}
	exact := 0
	for try := 0; try < exactPoints+4 && exact < exactPoints; try++ {
		at := c.point(names, whole, rng, try)
		gm, err1 := expr.Modular(g, at, c.b)
		pm, err2 := expr.Modular(p, at, c.b)
		if errors.Is(err1, expr.ErrKind) || errors.Is(err2, expr.ErrKind) {
			exact = -1
			break
		}
		if err1 != nil || err2 != nil {
			continue
		}
		if gm != pm {
			return false, nil
		}
		exact++
	}
	if exact == exactPoints {
		return true, nil
	}
	complexNumbers := speaksOfI(g) || speaksOfI(p)
	agreed := 0
	for try := 0; try < 12 && agreed < max(5, exactPoints); try++ {
		at := c.point(names, whole, rng, try)
		gv, err1 := expr.Complex(g, at, c.b)
		pv, err2 := expr.Complex(p, at, c.b)
		if c.b.Exhausted() {
			return false, expr.ErrLimit
		}
		if errors.Is(err1, expr.ErrKind) || errors.Is(err2, expr.ErrKind) {
			return c.structural(g, p)
		}
		if err1 != nil || err2 != nil {
			continue
		}
		if !complexNumbers && (gv.RootOfNegative || pv.RootOfNegative) {
			continue
		}
		if !close(gv, pv) {
			return false, nil
		}
		agreed++
	}
	if agreed < 2 {
		return c.structural(g, p)
	}
	return true, nil
}

// structural compares trees that cannot be evaluated node by node.
func (c *comparer) structural(g, p *expr.Node) (bool, error) {
	if g.Kind != p.Kind || g.Name != p.Name || len(g.Args) != len(p.Args) {
		return false, nil
	}
	if len(g.Args) == 0 {
		return same(g, p), nil
	}
	return c.pairwise(g.Args, p.Args)
}

// same reports whether two trees are identical.
func same(g, p *expr.Node) bool {
	if g == p {
		return true
	}
	if g.Kind != p.Kind || g.Name != p.Name || len(g.Args) != len(p.Args) || !slices.Equal(g.Ops, p.Ops) ||
		g.Cols != p.Cols || g.Base != p.Base || g.Percent != p.Percent || g.Bracket != p.Bracket || g.OpenLeft != p.OpenLeft || g.OpenRight != p.OpenRight {
		return false
	}
	if g.Kind == expr.Number && g.Rat.Cmp(p.Rat) != 0 {
		return false
	}
	for i := range g.Args {
		if !same(g.Args[i], p.Args[i]) {
			return false
		}
	}
	return true
}

func speaksOfI(n *expr.Node) bool { return n.Has(func(m *expr.Node) bool { return m.IsConst("i") }) }

// wholeNames finds variables that only make sense, or can only be evaluated exactly, as whole
// numbers: in exponents, factorials, binomials, bounds of sums, remainders.
func wholeNames(trees ...*expr.Node) map[string]bool {
	names := map[string]bool{}
	for _, tree := range trees {
		tree.Walk(func(n *expr.Node) bool {
			var where []*expr.Node
			switch n.Kind {
			case expr.Pow:
				where = n.Args[1:]
			case expr.Sum, expr.Prod:
				where = n.Args[1:]
			case expr.Func:
				switch n.Name {
				case "fact", "dfact", "binom", "gcd", "lcm", "mod", "floor", "ceil":
					where = n.Args
				}
			}
			for _, arg := range where {
				for _, name := range arg.Symbols() {
					names[name] = true
				}
			}
			return true
		})
	}
	return names
}

// numbersCost is what drawing the points of one comparison costs for one variable, in steps.
const numbersCost = 64

// point draws values. Whole variables get small, mostly different naturals; the others a residue,
// and a real that is positive or negative by turns.
func (c *comparer) point(names []string, whole map[string]bool, rng *rand.Rand, try int) expr.Point {
	at := make(expr.Point, len(names))
	for i, name := range names {
		switch {
		case strings.HasSuffix(name, "_set"):
			h := seedOf([]string{name})
			at[name] = expr.PointValue{Residue: h % expr.Prime, Float: float64(h%1000) + 0.5}
		case whole[name]:
			k := int64(2 + (3*i+try*(i+1))%11)
			at[name] = expr.PointValue{Residue: uint64(k), Whole: new(big.Rat).SetInt64(k), Float: float64(k)}
		default:
			f := 0.3 + 2.4*rng.Float64()
			if (try+i)%3 == 2 || try%4 == 3 {
				f = -f
			}
			at[name] = expr.PointValue{Residue: rng.Uint64N(expr.Prime-1) + 1, Float: f}
		}
	}
	return at
}

var processSeed = maphash.MakeSeed()

// seedOf makes the random points of a comparison: they depend on its variables and on the
// process, so that no answer can be written to vanish at them.
func seedOf(names []string) uint64 {
	var h maphash.Hash
	h.SetSeed(processSeed)
	for _, name := range names {
		h.WriteString(name)
		h.WriteByte(0)
	}
	return h.Sum64()
}

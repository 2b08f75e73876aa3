package compare

import (
	"math/big"
	"math/rand/v2"

	"pith/rewards/grade/expr"
)

var flipped = map[string]string{"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!=", "≡": "≡"}

// label reports whether a left side only names what is asked for: x, f(2), AB, m+n, (x, y).
func label(n *expr.Node) bool {
	switch n.Kind {
	case expr.Symbol, expr.Text, expr.Const:
		return true
	case expr.Mul:
		return label(n.Args[0]) && n.Args[0].Kind != expr.Add
	case expr.Pow:
		return n.Args[0].Kind == expr.Symbol && n.Args[1].IsInteger() && n.Args[1].Rat.Cmp(big.NewRat(-1, 1)) == 0
	case expr.Func:
		return n.Name == "abs" && label(n.Args[0]) || n.Name == "max" || n.Name == "min" || n.Name == "arg"
	case expr.Add, expr.Div, expr.Tuple, expr.List, expr.Ratio:
		for _, arg := range n.Args {
			if !label(arg) {
				return false
			}
		}
		return true
	case expr.Neg:
		return false
	}
	return false
}

func allEqual(n *expr.Node) bool {
	for _, op := range n.Ops {
		if op != "=" && op != "≡" && op != "~" {
			return false
		}
	}
	return true
}

func last(n *expr.Node) *expr.Node { return n.Args[len(n.Args)-1] }

// valueOf takes the value of "x = v", "f(2) = … = v", "2 + 2 = 4"; nil when the relation asserts
// more than that.
func valueOf(n *expr.Node) *expr.Node {
	if n.Kind != expr.Relation || !allEqual(n) {
		return nil
	}
	first := n.Args[0]
	if label(first) || len(first.Symbols()) == 0 && first.Scalar() {
		return last(n)
	}
	// "3 = x"
	if len(n.Args) == 2 && last(n).Kind == expr.Symbol && len(first.Symbols()) == 0 {
		return first
	}
	return nil
}

// relationGold compares when only the gold answer is a relation.
func (c *comparer) relationGold(g, p *expr.Node) (bool, error) {
	c.decide("assignment")
	if v := valueOf(g); v != nil {
		if len(g.Args) == 2 && last(g).Kind == expr.Symbol && g.Args[0].Scalar() && len(g.Args[0].Symbols()) == 0 {
			v = g.Args[0]
		}
		return c.equal(v, p)
	}
	if s, ok := c.realSet(g, true); ok {
		c.decide("interval")
		t, ok := c.realSet(p, true)
		return ok && s.equal(t), nil
	}
	return false, nil
}

// relationPrediction compares when only the prediction is a relation.
func (c *comparer) relationPrediction(g, p *expr.Node) (bool, error) {
	c.decide("assignment")
	if v := valueOf(p); v != nil {
		if len(p.Args) == 2 && last(p).Kind == expr.Symbol && len(p.Args[0].Symbols()) == 0 && p.Args[0].Scalar() {
			v = p.Args[0]
		}
		return c.equal(g, v)
	}
	if c.RelationForSet {
		if s, ok := c.realSet(g, true); ok {
			c.decide("interval")
			t, ok := c.realSet(p, true)
			return ok && s.equal(t), nil
		}
	}
	return false, nil
}

// relations compares two relations.
func (c *comparer) relations(g, p *expr.Node) (bool, error) {
	if allEqual(g) && allEqual(p) {
		return c.equations(g, p)
	}
	if len(g.Args) == 2 && len(p.Args) == 2 {
		return c.inequality(g.Args[0], g.Ops[0], g.Args[1], p.Args[0], p.Ops[0], p.Args[1])
	}
	if s, ok := c.realSet(g, false); ok {
		if t, ok := c.realSet(p, false); ok {
			return s.equal(t) && sameNames(g, p), nil
		}
	}
	if len(g.Args) != len(p.Args) {
		return false, nil
	}
	// A chain reads the same backwards.
	forward, err := c.chain(g, p)
	if forward || err != nil {
		return forward, err
	}
	back := &expr.Node{Kind: expr.Relation}
	for i := len(p.Args) - 1; i >= 0; i-- {
		back.Args = append(back.Args, p.Args[i])
		if i > 0 {
			back.Ops = append(back.Ops, flipped[p.Ops[i-1]])
		}
	}
	return c.chain(g, back)
}

func sameNames(g, p *expr.Node) bool {
	a, b := g.Symbols(), p.Symbols()
	return len(union(a, b)) == len(a) && len(a) == len(b)
}

func (c *comparer) chain(g, p *expr.Node) (bool, error) {
	for i, op := range g.Ops {
		if op != p.Ops[i] || op == "" {
			return false, nil
		}
	}
	return c.pairwise(g.Args, p.Args)
}

// equations compares lhs-rhs up to a factor without zeros, and named values by name and value.
func (c *comparer) equations(g, p *expr.Node) (bool, error) {
	ga, gb := g.Args[0], last(g)
	pa, pb := p.Args[0], last(p)
	if ga.Kind == expr.Func && ga.Name == "pmod" || gb.Kind == expr.Func && gb.Name == "pmod" {
		return c.chain(g, p)
	}
	if !ga.Scalar() || !gb.Scalar() || !pa.Scalar() || !pb.Scalar() {
		if ok, err := c.pairwise([]*expr.Node{ga, gb}, []*expr.Node{pa, pb}); ok || err != nil {
			return ok, err
		}
		return c.pairwise([]*expr.Node{ga, gb}, []*expr.Node{pb, pa})
	}
	if v, w := valueOf(g), valueOf(p); v != nil && w != nil && len(v.Symbols())+len(w.Symbols()) == 0 {
		if ga.Kind == expr.Symbol && pa.Kind == expr.Symbol && ga.Name != pa.Name {
			return false, nil
		}
		if sameLabel(ga, pa) {
			return c.equal(v, w)
		}
	}
	return c.proportional(difference(ga, gb), difference(pa, pb), false)
}

// sameLabel compares what two equations name: letter by letter.
func sameLabel(a, b *expr.Node) bool {
	return same(a, b) || a.Kind == expr.Mul && letters(a) == letters(b) && letters(a) != ""
}

func difference(a, b *expr.Node) *expr.Node {
	return expr.New(expr.Add, a, expr.New(expr.Neg, b))
}

func (c *comparer) inequality(ga *expr.Node, gop string, gb, pa *expr.Node, pop string, pb *expr.Node) (bool, error) {
	if gop == ">" || gop == ">=" {
		ga, gb, gop = gb, ga, flipped[gop]
	}
	if pop == ">" || pop == ">=" {
		pa, pb, pop = pb, pa, flipped[pop]
	}
	if gop != pop {
		return false, nil
	}
	if !ga.Scalar() || !gb.Scalar() || !pa.Scalar() || !pb.Scalar() || flipped[gop] == "" {
		return c.pairwise([]*expr.Node{ga, gb}, []*expr.Node{pa, pb})
	}
	if infinity(ga)+infinity(gb)+infinity(pa)+infinity(pb) != 0 {
		return c.pairwise([]*expr.Node{ga, gb}, []*expr.Node{pa, pb})
	}
	return c.proportional(difference(ga, gb), difference(pa, pb), gop != "!=")
}

// proportional reports whether g = k·p for a constant k ≠ 0 (k > 0 if positive is set): the
// quotient at several random points is the same.
func (c *comparer) proportional(g, p *expr.Node, positive bool) (bool, error) {
	names := union(g.Symbols(), p.Symbols())
	if len(names) == 0 {
		return c.scalars(g, p)
	}
	if len(g.Symbols()) != len(p.Symbols()) || len(names) != len(g.Symbols()) {
		return false, nil
	}
	whole := wholeNames(g, p)
	rng := rand.New(rand.NewPCG(seedOf(names), 0xc2b2ae3d27d4eb4f))
	var quotient expr.Value
	seen := 0
	for try := 0; try < 16 && seen < 6; try++ {
		at := c.point(names, whole, rng, try)
		gv, err1 := expr.Complex(g, at, c.b)
		pv, err2 := expr.Complex(p, at, c.b)
		if c.b.Exhausted() {
			return false, expr.ErrLimit
		}
		if err1 != nil || err2 != nil || gv.RootOfNegative || pv.RootOfNegative {
			continue
		}
		if pv.V == 0 || gv.V == 0 {
			if close(gv, pv) {
				continue
			}
			return false, nil
		}
		q := expr.Value{V: gv.V / pv.V, Approximate: gv.Approximate || pv.Approximate}
		if seen == 0 {
			quotient = q
		} else if !close(quotient, q) {
			return false, nil
		}
		seen++
	}
	if seen < 2 {
		return c.structural(g, p)
	}
	return !positive || real(quotient.V) > 0, nil
}

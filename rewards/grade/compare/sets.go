package compare

import (
	"math"
	"slices"
	"sort"

	"pith/rewards/grade/expr"
)

// collections compares where at least one side is a list, set, tuple, interval or union.
func (c *comparer) collections(g, p *expr.Node) (bool, error) {
	c.decide("set")
	if g.Scalar() || p.Scalar() {
		return c.single(g, p)
	}
	if g.Kind == expr.Tuple && p.Kind == expr.Tuple {
		c.decide("tuple")
		if len(g.Args) == 2 && (g.Bracket == '[') != (p.Bracket == '[') {
			return false, nil
		}
		return c.pairwise(g.Args, p.Args)
	}
	if members(g) && members(p) {
		return c.memberLists(g, p)
	}
	if g.Kind == expr.List && p.Kind != expr.List || p.Kind == expr.List && g.Kind != expr.List {
		if (g.Name == "or" || g.Name == "and") || c.RelationForSet && p.Name != "" {
			s, ok := c.realSet(g, true)
			t, ok2 := c.realSet(p, true)
			return ok && ok2 && s.equal(t), nil
		}
		return false, nil
	}
	c.decide("interval")
	if s, ok := c.realSet(g, false); ok {
		if t, ok := c.realSet(p, false); ok {
			return s.equal(t), nil
		}
		return false, nil
	}
	return c.symbolicSets(g, p)
}

// members reports whether a node is a finite collection of answers.
func members(n *expr.Node) bool {
	return n.Kind == expr.List || n.Kind == expr.Set || n.Kind == expr.Tuple
}

func (c *comparer) memberLists(g, p *expr.Node) (bool, error) {
	if g.Kind == expr.Tuple {
		return c.tupleGold(g, p)
	}
	if g.Kind == expr.List && p.Kind == expr.List {
		if ok, err := c.orderedOrNot(g.Args, p.Args); ok || err != nil {
			return ok, err
		}
		// x<1 or x>2: the same set, written otherwise
		if s, ok := c.realSet(g, false); ok && hasRelation(g) {
			if t, ok := c.realSet(p, false); ok && hasRelation(p) {
				return s.equal(t), nil
			}
		}
		return c.values(g, p)
	}
	if p.Kind == expr.Tuple {
		if ok, err := c.orderedOrNot(g.Args, p.Args); ok || err != nil {
			return ok, err
		}
		if vs := valuesOf(g.Args); vs != nil {
			return c.pairwise(vs, p.Args)
		}
		return false, nil
	}
	if ok, err := c.matched(g.Args, p.Args); ok || err != nil {
		return ok, err
	}
	return c.values(g, p)
}

func (c *comparer) orderedOrNot(g, p []*expr.Node) (bool, error) {
	if c.OrderedLists {
		return c.pairwise(g, p)
	}
	return c.matched(g, p)
}

// tupleGold compares a tuple with a set or list: in the order written for lists, in ascending
// order for sets.
func (c *comparer) tupleGold(g, p *expr.Node) (bool, error) {
	c.decide("tuple")
	args := p.Args
	if vs := valuesOf(args); vs != nil && valuesOf(g.Args) == nil {
		args = vs
	}
	if p.Kind == expr.Set {
		if sorted := c.ascending(args); sorted != nil {
			args = sorted
		}
	}
	return c.pairwise(g.Args, args)
}

// ascending sorts numbers by value; nil when one of them has none.
func (c *comparer) ascending(args []*expr.Node) []*expr.Node {
	type keyed struct {
		n *expr.Node
		v float64
	}
	list := make([]keyed, len(args))
	for i, arg := range args {
		v, ok := c.real(arg)
		if !ok {
			return nil
		}
		list[i] = keyed{arg, v}
	}
	slices.SortStableFunc(list, func(a, b keyed) int {
		switch {
		case a.v < b.v:
			return -1
		case a.v > b.v:
			return 1
		}
		return 0
	})
	out := make([]*expr.Node, len(list))
	for i, k := range list {
		out[i] = k.n
	}
	return out
}

// valuesOf takes the values of "x = 1, y = 2"; nil unless every item is such an assignment.
func valuesOf(items []*expr.Node) []*expr.Node {
	out := make([]*expr.Node, len(items))
	for i, item := range items {
		if out[i] = valueOf(item); out[i] == nil {
			return nil
		}
	}
	return out
}

// values compares "x = 1, x = 2" with "1, 2", when one side only names its members.
func (c *comparer) values(g, p *expr.Node) (bool, error) {
	gv, pv := valuesOf(g.Args), valuesOf(p.Args)
	if (gv == nil) == (pv == nil) {
		return false, nil
	}
	if gv == nil {
		gv = g.Args
	}
	if pv == nil {
		pv = p.Args
	}
	return c.matched(gv, pv)
}

func hasRelation(n *expr.Node) bool {
	return n.Has(func(m *expr.Node) bool { return m.Kind == expr.Relation })
}

// single compares a collection with one number: {5} is 5.
func (c *comparer) single(g, p *expr.Node) (bool, error) {
	for _, side := range []**expr.Node{&g, &p} {
		if n := *side; members(n) && len(n.Args) >= 1 {
			first, alike := n.Args[0], true
			for _, other := range n.Args[1:] {
				ok, err := c.equal(first, other)
				if err != nil {
					return false, err
				}
				alike = alike && ok
			}
			if alike {
				*side = first
			}
		}
	}
	if g.Scalar() && p.Scalar() {
		return c.equal(g, p)
	}
	if s, ok := c.realSet(g, false); ok {
		t, ok := c.realSet(p, false)
		return ok && s.equal(t), nil
	}
	return c.symbolicSets(g, p)
}

// symbolicSets compares intervals and unions with variables in their ends.
func (c *comparer) symbolicSets(g, p *expr.Node) (bool, error) {
	g, p = asInterval(g), asInterval(p)
	if g.Kind != p.Kind || len(g.Args) != len(p.Args) {
		return false, nil
	}
	switch g.Kind {
	case expr.Interval:
		if g.OpenLeft != p.OpenLeft || g.OpenRight != p.OpenRight {
			return false, nil
		}
		return c.pairwise(g.Args, p.Args)
	case expr.Union, expr.Intersect:
		return c.matched(g.Args, p.Args)
	case expr.Minus, expr.Ratio:
		return c.pairwise(g.Args, p.Args)
	}
	return c.structural(g, p)
}

// asInterval reads (a, b) and [a, b] as intervals.
func asInterval(n *expr.Node) *expr.Node {
	if n.Kind == expr.Tuple && len(n.Args) == 2 {
		open := n.Bracket != '['
		return &expr.Node{Kind: expr.Interval, Args: n.Args, OpenLeft: open, OpenRight: open}
	}
	return n
}

// real evaluates a constant to a real number or an infinity.
func (c *comparer) real(n *expr.Node) (float64, bool) {
	if s := infinity(n); s != 0 {
		return math.Inf(s), true
	}
	if !n.Scalar() || len(n.Symbols()) > 0 {
		return 0, false
	}
	v, err := expr.Complex(n, nil, c.b)
	if err != nil || math.Abs(imag(v.V)) > 1e-12*max(1, math.Abs(real(v.V))) {
		return 0, false
	}
	return real(v.V), true
}

// piece is one interval of the real line; a point has equal closed ends.
type piece struct {
	from, to            float64
	openLeft, openRight bool
}

// realSet is a union of disjoint pieces in ascending order.
type realSet []piece

// realSet turns intervals, unions, finite sets and (if allowed) inequalities in one variable
// into a set of real numbers.
func (c *comparer) realSet(n *expr.Node, relations bool) (realSet, bool) {
	switch n.Kind {
	case expr.Interval, expr.Tuple:
		n = asInterval(n)
		if n.Kind != expr.Interval {
			return nil, false
		}
		a, ok := c.real(n.Args[0])
		b, ok2 := c.real(n.Args[1])
		if !ok || !ok2 || a > b {
			return nil, false
		}
		return realSet{{a, b, n.OpenLeft || math.IsInf(a, 0), n.OpenRight || math.IsInf(b, 0)}}.normal(), true
	case expr.Set:
		var s realSet
		for _, arg := range n.Args {
			v, ok := c.real(arg)
			if !ok {
				return nil, false
			}
			s = append(s, piece{v, v, false, false})
		}
		return s.normal(), true
	case expr.Symbol:
		if n.Name == "R_set" {
			return realSet{{math.Inf(-1), math.Inf(1), true, true}}, true
		}
	case expr.Union, expr.List:
		var s realSet
		for i, arg := range n.Args {
			t, ok := c.realSet(arg, true)
			if !ok {
				return nil, false
			}
			if n.Kind == expr.List && n.Name == "and" && i > 0 {
				s = s.intersect(t)
			} else {
				s = append(s, t...)
			}
		}
		if n.Kind == expr.List && !hasRelation(n) && n.Name == "" {
			return nil, false
		}
		return s.normal(), true
	case expr.Intersect:
		var s realSet
		for i, arg := range n.Args {
			t, ok := c.realSet(arg, true)
			if !ok {
				return nil, false
			}
			if i == 0 {
				s = t
			} else {
				s = s.intersect(t)
			}
		}
		return s, true
	case expr.Minus:
		s, ok := c.realSet(n.Args[0], true)
		t, ok2 := c.realSet(n.Args[1], true)
		if !ok || !ok2 {
			return nil, false
		}
		return s.intersect(t.complement()), true
	case expr.Relation:
		return c.solution(n)
	}
	return nil, false
}

// solution reads "a < x <= b" and its parts, with the variable alone on one side of each sign.
func (c *comparer) solution(n *expr.Node) (realSet, bool) {
	s := realSet{{math.Inf(-1), math.Inf(1), true, true}}
	name := ""
	for i, op := range n.Ops {
		left, right := n.Args[i], n.Args[i+1]
		if right.Kind == expr.Symbol && left.Kind != expr.Symbol {
			left, right, op = right, left, flipped[op]
		}
		if left.Kind != expr.Symbol || name != "" && left.Name != name {
			return nil, false
		}
		name = left.Name
		v, ok := c.real(right)
		if !ok {
			return nil, false
		}
		inf := math.Inf(1)
		var t realSet
		switch op {
		case "<", "<=":
			t = realSet{{-inf, v, true, op == "<"}}
		case ">", ">=":
			t = realSet{{v, inf, op == ">", true}}
		case "=":
			t = realSet{{v, v, false, false}}
		case "!=":
			t = realSet{{-inf, v, true, true}, {v, inf, true, true}}
		default:
			return nil, false
		}
		s = s.intersect(t)
	}
	return s, true
}

func near(a, b float64) bool {
	if math.IsInf(a, 0) || math.IsInf(b, 0) {
		return a == b
	}
	return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b))
}

// normal sorts and merges pieces that touch.
func (s realSet) normal() realSet {
	var live realSet
	for _, p := range s {
		if p.from < p.to && !near(p.from, p.to) || near(p.from, p.to) && !p.openLeft && !p.openRight {
			live = append(live, p)
		}
	}
	sort.SliceStable(live, func(i, j int) bool {
		if !near(live[i].from, live[j].from) {
			return live[i].from < live[j].from
		}
		return !live[i].openLeft && live[j].openLeft
	})
	var out realSet
	for _, p := range live {
		if k := len(out) - 1; k >= 0 {
			last := &out[k]
			touches := p.from < last.to || near(p.from, last.to) && !(p.openLeft && last.openRight)
			if touches {
				switch {
				case near(p.to, last.to):
					last.openRight = last.openRight && p.openRight
				case p.to > last.to:
					last.to, last.openRight = p.to, p.openRight
				}
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

func (s realSet) intersect(t realSet) realSet {
	var out realSet
	if len(s)*len(t) > maxItems*maxItems {
		return nil
	}
	for _, a := range s {
		for _, b := range t {
			p := a
			if near(b.from, a.from) {
				p.openLeft = a.openLeft || b.openLeft
			} else if b.from > a.from {
				p.from, p.openLeft = b.from, b.openLeft
			}
			if near(b.to, a.to) {
				p.openRight = a.openRight || b.openRight
			} else if b.to < a.to {
				p.to, p.openRight = b.to, b.openRight
			}
			out = append(out, p)
		}
	}
	return out.normal()
}

func (s realSet) complement() realSet {
	from, open := math.Inf(-1), true
	var out realSet
	for _, p := range s.normal() {
		out = append(out, piece{from, p.from, open, !p.openLeft})
		from, open = p.to, !p.openRight
	}
	return append(out, piece{from, math.Inf(1), open, true}).normal()
}

func (s realSet) equal(t realSet) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range s {
		a, b := s[i], t[i]
		if !near(a.from, b.from) || !near(a.to, b.to) || a.openLeft != b.openLeft || a.openRight != b.openRight {
			return false
		}
	}
	return true
}

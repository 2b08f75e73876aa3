// Package compare decides whether two parsed answers mean the same. It compares by kind: numbers
// exactly or to a stated precision, expressions at random points, sets by matching, intervals by
// their ends, relations up to a factor. It never simplifies, and spends from a budget.
package compare

import (
	"errors"
	"strings"

	"pith/rewards/grade/expr"
	"pith/rewards/grade/latex"
)

// Policy settles what graders disagree on.
type Policy struct {
	// Places is the number of decimal places to which numbers are rounded before comparison when
	// one of them is written as a decimal or in percent.
	Places int
	// SmallRelative additionally bounds the relative difference of such numbers, so that rounding
	// does not make all small numbers equal.
	SmallRelative float64
	// Percent is "value" (25% is 1/4), "number" (25% is 25) or "either".
	Percent string
	// FoldCase ignores the case of variables where no side uses both cases of a letter.
	FoldCase bool
	// OrderedLists compares bare comma lists in order.
	OrderedLists bool
	// RelationForSet accepts an inequality where the gold answer is an interval or a union; the
	// other direction is always accepted.
	RelationForSet bool
	// VectorAsTuple accepts a column or row matrix for a tuple and conversely.
	VectorAsTuple bool
	// DegreesAsRadians accepts 30 degrees for pi/6; a degree mark is otherwise a unit.
	DegreesAsRadians bool
	// BareBase accepts a numeral without its base where the other side shows one.
	BareBase bool
}

// DefaultPolicy follows Math-Verify where it is consistent.
func DefaultPolicy() Policy {
	return Policy{Places: 6, SmallRelative: 5e-3, Percent: "value", FoldCase: true, DegreesAsRadians: true, BareBase: true}
}

// maxItems bounds the members of a collection.
const maxItems = 256

// Equal reports whether prediction answers gold, and by which rule that was decided. The error
// is expr.ErrLimit when a bound was hit before a decision.
func Equal(gold, prediction *expr.Node, policy Policy, b *expr.Budget) (bool, string, error) {
	c := &comparer{Policy: policy, b: b}
	g, err := c.prepare(gold, 0)
	if err != nil {
		return false, "limit", err
	}
	p, err := c.prepare(prediction, 0)
	if err != nil {
		return false, "limit", err
	}
	if policy.FoldCase {
		// folding copies trees about as large as those that were prepared
		if err := b.Spend(b.Spent() / 4); err != nil {
			return false, "limit", err
		}
		g, p = foldCase(g), foldCase(p)
	}
	ok, err := c.equal(g, p)
	if err == nil && b.Exhausted() {
		err = expr.ErrLimit
	}
	return ok, c.rule, err
}

type comparer struct {
	Policy
	b     *expr.Budget
	rule  string
	depth int
}

// decide notes the rule of the outermost decision.
func (c *comparer) decide(rule string) {
	if c.depth == 1 || c.rule == "" {
		c.rule = rule
	}
}

func (c *comparer) equal(g, p *expr.Node) (bool, error) {
	if err := c.b.Spend(8); err != nil {
		return false, err
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > 3*latex.MaxDepth {
		return false, expr.ErrLimit
	}
	if same(g, p) {
		c.decide("identical")
		return true, nil
	}
	switch {
	case g.Kind == expr.Text || p.Kind == expr.Text:
		c.decide("text")
		return c.texts(g, p), nil
	case g.Kind == expr.Relation && p.Kind == expr.Relation:
		c.decide("relation")
		return c.relations(g, p)
	case g.Kind == expr.Relation:
		return c.relationGold(g, p)
	case p.Kind == expr.Relation:
		return c.relationPrediction(g, p)
	case g.Kind == expr.Matrix || p.Kind == expr.Matrix:
		c.decide("matrix")
		return c.matrices(g, p)
	case !g.Scalar() || !p.Scalar():
		return c.collections(g, p)
	}
	c.decide("number")
	return c.scalars(g, p)
}

// texts compares words; the empty set goes by several names.
func (c *comparer) texts(g, p *expr.Node) bool {
	if g.Kind == expr.Text && p.Kind == expr.Text {
		return latex.Words(g.Name) == latex.Words(p.Name)
	}
	text, other := g, p
	if p.Kind == expr.Text {
		text, other = p, g
	}
	if other.Kind == expr.Set && len(other.Args) == 0 {
		switch latex.Words(text.Name) {
		case "no solution", "no solutions", "empty set", "none", "no real solution", "no real solutions", "does not exist":
			return true
		}
	}
	if other.Kind == expr.Symbol || other.Kind == expr.Mul {
		return strings.EqualFold(letters(other), strings.ReplaceAll(text.Name, " ", ""))
	}
	return false
}

// letters spells a product of one-letter variables.
func letters(n *expr.Node) string {
	switch n.Kind {
	case expr.Symbol, expr.Const:
		return n.Name
	case expr.Mul:
		var b strings.Builder
		for _, arg := range n.Args {
			b.WriteString(letters(arg))
		}
		return b.String()
	}
	return "\x00"
}

// matrices compares element by element.
func (c *comparer) matrices(g, p *expr.Node) (bool, error) {
	if c.VectorAsTuple {
		g, p = asVector(g), asVector(p)
		if g.Kind == expr.Tuple && p.Kind == expr.Tuple {
			return c.pairwise(g.Args, p.Args)
		}
	}
	if g.Kind != expr.Matrix || p.Kind != expr.Matrix {
		if g.Kind == expr.Matrix && len(g.Args) == 1 {
			return c.equal(g.Args[0], p)
		}
		if p.Kind == expr.Matrix && len(p.Args) == 1 {
			return c.equal(g, p.Args[0])
		}
		return false, nil
	}
	if g.Cols != p.Cols {
		return false, nil
	}
	return c.pairwise(g.Args, p.Args)
}

func asVector(n *expr.Node) *expr.Node {
	if n.Kind == expr.Matrix && (n.Cols == 1 || n.Cols == len(n.Args)) {
		return &expr.Node{Kind: expr.Tuple, Bracket: '(', Args: n.Args}
	}
	return n
}

// pairwise compares two sequences in order.
func (c *comparer) pairwise(g, p []*expr.Node) (bool, error) {
	if len(g) != len(p) {
		return false, nil
	}
	for i := range g {
		if ok, err := c.equal(g[i], p[i]); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// matched reports whether every member of either side equals some member of the other.
func (c *comparer) matched(g, p []*expr.Node) (bool, error) {
	if len(g) > maxItems || len(p) > maxItems {
		return false, expr.ErrLimit
	}
	hit := make([]bool, len(p))
	for _, x := range g {
		found := false
		for j, y := range p {
			if found && hit[j] {
				continue
			}
			ok, err := c.equal(x, y)
			if err != nil {
				return false, err
			}
			if ok {
				found, hit[j] = true, true
			}
		}
		if !found {
			return false, nil
		}
	}
	for _, h := range hit {
		if !h {
			return false, nil
		}
	}
	return true, nil
}

// notLimit drops errors that mean "not comparable this way" and keeps limits.
func notLimit(err error) error {
	if errors.Is(err, expr.ErrLimit) {
		return err
	}
	return nil
}

package compare

import (
	"strings"

	"pith/rewards/grade/expr"
)

// prepare brings a tree to the form that comparison expects: approximations cut off, membership
// reduced to its set, both signs written out, matrix arithmetic done, unions flat.
func (c *comparer) prepare(n *expr.Node, depth int) (*expr.Node, error) {
	if err := c.b.Spend(3 * expr.NodeCost); err != nil {
		return nil, err
	}
	if n.Kind == expr.Relation {
		n = cutRelation(n)
	}
	if n.Kind != expr.Relation && n.Kind != expr.List && n.Kind != expr.Set && hasSigns(n) {
		return &expr.Node{Kind: expr.List, Args: []*expr.Node{withSign(n, 1), withSign(n, -1)}}, nil
	}
	if len(n.Args) == 0 {
		return n, nil
	}
	m := *n
	m.Args = make([]*expr.Node, 0, len(n.Args))
	for _, arg := range n.Args {
		a, err := c.prepare(arg, depth+1)
		if err != nil {
			return nil, err
		}
		flat := a.Kind == m.Kind && (m.Kind == expr.Union || m.Kind == expr.List) || m.Kind == expr.Set && a.Kind == expr.List
		if flat {
			m.Args = append(m.Args, a.Args...)
			continue
		}
		m.Args = append(m.Args, a)
	}
	switch m.Kind {
	case expr.List:
		return withoutConditions(&m), nil
	case expr.Tuple:
		if len(m.Args) == 1 {
			return m.Args[0], nil
		}
	case expr.Add, expr.Mul, expr.Neg, expr.Div:
		return matrixArithmetic(&m), nil
	}
	return &m, nil
}

// cutRelation takes the exact part of "x = 1/3 ≈ 0.33", the set of "x ∈ S", the end of "a ⇒ b".
func cutRelation(n *expr.Node) *expr.Node {
	for i := len(n.Ops) - 1; i >= 0; i-- {
		if n.Ops[i] == "=>" {
			n = slice(n, i+1, len(n.Args))
			break
		}
	}
	if n.Kind == expr.Relation {
		for i, op := range n.Ops {
			if op == "~" && i == 0 && n.Args[0].Kind != expr.Const && label(n.Args[0]) {
				continue
			}
			if op == "~" {
				n = slice(n, 0, i+1)
				break
			}
		}
	}
	if n.Kind == expr.Relation && len(n.Ops) == 1 && n.Ops[0] == "in" && label(n.Args[0]) {
		if !(n.Args[1].Kind == expr.Symbol && !strings.HasSuffix(n.Args[1].Name, "_set")) {
			return n.Args[1]
		}
	}
	return n
}

// slice keeps the sides from..to of a chain.
func slice(n *expr.Node, from, to int) *expr.Node {
	if to-from == 1 {
		return n.Args[from]
	}
	return &expr.Node{Kind: expr.Relation, Args: n.Args[from:to], Ops: n.Ops[from : to-1]}
}

func hasSigns(n *expr.Node) bool {
	return n.Has(func(m *expr.Node) bool { return m.Kind == expr.PlusMinus })
}

// withSign writes out one choice of sign: all ± together, all ∓ opposite.
func withSign(n *expr.Node, sign int) *expr.Node {
	if n.Kind == expr.PlusMinus {
		arg := withSign(n.Args[0], sign)
		if (n.Name == "-+") != (sign < 0) {
			return expr.New(expr.Neg, arg)
		}
		return arg
	}
	if len(n.Args) == 0 {
		return n
	}
	m := *n
	m.Args = make([]*expr.Node, len(n.Args))
	for i, arg := range n.Args {
		m.Args[i] = withSign(arg, sign)
	}
	return &m
}

// withoutConditions drops side conditions such as "k ∈ Z" from a list of answers.
func withoutConditions(n *expr.Node) *expr.Node {
	var kept []*expr.Node
	for _, arg := range n.Args {
		if arg.Kind == expr.Symbol && strings.HasSuffix(arg.Name, "_set") {
			continue
		}
		kept = append(kept, arg)
	}
	switch {
	case len(kept) == 0 || len(kept) == len(n.Args):
		return n
	case len(kept) == 1:
		return kept[0]
	}
	return &expr.Node{Kind: expr.List, Name: n.Name, Args: kept}
}

// matrixArithmetic carries scalars and sums into matrices.
func matrixArithmetic(n *expr.Node) *expr.Node {
	var shape *expr.Node
	matrices := 0
	for _, arg := range n.Args {
		if arg.Kind == expr.Matrix {
			shape = arg
			matrices++
		} else if !arg.Scalar() {
			return n
		}
	}
	if shape == nil || n.Kind == expr.Mul && matrices != 1 || n.Kind == expr.Div && n.Args[0] != shape {
		return n
	}
	if n.Kind == expr.Add {
		for _, arg := range n.Args {
			if arg.Kind != expr.Matrix || arg.Cols != shape.Cols || len(arg.Args) != len(shape.Args) {
				return n
			}
		}
	}
	out := &expr.Node{Kind: expr.Matrix, Cols: shape.Cols, Args: make([]*expr.Node, len(shape.Args))}
	for i := range shape.Args {
		cell := expr.New(n.Kind)
		for _, arg := range n.Args {
			if arg.Kind == expr.Matrix {
				cell.Args = append(cell.Args, arg.Args[i])
			} else {
				cell.Args = append(cell.Args, arg)
			}
		}
		out.Args[i] = cell
	}
	return out
}

// foldCase lowers the names of variables, unless that would make two of them one.
func foldCase(n *expr.Node) *expr.Node {
	names := map[string]string{}
	upper := false
	clash := false
	n.Walk(func(m *expr.Node) bool {
		if m.Kind == expr.Symbol && !strings.HasSuffix(m.Name, "_set") {
			low := strings.ToLower(m.Name)
			upper = upper || low != m.Name
			if old, ok := names[low]; ok && old != m.Name {
				clash = true
			}
			names[low] = m.Name
		}
		return true
	})
	if !upper || clash {
		return n
	}
	return lowered(n)
}

func lowered(n *expr.Node) *expr.Node {
	if n.Kind == expr.Symbol && !strings.HasSuffix(n.Name, "_set") {
		return expr.Sym(strings.ToLower(n.Name))
	}
	if len(n.Args) == 0 {
		return n
	}
	m := *n
	switch n.Kind {
	case expr.Sum, expr.Prod, expr.Limit, expr.Integral, expr.Deriv:
		m.Name = strings.ToLower(n.Name)
	}
	m.Args = make([]*expr.Node, len(n.Args))
	for i, arg := range n.Args {
		m.Args[i] = lowered(arg)
	}
	return &m
}

package latex

import (
	"strings"

	"pith/rewards/grade/expr"
)

var closers = map[string]string{"(": ")", "[": "]", "{": "}", "<": ">", "⌊": "⌋", "⌈": "⌉"}

// bracket reads parentheses, square brackets, braces, angle brackets, floors and ceilings: groups,
// tuples, sets or intervals, depending on what closes and how many items stood inside.
func (p *parser) bracket() (*expr.Node, error) {
	opening := p.next().text
	p.depth++
	bars, noBar := p.bars, p.noBar
	p.bars, p.noBar = 0, 0
	if opening == "{" {
		p.noBar = 1
	}
	// The token after the bracket was read at the outer depth; read it again inside.
	p.advance(p.tok.start)
	var content *expr.Node
	var err error
	if p.tok.kind != tShut {
		content, err = p.list(false)
	}
	builder := false
	if err == nil && opening == "{" && (p.tok.is("|") || p.tok.is("mid")) {
		p.next()
		p.noBar = 0
		builder = true
		head := content
		content, err = p.list(false)
		if err == nil && head.Kind == expr.Relation && content.Kind != expr.List {
			content = &expr.Node{Kind: expr.List, Name: "and", Args: []*expr.Node{head, content}}
		}
	}
	p.depth--
	p.bars, p.noBar = bars, noBar
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tShut && !(p.tok.kind == tUngroup && opening == "{") {
		return nil, p.fail()
	}
	closing := p.tok.text
	if p.tok.kind == tUngroup {
		closing = "}"
	}
	if closing != closers[opening] && (opening != "(" && opening != "[" || closing != ")" && closing != "]") {
		return nil, p.fail()
	}
	p.next()
	if builder {
		return content, nil
	}
	return p.enclosed(opening, closing, content)
}

func (p *parser) enclosed(opening, closing string, content *expr.Node) (*expr.Node, error) {
	if content == nil {
		if opening == "{" {
			return expr.New(expr.Set), nil
		}
		return nil, p.fail()
	}
	items := []*expr.Node{content}
	if content.Kind == expr.List {
		items = content.Args
	}
	switch {
	case opening == "{":
		if content.Kind == expr.Ratio && len(content.Args) == 2 && content.Args[1].Kind == expr.Relation {
			return content.Args[1], nil
		}
		return expr.New(expr.Set, items...), nil
	case opening == "⌊" && len(items) == 1:
		return expr.Call("floor", content), nil
	case opening == "⌈" && len(items) == 1:
		return expr.Call("ceil", content), nil
	case closing != closers[opening]:
		if len(items) != 2 {
			return nil, p.fail()
		}
		return &expr.Node{Kind: expr.Interval, Args: items, OpenLeft: opening == "(", OpenRight: closing == ")"}, nil
	case len(items) == 1 && opening == "<":
		return &expr.Node{Kind: expr.Tuple, Bracket: '(', Args: items}, nil
	case len(items) == 1:
		return content, nil
	case opening == "<":
		return &expr.Node{Kind: expr.Tuple, Bracket: '(', Args: items}, nil
	}
	return &expr.Node{Kind: expr.Tuple, Bracket: opening[0], Args: items}, nil
}

// reversed reads the European ]a, b[ .
func (p *parser) reversed() (*expr.Node, error) {
	p.next()
	p.depth++
	content, err := p.list(false)
	p.depth--
	if err != nil {
		return nil, err
	}
	if content.Kind != expr.List || len(content.Args) != 2 || p.tok.text != "[" && p.tok.text != "]" {
		return nil, p.fail()
	}
	right := p.next().text == "["
	return &expr.Node{Kind: expr.Interval, Args: content.Args, OpenLeft: true, OpenRight: right}, nil
}

// absolute reads |x| and ||x||.
func (p *parser) absolute() (*expr.Node, error) {
	p.next()
	double := p.tok.is("|") && !p.tok.spaced && p.bars == 0
	if double {
		p.next()
	}
	noBar := p.noBar
	p.bars++
	p.noBar = 0
	n, err := p.sum()
	p.bars--
	p.noBar = noBar
	if err != nil {
		return nil, err
	}
	for i := 0; i < 1 || double && i < 2; i++ {
		for p.tok.kind == tSkip {
			p.next()
		}
		if !p.tok.is("|") {
			return nil, p.fail()
		}
		p.next()
	}
	if n.Kind == expr.Matrix {
		return determinant(n)
	}
	return expr.Call("abs", n), nil
}

// environment reads matrices, and the rows of cases and aligned displays.
func (p *parser) environment() (*expr.Node, error) {
	name := strings.TrimSuffix(p.next().text, "*")
	matrix := strings.HasSuffix(name, "matrix") || name == "array"
	if name == "array" || name == "aligned" || name == "tabular" {
		if p.tok.kind == tGroup { // column layout
			if _, after, ok := braced(p.src, p.tok.start); ok {
				p.advance(after)
			}
		}
	}
	var cells []*expr.Node
	cols, col, rows := 0, 0, 0
	p.depth++
	defer func() { p.depth-- }()
	endRow := func() bool {
		if col == 0 {
			return true
		}
		rows++
		if cols == 0 {
			cols = col
		}
		ok := cols == col || !matrix
		col = 0
		return ok
	}
	for {
		if err := p.b.Spend(1); err != nil {
			return nil, err
		}
		switch {
		case p.tok.kind == tShut && strings.HasPrefix(p.tok.text, "end "):
			p.next()
			if !endRow() || len(cells) == 0 {
				return nil, p.fail()
			}
			return arrange(name, matrix, cells, cols, rows)
		case p.tok.kind == tRowEnd:
			p.next()
			if !endRow() {
				return nil, p.fail()
			}
		case p.tok.is("&"), p.tok.is(",") && !matrix, p.tok.is(";"):
			p.next()
		case p.tok.kind == tLetter && (p.tok.text == "hline"):
			p.next()
		default:
			cell, err := p.element()
			if err != nil {
				return nil, err
			}
			cells = append(cells, cell)
			col++
		}
	}
}

func arrange(name string, matrix bool, cells []*expr.Node, cols, rows int) (*expr.Node, error) {
	if !matrix {
		if len(cells) == 1 {
			return cells[0], nil
		}
		return &expr.Node{Kind: expr.List, Name: "and", Args: cells}, nil
	}
	m := &expr.Node{Kind: expr.Matrix, Args: cells, Cols: cols}
	if name == "vmatrix" || name == "Vmatrix" {
		return determinant(m)
	}
	return m, nil
}

// determinant expands the determinant of a square matrix of at most four rows.
func determinant(m *expr.Node) (*expr.Node, error) {
	if m.Kind != expr.Matrix || m.Cols*m.Cols != len(m.Args) || m.Cols > 4 {
		return nil, ErrSyntax
	}
	return expand(m.Args, m.Cols), nil
}

func expand(cells []*expr.Node, n int) *expr.Node {
	if n == 1 {
		return cells[0]
	}
	var terms []*expr.Node
	for c := range n {
		var minor []*expr.Node
		for i, cell := range cells[n:] {
			if i%n != c {
				minor = append(minor, cell)
			}
		}
		term := expr.New(expr.Mul, cells[c], expand(minor, n-1))
		if c%2 == 1 {
			term = expr.New(expr.Neg, term)
		}
		terms = append(terms, term)
	}
	return expr.New(expr.Add, terms...)
}

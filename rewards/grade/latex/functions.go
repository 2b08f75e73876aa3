package latex

import (
	"strings"

	"pith/rewards/grade/expr"
)

// call := function ['_' base] ['^' power] argument
func (p *parser) call() (*expr.Node, error) {
	name := p.next().text
	var base, power *expr.Node
	for {
		if p.tok.is("_") {
			p.next()
			n, err := p.scriptArgument()
			if err != nil {
				return nil, err
			}
			base = n
			continue
		}
		if p.tok.is("^") {
			p.next()
			n, err := p.script()
			if err != nil {
				return nil, err
			}
			power = n
			continue
		}
		if p.tok.kind == tSub {
			v, _ := newRat().SetString(p.next().text)
			base = &expr.Node{Kind: expr.Number, Rat: v}
			continue
		}
		if p.tok.kind == tSuper {
			v, ok := newRat().SetString(p.next().text)
			if !ok {
				return nil, p.fail()
			}
			power = &expr.Node{Kind: expr.Number, Rat: v}
			continue
		}
		break
	}
	args, err := p.callArguments(name)
	if err != nil {
		return nil, err
	}
	n, err := p.apply(name, base, args)
	if err != nil || power == nil {
		return n, err
	}
	if power.Kind == expr.Number && power.Rat.IsInt() && power.Rat.Num().Int64() == -1 && inverse[n.Name] != "" {
		n.Name = inverse[n.Name]
		return n, nil
	}
	return expr.New(expr.Pow, n, power), nil
}

var inverse = map[string]string{
	"sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc", "sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh",
}

// scriptArgument reads a subscript that is a value, as in \log_2 or \log_{10}; bare digits are
// one digit in LaTeX only when more would swallow the argument ("\log_28" is base 2).
func (p *parser) scriptArgument() (*expr.Node, error) {
	if p.tok.kind == tNumber && !strings.HasPrefix(p.src[p.tok.end:], "(") {
		rest := p.src[p.tok.end:]
		if len(p.tok.text) > 1 && strings.TrimSpace(rest) == "" {
			return p.argument()
		}
	}
	return p.script()
}

// callArguments reads f(x, y), f{x}, or the implicit product that follows: f 2x.
func (p *parser) callArguments(name string) ([]*expr.Node, error) {
	for p.tok.kind == tSkip {
		p.next()
	}
	if p.tok.kind == tOpen && p.tok.text == "(" || p.tok.kind == tGroup || p.tok.kind == tOpen && (p.tok.text == "{" || p.tok.text == "[") {
		closer := map[string]string{"(": ")", "{": "}", "[": "]", "": ""}[p.tok.text]
		isGroup := p.tok.kind == tGroup
		p.next()
		p.depth++
		bars, noBar := p.bars, p.noBar
		p.bars, p.noBar = 0, 0
		n, err := p.list(false)
		p.bars, p.noBar = bars, noBar
		p.depth--
		if err != nil {
			return nil, err
		}
		if isGroup {
			if p.tok.kind != tUngroup {
				return nil, p.fail()
			}
			p.next()
		} else if err := p.expect(tShut, closer); err != nil {
			return nil, err
		}
		if n.Kind == expr.List {
			return n.Args, nil
		}
		return []*expr.Node{n}, nil
	}
	// Implicit argument: juxtaposed factors up to the next sign, function or separator.
	negative := p.tok.is("-")
	if negative {
		p.next()
	}
	arg, err := p.power()
	if err != nil {
		return nil, err
	}
	for p.tok.kind != tFunc && p.tok.kind != tSeries && p.tok.kind != tIntegral && !(p.tok.kind == tOpen && name != "log") && p.startsFactor(arg) {
		if p.tok.kind == tOpen {
			break
		}
		right, err := p.power()
		if err != nil {
			return nil, err
		}
		arg = multiply(arg, right)
	}
	if p.tok.is("/") && arg.Scalar() && name != "max" { // sin x/2, sin pi/6: the slash binds to the argument
		after := p.lex(p.tok.end)
		if after.kind == tNumber {
			p.next()
			right, err := p.power()
			if err != nil {
				return nil, err
			}
			arg = expr.New(expr.Div, arg, right)
		}
	}
	if negative {
		arg = negate(arg)
	}
	return []*expr.Node{arg}, nil
}

// apply builds the tree of a named function and checks the number of its arguments.
func (p *parser) apply(name string, base *expr.Node, args []*expr.Node) (*expr.Node, error) {
	for _, a := range args {
		if !a.Scalar() && name != "max" && name != "min" && name != "det" && name != "gcd" && name != "lcm" {
			return nil, p.fail()
		}
	}
	one := len(args) == 1
	e := &expr.Node{Kind: expr.Const, Name: "e"}
	switch name {
	case "ln":
		if one {
			return expr.Call("log", args[0], e), nil
		}
	case "lg":
		if one {
			return expr.Call("log", args[0], expr.Int(10)), nil
		}
	case "log":
		if base == nil && len(args) == 2 {
			return expr.Call("log", args...), nil
		}
		if !one {
			return nil, p.fail()
		}
		if base == nil {
			p.logBase = true
			base = expr.Int(10)
			if p.opts.NaturalLog {
				base = e
			}
		}
		return expr.Call("log", args[0], base), nil
	case "exp":
		if one {
			return expr.New(expr.Pow, e, args[0]), nil
		}
	case "binom":
		if len(args) == 2 {
			return expr.Call(name, args...), nil
		}
	case "max", "min", "gcd", "lcm":
		if one && (args[0].Kind == expr.Set || args[0].Kind == expr.Tuple || args[0].Kind == expr.List) {
			args = args[0].Args
		}
		if len(args) > 0 {
			return expr.Call(name, args...), nil
		}
	case "det":
		if one {
			return determinant(args[0])
		}
	default:
		if one {
			return expr.Call(name, args[0]), nil
		}
	}
	return nil, p.fail()
}

// bounds reads the scripts of a sum, product or integral in either order.
func (p *parser) bounds() (lower, upper *expr.Node, err error) {
	p.inRange++
	defer func() { p.inRange-- }()
	for range 2 {
		switch {
		case p.tok.is("_"):
			p.next()
			lower, err = p.bound()
		case p.tok.is("^"):
			p.next()
			upper, err = p.bound()
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return lower, upper, nil
}

// bound reads one bound: an operand with its sign, and no script of its own.
func (p *parser) bound() (*expr.Node, error) {
	minus := p.tok.is("-")
	if minus || p.tok.is("+") {
		p.next()
	}
	n, err := p.primary()
	if err == nil && minus {
		n = negate(n)
	}
	return n, err
}

func (p *parser) series() (*expr.Node, error) {
	kind := expr.Sum
	if p.next().text == "prod" {
		kind = expr.Prod
	}
	lower, upper, err := p.bounds()
	if err != nil {
		return nil, err
	}
	if lower == nil || upper == nil || lower.Kind != expr.Relation || len(lower.Args) != 2 {
		return nil, p.fail()
	}
	name := lower.Args[0].Name
	if name == "" {
		return nil, p.fail()
	}
	body, err := p.product()
	if err != nil {
		return nil, err
	}
	body = bind(body, name)
	return &expr.Node{Kind: kind, Name: name, Args: []*expr.Node{body, lower.Args[1], upper}}, nil
}

// bind turns constants of the same name ("i" as an index) into the bound variable.
func bind(n *expr.Node, name string) *expr.Node {
	if n.Kind == expr.Const && n.Name == name {
		return expr.Sym(name)
	}
	if len(n.Args) == 0 {
		return n
	}
	c := *n
	c.Args = make([]*expr.Node, len(n.Args))
	for i, arg := range n.Args {
		c.Args[i] = bind(arg, name)
	}
	return &c
}

func (p *parser) limit() (*expr.Node, error) {
	p.next()
	lower, _, err := p.bounds()
	if err != nil {
		return nil, err
	}
	if lower == nil || lower.Kind != expr.Relation || len(lower.Args) != 2 || lower.Args[0].Kind != expr.Symbol {
		return nil, p.fail()
	}
	body, err := p.product()
	if err != nil {
		return nil, err
	}
	return &expr.Node{Kind: expr.Limit, Name: lower.Args[0].Name, Args: []*expr.Node{body, lower.Args[1]}}, nil
}

// integral reads a body up to the differential: the last "d" and letter of its integrand.
func (p *parser) integral() (*expr.Node, error) {
	p.next()
	lower, upper, err := p.bounds()
	if err != nil {
		return nil, err
	}
	p.inRange++
	var body *expr.Node
	if p.tok.kind == tLetter && p.tok.text == "d" || p.tok.kind == tWord && p.tok.text[0] == 'd' && len(p.tok.text) == 2 {
		body = expr.Int(1)
	} else {
		body, err = p.sum()
	}
	p.inRange--
	if err != nil {
		return nil, err
	}
	name := ""
	switch {
	case p.tok.kind == tLetter && p.tok.text == "d":
		p.next()
		if p.tok.kind != tLetter {
			return nil, p.fail()
		}
		name = p.next().text
	case p.tok.kind == tWord && p.tok.text[0] == 'd':
		name = p.next().text[1:]
	case p.tok.kind == tText && strings.TrimSpace(p.tok.text) == "d":
		p.next()
		name = p.next().text
	default:
		body, name = splitDifferential(body)
	}
	if name == "" {
		return nil, p.fail()
	}
	args := []*expr.Node{body}
	if lower != nil && upper != nil {
		args = append(args, lower, upper)
	}
	return &expr.Node{Kind: expr.Integral, Name: name, Args: args}, nil
}

// splitDifferential takes "d*x" off the end of a product that swallowed it, or the numerator of
// a fraction.
func splitDifferential(n *expr.Node) (*expr.Node, string) {
	switch n.Kind {
	case expr.Mul:
		k := len(n.Args)
		last := n.Args[k-1]
		if last.Kind == expr.Mul && len(last.Args) == 2 && last.Args[0].Kind == expr.Symbol && last.Args[0].Name == "d" && last.Args[1].Kind == expr.Symbol {
			return product(n.Args[:k-1]), last.Args[1].Name
		}
		if k >= 2 && n.Args[k-2].Kind == expr.Symbol && n.Args[k-2].Name == "d" && last.Kind == expr.Symbol {
			return product(n.Args[:k-2]), last.Name
		}
	case expr.Add:
		k := len(n.Args)
		if body, name := splitDifferential(n.Args[k-1]); name != "" {
			return expr.New(expr.Add, append(append([]*expr.Node(nil), n.Args[:k-1]...), body)...), name
		}
	case expr.Div:
		if body, name := splitDifferential(n.Args[0]); name != "" {
			return expr.New(expr.Div, body, n.Args[1]), name
		}
	case expr.Neg:
		if body, name := splitDifferential(n.Args[0]); name != "" {
			return expr.New(expr.Neg, body), name
		}
	}
	return n, ""
}

func product(factors []*expr.Node) *expr.Node {
	switch len(factors) {
	case 0:
		return expr.Int(1)
	case 1:
		return factors[0]
	}
	return expr.New(expr.Mul, factors...)
}

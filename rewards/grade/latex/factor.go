package latex

import (
	"fmt"
	"math/big"
	"strings"

	"pith/rewards/grade/expr"
)

func newRat() *big.Rat { return new(big.Rat) }

// power := primary postfix* ['^' script]
func (p *parser) power() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.tok.kind == tNumber && p.fractionAhead() && p.mixedPart() {
		return p.plainFraction()
	}
	base, err := p.primary()
	if err != nil {
		return nil, err
	}
	return p.postfix(base)
}

// mixedPart reports whether the numeral at hand is the fraction of a mixed number: a whole
// number and white space stand before it.
func (p *parser) mixedPart() bool {
	i := p.tok.start - 1
	for i >= 0 && p.src[i] == ' ' {
		i--
	}
	return p.tok.spaced && i >= 0 && isDigit(p.src[i])
}

func (p *parser) plainFraction() (*expr.Node, error) {
	num := p.next().num
	p.next()
	if p.tok.kind != tNumber {
		return nil, p.fail()
	}
	den := p.next().num
	return p.units(expr.New(expr.Div, num, den)), nil
}

// postfix applies factorials, scripts, percent signs, degrees, units and scale words.
func (p *parser) postfix(n *expr.Node) (*expr.Node, error) {
	for {
		if err := p.b.Spend(1); err != nil {
			return nil, err
		}
		switch {
		case p.tok.is("!") && !strings.HasPrefix(p.src[p.tok.end:], "="):
			p.next()
			name := "fact"
			if p.tok.is("!") {
				p.next()
				name = "dfact"
			}
			n = expr.Call(name, n)
		case p.tok.is("^"), p.tok.kind == tSuper:
			m, err := p.raise(n)
			if err != nil {
				return nil, err
			}
			n = m
		case p.tok.is("_"), p.tok.kind == tSub:
			m, err := p.subscript(n)
			if err != nil {
				return nil, err
			}
			n = m
		case p.tok.is("'"):
			p.next()
			if n.Kind == expr.Symbol && len(n.Name) < maxName {
				n = expr.Sym(n.Name + "'")
			}
		case p.tok.is("%"):
			if n.Percent {
				return nil, p.fail()
			}
			p.next()
			n = percent(n)
		case p.tok.is("°"):
			p.next()
			n = p.degree(n)
		case p.tok.kind == tScale:
			v, _ := newRat().SetString(p.next().text)
			n = expr.New(expr.Mul, n, &expr.Node{Kind: expr.Number, Rat: v})
		default:
			if value(n) {
				n = p.units(n)
			}
			return n, nil
		}
	}
}

func percent(n *expr.Node) *expr.Node {
	hundredth := &expr.Node{Kind: expr.Number, Rat: big.NewRat(1, 100), Percent: true}
	if n.Kind == expr.Number {
		c := *n
		c.Percent = true
		c.Rat = newRat().Mul(n.Rat, hundredth.Rat)
		return &c
	}
	return expr.New(expr.Mul, n, hundredth)
}

// degree marks a number as an angle and passes a temperature scale's letter.
func (p *parser) degree(n *expr.Node) *expr.Node {
	if p.tok.kind == tLetter && (p.tok.text == "C" || p.tok.text == "F") && !p.tok.spaced || p.tok.kind == tText && len(strings.TrimSpace(p.tok.text)) == 1 {
		p.unit = strings.TrimSpace(p.next().text)
		return n
	}
	if n.Kind == expr.Number {
		c := *n
		c.Degree = true
		return &c
	}
	return expr.New(expr.Mul, n, &expr.Node{Kind: expr.Number, Rat: big.NewRat(1, 1), Degree: true})
}

// raise reads an exponent; a small circle is a degree mark.
func (p *parser) raise(n *expr.Node) (*expr.Node, error) {
	if p.tok.kind == tSuper {
		text := p.next().text
		if text == "n" {
			return expr.New(expr.Pow, n, expr.Sym("n")), nil
		}
		v, ok := newRat().SetString(text)
		if !ok {
			return nil, p.fail()
		}
		return expr.New(expr.Pow, n, &expr.Node{Kind: expr.Number, Rat: v}), nil
	}
	p.next()
	if rest := strings.TrimLeft(p.src[min(p.tok.start, len(p.src)):], "{ \\"); strings.HasPrefix(rest, "circ") || strings.HasPrefix(rest, "degree") || strings.HasPrefix(rest, "o}") {
		if _, err := p.script(); err != nil {
			return nil, err
		}
		return p.degree(n), nil
	}
	if p.tok.is("'") || p.tok.is("*") {
		p.next()
		return n, nil
	}
	exp, err := p.script()
	if err != nil {
		return nil, err
	}
	if exp.Kind == expr.Symbol && exp.Name == "'" || exp.Kind == expr.Text && ordinals[exp.Name] {
		return n, nil
	}
	return expr.New(expr.Pow, n, exp), nil
}

// maxName bounds the name of a variable and the words of a unit, in bytes.
const maxName = 64

var ordinals = setOf("th", "st", "nd", "rd")

// script := group | ['-'] primary, the argument of ^ and _.
func (p *parser) script() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	switch {
	case p.tok.is("-"), p.tok.is("+"):
		minus := p.tok.is("-")
		p.next()
		n, err := p.script()
		if err == nil && minus {
			n = negate(n)
		}
		return n, err
	case p.tok.kind == tFunc, p.tok.kind == tOp && p.tok.text != "|":
		// an operator as a script ("x^*", "a_+") names the variable only
		return expr.Sym(p.next().text), nil
	}
	n, err := p.primary()
	if err != nil {
		return nil, err
	}
	if p.tok.is("^") && p.src[p.tok.start-1] != '}' { // 2^3^2 in plain text is a tower
		return p.raise(n)
	}
	if p.tok.is("!") {
		p.next()
		return expr.Call("fact", n), nil
	}
	return n, nil
}

// subscript names variables, gives numerals their base, and is dropped elsewhere.
func (p *parser) subscript(n *expr.Node) (*expr.Node, error) {
	var name string
	if p.tok.kind == tSub {
		name = p.next().text
	} else {
		p.next()
		start := p.tok.start
		if p.tok.kind == tGroup {
			content, after, ok := braced(p.src, start)
			if !ok {
				return nil, p.fail()
			}
			name = content
			p.advance(after)
		} else if p.tok.kind == tNumber && n.Kind != expr.Number {
			name = p.next().text
		} else if p.tok.kind == tEnd {
			return nil, p.fail()
		} else {
			t := p.next()
			name = t.text
			if t.kind == tSkip && p.tok.kind == tGroup {
				content, after, ok := braced(p.src, p.tok.start)
				if !ok {
					return nil, p.fail()
				}
				name = content
				p.advance(after)
			}
		}
	}
	name = subscriptName(name)
	if len(name)+len(n.Name) > maxName {
		return nil, p.fail()
	}
	switch n.Kind {
	case expr.Number:
		c := *n
		for _, d := range name {
			if d < '0' || d > '9' || c.Base > 1000 {
				c.Base = -1
				break
			}
			c.Base = c.Base*10 + int(d-'0')
		}
		return &c, nil
	case expr.Symbol:
		return expr.Sym(n.Name + "_" + name), nil
	case expr.Const:
		return expr.Sym(n.Name + "_" + name), nil
	}
	return n, nil
}

func subscriptName(s string) string {
	for _, cmd := range []string{"\\text", "\\mathrm", "\\textrm", "\\operatorname", "\\rm", "\\mathbf"} {
		s = strings.ReplaceAll(s, cmd, "")
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '{', '}', ' ', '\\', '$':
			return -1
		}
		return r
	}, s)
}

// value reports whether a unit may follow: a numeral, a fraction, a root, a product of these.
func value(n *expr.Node) bool {
	return n.Scalar() && n.Kind != expr.Symbol && n.Kind != expr.Const || n.IsConst("pi")
}

// units drops unit words after a value. Letters that could be variables stay.
func (p *parser) units(n *expr.Node) *expr.Node {
	if p.tok.kind == tLetter && n.Kind == expr.Number && strings.Contains("mgsh", p.tok.text) {
		after := p.lex(p.tok.end)
		if p.tok.start > 0 && after.kind == tEnd && p.level <= 8 {
			p.unitTail = true
			if p.opts.UnitLetters {
				p.unit = p.next().text
				return n
			}
		}
	}
	for p.unitAhead() {
		if p.b.Spend(1) != nil {
			return n
		}
		if len(p.unit) < maxName {
			p.unit = strings.TrimSpace(p.unit + " " + strings.TrimSpace(p.tok.text))
		}
		p.next()
		for {
			if p.tok.is("^") {
				save := p.tok
				p.next()
				if t := p.tok; t.kind == tNumber || t.kind == tGroup {
					if _, err := p.script(); err != nil {
						p.tok = save
						return n
					}
				}
				continue
			}
			if p.tok.kind == tSuper {
				p.next()
				continue
			}
			if p.tok.is("/") || p.tok.is("*") {
				save := p.tok
				p.next()
				if p.unitAhead() || p.tok.kind == tLetter {
					if len(p.unit) < maxName {
						p.unit += "/" + p.tok.text
					}
					p.next()
					continue
				}
				p.tok = save
			}
			break
		}
	}
	return n
}

// unitAhead reports whether the token at hand is a unit: words that are no connective.
func (p *parser) unitAhead() bool {
	switch p.tok.kind {
	case tText:
		text := strings.TrimSpace(p.tok.text)
		return connective(text) == "" && text != "U" && !strings.ContainsAny(text, "=<>0123456789\\$")
	case tFunc: // minutes and seconds, where no argument follows
		return (p.tok.text == "min" || p.tok.text == "sec") && p.lex(p.tok.end).kind == tEnd
	case tWord:
		return units[p.tok.text] || p.tok.spaced && len(p.tok.text) >= 3
	}
	return false
}

func (p *parser) expect(kind tokenKind, text string) error {
	if p.tok.kind != kind || p.tok.text != text {
		return p.fail()
	}
	p.next()
	return nil
}

func (p *parser) primary() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if err := p.b.Spend(2 * expr.NodeCost); err != nil {
		return nil, err
	}
	t := p.tok
	switch t.kind {
	case tNumber:
		p.next()
		return t.num, nil
	case tPart:
		p.next()
		v, _ := newRat().SetString(t.text)
		return &expr.Node{Kind: expr.Number, Rat: v}, nil
	case tLetter:
		p.next()
		return expr.Sym(t.text), nil
	case tConst:
		p.next()
		return &expr.Node{Kind: expr.Const, Name: t.text}, nil
	case tEmpty:
		p.next()
		return expr.New(expr.Set), nil
	case tWord:
		return p.letters()
	case tText:
		return p.words()
	case tSkip:
		p.next()
		return p.primary()
	case tFunc:
		return p.call()
	case tGroup:
		return p.group()
	case tOpen:
		return p.bracket()
	case tFrac:
		return p.frac()
	case tBinom:
		p.next()
		a, err := p.argument()
		if err != nil {
			return nil, err
		}
		b, err := p.argument()
		if err != nil {
			return nil, err
		}
		return expr.Call("binom", a, b), nil
	case tRoot:
		return p.root()
	case tSeries:
		return p.series()
	case tIntegral:
		return p.integral()
	case tLimit:
		return p.limit()
	case tOverline:
		p.next()
		return p.argument()
	case tBegin:
		return p.environment()
	case tShut:
		if t.text == "]" {
			return p.reversed()
		}
	case tOp:
		if t.text == "|" {
			return p.absolute()
		}
	}
	return nil, p.fail()
}

// letters reads a run of letters as a product of variables.
func (p *parser) letters() (*expr.Node, error) {
	t := p.tok
	if len(t.text) > 6 {
		return nil, p.fail()
	}
	p.next()
	var factors []*expr.Node
	for _, r := range t.text {
		switch r {
		case 'e', 'i':
			factors = append(factors, &expr.Node{Kind: expr.Const, Name: string(r)})
		default:
			factors = append(factors, expr.Sym(string(r)))
		}
	}
	last := len(factors) - 1
	for p.tok.is("^") || p.tok.kind == tSuper || p.tok.is("_") || p.tok.kind == tSub || p.tok.is("!") {
		n, err := p.postfix(factors[last])
		if err != nil {
			return nil, err
		}
		factors[last] = n
	}
	return expr.New(expr.Mul, factors...), nil
}

// words reads a text command in operand position: mathematics in disguise, or words.
func (p *parser) words() (*expr.Node, error) {
	t := p.next()
	text := strings.TrimSpace(t.text)
	if strings.Contains(text, "$") || text != "" && strings.IndexFunc(text, func(r rune) bool { return r >= '0' && r <= '9' || r == '\\' }) >= 0 {
		if n, err := p.nested(text); err == nil {
			return n, nil
		}
	}
	if len(text) == 1 && isLetter(text[0]) {
		return expr.Sym(text), nil
	}
	if (p.atClose() || p.separates()) && text != "" {
		return &expr.Node{Kind: expr.Text, Name: Words(text)}, nil
	}
	// a label before a value: "\text{Area} = 5", "\text{about } 5"
	if p.tok.kind == tOp {
		if _, ok := relations[p.tok.text]; ok {
			return expr.Sym(Words(text)), nil
		}
	}
	return nil, p.fail()
}

func (p *parser) separates() bool {
	return p.tok.is(",") || p.tok.is(";") || p.tok.is("and") || p.tok.is("or")
}

// nested parses the content of a text command as an answer of its own.
func (p *parser) nested(text string) (*expr.Node, error) {
	inner := &parser{lexer: lexer{src: text, listCommas: p.listCommas}, opts: p.opts, b: p.b, level: p.level + 4}
	inner.advance(0)
	n, err := inner.list(true)
	if err == nil && inner.tok.kind != tEnd {
		err = inner.fail()
	}
	return n, err
}

// group reads a braced group of LaTeX, which may hold anything, as one operand.
func (p *parser) group() (*expr.Node, error) {
	p.next()
	if p.tok.kind == tUngroup { // {}
		p.next()
		return p.primary()
	}
	bars, noBar := p.bars, p.noBar
	p.bars, p.noBar = 0, 0
	n, err := p.list(false)
	p.bars, p.noBar = bars, noBar
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tUngroup {
		return nil, p.fail()
	}
	p.next()
	return n, nil
}

// argument reads what follows a command: a group, one digit, or one operand.
func (p *parser) argument() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	if p.tok.kind == tNumber {
		c := p.src[p.tok.start]
		if isDigit(c) {
			p.advance(p.tok.start + 1)
			return expr.Int(int64(c - '0')), nil
		}
	}
	if p.tok.kind == tWord {
		c := p.src[p.tok.start]
		p.advance(p.tok.start + 1)
		return expr.Sym(string(c)), nil
	}
	return p.primary()
}

// frac := \frac argument argument, with derivatives recognised.
func (p *parser) frac() (*expr.Node, error) {
	start := p.tok
	p.next()
	if n, ok, err := p.differential(start); ok || err != nil {
		return n, err
	}
	num, err := p.argument()
	if err != nil {
		return nil, err
	}
	if p.tok.is("/") { // \frac{1}/{2}
		p.next()
	}
	den, err := p.argument()
	if err != nil {
		return nil, err
	}
	return expr.New(expr.Div, num, den), nil
}

// differential recognises \frac{d}{dx} before a body.
func (p *parser) differential(start token) (*expr.Node, bool, error) {
	num, mid, ok := braced(p.src, start.end)
	if !ok {
		return nil, false, nil
	}
	den, end, ok := braced(p.src, mid)
	num, den = strings.TrimSpace(num), strings.TrimSpace(den)
	clean := strings.NewReplacer("\\partial", "d", "\\mathrm{d}", "d", " ", "")
	num, den = clean.Replace(num), clean.Replace(den)
	if !ok || num != "d" || len(den) != 2 || den[0] != 'd' || !isLetter(den[1]) {
		return nil, false, nil
	}
	p.advance(end)
	body, err := p.product()
	if err != nil {
		return nil, true, err
	}
	return &expr.Node{Kind: expr.Deriv, Name: den[1:], Args: []*expr.Node{body}}, true, nil
}

// root := \sqrt ['[' index ']'] argument; plain "sqrt 12" and "sqrt(12)" take the whole operand.
func (p *parser) root() (*expr.Node, error) {
	t := p.next()
	v, _ := newRat().SetString(t.text)
	index := &expr.Node{Kind: expr.Number, Rat: v}
	if p.tok.kind == tOpen && p.tok.text == "[" {
		p.next()
		n, err := p.sum()
		if err != nil {
			return nil, err
		}
		if err := p.expect(tShut, "]"); err != nil {
			return nil, err
		}
		index = n
	}
	arg, err := p.primary()
	if err != nil {
		return nil, err
	}
	if arg.Kind == expr.List {
		return nil, fmt.Errorf("root of a list: %w", ErrSyntax)
	}
	return expr.Call("root", arg, index), nil
}

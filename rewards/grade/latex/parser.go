// Package latex reads mathematical answers as models and data sets write them: LaTeX, plain text
// and Unicode mathematics, in any mixture, into trees of package expr. It is a recursive-descent
// parser with bounds on input size, nesting, digits and steps; it never panics and never
// backtracks more than one token, so its time is linear in its input.
package latex

import (
	"errors"
	"fmt"
	"strings"

	"pith/rewards/grade/expr"
)

// Limits of one answer.
const (
	MaxBytes = 4096 // length of an answer's text
	MaxDepth = 64   // nesting of groups, scripts and brackets
)

// ErrSyntax says that a text is not mathematics this package reads.
var ErrSyntax = errors.New("not readable as mathematics")

// Options choose among readings of ambiguous notation.
type Options struct {
	ListCommas   bool // "1,234" is two numbers, except in brackets, where it is one
	DecimalComma bool // "1,5" is one number and a half
	NaturalLog   bool // "\log" without a base is to base e instead of 10
	UnitLetters  bool // a single letter m, g, s, h after a number is a unit
}

// Parsed is an answer as read.
type Parsed struct {
	Node      *expr.Node
	Unit      string // the unit words that were dropped after the last number
	Ambiguous bool   // commas between digits could be read otherwise
	LogBase   bool   // a logarithm without base was met
	UnitTail  bool   // a single letter that could be a unit follows the only number
}

// Parse reads an answer. The error wraps ErrSyntax when the text is no mathematics, and
// expr.ErrLimit when it exceeds a bound.
func Parse(src string, opts Options, b *expr.Budget) (Parsed, error) {
	if len(src) > MaxBytes {
		return Parsed{}, fmt.Errorf("answer of %d bytes: %w", len(src), expr.ErrLimit)
	}
	if err := b.Spend(len(src) / 8); err != nil {
		return Parsed{}, err
	}
	p := &parser{lexer: lexer{src: src, listCommas: opts.ListCommas, decimalComma: opts.DecimalComma}, opts: opts, b: b}
	p.advance(0)
	if p.tok.is("~") || p.tok.is("=") { // "≈ 3", "= 3"
		p.next()
	}
	node, err := p.list(true)
	if err != nil {
		return Parsed{}, err
	}
	if p.tok.kind != tEnd {
		return Parsed{}, p.fail()
	}
	return Parsed{Node: node, Unit: p.unit, Ambiguous: p.ambiguous, LogBase: p.logBase, UnitTail: p.unitTail}, nil
}

type parser struct {
	lexer
	opts     Options
	b        *expr.Budget
	tok      token
	level    int
	bars     int // open absolute values
	noBar    int // inside braces, where a bar separates
	inRange  int // bounds of series, where "=" is the parser's own
	unit     string
	logBase  bool
	unitTail bool
}

func (p *parser) advance(pos int) { p.tok = p.lex(pos) }

func (p *parser) next() token {
	t := p.tok
	p.advance(t.end)
	return t
}

func (p *parser) fail() error {
	if p.tok.text == limitMark {
		return fmt.Errorf("number with too many digits: %w", expr.ErrLimit)
	}
	return fmt.Errorf("at byte %d: %w", p.tok.start, ErrSyntax)
}

// enter counts nesting and steps; leave undoes it.
func (p *parser) enter() error {
	p.level++
	if p.level > MaxDepth {
		return fmt.Errorf("nesting deeper than %d: %w", MaxDepth, expr.ErrLimit)
	}
	return p.b.Spend(2)
}

func (p *parser) leave() { p.level-- }

// list := element ((',' | ';' | and | or) element)*
func (p *parser) list(top bool) (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var items []*expr.Node
	word := ""
	for len(items) == 0 || !p.atClose() { // a separator may stand before the end
		item, err := p.element()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		sep, ok := p.separatorToken(top)
		if !ok {
			break
		}
		if sep == "or" || sep == "and" && word == "" {
			word = sep
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return &expr.Node{Kind: expr.List, Name: word, Args: items}, nil
}

func (p *parser) atClose() bool {
	return p.tok.kind == tEnd || p.tok.kind == tShut || p.tok.kind == tUngroup
}

// separatorToken consumes whatever separates the items of a list, e.g. ", and".
func (p *parser) separatorToken(top bool) (string, bool) {
	found := ""
	for {
		switch {
		case p.tok.is(","), p.tok.is(";"), top && p.tok.kind == tRowEnd:
			if found == "" {
				found = ","
			}
		case p.tok.is("or"), p.tok.is("and"):
			found = p.tok.text
		case p.tok.kind == tText && connective(p.tok.text) != "":
			found = connective(p.tok.text)
		default:
			return found, found != ""
		}
		p.next()
	}
}

func connective(text string) string {
	switch strings.ToLower(strings.Trim(text, " ,;.~\\")) {
	case "and", "&", "und", "et":
		return "and"
	case "or", "oder", "ou":
		return "or"
	}
	return ""
}

var relations = map[string]string{
	"=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=", "~": "~", "≡": "≡", "in": "in", "ni": "ni", "notin": "notin", "subset": "subset", "->": "->", "=>": "=>",
}

// element := sets (relation sets)*
func (p *parser) element() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	first, err := p.sets()
	if err != nil {
		return nil, err
	}
	var ops []string
	args := []*expr.Node{first}
	for p.tok.kind == tOp {
		name, ok := relations[p.tok.text]
		if !ok {
			break
		}
		p.next()
		if p.tok.is("&") {
			p.next()
		}
		if (name == "<" || name == ">") && p.tok.is("=") {
			p.next()
			name += "="
		}
		arg, err := p.sets()
		if err != nil {
			return nil, err
		}
		ops, args = append(ops, name), append(args, arg)
	}
	if p.tok.kind == tPmod {
		p.next()
		m, err := p.argument()
		if err != nil {
			return nil, err
		}
		args[len(args)-1] = expr.Call("pmod", args[len(args)-1], m)
	}
	if len(ops) == 0 {
		return first, nil
	}
	return &expr.Node{Kind: expr.Relation, Args: args, Ops: ops}, nil
}

// sets := ratio ((∪ | ∩ | \) ratio)*
func (p *parser) sets() (*expr.Node, error) {
	left, err := p.ratio()
	if err != nil {
		return nil, err
	}
	for {
		kind := expr.Union
		switch {
		case p.tok.is("cup"):
		case (p.tok.kind == tLetter && p.tok.text == "U" || p.tok.kind == tText && strings.TrimSpace(p.tok.text) == "U") && collection(left):
		case p.tok.is("cap"):
			kind = expr.Intersect
		case p.tok.is("setminus"), p.tok.is("-") && collection(left), p.tok.is("\\"):
			kind = expr.Minus
		default:
			return left, nil
		}
		p.next()
		right, err := p.ratio()
		if err != nil {
			return nil, err
		}
		if left.Kind == kind && kind != expr.Minus {
			left.Args = append(left.Args, right)
		} else {
			left = expr.New(kind, left, right)
		}
	}
}

func collection(n *expr.Node) bool {
	switch n.Kind {
	case expr.Tuple, expr.Set, expr.Interval, expr.Union, expr.Intersect, expr.Minus:
		return true
	case expr.Symbol:
		return strings.HasSuffix(n.Name, "_set")
	}
	return false
}

// ratio := sum (':' sum)*
func (p *parser) ratio() (*expr.Node, error) {
	first, err := p.sum()
	if err != nil {
		return nil, err
	}
	if !p.tok.is(":") {
		return first, nil
	}
	args := []*expr.Node{first}
	for p.tok.is(":") {
		p.next()
		arg, err := p.sum()
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return expr.New(expr.Ratio, args...), nil
}

// sum := ['+' | '-' | '±'] product (('+' | '-' | '±') product)*
func (p *parser) sum() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	var terms []*expr.Node
	for {
		sign := ""
		for p.tok.kind == tOp && (p.tok.text == "+" || p.tok.text == "-" || p.tok.text == "+-" || p.tok.text == "-+") {
			if len(terms) > 0 && sign == "" && p.tok.text == "-" && collection(terms[len(terms)-1]) {
				break
			}
			switch {
			case p.tok.text == "+" && sign != "":
			case p.tok.text == "-" && sign == "-":
				sign = "+"
			case p.tok.text == "-" && (sign == "+-" || sign == "-+"):
			default:
				sign = p.tok.text
			}
			p.next()
		}
		if sign == "" && len(terms) > 0 {
			break
		}
		// "+/-" in plain text
		if sign == "+" && p.tok.is("/") && len(p.src) > p.tok.end && p.src[p.tok.end] == '-' {
			p.next()
			p.next()
			sign = "+-"
		}
		term, err := p.product()
		if err != nil {
			return nil, err
		}
		switch sign {
		case "-":
			term = negate(term)
		case "+-", "-+":
			term = &expr.Node{Kind: expr.PlusMinus, Name: sign, Args: []*expr.Node{term}}
		}
		terms = append(terms, term)
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	return expr.New(expr.Add, terms...), nil
}

func negate(n *expr.Node) *expr.Node {
	if n.Kind == expr.Number {
		c := *n
		c.Rat = newRat().Neg(n.Rat)
		return &c
	}
	return expr.New(expr.Neg, n)
}

// product := unary (('*' | '/' | mod | nothing) unary)*
func (p *parser) product() (*expr.Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer p.leave()
	left, err := p.power()
	if err != nil {
		return nil, err
	}
	for {
		switch {
		case p.tok.is("*"):
			p.next()
			right, err := p.signed()
			if err != nil {
				return nil, err
			}
			left = multiply(left, right)
		case p.tok.is("/"):
			p.next()
			right, err := p.signed()
			if err != nil {
				return nil, err
			}
			left = expr.New(expr.Div, left, right)
		case p.tok.is("over"), p.tok.is("choose"):
			choose := p.tok.is("choose")
			p.next()
			right, err := p.sum()
			if err != nil {
				return nil, err
			}
			if choose {
				left = expr.Call("binom", left, right)
			} else {
				left = expr.New(expr.Div, left, right)
			}
		case p.tok.is("mod"):
			p.next()
			right, err := p.signed()
			if err != nil {
				return nil, err
			}
			left = expr.Call("mod", left, right)
		case p.tok.kind == tLetter && p.tok.text == "x" && p.tok.spaced && left.Kind == expr.Number && p.timesLetter():
			p.next()
			right, err := p.signed()
			if err != nil {
				return nil, err
			}
			left = multiply(left, right)
		case p.startsFactor(left):
			mixed := left.IsInteger() && p.mixedAhead()
			right, err := p.power()
			if err != nil {
				return nil, err
			}
			if mixed {
				left = mix(left, right)
			} else {
				left = multiply(left, right)
			}
		default:
			return left, nil
		}
	}
}

// timesLetter reports whether the letter at hand stands for a multiplication sign: "1.5 x 10^3".
func (p *parser) timesLetter() bool {
	rest := p.src[p.tok.end:]
	return len(rest) > 1 && rest[0] == ' ' && isDigit(rest[1])
}

// signed := ['-' | '+'] power, as after a multiplication sign.
func (p *parser) signed() (*expr.Node, error) {
	switch {
	case p.tok.is("-"):
		p.next()
		n, err := p.power()
		if err != nil {
			return nil, err
		}
		return negate(n), nil
	case p.tok.is("+"):
		p.next()
	}
	return p.power()
}

func multiply(a, b *expr.Node) *expr.Node {
	if a.Kind == expr.Mul {
		a.Args = append(a.Args, b)
		return a
	}
	return expr.New(expr.Mul, a, b)
}

// mix makes a mixed number of a whole one and a fraction; the sign of the whole part carries over.
func mix(whole, part *expr.Node) *expr.Node {
	return expr.New(expr.Add, whole, part)
}

// mixedAhead reports whether a plain fraction of two numerals comes next.
func (p *parser) mixedAhead() bool {
	switch p.tok.kind {
	case tPart:
		return true
	case tNumber:
		return true
	case tFrac:
		pos := p.tok.end
		for range 2 {
			for pos < len(p.src) && p.src[pos] == ' ' {
				pos++
			}
			if pos < len(p.src) && isDigit(p.src[pos]) {
				pos++
				continue
			}
			inner, after, ok := braced(p.src, pos)
			if !ok || !allDigits(strings.TrimSpace(inner)) {
				return false
			}
			pos = after
		}
		return true
	}
	return false
}

// startsFactor reports whether the token at hand begins a factor of an implicit product.
func (p *parser) startsFactor(left *expr.Node) bool {
	switch p.tok.kind {
	case tLetter:
		return !(p.tok.text == "U" && collection(left)) && !(p.inRange > 0 && p.tok.text == "d")
	case tConst, tFunc, tGroup, tFrac, tBinom, tRoot, tSeries, tLimit, tIntegral, tOverline, tBegin, tSkip, tPart:
		return true
	case tWord:
		return !(p.inRange > 0 && len(p.tok.text) == 2 && p.tok.text[0] == 'd')
	case tOpen:
		return !collection(left) || p.tok.text != "["
	case tNumber:
		// Two numerals side by side are a mixed number, "1 1/2", or no mathematics. After a letter
		// or a group a numeral is a factor.
		if left.Kind == expr.Number {
			return left.IsInteger() && p.fractionAhead()
		}
		return true
	case tOp:
		return p.tok.text == "|" && p.bars == 0 && p.noBar == 0
	}
	return false
}

// fractionAhead reports whether "digits/digits" stands at the token.
func (p *parser) fractionAhead() bool {
	rest := p.src[p.tok.end:]
	return strings.HasPrefix(rest, "/") && len(rest) > 1 && isDigit(rest[1]) && !p.tok.num.Decimal
}

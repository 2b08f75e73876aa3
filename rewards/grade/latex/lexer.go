package latex

import (
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"pith/rewards/grade/expr"
)

type tokenKind uint8

const (
	tEnd tokenKind = iota
	tNumber
	tLetter // one letter, or a named variable
	tWord   // several letters without a meaning of their own
	tConst
	tFunc
	tOp
	tOpen
	tShut
	tText // the content of a text command
	tGroup
	tUngroup
	tFrac
	tBinom
	tRoot
	tSeries
	tIntegral
	tLimit
	tPmod
	tOverline
	tEmpty
	tScale
	tBegin
	tRowEnd
	tSkip
	tSuper // raised digits of Unicode
	tSub   // lowered digits of Unicode
	tPart  // a vulgar fraction character
)

// token is one lexical unit; start and end are its byte offsets.
type token struct {
	kind       tokenKind
	text       string
	num        *expr.Node
	start, end int
	spaced     bool // white space stood before it
}

func op(s string) token       { return token{kind: tOp, text: s} }
func open(s string) token     { return token{kind: tOpen, text: s} }
func shut(s string) token     { return token{kind: tShut, text: s} }
func constant(s string) token { return token{kind: tConst, text: s} }
func symbol(s string) token   { return token{kind: tLetter, text: s} }
func function(s string) token { return token{kind: tFunc, text: s} }
func scale(s string) token    { return token{kind: tScale, text: s} }
func fraction(s string) token { return token{kind: tPart, text: s} }

func (t token) is(text string) bool { return t.kind == tOp && t.text == text }

// lexer cuts an answer into tokens on demand. It never fails: what it does not know becomes an
// operator that no rule accepts.
type lexer struct {
	src   string
	depth int // open brackets, as far as lexed; commas between digits mean other things inside
	// listCommas reads "1,234" as two numbers, decimalComma "1,5" as one.
	listCommas, decimalComma bool
	ambiguous                bool // a comma between digits was met that could be read otherwise
	digits                   int
}

// lex reads the token at offset pos.
func (l *lexer) lex(pos int) token {
	start := pos
	spaced := false
	for pos < len(l.src) {
		next, ok := l.skip(pos)
		if !ok {
			break
		}
		pos, spaced = next, true
	}
	t := l.one(pos)
	t.start, t.spaced = pos, spaced
	if start == 0 && pos == 0 {
		t.spaced = false
	}
	return t
}

// skip passes one piece of white space, spacing command or mark without meaning.
func (l *lexer) skip(pos int) (int, bool) {
	switch c := l.src[pos]; {
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '$' || c == '~':
		return pos + 1, true
	case c == '\\':
		name, end := commandName(l.src, pos)
		if ignoredWithArgument[name] {
			if _, after, ok := braced(l.src, end); ok {
				return after, true
			}
			return end, true
		}
		if spacing[name] {
			if (name == "left" || name == "right") && end < len(l.src) && l.src[end] == '.' {
				end++
			}
			return end, true
		}
	case c >= utf8.RuneSelf:
		r, size := utf8.DecodeRuneInString(l.src[pos:])
		if unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' || r == '€' || r == '£' || r == '¥' || r == '₹' || r == '\u2061' || r == '\u2062' {
			return pos + size, true
		}
	}
	return pos, false
}

func (l *lexer) one(pos int) token {
	if pos >= len(l.src) {
		return token{kind: tEnd, end: pos}
	}
	c := l.src[pos]
	switch {
	case isDigit(c), c == '.' && pos+1 < len(l.src) && isDigit(l.src[pos+1]):
		return l.number(pos)
	case c == '\\':
		return l.command(pos)
	case isLetter(c):
		return l.word(pos)
	case c >= utf8.RuneSelf:
		return l.unicode(pos)
	}
	two := ""
	if pos+2 <= len(l.src) {
		two = l.src[pos : pos+2]
	}
	at := func(t token, n int) token { t.end = pos + n; return t }
	switch two {
	case "**":
		return at(op("^"), 2)
	case "<=", ">=", "!=":
		return at(op(two), 2)
	case "==":
		return at(op("="), 2)
	case "=<":
		return at(op("<="), 2)
	case "=>":
		return at(op("=>"), 2)
	case "->":
		return at(op("->"), 2)
	}
	switch c {
	case '(', '[':
		return at(open(string(c)), 1)
	case ')', ']':
		return at(shut(string(c)), 1)
	case '{':
		if strings.HasPrefix(l.src[pos:], "{,}") {
			return at(op(","), 3)
		}
		return at(token{kind: tGroup}, 1)
	case '}':
		return at(token{kind: tUngroup}, 1)
	case '&':
		return at(op("&"), 1)
	}
	return at(op(string(c)), 1)
}

func (l *lexer) unicode(pos int) token {
	r, size := utf8.DecodeRuneInString(l.src[pos:])
	if t, ok := runes[r]; ok {
		t.end = pos + size
		return t
	}
	if t, end := lookalikes(l.src, pos, supers); end > pos {
		return token{kind: tSuper, text: t, end: end}
	}
	if t, end := lookalikes(l.src, pos, subs); end > pos {
		return token{kind: tSub, text: t, end: end}
	}
	if unicode.IsLetter(r) {
		end := pos
		for end < len(l.src) {
			r, size := utf8.DecodeRuneInString(l.src[end:])
			if !unicode.IsLetter(r) {
				break
			}
			end += size
		}
		return token{kind: tText, text: l.src[pos:end], end: end}
	}
	return token{kind: tOp, text: "?", end: pos + size}
}

func lookalikes(src string, pos int, table map[rune]byte) (string, int) {
	var b []byte
	for pos < len(src) {
		r, size := utf8.DecodeRuneInString(src[pos:])
		c, ok := table[r]
		if !ok {
			break
		}
		b = append(b, c)
		pos += size
	}
	if len(b) == 0 {
		return "", 0
	}
	return string(b), pos
}

func (l *lexer) command(pos int) token {
	name, end := commandName(l.src, pos)
	if t, ok := commands[name]; ok {
		t.end = end
		return t
	}
	if f, ok := functions[name]; ok {
		return token{kind: tFunc, text: f, end: end}
	}
	switch {
	case name == "\\" || name == "cr":
		return token{kind: tRowEnd, end: end}
	case len(name) == 1 && (isDigit(name[0]) || name[0] == '-'):
		// a row end that lost one of its backslashes on the way through JSON
		return token{kind: tRowEnd, end: pos + 1}
	case name == "begin":
		if env, after, ok := braced(l.src, end); ok {
			return token{kind: tBegin, text: strings.TrimSpace(env), end: after}
		}
	case name == "end":
		if env, after, ok := braced(l.src, end); ok {
			return token{kind: tShut, text: "end " + strings.TrimSpace(env), end: after}
		}
	case name == "mathbb" || name == "Bbb":
		if set, after, ok := braced(l.src, end); ok {
			return token{kind: tLetter, text: strings.TrimSpace(set) + "_set", end: after}
		}
	case textual[name]:
		if words, after, ok := braced(l.src, end); ok {
			return l.text(words, after)
		}
		return token{kind: tSkip, end: end}
	case transparent[name]:
		return token{kind: tSkip, end: end}
	}
	return token{kind: tLetter, text: name, end: end}
}

// text decides what a text command holds: a name with a meaning, or words.
func (l *lexer) text(content string, end int) token {
	inner := strings.TrimSpace(content)
	if len(inner) == 1 && isLetter(inner[0]) && content == inner {
		switch inner {
		case "e", "i":
			return token{kind: tConst, text: inner, end: end}
		}
		return token{kind: tText, text: content, end: end}
	}
	if f, ok := functions[inner]; ok {
		return token{kind: tFunc, text: f, end: end}
	}
	if t, ok := words[strings.ToLower(inner)]; ok {
		t.end = end
		return t
	}
	if inner == "," || inner == ";" {
		return token{kind: tOp, text: ",", end: end}
	}
	return token{kind: tText, text: content, end: end}
}

func (l *lexer) word(pos int) token {
	end := pos
	for end < len(l.src) && isLetter(l.src[end]) {
		end++
	}
	w := l.src[pos:end]
	if len(w) == 1 {
		switch w {
		case "e", "i":
			return token{kind: tConst, text: w, end: end}
		}
		return token{kind: tLetter, text: w, end: end}
	}
	if t, ok := words[w]; ok {
		t.end = end
		return t
	}
	if f, ok := functions[w]; ok {
		return token{kind: tFunc, text: f, end: end}
	}
	if lower := strings.ToLower(w); len(w) > 3 {
		if t, ok := words[lower]; ok {
			t.end = end
			return t
		}
		// "xsqrt", "2pir": a known word stuck to letters is common in plain text.
		for _, known := range []string{"sqrt", "pi"} {
			if i := strings.Index(w, known); i > 0 && i <= 2 && i+len(known) == len(w) {
				return token{kind: tWord, text: w[:i], end: pos + i}
			}
		}
	}
	if (strings.HasPrefix(w, "pi") || strings.HasPrefix(w, "ln")) && len(w) == 3 {
		if w[:2] == "pi" {
			return token{kind: tConst, text: "pi", end: pos + 2}
		}
		return token{kind: tFunc, text: "ln", end: pos + 2}
	}
	return token{kind: tWord, text: w, end: end}
}

// maxDigits bounds the digits of all numbers of one answer.
const maxDigits = 8192

// number reads a numeral with its thousands separators, decimal part, repeating part and exponent.
func (l *lexer) number(pos int) token {
	if t, ok := l.continental(pos); ok {
		return t
	}
	digits, end := l.whole(pos)
	decimal := false
	frac, repeat := "", ""
	switch {
	case end < len(l.src) && l.src[end] == '.':
		i := end + 1
		for i < len(l.src) && isDigit(l.src[i]) {
			i++
		}
		frac = l.src[end+1 : i]
		if frac != "" {
			decimal, end = true, i
		} else if !strings.HasPrefix(l.src[i:], ".") {
			end = i
		}
		if r, after, ok := repeating(l.src, i); ok {
			repeat, end, decimal = r, after, true
		}
	case l.decimalComma && end < len(l.src) && l.src[end] == ',' || strings.HasPrefix(l.src[end:], "{,}"):
		from := end + 1
		if l.src[end] == '{' {
			from = end + 3
		}
		i := from
		for i < len(l.src) && isDigit(l.src[i]) {
			i++
		}
		if i > from {
			frac, end, decimal = l.src[from:i], i, true
		}
	}
	exp := ""
	if i := end; i < len(l.src) && (l.src[i] == 'e' || l.src[i] == 'E') {
		i++
		if i < len(l.src) && (l.src[i] == '-' || l.src[i] == '+') {
			i++
		}
		from := i
		for i < len(l.src) && isDigit(l.src[i]) {
			i++
		}
		if i > from && i-from <= 4 {
			exp, end = l.src[end+1:i], i
		}
	}
	l.digits += len(digits) + len(frac) + len(repeat)
	if exp != "" {
		e, _ := strconv.Atoi(strings.TrimLeft(exp, "+-"))
		l.digits += e
	}
	t := token{kind: tNumber, text: digits, end: end}
	if l.digits > maxDigits {
		t.kind = tOp
		t.text = limitMark
		return t
	}
	t.num = numeral(digits, frac, repeat, exp)
	t.num.Decimal = decimal && repeat == ""
	return t
}

// continental reads 1.234.567,89: points between groups of three digits and a decimal comma after.
func (l *lexer) continental(pos int) (token, bool) {
	end := pos
	for end < len(l.src) && isDigit(l.src[end]) {
		end++
	}
	if end-pos > 3 {
		return token{}, false
	}
	digits, groups := l.src[pos:end], 0
	for end < len(l.src) && l.src[end] == '.' && threeDigits(l.src, end+1) && groups < 16 {
		digits += l.src[end+1 : end+4]
		end += 4
		groups++
	}
	if groups == 0 || end >= len(l.src) || l.src[end] != ',' && groups < 2 {
		return token{}, false
	}
	frac := ""
	if l.src[end] == ',' {
		i := end + 1
		for i < len(l.src) && isDigit(l.src[i]) {
			i++
		}
		if i == end+1 {
			return token{}, false
		}
		frac, end = l.src[end+1:i], i
	}
	l.digits += len(digits) + len(frac)
	if l.digits > maxDigits {
		return token{}, false
	}
	n := numeral(digits, frac, "", "")
	n.Decimal = frac != ""
	return token{kind: tNumber, text: digits, num: n, end: end}, true
}

// limitMark is the text of a token that stands for something too large to read.
const limitMark = "\x00limit"

func numeral(digits, frac, repeat, exp string) *expr.Node {
	v := new(big.Int)
	if digits+frac != "" {
		v.SetString(digits+frac, 10)
	}
	den := big.NewInt(1)
	if frac != "" {
		den.Exp(big.NewInt(10), big.NewInt(int64(len(frac))), nil)
	}
	r := new(big.Rat).SetFrac(v, den)
	if repeat != "" {
		rep, _ := new(big.Int).SetString(repeat, 10)
		nines := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(len(repeat))), nil)
		nines.Sub(nines, big.NewInt(1)).Mul(nines, den)
		r.Add(r, new(big.Rat).SetFrac(rep, nines))
	}
	if exp != "" {
		e, _ := new(big.Int).SetString(strings.TrimPrefix(exp, "+"), 10)
		ten := new(big.Int).Exp(big.NewInt(10), new(big.Int).Abs(e), nil)
		scale := new(big.Rat).SetInt(ten)
		if e.Sign() < 0 {
			scale.Inv(scale)
		}
		r.Mul(r, scale)
	}
	return &expr.Node{Kind: expr.Number, Rat: r}
}

// whole reads digits with thousands separators: comma, thin space, apostrophe-free spellings.
func (l *lexer) whole(pos int) (digits string, end int) {
	end = pos
	for end < len(l.src) && isDigit(l.src[end]) {
		end++
	}
	digits = l.src[pos:end]
	if len(digits) > 3 && end+1 < len(l.src) && l.src[end] == ',' && isDigit(l.src[end+1]) {
		l.ambiguous = true
	}
	if len(digits) == 0 || len(digits) > 3 || digits[0] == '0' {
		return digits, end
	}
	var b strings.Builder
	for {
		gap := separator(l.src[end:])
		if gap == 0 || !threeDigits(l.src, end+gap) {
			break
		}
		if gap == 1 && l.src[end] == ',' {
			l.ambiguous = true
			if l.listCommas != (l.depth > 0) {
				break
			}
		}
		if b.Len() == 0 {
			b.WriteString(digits)
		}
		b.WriteString(l.src[end+gap : end+gap+3])
		end += gap + 3
	}
	if b.Len() > 0 {
		digits = b.String()
	} else if end+1 < len(l.src) && l.src[end] == ',' && isDigit(l.src[end+1]) {
		l.ambiguous = true
	}
	return digits, end
}

// separator returns the length of a thousands separator at the start of s, or 0.
func separator(s string) int {
	for _, sep := range []string{",\\!", "{,}", "\\,", "\\;", "\\ ", ",", " ", "\u00a0", "\u202f", "\u2009"} {
		if strings.HasPrefix(s, sep) {
			return len(sep)
		}
	}
	return 0
}

// threeDigits reports whether exactly three digits stand at pos.
func threeDigits(s string, pos int) bool {
	if pos+3 > len(s) || !isDigit(s[pos]) || !isDigit(s[pos+1]) || !isDigit(s[pos+2]) {
		return false
	}
	return pos+3 == len(s) || !isDigit(s[pos+3])
}

// repeating reads \overline{3}, \dot{3} or (3) after the digits of a decimal.
func repeating(src string, pos int) (string, int, bool) {
	rest := src[pos:]
	for _, name := range []string{"\\overline", "\\bar", "\\dot"} {
		if strings.HasPrefix(rest, name) {
			r, after, ok := braced(src, pos+len(name))
			return r, after, ok && allDigits(r)
		}
	}
	if strings.HasPrefix(rest, "(") && pos > 0 && (isDigit(src[pos-1]) || src[pos-1] == '.') {
		if i := strings.IndexByte(rest, ')'); i > 1 && i < 12 && allDigits(rest[1:i]) {
			return rest[1:i], pos + i + 1, true
		}
	}
	return "", 0, false
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != "" && len(s) < 64
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// commandName reads the command at pos (a backslash) and returns the offset after it.
func commandName(src string, pos int) (string, int) {
	end := pos + 1
	for end < len(src) && isLetter(src[end]) {
		end++
	}
	if end == pos+1 && end < len(src) {
		_, size := utf8.DecodeRuneInString(src[end:])
		end += size
	}
	return src[pos+1 : end], end
}

// braced returns the content of the balanced group at pos, after white space.
func braced(src string, pos int) (content string, end int, ok bool) {
	for pos < len(src) && src[pos] == ' ' {
		pos++
	}
	if pos >= len(src) || src[pos] != '{' {
		return "", pos, false
	}
	depth := 0
	for i := pos; i < len(src); i++ {
		switch src[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return src[pos+1 : i], i + 1, true
			}
		}
	}
	return "", pos, false
}

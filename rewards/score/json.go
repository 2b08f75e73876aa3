package score

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// kind is the type of a JSON value.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindNotNumber // NaN, Infinity, -Infinity: what careless writers produce; never valid
	kindString
	kindList
	kindObject
)

func (k kind) String() string {
	return [...]string{"null", "true or false", "a number", "not a number", "a string", "a list", "an object"}[k]
}

// node is one value of a parsed line. Children are linked by index, so that one slice holds the
// whole line and is reused for the next.
type node struct {
	kind        kind
	start, end  int // of the value's bytes in the line
	keyStart    int // of the key's bytes, quotes excluded; members of objects only
	keyEnd      int
	first, next int // first child, next sibling; 0 = none (node 0 is the root)
}

// document is a parsed line.
type document struct {
	text  []byte
	nodes []node
}

// maxDepth bounds nesting; the contract needs four levels.
const maxDepth = 64

// parse reads one JSON value, which has to be all of text but white space. It keeps text.
func (d *document) parse(text []byte) error {
	d.text, d.nodes = text, d.nodes[:0]
	p := parser{d: d}
	p.space()
	if _, err := p.value(0); err != nil {
		return err
	}
	p.space()
	if p.at < len(text) {
		return p.fail("want nothing after the value")
	}
	return nil
}

type parser struct {
	d  *document
	at int
}

// fail names the column, counted in bytes from 1.
func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("column %d: not JSON: %s", p.at+1, fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.at < len(p.d.text) {
		switch p.d.text[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

func (p *parser) peek() byte {
	if p.at < len(p.d.text) {
		return p.d.text[p.at]
	}
	return 0
}

// value appends the value at the cursor and returns its index.
func (p *parser) value(depth int) (int, error) {
	if depth > maxDepth {
		return 0, p.fail("nested more than %d levels deep", maxDepth)
	}
	at := len(p.d.nodes)
	p.d.nodes = append(p.d.nodes, node{start: p.at})
	var (
		k   kind
		err error
	)
	switch c := p.peek(); {
	case c == '{':
		k, err = kindObject, p.object(at, depth)
	case c == '[':
		k, err = kindList, p.list(at, depth)
	case c == '"':
		k = kindString
		_, _, err = p.quoted()
	case c == '-' && bytes.HasPrefix(p.d.text[p.at:], []byte("-Inf")) || c == 'N' || c == 'I':
		k, err = kindNotNumber, p.word("NaN", "Infinity", "-Infinity")
	case c == '-' || c >= '0' && c <= '9':
		k, err = kindNumber, p.number()
	case c == 't' || c == 'f':
		k, err = kindBool, p.word("true", "false")
	case c == 'n':
		k, err = kindNull, p.word("null")
	case p.at >= len(p.d.text):
		err = p.fail("want a value, the line ends")
	default:
		err = p.fail("want a value, got %q", c)
	}
	p.d.nodes[at].kind, p.d.nodes[at].end = k, p.at
	return at, err
}

func (p *parser) word(words ...string) error {
	for _, w := range words {
		if bytes.HasPrefix(p.d.text[p.at:], []byte(w)) {
			p.at += len(w)
			return nil
		}
	}
	return p.fail("want a value, got %q", p.peek())
}

func (p *parser) object(at, depth int) error {
	p.at++ // {
	p.space()
	if p.peek() == '}' {
		p.at++
		return nil
	}
	for last := 0; ; {
		p.space()
		if p.peek() != '"' {
			return p.fail("want a key in double quotes")
		}
		from, to, err := p.quoted()
		if err != nil {
			return err
		}
		p.space()
		if p.peek() != ':' {
			return p.fail("want a colon after the key")
		}
		p.at++
		p.space()
		child, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		p.d.nodes[child].keyStart, p.d.nodes[child].keyEnd = from, to
		p.link(at, last, child)
		last = child
		p.space()
		if done, err := p.more('}'); done || err != nil {
			return err
		}
	}
}

func (p *parser) list(at, depth int) error {
	p.at++ // [
	p.space()
	if p.peek() == ']' {
		p.at++
		return nil
	}
	for last := 0; ; {
		p.space()
		child, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		p.link(at, last, child)
		last = child
		p.space()
		if done, err := p.more(']'); done || err != nil {
			return err
		}
	}
}

func (p *parser) link(parent, last, child int) {
	if last == 0 {
		p.d.nodes[parent].first = child
	} else {
		p.d.nodes[last].next = child
	}
}

// more consumes a comma, or the end of the list or object.
func (p *parser) more(end byte) (done bool, err error) {
	switch p.peek() {
	case ',':
		p.at++
		return false, nil
	case end:
		p.at++
		return true, nil
	}
	return false, p.fail("want a comma or %q", end)
}

// quoted consumes a string and returns the range inside its quotes.
func (p *parser) quoted() (from, to int, err error) {
	p.at++
	from = p.at
	for ; p.at < len(p.d.text); p.at++ {
		switch c := p.d.text[p.at]; {
		case c == '"':
			p.at++
			return from, p.at - 1, nil
		case c < 0x20:
			return 0, 0, p.fail("a string holds the control character %#02x", c)
		case c == '\\':
			p.at++
			if p.peek() == 'u' {
				for range 4 {
					p.at++
					if !hexadecimal(p.peek()) {
						return 0, 0, p.fail(`want four hexadecimal digits after \u`)
					}
				}
			} else if bytes.IndexByte([]byte(`"\/bfnrt`), p.peek()) < 0 || p.peek() == 0 {
				return 0, 0, p.fail("unknown escape in a string")
			}
		}
	}
	return 0, 0, p.fail("a string has no end")
}

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (p *parser) number() error {
	if p.peek() == '-' {
		p.at++
	}
	if p.peek() == '0' {
		p.at++
	} else if !p.digits() {
		return p.fail("want a digit")
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return p.fail("want a digit after the point")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return p.fail("want a digit in the exponent")
		}
	}
	return nil
}

func (p *parser) digits() bool {
	from := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > from
}

// raw is the source of a value, shortened for messages.
func (d *document) raw(n *node) string {
	const most = 40
	text := d.text[n.start:n.end]
	if len(text) <= most {
		return string(text)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return string(text[:cut]) + "…"
}

// unquote decodes the string between two positions that [parser.quoted] gave.
func (d *document) unquote(from, to int) string {
	text := d.text[from:to]
	if bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text) {
		return string(text)
	}
	var s string
	if err := json.Unmarshal(d.text[from-1:to+1], &s); err != nil {
		return string(text) // cannot happen: the scanner accepted it
	}
	return s
}

// float decodes a number; what overflows is refused.
func (d *document) float(n *node) (float64, error) {
	f, err := strconv.ParseFloat(string(d.text[n.start:n.end]), 64)
	if err != nil || math.IsInf(f, 0) {
		return 0, fmt.Errorf("want a finite number, got %s", d.raw(n))
	}
	return f, nil
}

// whole decodes a number without a fraction; 4e3 and 4000.0 count.
func (d *document) whole(n *node) (int, error) {
	text := d.text[n.start:n.end]
	if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return int(i), nil
	}
	f, err := d.float(n)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fmt.Errorf("want a whole number, got %s", d.raw(n))
	}
	return int(f), nil
}

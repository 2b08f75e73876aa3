package clock

import (
	"fmt"
	"strings"
)

// op is one operation on a digit. Its operand is a digit, or the hidden digit x.
type op struct {
	sign   byte // '+', '-', '*'
	k      int  // operand, where hidden is false
	hidden bool
}

func (o op) token() string {
	if o.hidden {
		return string(o.sign) + "x"
	}
	return string(o.sign) + digits[o.k]
}

// apply returns (v op operand) mod 10; x stands in for a hidden operand.
func (o op) apply(v, x int) int {
	k := o.k
	if o.hidden {
		k = x
	}
	switch o.sign {
	case '+':
		return (v + k) % 10
	case '-':
		return (v - k + 10) % 10
	default:
		return v * k % 10
	}
}

// parseOp accepts every operation token of the vocabulary.
func parseOp(token string) (op, bool) {
	if len(token) != 2 {
		return op{}, false
	}
	if _, known := idOf[token]; !known || !strings.ContainsRune("+-*", rune(token[0])) {
		return op{}, false
	}
	if token[1] == 'x' {
		return op{sign: token[0], hidden: true}, true
	}
	return op{sign: token[0], k: int(token[1] - '0')}, true
}

// chain is a problem before it is written down.
type chain struct {
	start int
	ops   []op
	x     int // hidden digit; meaningful where hasX
	hasX  bool
}

func (c chain) answer() int {
	v := c.start
	for _, o := range c.ops {
		v = o.apply(v, c.x)
	}
	return v
}

// text is "D OP OP …", what the policy may know of the problem. The split is decided by it.
func (c chain) text() string {
	var b strings.Builder
	b.WriteString(digits[c.start])
	for _, o := range c.ops {
		b.WriteByte(' ')
		b.WriteString(o.token())
	}
	return b.String()
}

// prompt is the token sequence that the policy reads.
func (c chain) prompt() []string {
	out := make([]string, 0, 4+2*len(c.ops))
	out = append(out, BOS, startLabel, digits[c.start])
	for i, o := range c.ops {
		out = append(out, labels[i], o.token())
	}
	return append(out, Think)
}

// Evaluate returns the value of a problem text, "D OP OP …" with single blanks, such as "3 +4 *7".
// x is the hidden digit, empty where there is none.
func Evaluate(text, x string) (string, error) {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return "", fmt.Errorf("clock: the problem text is empty")
	}
	v, ok := parseDigit(fields[0])
	if !ok {
		return "", fmt.Errorf("clock: %q: the start value %q is not a digit", text, fields[0])
	}
	hidden, hasX := parseDigit(x)
	for i, f := range fields[1:] {
		o, ok := parseOp(f)
		if !ok {
			return "", fmt.Errorf("clock: %q: operation %d, %q, is not in the vocabulary", text, i+1, f)
		}
		if o.hidden && !hasX {
			return "", fmt.Errorf("clock: %q: operation %d, %q, needs the hidden digit", text, i+1, f)
		}
		v = o.apply(v, hidden)
	}
	return digits[v], nil
}

func parseDigit(s string) (int, bool) {
	if len(s) != 1 || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	return int(s[0] - '0'), true
}

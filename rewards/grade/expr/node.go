// Package expr holds mathematical answers as trees and evaluates them: exactly as rationals,
// modulo a large prime, and in complex floating point. Nothing here simplifies, and every walk
// spends from a Budget, so that no tree, however built, runs without bound.
//
// The package knows nothing of notation (package latex reads it) and nothing of policies (package
// grade decides).
package expr

import (
	"math/big"
	"slices"
	"strings"
)

// Kind says what a Node is.
type Kind uint8

const (
	Number    Kind = iota // Rat; Decimal, Percent, Degree, Base say how it was written
	Symbol                // Name
	Const                 // Name: pi, e, i, inf
	Add                   // Args: summands
	Mul                   // Args: factors
	Neg                   // Args[0]
	Div                   // Args[0] / Args[1]
	Pow                   // Args[0] ^ Args[1]
	Func                  // Name applied to Args
	Sum                   // Name = index; Args: body, from, to
	Prod                  // as Sum
	Limit                 // Name = variable; Args: body, point
	Integral              // Name = variable; Args: body, or body, from, to
	Deriv                 // Name = variable; Args: body
	PlusMinus             // Name "+-" or "-+"; Args[0] takes both signs
	Tuple                 // Args in order; Bracket is '(' or '[' or '<'
	List                  // Args as written bare, separated by commas or words
	Set                   // Args between braces
	Interval              // Args: from, to; OpenLeft, OpenRight
	Union                 // Args: sets
	Intersect             // Args: sets
	Minus                 // Args[0] \ Args[1]
	Matrix                // Args row by row; Cols
	Relation              // Args[0] Ops[0] Args[1] Ops[1] …
	Text                  // Name: words
	Ratio                 // Args separated by colons
)

// Node is one node of an answer. Trees are never changed after parsing.
type Node struct {
	Kind      Kind
	Name      string
	Args      []*Node
	Rat       *big.Rat
	Ops       []string
	Cols      int
	Base      int  // Number: the subscript after a numeral, as 2 in 101_2; 0 when absent
	Bracket   byte // Tuple: the opening bracket
	OpenLeft  bool
	OpenRight bool
	Decimal   bool // Number: written with a decimal point
	Percent   bool // Number: written with a percent sign; Rat already holds the hundredth
	Degree    bool // Number: written with a degree mark; Rat holds the degrees
}

// Int returns a whole number.
func Int(v int64) *Node { return &Node{Kind: Number, Rat: new(big.Rat).SetInt64(v)} }

// Sym returns a variable.
func Sym(name string) *Node { return &Node{Kind: Symbol, Name: name} }

// New returns a node of a kind with arguments.
func New(kind Kind, args ...*Node) *Node { return &Node{Kind: kind, Args: args} }

// Call returns a named function applied to arguments.
func Call(name string, args ...*Node) *Node { return &Node{Kind: Func, Name: name, Args: args} }

// IsConst reports whether the node is the named constant.
func (n *Node) IsConst(name string) bool { return n.Kind == Const && n.Name == name }

// IsInteger reports whether the node is a whole number that was written as such.
func (n *Node) IsInteger() bool { return n.Kind == Number && !n.Decimal && !n.Percent && n.Rat.IsInt() }

// Scalar reports whether the node denotes one number (possibly with variables in it), as opposed
// to a collection, a relation or words.
func (n *Node) Scalar() bool { return n.Kind <= PlusMinus || n.Kind == Ratio }

// Walk visits n and its descendants, parents first, until visit returns false.
func (n *Node) Walk(visit func(*Node) bool) bool {
	if !visit(n) {
		return false
	}
	for _, arg := range n.Args {
		if !arg.Walk(visit) {
			return false
		}
	}
	return true
}

// Has reports whether any node of the tree satisfies the predicate.
func (n *Node) Has(is func(*Node) bool) bool {
	return !n.Walk(func(m *Node) bool { return !is(m) })
}

// Symbols lists the free variables, sorted. Bound ones (sums, integrals) are left out.
func (n *Node) Symbols() []string {
	var names []string
	n.symbols(nil, &names)
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *Node) symbols(bound []string, names *[]string) {
	switch n.Kind {
	case Symbol:
		if !slices.Contains(bound, n.Name) {
			*names = append(*names, n.Name)
		}
		return
	case Sum, Prod, Limit:
		for _, arg := range n.Args[1:] {
			arg.symbols(bound, names)
		}
		n.Args[0].symbols(append(slices.Clip(bound), n.Name), names)
		return
	case Integral:
		if len(n.Args) == 3 {
			n.Args[1].symbols(bound, names)
			n.Args[2].symbols(bound, names)
			n.Args[0].symbols(append(slices.Clip(bound), n.Name), names)
			return
		}
		*names = append(*names, n.Name)
	}
	for _, arg := range n.Args {
		arg.symbols(bound, names)
	}
}

// String writes the tree in a plain functional form, for explanations.
func (n *Node) String() string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

// maxWritten bounds the text of one tree, in bytes.
const maxWritten = 2048

var infix = map[Kind]string{Add: " + ", Mul: "*", Div: "/", Pow: "^", Union: " ∪ ", Intersect: " ∩ ", Minus: " \\ ", Ratio: ":"}

var prefix = map[Kind]string{Sum: "sum", Prod: "prod", Limit: "limit", Integral: "integral", Deriv: "derivative", Matrix: "matrix", List: "list", Set: "set", Tuple: "tuple"}

func (n *Node) write(b *strings.Builder) {
	if b.Len() > maxWritten {
		return
	}
	list := func(open, sep, end string) {
		b.WriteString(open)
		for i, arg := range n.Args {
			if i > 0 {
				b.WriteString(sep)
			}
			arg.write(b)
		}
		b.WriteString(end)
	}
	switch n.Kind {
	case Number:
		b.WriteString(clipDigits(n.Rat.RatString()))
		if n.Base != 0 {
			b.WriteString("_base")
		}
		if n.Degree {
			b.WriteString("°")
		}
	case Symbol, Const:
		b.WriteString(n.Name)
	case Text:
		b.WriteString(`"` + n.Name + `"`)
	case Neg:
		list("-(", "", ")")
	case PlusMinus:
		list("±(", "", ")")
	case Func:
		list(n.Name+"(", ", ", ")")
	case Interval:
		open, end := "[", "]"
		if n.OpenLeft {
			open = "("
		}
		if n.OpenRight {
			end = ")"
		}
		list("interval"+open, ", ", end)
	case Relation:
		for i, arg := range n.Args {
			if i > 0 {
				b.WriteString(" " + n.Ops[i-1] + " ")
			}
			arg.write(b)
		}
	default:
		if sep, ok := infix[n.Kind]; ok {
			list("(", sep, ")")
			return
		}
		name := prefix[n.Kind]
		if n.Name != "" {
			name += "[" + n.Name + "]"
		}
		list(name+"(", ", ", ")")
	}
}

func clipDigits(s string) string {
	if len(s) > 64 {
		return s[:30] + "…" + s[len(s)-30:]
	}
	return s
}

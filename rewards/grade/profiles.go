package grade

import (
	"slices"

	"pith/rewards/grade/expr"
)

// profile judges as a published grader does. nil stands for this package's own rules.
type profile func(m *Math, gold, response string) Explanation

// profiles is the explicit table. "math_verify" is this package's own grader with the options
// that NewMath sets for it.
var profiles = map[string]profile{
	"default":     nil,
	"math_verify": nil,
	"hendrycks":   hendrycks,
	"dapo":        dapo,
	"deepscaler":  deepscaler,
	"gsm8k":       gsm8k,
}

// profileNames is kept apart from the table, whose functions reach back to it.
var profileNames = []string{"dapo", "deepscaler", "default", "gsm8k", "hendrycks", "math_verify"}

// Profiles lists the profiles of the mathematical grader, sorted.
func Profiles() []string { return slices.Clone(profileNames) }

// literal rewrites a tree to what Math-Verify 0.8 reads: the letter i is a variable like any other, and
// a degree mark is dropped even inside a sine.
func literal(n *expr.Node) *expr.Node {
	c := *n
	if c.IsConst("i") {
		return expr.Sym("i")
	}
	c.Degree = false
	c.Args = make([]*expr.Node, len(n.Args))
	for i, arg := range n.Args {
		c.Args[i] = literal(arg)
	}
	return &c
}

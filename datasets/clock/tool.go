package clock

import (
	"strings"

	"pith/datasets"
)

// ToolName is what the family's one tool is called in logs.
const ToolName = "clock"

// Call is the tool of the tool variant: it evaluates the text between Tool and EndTool exactly,
// and knows the hidden digit of the problem.
//
//	arguments := DIGIT (LABEL OP)+       "3 b +7 c -x"
//
// LABEL is one of a … i and is ignored. ok is false, and the result empty, where the arguments are
// malformed or use x in a problem that hides none. Call never fails otherwise, and takes time
// linear in the text.
func Call(p datasets.Problem, arguments string) (result string, ok bool) {
	fields := strings.Fields(arguments)
	if len(fields) < 3 || len(fields)%2 == 0 {
		return "", false
	}
	v, ok := parseDigit(fields[0])
	if !ok {
		return "", false
	}
	x, hasX := parseDigit(p.Hidden[HiddenX])
	for i := 1; i < len(fields); i += 2 {
		label := fields[i]
		if len(label) != 1 || label[0] < 'a' || label[0] > 'i' {
			return "", false
		}
		o, known := parseOp(fields[i+1])
		if !known || (o.hidden && !hasX) {
			return "", false
		}
		v = o.apply(v, x)
	}
	return digits[v], true
}

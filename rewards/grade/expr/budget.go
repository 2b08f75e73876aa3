package expr

import (
	"errors"
	"time"
)

// Errors of evaluation. They are compared with errors.Is.
var (
	ErrLimit     = errors.New("limit reached")          // a bound on steps, size or time was hit
	ErrUndefined = errors.New("undefined")              // division by zero, a pole, not a number
	ErrKind      = errors.New("not evaluable this way") // e.g. a root where a rational is needed
)

// Budget bounds the work spent on one answer: steps, and wall time looked at every few hundred
// steps. It kills nothing: whoever spends from it stops by itself. Not safe for concurrent use.
type Budget struct {
	steps    int
	deadline time.Time
	spent    int
}

// NewBudget returns a budget of that many steps until the deadline; a zero deadline never passes.
func NewBudget(steps int, deadline time.Time) *Budget {
	return &Budget{steps: steps, deadline: deadline}
}

// Costs in steps of what allocates, at about eight bytes a step, so that a budget bounds memory
// as well as time.
const (
	NodeCost   = 16 // one node of a tree
	numberCost = 24 // one operation on small rationals
	bitsPerOp  = 4  // bits of an operand that cost one step more
)

// timeCheckSteps is how many steps pass between two looks at the clock.
const timeCheckSteps = 1024

// Spend takes n steps from the budget and returns ErrLimit when it is used up.
func (b *Budget) Spend(n int) error {
	before := b.spent
	b.spent += n
	if b.spent > b.steps {
		return ErrLimit
	}
	if b.spent/timeCheckSteps != before/timeCheckSteps && !b.deadline.IsZero() && time.Now().After(b.deadline) {
		b.spent = b.steps + 1
		return ErrLimit
	}
	return nil
}

// Spent returns the steps taken so far.
func (b *Budget) Spent() int { return b.spent }

// Exhausted reports whether a limit was hit.
func (b *Budget) Exhausted() bool { return b.spent > b.steps }

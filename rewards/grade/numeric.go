package grade

import (
	"fmt"
	"math"
	"time"

	"pith/rewards/grade/expr"
	"pith/rewards/grade/extract"
	"pith/rewards/grade/latex"
)

// NumericOptions are the tolerances of the numeric grader: a prediction p answers a gold g when
// |p-g| <= Absolute + Relative·|g|.
type NumericOptions struct {
	Absolute float64  `json:"absolute"`
	Relative float64  `json:"relative"`
	ThinkEnd []string `json:"think_end"`
}

// DefaultNumericOptions allow rounding errors only.
func DefaultNumericOptions() NumericOptions {
	return NumericOptions{Absolute: 1e-9, Relative: 1e-6, ThinkEnd: extract.DefaultOptions().ThinkEnd}
}

// Numeric grades numbers with a tolerance.
type Numeric struct {
	opts    NumericOptions
	extract extract.Options
}

// NewNumeric returns a numeric grader; tolerances must be finite and not negative.
func NewNumeric(o NumericOptions) (Numeric, error) {
	for _, v := range []float64{o.Absolute, o.Relative} {
		if !(v >= 0) || math.IsInf(v, 0) {
			return Numeric{}, fmt.Errorf("grade numeric: tolerance %v; tolerances must be finite and at least 0", v)
		}
	}
	e := extract.DefaultOptions()
	e.ThinkEnd = o.ThinkEnd
	return Numeric{opts: o, extract: e}, nil
}

// Grade implements Grader.
func (n Numeric) Grade(gold, response string) Verdict {
	b := expr.NewBudget(100_000, time.Now().Add(25*time.Millisecond))
	want, ok := numberOf(gold, b)
	if !ok {
		return Verdict{Outcome: NoScore, Reason: "gold answer is no number"}
	}
	f, reason := extract.Find(response, n.extract)
	if reason != "" {
		return Verdict{Outcome: Wrong, Reason: reason}
	}
	v := Verdict{Outcome: Wrong, Extracted: clip(f.Text), Formatted: f.Rule == extract.Boxed || f.Rule == extract.Hashes}
	got, ok := numberOf(f.Text, b)
	if !ok && f.Plain {
		if text, found := firstNumber(f.Text); found {
			got, ok = numberOf(text, b)
		}
	}
	switch {
	case b.Exhausted():
		v.Outcome, v.Reason = NoScore, ReasonLimit
	case !ok:
		v.Reason = "no number"
	case math.Abs(got-want) <= n.opts.Absolute+n.opts.Relative*math.Abs(want):
		v.Outcome, v.Reason = Right, ReasonEqual+": within tolerance"
	default:
		v.Reason = ReasonUnequal + ": outside tolerance"
	}
	return v
}

// numberOf reads a text that denotes one real number; "x = 3" denotes 3.
func numberOf(text string, b *expr.Budget) (float64, bool) {
	if inner, ok := extract.Unbox(text); ok {
		text = inner
	}
	p, err := latex.Parse(trimAnswer(text), latex.Options{}, b)
	if err != nil {
		return 0, false
	}
	node := p.Node
	if node.Kind == expr.Relation {
		node = node.Args[len(node.Args)-1]
	}
	v, err := expr.Complex(node, nil, b)
	if err != nil || imag(v.V) != 0 {
		return 0, false
	}
	return real(v.V), true
}

package clock

import (
	"strings"

	"pith/datasets/rng"
)

// toolUser is the author behind [NewToolTeacher].
type toolUser struct{ o ToolTeacherOptions }

// habits are drawn once a trace.
type habits struct {
	rate  float64 // call probability an operation
	rest  bool    // calls cover all remaining operations
	style Style   // of mental steps
}

func (t toolUser) write(r *rng.Stream, f *Family, c chain, s *script) {
	h := habits{
		rate:  t.o.CallRates[r.Pick(t.o.CallWeights)],
		rest:  r.Chance(t.o.WholeRest),
		style: Style(r.Pick(t.o.Styles[:])),
	}
	first := t.round(r, f, c, s, h, t.o.Slip, t.o.CopySlip)
	first.appendTo(s)
	last := first.value
	if r.Chance(t.o.Repeat) {
		second := t.round(r, f, c, s, h, t.o.CheckSlip, t.o.CopyCheckSlip)
		if first.sampled()+1+second.sampled() <= t.o.MaxThought {
			s.say(wordCheck)
			second.appendTo(s)
			s.Checks++
			last = second.value
		}
	}
	s.finish(c, last)
}

// round is one way through the chain, kept apart from the script until it is known to fit.
type round struct {
	tokens []string
	own    []bool // the policy writes it, not the environment
	calls  int
	value  int
}

func (d *round) add(own bool, tokens ...string) {
	for _, t := range tokens {
		d.tokens, d.own = append(d.tokens, t), append(d.own, own)
	}
}

func (d *round) sampled() int {
	n := 0
	for _, own := range d.own {
		if own {
			n++
		}
	}
	return n
}

func (d *round) appendTo(s *script) {
	s.Tokens, s.Train = append(s.Tokens, d.tokens...), append(s.Train, d.own...)
	s.Calls += d.calls
}

func (t toolUser) round(r *rng.Stream, f *Family, c chain, s *script, h habits, slip, copySlip float64) *round {
	d := &round{value: c.start}
	for i := 0; i < len(c.ops); {
		o := c.ops[i]
		rate := h.rate
		if o.hidden {
			rate = 1 - t.o.Guess
		}
		if !r.Chance(rate) {
			result := o.apply(d.value, c.x)
			switch {
			case o.hidden:
				result = r.IntN(10)
			case r.Chance(slip):
				result = wrongDigit(r, result)
			}
			d.add(true, line(h.style, i, d.value, o, result)...)
			d.value = result
			i++
			continue
		}
		last := i
		if h.rest {
			last = len(c.ops) - 1
		}
		slipEach := copySlip
		if last == i {
			slipEach = t.o.CopyOne
		}
		arguments := []string{digits[d.value]}
		for j := i; j <= last; j++ {
			copied := c.ops[j]
			if r.Chance(slipEach) {
				copied = anotherOp(r, f, copied)
			}
			arguments = append(arguments, labels[j], copied.token())
		}
		result, _ := Call(s.Problem, strings.Join(arguments, " ")) // well formed by construction
		d.calls++
		d.add(true, wordEquals, Tool)
		d.add(true, arguments...)
		d.add(true, EndTool)
		d.add(false, Result, result, EndResult)
		d.add(true, labels[last], result, wordEnd)
		d.value, _ = parseDigit(result)
		i = last + 1
	}
	return d
}

// anotherOp is an operation of the family other than o.
func anotherOp(r *rng.Stream, f *Family, o op) op {
	for range 64 { // a family with a single operation cannot slip
		if other := f.drawOp(r); other != o {
			return other
		}
	}
	return o
}

package schedule

import (
	"fmt"
	"math"
	"sort"
)

func buildConstant(r *reader) Schedule {
	return Constant(r.number("value", "the value", nil, anyNumber))
}

// ramp goes from one value to another within steps, along a curve that maps [0,1] to [0,1].
type ramp struct {
	from, to     float64
	start, steps int64
	curve        func(share float64) float64
}

func (s ramp) At(step int64) float64 {
	t := min(max(step-s.start, 0), s.steps)
	if t == s.steps {
		return s.to
	}
	c := s.curve(float64(t) / float64(s.steps))
	// Weighted so that the value never leaves [from, to] and no difference can overflow.
	return s.from*(1-c) + s.to*c
}

func readRamp(r *reader, l limits, curve func(float64) float64) ramp {
	return ramp{
		from:  r.number("from", "first value", nil, l),
		to:    r.number("to", "last value, from t = steps on", nil, l),
		steps: r.steps("steps", "length of the way", nil),
		start: r.start(),
		curve: curve,
	}
}

func buildLinear(r *reader) Schedule {
	return readRamp(r, anyNumber, func(share float64) float64 { return share })
}

func buildCosine(r *reader) Schedule {
	return readRamp(r, anyNumber, func(share float64) float64 { return (1 - cos(math.Pi*share)) / 2 })
}

// exponential multiplies by the same factor every step.
type exponential struct{ ramp }

func (s exponential) At(step int64) float64 {
	t := min(max(step-s.start, 0), s.steps)
	switch t {
	case 0:
		return s.from
	case s.steps:
		return s.to
	}
	return s.from * math.Pow(s.to/s.from, float64(t)/float64(s.steps))
}

func buildExponential(r *reader) Schedule {
	// A narrower range than all positive numbers, so that the quotient is finite.
	return exponential{readRamp(r, limits{low: 1e-100, high: 1e100}, nil)}
}

// warmup multiplies another schedule by a line from 0 to 1.
type warmup struct {
	start, steps int64
	then         Schedule
}

func (s warmup) At(step int64) float64 {
	t := min(max(step-s.start, 0), s.steps)
	return s.then.At(step) * (float64(t) / float64(s.steps))
}

func buildWarmup(r *reader) Schedule {
	return warmup{
		steps: r.steps("steps", "length of the warm-up: the factor is t / steps", nil),
		start: r.start(),
		then:  r.schedule("then", "what is warmed up; its own time is not shifted"),
	}
}

// stages holds a value from each step on, in rising order.
type stages struct {
	from   []int64
	values []float64
}

func (s stages) At(step int64) float64 {
	i := sort.Search(len(s.from), func(i int) bool { return s.from[i] > step })
	return s.values[max(i-1, 0)]
}

func buildStages(r *reader) Schedule {
	const allowed = "a list of {step, value} in rising order of step"
	s := stages{}
	for i, item := range r.list("stages", "each value holds from its step on, the first also before", nil, allowed) {
		name := fmt.Sprintf("stages[%d]", i)
		m, ok := item.(map[string]any)
		if !ok {
			r.bad(name, "got %v (%T); want {step, value}", item, item)
			continue
		}
		step, stepOK := number(m["step"])
		value, valueOK := number(m["value"])
		if !stepOK || !valueOK || len(m) != 2 || !anyStep.holds(step) || !anyNumber.holds(value) {
			r.bad(name, "got %v; want {step: a whole number, value: a number}", item)
			continue
		}
		if n := len(s.from); n > 0 && s.from[n-1] >= int64(step) {
			r.bad(name, "step %v does not come after %d; want %s", step, s.from[n-1], allowed)
			continue
		}
		s.from = append(s.from, int64(step))
		s.values = append(s.values, value)
	}
	if len(s.from) == 0 {
		return Constant(0) // finish reports why
	}
	return s
}

// thinkPrune is stages of equal length.
type thinkPrune struct {
	limits       []float64
	start, steps int64
}

func (s thinkPrune) At(step int64) float64 {
	i := max(step-s.start, 0) / s.steps
	return s.limits[min(i, int64(len(s.limits)-1))]
}

func buildThinkPrune(r *reader) Schedule {
	s := thinkPrune{
		steps: r.steps("stage_steps", "steps of a stage; the last one does not end", 180),
		start: r.start(),
	}
	const allowed = "a list of numbers > 0"
	for i, item := range r.list("limits", "generation limit of each stage, in tokens", []any{4000, 3000, 2000}, allowed) {
		limit, ok := number(item)
		if !ok || !positive.holds(limit) {
			r.bad(fmt.Sprintf("limits[%d]", i), "got %v (%T); want a number > 0", item, item)
			continue
		}
		s.limits = append(s.limits, limit)
	}
	if len(s.limits) == 0 {
		return Constant(0) // finish reports why
	}
	return s
}

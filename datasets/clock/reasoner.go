package clock

import "pith/datasets/rng"

// reasoner is the author behind [NewTeacher].
type reasoner struct{ o TeacherOptions }

func (t reasoner) write(r *rng.Stream, _ *Family, c chain, s *script) {
	o, n := t.o, len(c.ops)
	atOnce := o.AtOnce
	if n <= o.EasyLevel {
		atOnce = o.AtOnceEasy
	}
	if r.Chance(atOnce) {
		s.AtOnce = true
		s.finish(c, c.answer())
		return
	}

	style := Style(r.Pick(o.Styles[:]))
	if r.Chance(o.Plan) {
		s.Planned = true
		s.say(wordPlan, startLabel, digits[c.start])
		for i, operation := range c.ops {
			s.say(labels[i], operation.token())
		}
		s.say(wordEnd)
	}
	if n >= 3 && r.Chance(o.FalseStart) {
		s.FalseStart = true
		tokens, _, _ := pass(r, c, 1+r.IntN(n-1), style, o.Slip, 0)
		s.say(tokens...)
		s.say(wordAgain)
	}
	noticed := 0.0
	if r.Chance(o.Noticed) {
		noticed = o.NoticedStep
	}
	tokens, last, waited := pass(r, c, n, style, o.Slip, noticed)
	s.say(tokens...)
	s.Waited = waited

	intended, agree := r.Pick(o.Checks), true
	for s.Checks < intended || (!agree && s.Checks+1 < o.MaxPasses) {
		tokens, value, _ := pass(r, c, n, t.checkStyle(r, style), o.CheckSlip, 0)
		if s.thought()+1+len(tokens) > o.MaxThought {
			break
		}
		s.say(wordCheck)
		s.say(tokens...)
		s.Checks++
		agree, last = value == last, value
	}

	if r.Chance(o.Cut) {
		t.cut(r, c, s)
		return
	}
	s.finish(c, last)
}

// checkStyle is the style of a check in a trace whose first pass had the given one.
func (t reasoner) checkStyle(r *rng.Stream, style Style) Style {
	if (style == Terse || style == Skip) && r.Chance(t.o.CheckLift) {
		return Verbose
	}
	if r.Chance(t.o.CheckKeep) {
		return style
	}
	return Style(r.Pick(t.o.Styles[:]))
}

// cut ends the thought after a uniform number of its tokens, as the environment does at a budget.
// The answer is right and it alone is learned: the policy is to learn to answer when cut, not to
// stop early.
func (t reasoner) cut(r *rng.Stream, c chain, s *script) {
	keep := s.Prompt + r.IntN(s.thought())
	s.Tokens, s.Train = s.Tokens[:keep], s.Train[:keep]
	for i := range s.Train {
		s.Train[i] = false
	}
	s.Cut = true
	s.environment(Cut, EndThink)
	s.say(digits[c.answer()], EOS)
	s.Right = true
}

// pass works through the first n operations. Every written result is wrong with probability slip,
// and what follows continues from it. With probability noticed a step is first written wrong,
// then "wait", then right. It returns the tokens, the final value and whether it waited.
func pass(r *rng.Stream, c chain, n int, style Style, slip, noticed float64) (tokens []string, v int, waited bool) {
	v = c.start
	width := 1
	if style == Skip {
		width = 2
	}
	for i := 0; i < n; {
		last := min(i+width, n) - 1
		result := v
		for _, o := range c.ops[i : last+1] {
			result = o.apply(result, c.x)
		}
		switch {
		case r.Chance(noticed):
			tokens = append(tokens, line(style, last, v, c.ops[last], wrongDigit(r, result))...)
			tokens = append(tokens, wordWait)
			waited = true
		case r.Chance(slip):
			result = wrongDigit(r, result)
		}
		tokens = append(tokens, line(style, last, v, c.ops[last], result)...)
		v, i = result, last+1
	}
	return tokens, v, waited
}

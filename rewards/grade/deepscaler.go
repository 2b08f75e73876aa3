package grade

import (
	"strings"

	"pith/rewards/grade/compare"
	"pith/rewards/grade/expr"
	"pith/rewards/grade/extract"
	"pith/rewards/grade/latex"
)

// deepscaler judges as DeepScaleR does (rLLM, rewards/math_reward.py): the last \boxed{…} between
// the first and second end of thinking, right if either the MATH normaliser or a stricter symbolic
// comparison accepts it. "\boxed 5" and \fbox count as format errors.
func deepscaler(m *Math, gold, response string) Explanation {
	text := response
	for _, mark := range m.opts.ThinkEnd {
		if parts := strings.SplitN(response, mark, 3); mark != "" && len(parts) > 1 {
			text = parts[1]
			break
		}
	}
	if i := max(strings.LastIndex(text, "\\boxed"), strings.LastIndex(text, "\\fbox")); i < 0 || !strings.HasPrefix(text[i:], "\\boxed{") {
		return Explanation{Verdict: Verdict{Outcome: Wrong, Reason: "no box"}}
	}
	answer, reason := lastBox(text, m.extract.Window)
	if reason != "" {
		return Explanation{Verdict: Verdict{Outcome: Wrong, Reason: reason}}
	}
	if e := stringVerdict(string(extract.Boxed), answer, stripMATH(gold), stripMATH(answer), true); e.Outcome == Right {
		return e
	}
	g, a := normaliseDeepscaler(gold), normaliseDeepscaler(answer)
	e := stringVerdict(string(extract.Boxed), answer, g, a, true)
	if e.Outcome == Right || a == "" {
		return e
	}
	if m.strictSymbolic(g, a) {
		e.Outcome, e.Reason, e.DecidedBy = Right, ReasonEqual+": expression", "element by element"
	}
	return e
}

// strictSymbolic compares element by element: fractions must be reduced alike, a whole number is
// equal to a literal whole number only.
func (m *Math) strictSymbolic(gold, answer string) bool {
	gs, as := splitElements(gold), splitElements(answer)
	if len(gs) != len(as) || len(gs) > 1 && (gold[0] != answer[0] || gold[len(gold)-1] != answer[len(answer)-1]) {
		return false
	}
	b := m.budget()
	for i, g := range gs {
		a := as[i]
		if g == a {
			continue
		}
		gi, ai := isIntegerText(g), isIntegerText(a)
		if gi || ai || integerFraction(g) && integerFraction(a) || guarded(g) || guarded(a) {
			return false
		}
		gp, err1 := latex.Parse(g, latex.Options{}, b)
		ap, err2 := latex.Parse(a, latex.Options{}, b)
		if err1 != nil || err2 != nil || !algebraic(gp.Node) || !algebraic(ap.Node) || len(gp.Node.Symbols())+len(ap.Node.Symbols()) > 4 {
			return false
		}
		ok, _, err := compare.Equal(literal(withoutDecimals(gp.Node)), literal(withoutDecimals(ap.Node)), compare.Policy{FoldCase: true, Percent: "value"}, b)
		if !ok || err != nil {
			return false
		}
	}
	return true
}

// algebraic reports whether a tree is one that grader's plain-text route can hand on: no ratios,
// infinities or calculus.
func algebraic(n *expr.Node) bool {
	return n.Scalar() && !n.Has(func(m *expr.Node) bool {
		switch m.Kind {
		case expr.Ratio, expr.Sum, expr.Prod, expr.Limit, expr.Integral, expr.Deriv:
			return true
		}
		return m.IsConst("inf")
	})
}

// withoutDecimals makes decimals exact, so that no rounding applies.
func withoutDecimals(n *expr.Node) *expr.Node {
	c := *n
	c.Decimal = false
	c.Args = make([]*expr.Node, len(n.Args))
	for i, arg := range n.Args {
		c.Args[i] = withoutDecimals(arg)
	}
	return &c
}

// guarded refuses what that grader will not hand to its algebra system: powers with braces,
// parentheses or two digits, factorials and other words.
func guarded(s string) bool {
	i := strings.IndexByte(s, '^')
	if i >= 0 && i+1 < len(s) {
		rest := s[i+1:]
		if rest[0] == '{' || rest[0] == '(' || len(rest) > 1 && isDigit(rest[0]) && isDigit(rest[1]) {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// splitElements splits a tuple on its commas when brackets enclose it.
func splitElements(s string) []string {
	if len(s) > 2 && strings.IndexByte("([{", s[0]) >= 0 && strings.IndexByte(")]}", s[len(s)-1]) >= 0 {
		inner := s[1 : len(s)-1]
		if !strings.ContainsAny(inner, "()[]") {
			return strings.Split(inner, ",")
		}
	}
	if strings.Contains(s, ",") && !isIntegerText(strings.ReplaceAll(s, ",", "")) {
		return strings.Split(s, ",")
	}
	return []string{s}
}

func isIntegerText(s string) bool { return plainInteger(s) }

// integerFraction reports whether a text is a fraction of two whole numbers.
func integerFraction(s string) bool {
	s = strings.Trim(s, "()")
	a, b, ok := strings.Cut(s, "/")
	if !ok && strings.HasPrefix(s, "\\frac{") {
		inner := strings.TrimSuffix(strings.TrimPrefix(s, "\\frac{"), "}")
		a, b, ok = strings.Cut(inner, "}{")
	}
	return ok && plainInteger(a) && plainInteger(b)
}

var deepscalerUnits = []string{"degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "day", "week", "month", "year", "foot", "feet", "inch", "yard"}

// normaliseDeepscaler is the second normaliser of that grader.
func normaliseDeepscaler(s string) string {
	s = strings.TrimSpace(s)
	if inner := unwrapText(s); inner != s {
		s = inner
	}
	s = strings.NewReplacer("\\%", "", "%", "", "\\$", "", "$", "", " or ", " , ", " and ", " , ", "million", "*10^6", "billion", "*10^9", "trillion", "*10^12", "\\!", "", "\\left", "", "\\right", "", "\\{", "", "\\}", "", "dfrac", "frac", "tfrac", "frac").Replace(s)
	for _, unit := range deepscalerUnits {
		for _, form := range []string{"es", "s", ""} {
			s = strings.ReplaceAll(s, "\\text{ "+unit+form+"}", "")
			if rest, ok := strings.CutSuffix(s, " "+unit+form); ok {
				s = rest
			}
		}
	}
	s = strings.NewReplacer("^\\circ", "", "^{\\circ}", "", " ", "").Replace(s)
	s = bracedFractions(bracedRoots(strings.ToLower(s)))
	if len(s) == 3 && s[0] == '(' && s[2] == ')' {
		s = s[1:2]
	}
	if bare := strings.ReplaceAll(s, ",", ""); plainInteger(bare) && strings.Contains(s, ",") && thousands(s) {
		s = bare
	}
	if head, ok := strings.CutSuffix(s, "."); ok && plainInteger(head) {
		s = head
	}
	return s
}

// thousands reports whether the commas of a numeral stand before groups of three digits.
func thousands(s string) bool {
	for i, group := range strings.Split(strings.TrimPrefix(s, "-"), ",") {
		if i > 0 && len(group) != 3 || i == 0 && (len(group) == 0 || len(group) > 3) {
			return false
		}
	}
	return true
}

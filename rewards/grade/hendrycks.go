package grade

import (
	"strings"

	"pith/rewards/grade/extract"
)

// hendrycks judges as the MATH evaluation does (Hendrycks et al. 2021, the repository's
// math_equivalence; in verl as math_reward): the last box, normalised, compared as a string.
func hendrycks(m *Math, gold, response string) Explanation {
	answer, reason := lastBox(response, m.extract.Window)
	if reason != "" {
		return Explanation{Verdict: Verdict{Outcome: Wrong, Reason: reason}}
	}
	return stringVerdict(string(extract.Boxed), answer, stripMATH(gold), stripMATH(answer), true)
}

// lastBox returns the content of the last \boxed or \fbox, without joining several.
func lastBox(response string, window int) (string, string) {
	f, reason := extract.Find(response, extract.Options{Window: window, AnswerInThinking: true, SingleBox: true})
	if reason == "" && f.Rule != extract.Boxed {
		reason = "no box"
	}
	return f.Text, reason
}

// stringVerdict compares two normalised strings.
func stringVerdict(rule, extracted, gold, answer string, formatted bool) Explanation {
	v := Verdict{Outcome: Wrong, Extracted: clip(strings.TrimSpace(extracted)), Reason: ReasonUnequal + ": text", Formatted: formatted}
	if gold == answer {
		v.Outcome, v.Reason = Right, ReasonEqual+": text"
	}
	return Explanation{Verdict: v, Rule: rule, GoldRead: gold, PredictionRead: answer, DecidedBy: "normalised text"}
}

// stripMATH is the normalisation of the MATH evaluation, in its order.
func stripMATH(s string) string {
	s = strings.NewReplacer("\n", "", "\\!", "").Replace(s)
	s = strings.ReplaceAll(s, "\\\\", "\\")
	s = strings.NewReplacer("tfrac", "frac", "dfrac", "frac", "\\left", "", "\\right", "").Replace(s)
	s = strings.NewReplacer("^{\\circ}", "", "^\\circ", "", "\\$", "").Replace(s)
	if head, _, ok := strings.Cut(s, "\\text{ "); ok && strings.Count(s, "\\text{ ") == 1 {
		s = head
	}
	s = strings.ReplaceAll(s, "\\%", "")
	s = strings.NewReplacer(" .", " 0.", "{.", "{0.").Replace(s)
	if s == "" {
		return s
	}
	if s[0] == '.' {
		s = "0" + s
	}
	if left, right, ok := strings.Cut(s, "="); ok && len(left) <= 2 && !strings.Contains(right, "=") {
		s = right
	}
	s = bracedRoots(s)
	s = strings.ReplaceAll(s, " ", "")
	s = bracedFractions(s)
	if s == "0.5" {
		s = "\\frac{1}{2}"
	}
	return slashFraction(s)
}

// bracedRoots writes \sqrt3 as \sqrt{3}.
func bracedRoots(s string) string {
	parts := strings.Split(s, "\\sqrt")
	for i, part := range parts[1:] {
		if part != "" && part[0] != '{' {
			parts[i+1] = "{" + part[:1] + "}" + part[1:]
		}
	}
	return strings.Join(parts, "\\sqrt")
}

// bracedFractions writes \frac12 as \frac{1}{2} and \frac1{72} as \frac{1}{72}.
func bracedFractions(s string) string {
	parts := strings.Split(s, "\\frac")
	for i, part := range parts[1:] {
		if part == "" || part[0] == '{' {
			continue
		}
		if len(part) < 2 {
			return s
		}
		if part[1] == '{' {
			parts[i+1] = "{" + part[:1] + "}" + part[1:]
		} else {
			parts[i+1] = "{" + part[:1] + "}{" + part[1:2] + "}" + part[2:]
		}
	}
	return strings.Join(parts, "\\frac")
}

// slashFraction writes a/b of two whole numbers as \frac{a}{b}.
func slashFraction(s string) string {
	a, b, ok := strings.Cut(s, "/")
	if ok && plainInteger(a) && plainInteger(b) {
		return "\\frac{" + a + "}{" + b + "}"
	}
	return s
}

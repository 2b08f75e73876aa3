package grade

import (
	"errors"
	"strings"

	"pith/rewards/grade/compare"
	"pith/rewards/grade/expr"
	"pith/rewards/grade/extract"
	"pith/rewards/grade/latex"
)

// pairing is the comparison of one gold answer with one extracted answer.
type pairing struct {
	m        *Math
	gold     string
	found    extract.Found
	explain  *Explanation
	detailed bool
	b        *expr.Budget
}

// decide tries the readings of both sides from the plainest to the most elaborate.
func (p *pairing) decide() (bool, string, error) {
	gold, text := trimAnswer(p.gold), trimAnswer(p.found.Text)
	if gold == text && gold != "" {
		return true, "identical", nil
	}
	if plainInteger(gold) && plainInteger(text) {
		return sameInteger(gold, text), "number", nil
	}
	if label, ok := choiceLabel(gold); ok {
		if got, rest, ok := leadingLabel(text); ok {
			if got == label || rest == "" {
				return got == label, "choice", nil
			}
		}
	}
	p.b = p.m.budget()
	goldWords := wordy(gold)
	if goldWords {
		return p.words(gold, text)
	}
	g, gerr := p.read(gold, latex.Options{})
	if p.detailed && gerr == nil {
		p.explain.GoldRead = g.Node.String()
	}
	if gerr != nil {
		return p.words(gold, text)
	}
	var limit error
	rule := ""
	for _, candidate := range p.candidates(text) {
		ok, r, err := p.compare(gold, g, candidate)
		if ok || err != nil && errors.Is(err, expr.ErrLimit) && p.b.Exhausted() {
			return ok, r, err
		}
		if err != nil {
			limit = err
			if errors.Is(err, latex.ErrSyntax) {
				continue
			}
			break
		}
		limit = nil
		rule = r
		break
	}
	if limit != nil && errors.Is(limit, latex.ErrSyntax) {
		ok, r, _ := p.words(gold, text)
		if !ok && p.detailed {
			p.explain.PredictionRead = "words: " + latex.Words(text)
		}
		return ok, r, nil
	}
	return false, rule, limit
}

// compare reads a candidate and compares it with the gold answer under all readings of either.
func (p *pairing) compare(gold string, g latex.Parsed, text string) (bool, string, error) {
	a, err := p.read(text, latex.Options{})
	if err != nil {
		return false, "", err
	}
	if p.detailed {
		p.explain.PredictionRead = a.Node.String()
	}
	if p.m.opts.Units == "same" && g.Unit != "" && a.Unit != "" && unitName(g.Unit) != unitName(a.Unit) {
		return false, "unit", nil
	}
	ok, rule, err := compare.Equal(g.Node, a.Node, p.m.policy, p.b)
	if ok || err != nil {
		return ok, rule, err
	}
	for _, o := range p.readings(g, a) {
		g2, err1 := p.read(gold, o.gold)
		a2, err2 := p.read(text, o.text)
		if err1 != nil || err2 != nil {
			continue
		}
		ok, r, err := compare.Equal(g2.Node, a2.Node, p.m.policy, p.b)
		if ok || err != nil {
			return ok, r, err
		}
	}
	return false, rule, nil
}

type reading struct{ gold, text latex.Options }

// readings lists the other readings that ambiguous notation allows.
func (p *pairing) readings(g, a latex.Parsed) []reading {
	var out []reading
	if g.Ambiguous || a.Ambiguous {
		list := latex.Options{ListCommas: true}
		if g.Ambiguous && a.Ambiguous {
			out = append(out, reading{list, list})
		}
		if g.Ambiguous {
			out = append(out, reading{list, latex.Options{}})
		}
		if a.Ambiguous {
			out = append(out, reading{latex.Options{}, list})
			if p.found.Plain && g.Node.Scalar() {
				out = append(out, reading{latex.Options{}, latex.Options{DecimalComma: true}})
			}
		}
		if g.Ambiguous && a.Node.Scalar() && !strings.Contains(p.gold, "$") {
			out = append(out, reading{latex.Options{DecimalComma: true}, latex.Options{}})
		}
	}
	if g.LogBase || a.LogBase {
		natural := latex.Options{NaturalLog: true}
		out = append(out, reading{natural, natural})
	}
	if g.UnitTail != a.UnitTail {
		unit := latex.Options{UnitLetters: true}
		out = append(out, reading{unit, unit})
	}
	return out
}

func (p *pairing) read(text string, o latex.Options) (latex.Parsed, error) {
	parsed, err := latex.Parse(text, o, p.b)
	if err == nil && p.m.opts.Profile == "math_verify" {
		parsed.Node = literal(parsed.Node)
	}
	return parsed, err
}

// candidates lists what of an extracted text may be the answer: all of it, or, where a phrase was
// cut from prose, a shorter part.
func (p *pairing) candidates(text string) []string {
	out := []string{text}
	if rest, ok := withoutLabel(text); ok {
		out = append(out, rest)
	}
	if !p.found.Plain {
		if i := explanationAt(text); i > 0 {
			out = append(out, trimAnswer(text[:i]))
		}
		return out
	}
	for _, mark := range []string{" because", " since", " as ", " (", ", so", ", which", ", where", " for ", " when ", " — ", " – ", ". "} {
		if i := strings.Index(text, mark); i > 0 {
			out = append(out, trimAnswer(text[:i]))
		}
	}
	if i := strings.LastIndex(text, "="); i > 0 && i+1 < len(text) {
		out = append(out, trimAnswer(text[i+1:]))
	}
	if n, ok := firstNumber(text); ok {
		out = append(out, n)
	}
	return out
}

// explanationAt finds words that follow the mathematics of a boxed answer.
func explanationAt(text string) int {
	at := -1
	for _, mark := range []string{"\\text{ for", "\\text{ where", "\\text{ if", "\\text{ when", "\\text{ with", "\\quad", "\\qquad", "\\text{ (", "\\text{(", ", \\text{where", "\\,\\text{", "\\text{ in ", "\\text{ at "} {
		if i := strings.Index(text, mark); i > 0 && (at < 0 || i < at) {
			at = i
		}
	}
	return at
}

// words compares as text.
func (p *pairing) words(gold, text string) (bool, string, error) {
	g, t := latex.Words(stripDollars(gold)), latex.Words(stripDollars(text))
	if p.m.opts.LetterCase == "exact" {
		if strings.TrimSpace(gold) != strings.TrimSpace(text) && strings.EqualFold(gold, text) {
			return false, "text", nil
		}
	}
	if p.detailed {
		p.explain.GoldRead, p.explain.PredictionRead = "words: "+g, "words: "+t
	}
	if g == "" {
		return false, "text", nil
	}
	if g == t || strings.ReplaceAll(g, " ", "") == strings.ReplaceAll(t, " ", "") {
		return true, "text", nil
	}
	switch g {
	case "yes", "no", "true", "false":
		first, _, _ := strings.Cut(t, " ")
		return first == g, "text", nil
	}
	if p.found.Plain || p.found.Rule != extract.Boxed {
		if rest, ok := strings.CutPrefix(t, g+" "); ok && rest != "" && p.found.Plain && strings.HasPrefix(rest, "because") {
			return true, "text", nil
		}
	}
	return false, "text", nil
}

func stripDollars(s string) string { return strings.Trim(strings.TrimSpace(s), "$") }

// unitName reduces a unit to its words.
func unitName(u string) string {
	return strings.TrimSuffix(strings.ReplaceAll(latex.Words(u), " ", ""), "s")
}

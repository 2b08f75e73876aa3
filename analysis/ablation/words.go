package ablation

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"pith/analysis/stats"
)

// words says in plain sentences what the comparison shows and what it cannot.
func (r *Report) words() []string {
	t := &r.Tables[0]
	var out []string
	if len(t.Unlike) > 0 {
		out = append(out, fmt.Sprintf("Not like with like: %s evaluated at another temperature or token limit than %s; set eval.temperature and eval.max_tokens in the sweep's base.", were(t.Unlike), t.first()))
	}
	out = append(out, r.frontWords(t))
	out = append(out, r.referenceWords(t)...)
	out = append(out, r.hardLimitWords(t)...)
	out = append(out, r.closestWords(t)...)
	if len(r.Failed) > 0 {
		out = append(out, fmt.Sprintf("%s excluded because they failed: %s.", plural(len(r.Failed), "run is", "runs are"), list(runNames(r.Failed))))
	}
	if len(r.Stopped) > 0 {
		out = append(out, fmt.Sprintf("%s stopped by the rule and not compared: %s.", plural(len(r.Stopped), "run was", "runs were"), list(runNames(r.Stopped))))
	}
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}

func were(names []string) string {
	if len(names) == 1 {
		return names[0] + " was"
	}
	return list(names) + " were"
}

// first is the arm whose evaluation the table's head describes.
func (t *Table) first() string {
	for i := range t.Rows {
		if t.Rows[i].Kind == Arm || t.Rows[i].Kind == Baseline {
			return t.Rows[i].Name
		}
	}
	return "the first"
}

func (r *Report) frontWords(t *Table) string {
	var parts []string
	for _, name := range t.Front {
		x := t.row(name)
		parts = append(parts, fmt.Sprintf("%s (%s %% right in %s tokens; on the front in %s %% of the draws)", name, number(100*x.Accuracy.Mean, 1), number(x.Tokens.Mean, 1), number(100*x.FrontShare, 0)))
	}
	return fmt.Sprintf("Nothing is at least as accurate with no more tokens than %s.", list(parts))
}

// referenceWords sorts the arms by what they do to the reference's accuracy and length, as far as
// that can be told after Holm's correction.
func (r *Report) referenceWords(t *Table) []string {
	type group struct{ names []string }
	var shorterSame, shorterBetter, shorterWorse, rest group
	n := 0
	for i := range t.Rows {
		x := &t.Rows[i]
		v := x.VsReference
		if v == nil || v.AccuracyHolm == nil || v.TokensHolm == nil {
			continue
		}
		n++
		told := *v.AccuracyHolm < 0.05
		item := fmt.Sprintf("%s (%s points, %s %% tokens)", x.Name, signed(100*v.Accuracy.Mean, 1), signed(100*v.Tokens.Mean, 0))
		switch shorter := *v.TokensHolm < 0.05 && v.Tokens.Mean < 0; {
		case !shorter:
			rest.names = append(rest.names, item)
		case told && v.Accuracy.Mean > 0:
			shorterBetter.names = append(shorterBetter.names, item)
		case told:
			shorterWorse.names = append(shorterWorse.names, item)
		default:
			shorterSame.names = append(shorterSame.names, item)
		}
	}
	if n == 0 {
		return nil
	}
	var out []string
	say := func(g group, what string) {
		if len(g.names) > 0 {
			out = append(out, fmt.Sprintf("Against %s (%s, Holm-corrected over %d comparisons), %s: %s.", r.Reference, seedsOf(t, r.Reference), n, what, list(g.names)))
		}
	}
	say(shorterBetter, "fewer tokens and more right answers")
	say(shorterSame, "fewer tokens, with no difference in accuracy that could be told")
	say(shorterWorse, "fewer tokens at the price of accuracy")
	say(rest, "no saving in tokens that could be told")
	return out
}

// hardLimitWords names arms that a mere limit does as well as: a rule that does not beat one is not
// a result.
func (r *Report) hardLimitWords(t *Table) []string {
	var out []string
	for i := range t.Rows {
		limit := &t.Rows[i]
		if limit.Kind != Capped && !(limit.Kind == Baseline && limit.Name != r.Reference) {
			continue
		}
		var beaten []string
		for j := range t.Rows {
			x := &t.Rows[j]
			if x.Kind == Arm && limit.Accuracy.Mean >= x.Accuracy.Mean && limit.Tokens.Mean <= x.Tokens.Mean {
				beaten = append(beaten, x.Name)
			}
		}
		if len(beaten) > 0 {
			out = append(out, fmt.Sprintf("%s does at least as well, in accuracy and in tokens, as %s: a rule that does not beat a hard limit is not a result.", capital(limit.Name), list(beaten)))
		}
	}
	return out
}

// closestWords compares the best arm, by accuracy-efficiency score, with each of the others.
func (r *Report) closestWords(t *Table) []string {
	best := ""
	top := math.Inf(-1)
	for i := range t.Rows {
		if x := &t.Rows[i]; x.Kind == Arm && x.AES != nil && x.AES.Mean > top {
			best, top = x.Name, x.AES.Mean
		}
	}
	var same []string
	for i := range t.Pairs {
		p := &t.Pairs[i]
		if p.A != best && p.B != best || p.Unpaired != "" || p.Accuracy.Excludes(0) || p.Tokens.Excludes(0) || !p.Accuracy.OverSeeds() {
			continue
		}
		other := p.A
		if other == best {
			other = p.B
		}
		same = append(same, other)
	}
	out := []string{}
	if best != "" {
		out = append(out, fmt.Sprintf("The highest accuracy-efficiency score (%s) is that of %s: %s.", r.Weights, best, number(top, 2)))
	}
	if len(same) > 0 {
		out = append(out, fmt.Sprintf("Neither in accuracy nor in length can %s be told from %s.", list(same), best))
	}
	return out
}

// Sentence says what a pair shows.
func (p *Pair) Sentence(points float64) string {
	if p.Unpaired != "" {
		return fmt.Sprintf("%s and %s are not compared: %s.", p.A, p.B, p.Unpaired)
	}
	at := fmt.Sprintf("at %s", plural(p.Accuracy.Seeds, "seed", "seeds"))
	if !p.Accuracy.OverSeeds() {
		at = "on these problems, with one seed each, which says nothing about another seed"
	}
	text := ""
	if p.Accuracy.Excludes(0) {
		verb := "more"
		if p.Accuracy.Mean < 0 {
			verb = "less"
		}
		text = fmt.Sprintf("%s is %s accurate than %s %s, by %s points (95 %% interval %s)", p.A, verb, p.B, at, number(math.Abs(100*p.Accuracy.Mean), 1), interval(p.Accuracy, 100, 1))
	} else {
		text = fmt.Sprintf("%s is not distinguishable from %s in accuracy %s (difference %s points, 95 %% interval %s)", p.A, p.B, at, signed(100*p.Accuracy.Mean, 1), interval(p.Accuracy, 100, 1))
		switch {
		case !p.Accuracy.OverSeeds():
		case p.SeedsNeeded == nil:
			text += fmt.Sprintf("; no number of seeds would tell a difference of %s points without more held-out problems", number(points, 1))
		case *p.SeedsNeeded <= p.Accuracy.Seeds:
			text += fmt.Sprintf("; a difference of %s points would have been told", number(points, 1))
		default:
			text += fmt.Sprintf("; about %d seeds would tell a difference of %s points", *p.SeedsNeeded, number(points, 1))
		}
	}
	switch {
	case p.Tokens.Excludes(0):
		text += fmt.Sprintf("; it takes %s %% tokens (%s)", signed(100*p.Tokens.Mean, 0), interval(p.Tokens, 100, 0))
	default:
		text += fmt.Sprintf("; tokens are not told apart (%s %%, %s)", signed(100*p.Tokens.Mean, 0), interval(p.Tokens, 100, 0))
	}
	return text + "."
}

func seedsOf(t *Table, name string) string {
	if x := t.row(name); x != nil {
		return plural(len(x.Seeds), "seed", "seeds")
	}
	return "no seed"
}

func runNames(list []Excluded) []string {
	var out []string
	for _, x := range list {
		out = append(out, x.Run)
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func list(items []string) string {
	switch n := len(items); n {
	case 0:
		return "none"
	case 1:
		return items[0]
	default:
		return strings.Join(items[:n-1], ", ") + " and " + items[n-1]
	}
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// number writes a figure with a real minus sign; unknown is a dash.
func number(x float64, decimals int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "–"
	}
	text := fmt.Sprintf("%.*f", decimals, x)
	if text == fmt.Sprintf("-%.*f", decimals, 0.0) {
		text = text[1:]
	}
	return strings.Replace(text, "-", "\u2212", 1)
}

func signed(x float64, decimals int) string {
	text := number(x, decimals)
	if x > 0 && text != number(0, decimals) {
		return "+" + text
	}
	return text
}

func interval(e stats.Estimate, factor float64, decimals int) string {
	if e.Interval == nil {
		return "unknown"
	}
	return signed(e.Interval[0]*factor, decimals) + " to " + signed(e.Interval[1]*factor, decimals)
}

package rewards

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Describe renders a method for a terminal; see [Description.Text]. It is empty for an unknown
// method.
func Describe(name string) string {
	d, ok := Lookup(name)
	if !ok {
		return ""
	}
	return d.Text()
}

// Text renders what pith knows of the method for a terminal: formula, source, how far it was
// verified, inputs, settings, estimator, filter, state, differences between paper and code, and the
// rest of the recipe.
func (d Description) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", d.Name, d.Title)
	fmt.Fprintf(&b, "%s; %s\n", d.Family, d.Verified.words())
	block(&b, "formula", strings.Split(d.Formula, "\n")...)
	block(&b, "source", d.Source)
	inputs := "nothing"
	if len(d.Needs) > 0 {
		inputs = strings.Join(d.Needs, ", ")
	}
	if len(d.Optional) > 0 {
		inputs += "; where present: " + strings.Join(d.Optional, ", ")
	}
	block(&b, "needs", inputs)
	if len(d.Params) > 0 {
		block(&b, "settings (--set method.NAME=VALUE)", settings(d)...)
	}
	estimator := []string{d.Advantage + options(d.AdvantageParams)}
	if d.AdvantageCode != "" {
		estimator = append(estimator, "profile released_code: "+d.AdvantageCode+options(d.CodeParams))
	}
	if d.Scope == "batch" {
		estimator = append(estimator, "uses the statistics of the whole batch")
	}
	block(&b, "advantage (--set advantage.kind=NAME swaps it)", estimator...)
	if d.Filter != "" {
		block(&b, "filter", "drops "+d.Filter)
	}
	if d.State != "" {
		block(&b, "remembers", d.State)
	}
	block(&b, "known differences between paper and code", d.Differences...)
	block(&b, "notes", d.Notes...)
	block(&b, "holds", d.Promises.words()...)
	block(&b, "the rest of the recipe", d.Recommended.words()...)
	return b.String()
}

// words says how far a formula was verified.
func (t Tag) words() string {
	switch t {
	case InCode:
		return "formula read in the official code"
	case InPaper:
		return "formula read in the paper"
	case Secondary:
		return "FORMULA FROM A SECONDARY SOURCE: the paper's own text was not read"
	case Unverified:
		return "FORMULA PARTLY UNVERIFIED"
	}
	return "FORMULA IS OURS: no complete published formula is at hand"
}

func (p Promises) words() []string {
	var out []string
	for _, w := range []struct {
		holds bool
		text  string
	}{
		{p.ZeroSum, "a group's advantages add up to 0"},
		{p.Monotone, "of two right answers that differ in length only, the longer never gets more"},
		{p.Ordered, "with default settings a right answer never earns less than a wrong one of its group"},
		{p.PressesWrong, "WARNING: the length of wrong answers counts too, a known road to collapse"},
	} {
		if w.holds {
			out = append(out, w.text)
		}
	}
	return out
}

func (r Recommended) words() []string {
	var out []string
	add := func(present bool, format string, args ...any) {
		if present {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(r.Strategy != "", "strategy %s", r.Strategy)
	add(r.GroupSize > 0, "%d samples a prompt", r.GroupSize)
	add(r.Loss != "", "loss %s", r.Loss)
	add(r.Aggregation != "", "aggregation %s", r.Aggregation)
	add(r.ClipLow > 0, "clip %g below, %g above", r.ClipLow, r.ClipHigh)
	add(r.DualClip > 0, "dual clip %g", r.DualClip)
	add(r.KL > 0, "KL to the reference, coefficient %g%s", r.KL, kindWords(r.KLKind))
	add(r.Entropy > 0, "entropy coefficient %g", r.Entropy)
	add(r.Temperature > 0, "temperature %g", r.Temperature)
	add(r.Rate > 0, "learning rate %g (at the paper's scale)", r.Rate)
	add(r.Dynamic, "dynamic sampling")
	add(r.Schedule != "", "schedule: %s", r.Schedule)
	add(r.Curriculum != "", "curriculum: %s", r.Curriculum)
	return out
}

// block writes a heading and its indented, wrapped lines; nothing where there are none.
func block(b *strings.Builder, heading string, lines ...string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", heading)
	for _, line := range lines {
		for i, part := range wrap(line, 96) {
			indent := "  "
			if i > 0 {
				indent = "    "
			}
			b.WriteString(indent + part + "\n")
		}
	}
}

// wrap breaks a line at spaces so that no part is longer than width, where it can be helped. It
// leaves a line that fits as it is, runs of spaces included.
func wrap(line string, width int) []string {
	if runes(line) <= width {
		return []string{line}
	}
	var out []string
	current := ""
	for word := range strings.FieldsSeq(line) {
		switch {
		case current == "":
			current = word
		case runes(current)+1+runes(word) > width:
			out = append(out, current)
			current = word
		default:
			current += " " + word
		}
	}
	return append(out, current)
}

func runes(s string) int { return len([]rune(s)) }

// settings lays the parameters out in columns, the documentation beneath each.
func settings(d Description) []string {
	var out []string
	for _, p := range d.Params {
		line := p.Key + " = " + p.Default
		if p.Code != "" {
			line += " (released_code: " + p.Code + ")"
		}
		switch {
		case p.Kind == "word":
			line += ", one of " + p.Range
		case p.Range != "":
			line += ", " + p.Kind + " " + p.Range
		default:
			line += ", " + p.Kind
		}
		out = append(out, line+": "+p.Doc)
	}
	return out
}

func options(values map[string]any) string {
	if len(values) == 0 {
		return ""
	}
	parts := make([]string, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, fmt.Sprintf("%s %v", key, values[key]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func kindWords(kl string) string {
	if kl == "" {
		return ""
	}
	return ", estimator " + kl
}

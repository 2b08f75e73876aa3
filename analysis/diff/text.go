package diff

import (
	"fmt"
	"strings"
)

// Text is the result for readers, its examples side by side in the given width.
func (r *Result) Text(width int) string {
	var b strings.Builder
	for _, s := range []struct {
		letter string
		side   Side
	}{{"A", r.A}, {"B", r.B}} {
		fmt.Fprintf(&b, "%s  %s after step %d: %s, seed %d, accuracy %.1f %%, %.1f tokens, %d %s responses\n", s.letter, s.side.Dir, s.side.Step, s.side.Method, s.side.Seed, 100*s.side.Accuracy, s.side.Tokens, s.side.Problems, r.Decoding)
	}
	if len(r.Settings) > 0 {
		b.WriteString("\nsettings that differ\n")
		for _, c := range r.Settings {
			fmt.Fprintf(&b, "  %-28s %s → %s\n", c.Key, orNone(c.A), orNone(c.B))
		}
	}
	fmt.Fprintf(&b, "\n%d responses to the same problems", r.Paired)
	if r.NoScore+r.OnlyA+r.OnlyB > 0 {
		fmt.Fprintf(&b, " (%d without a score, %d only in A, %d only in B left out)", r.NoScore, r.OnlyA, r.OnlyB)
	}
	fmt.Fprintf(&b, "\n  accuracy %+.1f points (95 %% interval %+.1f to %+.1f), tokens %+.1f %% (%+.1f to %+.1f)\n",
		100*r.Accuracy.Value, 100*r.Accuracy.Interval[0], 100*r.Accuracy.Interval[1], 100*r.Tokens.Value, 100*r.Tokens.Interval[0], 100*r.Tokens.Interval[1])
	f := r.Flips
	fmt.Fprintf(&b, "  right both times %d, wrong both times %d\n", f.BothRight, f.BothWrong)
	fmt.Fprintf(&b, "  right → wrong %d, of which %d while getting shorter\n", f.Lost, f.LostShorter)
	fmt.Fprintf(&b, "  wrong → right %d, of which %d while getting shorter\n", f.Gained, f.GainedShorter)
	fmt.Fprintf(&b, "  %s\n", r.verdict())
	for _, list := range []struct {
		title string
		flips []Flip
	}{{"right → wrong", r.Lost}, {"wrong → right", r.Gained}} {
		for _, x := range list.flips {
			fmt.Fprintf(&b, "\n%s: %s, level %d, gold %s\n%s\n", list.title, x.Problem, x.Level, x.Gold, strings.TrimSpace(x.Prompt))
			sideBySide(&b, x, width)
		}
	}
	return b.String()
}

// verdict is one sentence on whether the flips are more than chance.
func (r *Result) verdict() string {
	if r.Flips.Lost+r.Flips.Gained == 0 {
		return "no verdict changed"
	}
	if r.P >= 0.05 {
		return fmt.Sprintf("by problem, flips as unequal as these are what chance does (p = %.2g): the two are not distinguishable in accuracy", r.P)
	}
	better := "B"
	if r.Flips.Lost > r.Flips.Gained {
		better = "A"
	}
	return fmt.Sprintf("by problem, the flips favour %s by more than chance (p = %.2g)", better, r.P)
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// sideBySide writes both responses in two columns.
func sideBySide(b *strings.Builder, f Flip, width int) {
	each := max((width-3)/2, 20)
	left := append([]string{fmt.Sprintf("A %s, %d tokens, answered %s", f.A.Verdict, f.A.Tokens, orNone(f.A.Extracted))}, wrap(f.A.Text, each)...)
	right := append([]string{fmt.Sprintf("B %s, %d tokens, answered %s", f.B.Verdict, f.B.Tokens, orNone(f.B.Extracted))}, wrap(f.B.Text, each)...)
	for i := range max(len(left), len(right)) {
		l, r := "", ""
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		pad := max(each-len([]rune(l)), 0)
		fmt.Fprintf(b, "%s%s │ %s\n", l, strings.Repeat(" ", pad), r)
	}
}

// wrap breaks a text at blanks into lines of at most width characters, longer words in pieces.
func wrap(text string, width int) []string {
	var lines []string
	var line []rune
	flush := func() {
		if len(line) > 0 {
			lines = append(lines, string(line))
			line = nil
		}
	}
	for _, word := range strings.Fields(text) {
		w := []rune(word)
		if len(line) > 0 && len(line)+1+len(w) > width {
			flush()
		}
		for len(w) > width {
			lines = append(lines, string(w[:width]))
			w = w[width:]
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		line = append(line, w...)
	}
	flush()
	return lines
}

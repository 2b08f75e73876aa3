package grade

import (
	"strings"

	"pith/rewards/grade/extract"
)

// choiceLabel reads a gold answer that is one capital letter, perhaps in parentheses or markup.
func choiceLabel(s string) (byte, bool) {
	s = strings.TrimSpace(unwrapText(s))
	s = strings.Trim(s, "().[]: ")
	if len(s) == 1 && s[0] >= 'A' && s[0] <= 'Z' {
		return s[0], true
	}
	return 0, false
}

// unwrapText strips text commands that wrap the whole answer.
func unwrapText(s string) string {
	for range 4 {
		s = strings.TrimSpace(s)
		cut := false
		for _, cmd := range []string{"\\textbf{", "\\text{", "\\mathrm{", "\\mathbf{", "\\textit{", "\\boldsymbol{"} {
			if strings.HasPrefix(s, cmd) && strings.HasSuffix(s, "}") && strings.Count(s, "{") == 1 {
				s, cut = s[len(cmd):len(s)-1], true
			}
		}
		if !cut {
			break
		}
	}
	return s
}

// leadingLabel reads the label at the head of "(B) 5", "B. Paris", "\textbf{(B)}\ 5", "option B",
// and what follows it.
func leadingLabel(s string) (label byte, rest string, ok bool) {
	s = strings.TrimSpace(s)
	for _, cmd := range []string{"\\textbf{", "\\text{", "\\mathrm{", "\\mathbf{"} {
		if inner, found := strings.CutPrefix(s, cmd); found {
			if head, tail, closed := strings.Cut(inner, "}"); closed {
				s = head + " " + tail
			}
		}
	}
	s = strings.TrimSpace(strings.TrimLeft(s, "*"))
	for _, word := range []string{"option", "choice", "answer", "letter"} {
		if len(s) > len(word) && strings.EqualFold(s[:len(word)], word) {
			s = strings.TrimLeft(s[len(word):], " :")
		}
	}
	open := strings.HasPrefix(s, "(")
	s = strings.TrimPrefix(s, "(")
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return 0, "", false
	}
	tail := s[1:]
	switch {
	case tail == "":
		return s[0], "", true
	case open && tail[0] == ')':
		return s[0], strings.TrimSpace(tail[1:]), true
	case tail[0] == '.' || tail[0] == ')' || tail[0] == ':' || tail[0] == '*':
		return s[0], strings.Trim(tail[1:], " *"), true
	case tail[0] == ' ' && strings.TrimSpace(tail) == "":
		return s[0], "", true
	}
	return 0, "", false
}

// withoutLabel drops a choice's label before a value: "(B) 5" may answer a gold of 5.
func withoutLabel(s string) (string, bool) {
	_, rest, ok := leadingLabel(s)
	rest = strings.TrimLeft(rest, "\\ :~")
	return rest, ok && rest != ""
}

// ChoiceOptions are the parameters of the multiple-choice grader.
type ChoiceOptions struct {
	// Labels lists the letters that are choices.
	Labels   string   `json:"labels"`
	ThinkEnd []string `json:"think_end"`
}

// Choice grades multiple-choice answers by their letter.
type Choice struct {
	labels  string
	extract extract.Options
}

// NewChoice returns a multiple-choice grader.
func NewChoice(o ChoiceOptions) Choice {
	e := extract.DefaultOptions()
	e.ThinkEnd = o.ThinkEnd
	return Choice{labels: o.Labels, extract: e}
}

// DefaultChoiceOptions accept the letters A to J.
func DefaultChoiceOptions() ChoiceOptions {
	return ChoiceOptions{Labels: "ABCDEFGHIJ", ThinkEnd: extract.DefaultOptions().ThinkEnd}
}

// Grade implements Grader. The gold answer is a letter, perhaps in parentheses.
func (c Choice) Grade(gold, response string) Verdict {
	want, ok := choiceLabel(strings.ToUpper(trimAnswer(gold)))
	if !ok || strings.IndexByte(c.labels, want) < 0 {
		return Verdict{Outcome: NoScore, Reason: "gold answer is no choice"}
	}
	text, reason := extract.Conclusion(response, c.extract)
	if reason != "" {
		return Verdict{Outcome: Wrong, Reason: reason}
	}
	got, formatted, ok := c.find(text)
	if !ok {
		return Verdict{Outcome: Wrong, Reason: extract.NoAnswer}
	}
	v := Verdict{Outcome: Wrong, Extracted: string(got), Reason: ReasonUnequal + ": choice", Formatted: formatted}
	if got == want {
		v.Outcome, v.Reason = Right, ReasonEqual+": choice"
	}
	return v
}

// find takes the label of the extracted answer, or else the last label that stands alone.
func (c Choice) find(text string) (label byte, formatted, ok bool) {
	if f, reason := extract.Find(text, extract.Options{Window: c.extract.Window}); reason == "" && f.Rule != extract.LastNum && f.Rule != extract.Display {
		if got, _, ok := leadingLabel(trimAnswer(f.Text)); ok && strings.IndexByte(c.labels, got) >= 0 {
			return got, f.Rule == extract.Boxed, true
		}
		if trimmed := strings.ToUpper(trimAnswer(f.Text)); len(trimmed) == 1 && strings.IndexByte(c.labels, trimmed[0]) >= 0 {
			return trimmed[0], f.Rule == extract.Boxed, true
		}
		if len(f.Text) < 160 {
			text = f.Text
		}
	}
	for i := len(text) - 1; i >= 0; i-- {
		if strings.IndexByte(c.labels, text[i]) < 0 || i > 0 && isAlnum(text[i-1]) || i+1 < len(text) && (isAlnum(text[i+1]) || text[i+1] == '\'') {
			continue
		}
		// "A" and "I" as words of a sentence are followed by a space and a lower-case letter.
		if (text[i] == 'A' || text[i] == 'I') && i+2 < len(text) && text[i+1] == ' ' && text[i+2] >= 'a' && text[i+2] <= 'z' {
			continue
		}
		return text[i], false, true
	}
	return 0, false, false
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

package grade

import (
	"strings"
	"unicode"

	"pith/rewards/grade/extract"
)

// TextOptions are the parameters of the text and F1 graders.
type TextOptions struct {
	// Normalise compares lower-case words without punctuation and articles (the normalisation of
	// SQuAD, Rajpurkar et al. 2016); without it texts must be equal after trimming.
	Normalise bool `json:"normalise"`
	// Separator splits a gold field into several acceptable answers; empty means one answer.
	Separator string `json:"separator"`
	// Threshold is the F1 from which an answer is right; only the F1 grader reads it.
	Threshold float64 `json:"threshold"`
	// Extract takes the answer after a phrase or out of a box; without it the whole conclusion counts.
	Extract  bool     `json:"extract"`
	ThinkEnd []string `json:"think_end"`
}

// DefaultTextOptions normalise, extract, split nothing, and ask for an F1 of at least 0.5.
func DefaultTextOptions() TextOptions {
	return TextOptions{Normalise: true, Extract: true, Threshold: 0.5, ThinkEnd: extract.DefaultOptions().ThinkEnd}
}

// Text grades free text: exact match, or F1 over words for question answering.
type Text struct {
	opts    TextOptions
	overlap bool
	extract extract.Options
}

// NewText returns a grader of exact (or normalised) texts.
func NewText(o TextOptions) Text { return newText(o, false) }

// NewF1 returns a grader that asks for a word F1 of at least o.Threshold.
func NewF1(o TextOptions) Text { return newText(o, true) }

func newText(o TextOptions, overlap bool) Text {
	e := extract.DefaultOptions()
	e.ThinkEnd = o.ThinkEnd
	return Text{opts: o, overlap: overlap, extract: e}
}

// Grade implements Grader.
func (t Text) Grade(gold, response string) Verdict {
	golds := []string{gold}
	if t.opts.Separator != "" {
		golds = strings.Split(gold, t.opts.Separator)
	}
	if strings.TrimSpace(strings.Join(golds, "")) == "" {
		return Verdict{Outcome: NoScore, Reason: ReasonNoGold}
	}
	text, formatted, reason := t.answer(response)
	if reason != "" {
		return Verdict{Outcome: Wrong, Reason: reason}
	}
	v := Verdict{Outcome: Wrong, Extracted: clip(text), Reason: ReasonUnequal + ": text", Formatted: formatted}
	for _, g := range golds {
		if strings.TrimSpace(g) == "" {
			continue
		}
		switch {
		case t.overlap:
			v.Reason = "f1 below threshold"
			if F1(g, text) >= t.opts.Threshold {
				v.Outcome, v.Reason = Right, "f1"
			}
		case t.opts.Normalise && Normalise(g) == Normalise(text) && Normalise(g) != "",
			strings.TrimSpace(g) == strings.TrimSpace(text):
			v.Outcome, v.Reason = Right, ReasonEqual+": text"
		}
		if v.Outcome == Right {
			break
		}
	}
	return v
}

// answer takes the text that is compared.
func (t Text) answer(response string) (text string, formatted bool, reason string) {
	text, reason = extract.Conclusion(response, t.extract)
	if reason != "" {
		return "", false, reason
	}
	if t.opts.Extract {
		f, why := extract.Find(response, t.extract)
		if why == "" && f.Rule != extract.LastNum && f.Rule != extract.Display {
			text, formatted = unwrapText(trimAnswer(f.Text)), f.Rule == extract.Boxed
		}
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", false, extract.NoAnswer
	}
	return text, formatted, ""
}

// Normalise lowers case and removes punctuation, articles and repeated white space, as the SQuAD
// evaluation does.
func Normalise(s string) string {
	var words []string
	for _, w := range strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsPunct(r) || unicode.IsSymbol(r) && r < 0x80 {
			return -1
		}
		return unicode.ToLower(r)
	}, s)) {
		if w != "a" && w != "an" && w != "the" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// maxF1Words bounds the words of either side that F1 counts.
const maxF1Words = 20_000

// F1 is the harmonic mean of precision and recall over the multisets of normalised words
// (Rajpurkar et al. 2016, section 6.1), in [0, 1]; 1 when both sides are without words.
func F1(gold, text string) float64 {
	g, t := strings.Fields(Normalise(gold)), strings.Fields(Normalise(text))
	g, t = g[:min(len(g), maxF1Words)], t[:min(len(t), maxF1Words)]
	if len(g) == 0 || len(t) == 0 {
		if len(g) == len(t) {
			return 1
		}
		return 0
	}
	counts := make(map[string]int, len(g))
	for _, w := range g {
		counts[w]++
	}
	common := 0
	for _, w := range t {
		if counts[w] > 0 {
			counts[w]--
			common++
		}
	}
	if common == 0 {
		return 0
	}
	precision, recall := float64(common)/float64(len(t)), float64(common)/float64(len(g))
	return 2 * precision * recall / (precision + recall)
}

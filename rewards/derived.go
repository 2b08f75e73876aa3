package rewards

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"pith/traces"
)

// The inputs that a recorded trace holds only in its text. They are functions of columns of the log,
// so that a replay finds the same values.

// visible is where the visible response begins: after the tag <response>, or after the end of
// thinking; 0 where there is neither.
func visible(text string) int {
	for _, marker := range [...]string{"<response>", "</think>"} {
		if at := strings.Index(text, marker); at >= 0 {
			return at + len(marker)
		}
	}
	return 0
}

// describeText fills the lengths that GTAlign reads: words of the visible response and of the whole
// output, and the characters before the response, tags included.
func describeText(s *Sample, text string) {
	at := visible(text)
	s.ReasoningChars = utf8.RuneCountInString(text[:at])
	s.ResponseWords = countWords(text[at:])
	s.OutputWords = s.ResponseWords + countWords(text[:at])
	payoff := payoffOf(text)
	s.Payoff = &payoff
}

func countWords(text string) int {
	n := 0
	for range strings.FieldsSeq(text) {
		n++
	}
	return n
}

var (
	payoffSection = regexp.MustCompile(`(?s)<payoff>(.*?)</payoff>`)
	payoffCell    = regexp.MustCompile(`([-+]?[0-9]*\.?[0-9]+)\s*[,/|]\s*([-+]?[0-9]*\.?[0-9]+)`)
)

// payoffOf scores the game matrix that a GTAlign policy writes between payoff tags: for each of six
// cells 1/12 if its two numbers differ, and 1/12 if they differ by more than a tenth of the larger
// (ulab-uiuc/GTAlign recipe/gamellm/tasks). A cell is two numbers with a comma, bar or slash between
// them; no cell, 0.
func payoffOf(text string) float64 {
	if !strings.Contains(text, "<payoff>") {
		return 0
	}
	section := payoffSection.FindStringSubmatch(text)
	if section == nil {
		return 0
	}
	total := 0.0
	for _, cell := range payoffCell.FindAllStringSubmatch(section[1], 6) {
		user, err := strconv.ParseFloat(cell[1], 64)
		model, bad := strconv.ParseFloat(cell[2], 64)
		if err != nil || bad != nil || user == model {
			continue
		}
		total += 1.0 / 12
		if math.Abs(user-model) > 0.1*max(math.Abs(user), math.Abs(model)) {
			total += 1.0 / 12
		}
	}
	return min(total, 1)
}

// coverage gives the precision and recall of the entities of an answer: those of a list in gold and
// in the extracted answer, between commas, semicolons or line ends, without regard to case. WebLeaper
// matches them by meaning with a rule that is not published; this one is exact and ours. An answer
// that the grader accepted covers everything.
func coverage(t *traces.Trace) (precision, recall float64) {
	if t.Verdict == traces.Right {
		return 1, 1
	}
	want, got := entities(t.Gold), entities(t.Extracted)
	found := 0
	for e := range got {
		if want[e] {
			found++
		}
	}
	return ratio(found, len(got)), ratio(found, len(want))
}

func entities(list string) map[string]bool {
	out := map[string]bool{}
	for item := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
		if item = strings.ToLower(strings.Trim(item, " \t{}[]().")); item != "" {
			out[item] = true
		}
	}
	return out
}

package extract

import (
	"strings"
)

// hashes reads what follows the last "####", as GSM8K's solutions end.
func hashes(text string) (Found, bool) {
	i := strings.LastIndex(text, "####")
	if i < 0 {
		return Found{}, false
	}
	rest := strings.TrimLeft(text[i:], "#")
	line, _, _ := strings.Cut(strings.TrimSpace(rest), "\n")
	line = strings.TrimSpace(strings.Trim(strings.TrimSpace(line), "*"))
	if line == "" {
		return Found{}, false
	}
	if f, ok := leading(line); ok && f.Rule == Display {
		f.Rule = Hashes
		return f, true
	}
	return Found{Rule: Hashes, Text: line, Plain: true}, true
}

// finalHope reads "final answer is X. I hope it is correct." of the Minerva prompt (Lewkowycz
// et al. 2022, appendix D).
func finalHope(text string) (Found, int) {
	if !strings.Contains(text, "ope it is correct") { // forward searches are far quicker
		return Found{}, -1
	}
	end := lastFold(text, "i hope it is correct")
	if end < 0 {
		return Found{}, -1
	}
	start := lastFold(text[:end], "final answer is")
	if start < 0 {
		return Found{}, -1
	}
	body := strings.TrimSpace(text[start+len("final answer is") : end])
	body = strings.TrimSpace(strings.TrimPrefix(body, ":"))
	body = strings.TrimSuffix(body, ".")
	if body == "" {
		return Found{}, -1
	}
	if b, state := boxes(body, Options{}); state == boxFound {
		return b, start
	}
	if f, ok := leading(body); ok && f.Rule == Display {
		f.Rule = FinalHope
		return f, start
	}
	return Found{Rule: FinalHope, Text: strings.TrimSpace(body), Plain: true}, start
}

// phrases are tried from the most to the least telling; of each the last occurrence counts.
var phrases = []struct {
	text string
	rule Rule
}{
	{"final answer is", Final}, {"final answer:", Final}, {"final answer", Final},
	{"answer is:", Answer}, {"answer is", Answer}, {"answer:", Answer}, {"answers are", Answer}, {"answer =", Answer}, {"answer would be", Answer}, {"answer to", Answer},
}

// phrase reads what follows the last telling phrase.
func phrase(text string) (Found, bool) {
	best := -1
	var after int
	var rule Rule
	// One backward search for the common word, then a look at what surrounds it.
	search := text
	if !strings.Contains(text, "nswer") && !strings.Contains(text, "NSWER") {
		search = ""
	}
	for range 8 {
		i := lastFold(search, "answer")
		if i < 0 {
			break
		}
		for _, ph := range phrases {
			start := i
			if strings.HasPrefix(ph.text, "final ") {
				start = i - len("final ")
			}
			if start >= 0 && foldPrefix(strings.ReplaceAll(text[start:min(len(text), start+len(ph.text)+4)], "*", ""), ph.text) {
				if ph.rule == Final || best < 0 {
					best, rule = start, ph.rule
					after = start + len(ph.text)
					for after < len(text) && strings.Count(text[start:after], "*") > after-start-len(ph.text) {
						after++
					}
				}
				break
			}
		}
		if rule == Final {
			break
		}
		search = search[:i]
	}
	if best < 0 {
		best, after = foreign(text)
		rule = Answer
	}
	if best < 0 {
		return Found{}, false
	}
	rest := strings.TrimLeft(text[after:], " :：*\n\t=")
	if rest == "" {
		return Found{}, false
	}
	f, ok := leading(rest)
	if !ok {
		return Found{}, false
	}
	f.Rule = rule
	return f, true
}

// abroad are words for "answer" in other languages, each with what may stand before its value.
var abroad = []struct{ word, link string }{
	{"答案", "是为:："}, {"答え", "は:："}, {"정답", "은는:："}, {"답", "은는:："},
	{"respuesta", "es"}, {"réponse", "est"}, {"antwort", "ist"}, {"risposta", "è"}, {"resposta", "é"}, {"ответ", "—-"},
	{"antwoord", "is"}, {"odpowiedź", "to"}, {"cevap", ""}, {"الإجابة", "هي"}, {"उत्तर", "है"}, {"đáp án", "là"}, {"jawaban", "adalah"},
}

// foreignWindow is how many bytes at the end of a response are searched for them.
const foreignWindow = 240

// foreign finds the last such word that a colon, a link word or a value follows.
func foreign(text string) (start, after int) {
	tail := text[max(0, len(text)-foreignWindow):]
	offset := len(text) - len(tail)
	lower := strings.ToLower(tail)
	if len(lower) != len(tail) {
		lower = tail
	}
	best, after := -1, 0
	for _, a := range abroad {
		if !strings.Contains(lower, a.word) {
			continue
		}
		i := strings.LastIndex(lower, a.word)
		if i <= best {
			continue
		}
		end := i + len(a.word)
		rest := lower[end:]
		trimmed := strings.TrimLeft(rest, " *")
		for _, link := range []string{a.link, "final", "correcta", "correcte", "correcta es"} {
			if link == "" || len(link) > 2 && strings.ContainsAny(link, ":：") {
				continue
			}
			if cut, ok := strings.CutPrefix(trimmed, link+" "); ok {
				trimmed = strings.TrimLeft(cut, " *")
			}
		}
		if strings.ContainsAny(a.link, ":：") {
			trimmed = strings.TrimLeft(trimmed, a.link+" *")
		}
		best, after = i, len(tail)-len(trimmed)
	}
	if best < 0 {
		return -1, 0
	}
	return offset + best, offset + after
}

// leading reads the answer at the head of a text: the formulas in its first sentence, or the
// sentence itself.
func leading(rest string) (Found, bool) {
	line := rest
	if i := strings.Index(rest, "\n\n"); i >= 0 {
		line = rest[:i]
	}
	sentence := firstSentence(line)
	if fs := formulas(line[:min(len(line), max(len(sentence)+64, 256))], 0); len(fs) > 0 && fs[0].start <= len(sentence) && (fs[0].start < 24 || !hasDigit(sentence[:min(fs[0].start, len(sentence))])) {
		group := []formula{fs[0]}
		for _, f := range fs[1:] {
			if f.start > len(sentence) || !linked(line[group[len(group)-1].end:f.start]) {
				break
			}
			group = append(group, f)
		}
		return joinFormulas(group), true
	}
	sentence = strings.Trim(sentence, " *`\"")
	if sentence == "" {
		return Found{}, false
	}
	return Found{Rule: Answer, Text: sentence, Plain: true, Rest: line[min(len(line), len(sentence)):]}, true
}

// firstSentence ends at a newline, or at a full stop that is not a decimal point.
func firstSentence(s string) string {
	inMath := false
	for i := range len(s) {
		switch s[i] {
		case '$':
			inMath = !inMath
		case '\n':
			if !inMath && strings.TrimSpace(s[:i]) != "" {
				return s[:i]
			}
		case '.':
			if i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\n' || s[i+1] == '*' {
				return s[:i]
			}
		}
	}
	return s
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// lastFold is the last index of a lower-case ASCII needle, whatever the case in the text.
func lastFold(text, needle string) int {
	last := needle[len(needle)-1]
	for i := len(text) - 1; i >= len(needle)-1; i-- {
		if text[i]|0x20 == last && foldPrefix(text[i-len(needle)+1:], needle) {
			return i - len(needle) + 1
		}
	}
	return -1
}

// foldPrefix reports whether text starts with a lower-case ASCII prefix, ignoring case.
func foldPrefix(text, prefix string) bool {
	if len(text) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

package metrics

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Marker kinds.
const (
	Reflection  = "reflection"
	Alternative = "alternative"
	Hedging     = "hedging"
	Discourse   = "discourse"
)

// MarkerKinds are the kinds of markers in the order of reports.
var MarkerKinds = []string{Reflection, Alternative, Hedging, Discourse}

// markerWords are ours. AdaptThink (arXiv 2505.13417) counts "Wait" and "Alternatively", AdaR1 (arXiv
// 2504.21659) "wait" and "recheck".
var markerWords = map[string][]string{
	Reflection:  {"wait", "hmm", "let me check", "let me verify", "double-check", "recheck", "on second thought", "actually"},
	Alternative: {"alternatively", "another approach", "another way", "instead let"},
	Hedging:     {"maybe", "perhaps", "i think", "might", "not sure", "seems", "possibly"},
	Discourse:   {"first", "second", "next", "then", "therefore", "thus", "so", "finally", "because", "since"},
}

// Markers counts the phrases of each kind in a text: without regard to case, at word boundaries, the
// longest phrase first, no character counted twice. It is safe for concurrent use.
func Markers(text string) map[string]int {
	counts := make(map[string]int, len(MarkerKinds))
	lower := strings.ToLower(text)
	for i := 0; i < len(lower); {
		r, size := utf8.DecodeRuneInString(lower[i:])
		if !wordRune(r) || !boundary(lower, i) {
			i += size
			continue
		}
		if p, ok := phraseAt(lower, i); ok {
			counts[p.kind]++
			i += len(p.text)
			continue
		}
		i += size
	}
	return counts
}

type phrase struct{ text, kind string }

// phrases are all markers by first byte, longest first.
var phrases = func() (table [256][]phrase) {
	for kind, texts := range markerWords {
		for _, text := range texts {
			table[text[0]] = append(table[text[0]], phrase{text, kind})
		}
	}
	for _, list := range table {
		slices.SortFunc(list, func(a, b phrase) int {
			return cmp.Or(cmp.Compare(len(b.text), len(a.text)), cmp.Compare(a.text, b.text))
		})
	}
	return table
}()

func phraseAt(text string, at int) (phrase, bool) {
	for _, p := range phrases[text[at]] {
		if strings.HasPrefix(text[at:], p.text) && boundary(text, at+len(p.text)) {
			return p, true
		}
	}
	return phrase{}, false
}

// boundary reports whether no word runs across byte offset at.
func boundary(text string, at int) bool {
	if at == 0 || at == len(text) {
		return true
	}
	before, _ := utf8.DecodeLastRuneInString(text[:at])
	after, _ := utf8.DecodeRuneInString(text[at:])
	return !wordRune(before) || !wordRune(after)
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }

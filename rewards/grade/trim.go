package grade

import (
	"strings"
	"unicode/utf8"

	"pith/rewards/grade/extract"
	"pith/rewards/grade/latex"
)

// trimAnswer removes what wraps an answer without being part of it: dollars, display brackets,
// emphasis, a box, a full stop.
func trimAnswer(s string) string {
	for range 8 {
		before := s
		s = strings.TrimSpace(s)
		s = strings.TrimRight(s, ".,;:。 ")
		s = strings.Trim(s, "$")
		s = strings.TrimSuffix(strings.TrimPrefix(s, "**"), "**")
		for _, pair := range [][2]string{{"\\(", "\\)"}, {"\\[", "\\]"}, {"`", "`"}} {
			if strings.HasPrefix(s, pair[0]) && strings.HasSuffix(s, pair[1]) && len(s) >= 4 {
				s = s[len(pair[0]) : len(s)-len(pair[1])]
			}
		}
		if strings.HasSuffix(s, "\\") && !strings.HasSuffix(s, "\\\\") {
			s = s[:len(s)-1]
		}
		if inner, ok := extract.Unbox(s); ok {
			s = inner
		}
		if s == before {
			break
		}
	}
	return s
}

func plainInteger(s string) bool {
	if s == "" || len(s) > 256 {
		return false
	}
	if s[0] == '-' {
		s = s[1:]
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func sameInteger(a, b string) bool {
	an, bn := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	a, b = strings.TrimLeft(strings.TrimPrefix(a, "-"), "0"), strings.TrimLeft(strings.TrimPrefix(b, "-"), "0")
	return a == b && (an == bn || a == "")
}

// wordy reports whether a text is words rather than mathematics: only letters and marks, with a
// word of three letters or more that is no mathematical name.
func wordy(s string) bool {
	words := latex.Words(s)
	if words == "" || strings.ContainsAny(words, "0123456789+*/=<>^%") || strings.ContainsAny(s, "^_|&") {
		return false
	}
	if strings.Contains(s, "\\") {
		rest := s
		for _, cmd := range []string{"\\text", "\\textbf", "\\textit", "\\mathrm", "\\mbox", "\\textrm", "\\mathbf", "\\ ", "\\,", "\\;"} {
			rest = strings.ReplaceAll(rest, cmd, "")
		}
		rest = strings.NewReplacer("bf{", "{", "it{", "{", "rm{", "{").Replace(rest)
		if strings.Contains(rest, "\\") {
			return false
		}
	}
	for _, w := range strings.Fields(words) {
		if isWord(w) {
			return true
		}
	}
	return false
}

// isWord tells a word of a language from a product of letters or a mathematical name.
func isWord(w string) bool {
	n := utf8.RuneCountInString(w)
	if mathNames[w] || n < 3 {
		return w == "no"
	}
	if n == 3 {
		return strings.ContainsAny(w, "aeiou") && strings.Trim(w, "abcdxyz") != ""
	}
	return true
}

var mathNames = func() map[string]bool {
	names := map[string]bool{}
	for _, n := range strings.Fields("sqrt cbrt sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log lg exp abs floor ceil max min gcd lcm pi infinity inf infty and or union frac dfrac tfrac cup cap alpha beta gamma delta theta lambda phi omega sigma mu rho tau emptyset varnothing mod binom percent degrees") {
		names[n] = true
	}
	return names
}()

// firstNumber returns the first numeral of a text with its sign, decimal part and percent sign.
func firstNumber(s string) (string, bool) {
	i := strings.IndexAny(s, "0123456789")
	if i < 0 {
		return "", false
	}
	start, end := i, i
	if start > 0 && s[start-1] == '.' {
		start--
	}
	if start > 0 && s[start-1] == '-' {
		start--
	}
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || strings.IndexByte(".,/", s[end]) >= 0 && end+1 < len(s) && s[end+1] >= '0' && s[end+1] <= '9') {
		end++
	}
	if end < len(s) && s[end] == '%' {
		end++
	}
	return s[start:end], true
}

package extract

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

type formula struct {
	start, end int
	content    string
}

// maxFormulas bounds the formulas that are looked at.
const maxFormulas = 4096

// formulas lists the mathematical environments of a text from an offset on: $$X$$, \[X\], $X$,
// \(X\). A blank line ends a dangling dollar; an escaped dollar is money.
func formulas(text string, from int) []formula {
	var out []formula
	unclosed := map[string]bool{}
	for i := from; i < len(text) && len(out) < maxFormulas; {
		j := strings.IndexAny(text[i:], "$\\")
		if j < 0 {
			break
		}
		i += j
		if text[i] == '\\' {
			if i+1 >= len(text) {
				break
			}
			closing := ""
			switch text[i+1] {
			case '[':
				closing = "\\]"
			case '(':
				closing = "\\)"
			default:
				i += 2
				continue
			}
			n := -1
			if !unclosed[closing] {
				n = strings.Index(text[i+2:], closing)
			}
			if n < 0 {
				unclosed[closing] = true
				i += 2
				continue
			}
			out = append(out, formula{i, i + 2 + n + 2, text[i+2 : i+2+n]})
			i += n + 4
			continue
		}
		mark := "$"
		if strings.HasPrefix(text[i:], "$$") {
			mark = "$$"
		}
		n := -1
		if !unclosed[mark] {
			n = closingDollar(text[i+len(mark):], mark)
		}
		if n < 0 {
			unclosed[mark] = unclosed[mark] || mark == "$$"
			i += len(mark)
			continue
		}
		content := text[i+len(mark) : i+len(mark)+n]
		end := i + n + 2*len(mark)
		if mark == "$" && money(content) {
			i += len(mark)
			continue
		}
		out = append(out, formula{i, end, content})
		i = end
	}
	return out
}

// money reports whether what stands between two dollars reads as prose between two prices.
func money(content string) bool {
	if content == "" || !(content[0] >= '0' && content[0] <= '9') {
		return content == "" || content[0] == ' ' && strings.Count(content, " ") > 4 && !strings.ContainsAny(content, "\\=^")
	}
	words := 0
	for _, w := range strings.Fields(content) {
		if len(w) > 2 && strings.IndexFunc(w, func(r rune) bool { return !unicode.IsLetter(r) }) < 0 {
			words++
		}
	}
	return words > 0 && !strings.Contains(content, "\\") || strings.HasSuffix(content, " ") && words == 0 && !strings.ContainsAny(content, "\\^=")
}

// closingDollar finds the end of a dollar environment.
func closingDollar(text, mark string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '\n':
			if mark == "$" && (i+1 >= len(text) || text[i+1] == '\n') {
				return -1
			}
		case '$':
			if mark == "$" || strings.HasPrefix(text[i:], "$$") {
				return i
			}
		}
	}
	return -1
}

// linked reports whether two formulas with this text between them are parts of one answer.
func linked(gap string) bool {
	if len(gap) > 24 {
		return false
	}
	switch strings.ToLower(strings.Trim(gap, " ,;\n")) {
	case "", "and", "or", "&":
		return strings.TrimSpace(gap) != "" || gap == ""
	}
	return false
}

// joinFormulas makes one answer of linked formulas.
func joinFormulas(group []formula) Found {
	if len(group) == 1 {
		return Found{Rule: Display, Text: group[0].content}
	}
	parts := make([]string, len(group))
	for i, f := range group {
		parts[i] = f.content
	}
	return Found{Rule: Display, Text: strings.Join(parts, ", "), Parts: parts}
}

// lastFormula takes the last formula with those linked to it, unless a number follows it in
// the prose: then that number is the conclusion.
func lastFormula(text string) (Found, bool) {
	fs := formulas(text, 0)
	for len(fs) > 0 && strings.TrimSpace(fs[len(fs)-1].content) == "" {
		fs = fs[:len(fs)-1]
	}
	if len(fs) == 0 {
		return Found{}, false
	}
	k := len(fs) - 1
	if _, ok := lastNumber(text[fs[k].end:]); ok {
		return Found{}, false
	}
	for k > 0 && len(fs)-k < 6 && linked(text[fs[k-1].end:fs[k].start]) {
		k--
	}
	return joinFormulas(fs[k:]), true
}

// maxWhole is the length up to which a response may be nothing but an answer.
const maxWhole = 256

// whole accepts a short response of one line without prose.
func whole(text string) (Found, bool) {
	if len(text) > maxWhole || strings.Contains(text, "\n") {
		return Found{}, false
	}
	words := 0
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && r != '\\' }) {
		if prose[strings.ToLower(w)] {
			return Found{}, false
		}
		if utf8.RuneCountInString(w) > 2 && w[0] != '\\' && !known[strings.ToLower(w)] {
			words++
		}
	}
	if words > 0 && (words > 3 || hasDigit(text)) {
		return Found{}, false
	}
	return Found{Rule: Whole, Text: strings.Trim(text, "$"), Plain: true}, true
}

// prose holds short words that make a sentence of a line.
var prose = map[string]bool{"it": true, "is": true, "so": true, "we": true, "to": true, "of": true, "at": true, "by": true, "be": true, "he": true, "idea": true, "are": true}

var known = map[string]bool{"sqrt": true, "sin": true, "cos": true, "tan": true, "log": true, "and": true, "infinity": true, "inf": true, "union": true, "exp": true, "frac": true, "abs": true, "max": true, "min": true, "cup": true}

// lastNumber takes the last numeral of the prose, with its sign, separators, decimal part,
// simple fraction and percent sign.
func lastNumber(text string) (Found, bool) {
	for end := len(text); end > 0; {
		i := strings.LastIndexAny(text[:end], "0123456789")
		if i < 0 {
			return Found{}, false
		}
		stop := i + 1
		start := i
		for start > 0 && numeral(text, start-1) {
			start--
		}
		if start > 0 && isWordByte(text[start-1]) { // part of a name, "x2", "2nd" reversed
			end = start
			continue
		}
		for start < i && strings.IndexByte(",/:", text[start]) >= 0 {
			start++
		}
		if start > 0 && (text[start-1] == '-' || strings.HasSuffix(text[:start], "−")) && (start == 1 || !isWordByte(text[start-2]) && text[start-2] != ')') {
			start--
			for start > 0 && !utf8.RuneStart(text[start]) {
				start--
			}
		}
		if start > 1 && text[start-1] == '$' && text[start-2] == '-' {
			start -= 2
		}
		rest := text[stop:]
		switch {
		case strings.HasPrefix(rest, "%"), strings.HasPrefix(rest, "\\%"), strings.HasPrefix(rest, " percent"):
			stop += strings.IndexAny(rest, "%t") + 1
		}
		return Found{Rule: LastNum, Text: text[start:stop], Plain: true, Rest: rest}, true
	}
	return Found{}, false
}

// numeral reports whether the byte at i belongs to a numeral that continues after it.
func numeral(text string, i int) bool {
	c := text[i]
	switch {
	case c >= '0' && c <= '9', c == '.':
		return true
	case c == ',' || c == '/' || c == ':':
		return i > 0 && text[i-1] >= '0' && text[i-1] <= '9' && (c != ',' || grouped(text, i+1))
	}
	return false
}

// grouped reports whether exactly three digits follow: a thousands separator.
func grouped(text string, i int) bool {
	n := 0
	for i+n < len(text) && text[i+n] >= '0' && text[i+n] <= '9' {
		n++
	}
	return n == 3 || n == 1 || n == 2
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

package latex

import (
	"strings"
	"unicode"
)

// Words reduces a text answer to what is compared: lower-case words without markup, marks,
// articles or repeated space.
func Words(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	pending := false
	for i := 0; i < len(s); {
		if s[i] == '\\' {
			name, end := commandName(s, i)
			i = end
			if textual[name] || transparent[name] || spacing[name] || name == "left" || name == "right" {
				continue
			}
			if name != "" && isLetter(name[0]) {
				if pending && b.Len() > 0 {
					b.WriteByte(' ')
				}
				pending = false
				b.WriteString(strings.ToLower(name))
			}
			continue
		}
		r, size := rune(s[i]), 1
		if r >= 0x80 {
			for _, r = range s[i:] {
				break
			}
			size = len(string(r))
			if r == unicode.ReplacementChar {
				size = 1
			}
		}
		i += size
		switch {
		case unicode.IsSpace(r) || r == '~' || r == '_' || r == '-' || r == ',' || r == ';' || r == ':':
			pending = true
		case unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("+*/=<>^%", r), unicode.IsMark(r), unicode.IsSymbol(r) && r != '$' && r != '`':
			if pending && b.Len() > 0 {
				b.WriteByte(' ')
			}
			pending = false
			b.WriteRune(unicode.ToLower(r))
		}
	}
	out := b.String()
	for _, article := range []string{"the ", "a ", "an "} {
		if rest, ok := strings.CutPrefix(out, article); ok && rest != "" {
			out = rest
			break
		}
	}
	return out
}

package tokenizer

import "unicode/utf8"

// The pre-tokenizers of GPT-4's descendants, as their tokenizer.json spells them. They differ in how
// many digits stand together.
const (
	patternQwen  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	patternLlama = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// digitsOf maps a pattern to the number of digits in a piece. Go's regexp has no lookahead, so the
// pattern is not compiled but recognised, and [splitter] does by hand what it says.
var digitsOf = map[string]int{patternQwen: 1, patternLlama: 3}

// splitter cuts text into pieces, inside of which merges happen.
type splitter struct {
	digits  int // digits in a piece at most
	classes []class
}

func newSplitter(digits int) splitter { return splitter{digits: digits, classes: classes()} }

// at is the class and the width in bytes of the character at text[i:], and (other, 0) at the end. A
// byte that is not part of UTF-8 counts as one character of no class.
func (s splitter) at(text string, i int) (class, int) {
	if i >= len(text) {
		return other, 0
	}
	if c := text[i]; c < utf8.RuneSelf {
		return s.classes[c], 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	if int(r) >= len(s.classes) {
		return other, n
	}
	return s.classes[r], n
}

// run is the end of the characters of class c that begin at i.
func (s splitter) run(text string, i int, c class) int {
	for {
		k, n := s.at(text, i)
		if n == 0 || k != c {
			return i
		}
		i += n
	}
}

// next is the end of the piece that begins at text[i:], which is not empty. Alternatives are tried
// in the pattern's order.
func (s splitter) next(text string, i int) int {
	c, n := s.at(text, i)
	if text[i] == '\'' {
		if end := contraction(text, i); end > 0 {
			return end
		}
	}
	after, m := s.at(text, i+n)
	switch {
	case c == letter: // [^\r\n\p{L}\p{N}]?\p{L}+
		return s.run(text, i+n, letter)
	case (c == other || c == space) && m > 0 && after == letter:
		return s.run(text, i+n+m, letter)
	case c == digit: // \p{N}{1,digits}
		i += n
		for range s.digits - 1 {
			c, n := s.at(text, i)
			if n == 0 || c != digit {
				break
			}
			i += n
		}
		return i
	case c == other || text[i] == ' ' && m > 0 && after == other: //  ?[^\s\p{L}\p{N}]+[\r\n]*
		return s.run(text, s.run(text, i+n, other), line)
	}
	return s.blank(text, i)
}

// blank is the end of a piece of white space: up to the last line end of the run where it has one
// (\s*[\r\n]+), else all but the last character where something follows (\s+(?!\S)), else all.
func (s splitter) blank(text string, i int) int {
	end, last, lineEnd := i, i, 0
	for {
		c, n := s.at(text, end)
		if n == 0 || c != space && c != line {
			break
		}
		last, end = end, end+n
		if c == line {
			lineEnd = end
		}
	}
	switch {
	case lineEnd > 0:
		return lineEnd
	case end < len(text) && last > i:
		return last
	}
	return end
}

// contraction is the end of an English contraction at text[i:], which begins with an apostrophe, or
// 0. Letters count in either case, and the long s folds to s.
func contraction(text string, i int) int {
	rest := text[i+1:]
	if rest == "" {
		return 0
	}
	const longS = "\u017f"
	switch rest[0] | 0x20 {
	case 's', 't', 'm', 'd':
		return i + 2
	case 'r', 'v':
		if len(rest) > 1 && rest[1]|0x20 == 'e' {
			return i + 3
		}
	case 'l':
		if len(rest) > 1 && rest[1]|0x20 == 'l' {
			return i + 3
		}
	case longS[0] | 0x20:
		if len(rest) > 1 && rest[:2] == longS {
			return i + 3
		}
	}
	return 0
}

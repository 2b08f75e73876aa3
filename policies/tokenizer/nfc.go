package tokenizer

import (
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// nfc is text in Normalization Form C (Unicode Standard Annex 15). Package norm answers whether
// text is normal already and knows the characters; the composition is done here, because norm's own
// is the stream-safe one, which puts a joiner into long runs of combining marks, and no other
// tokenizer does. Characters younger than Unicode 9 neither decompose nor combine, as the library
// by which the Hugging Face tokenizers normalise stands at that version: where it and a newer
// Unicode differ, the model has seen what that library gave. Bytes that are not UTF-8 pass through.
func nfc(text string) string {
	plain := 0 // below U+0300 every character is normal and combines with nothing
	for plain < len(text) && text[plain] < 0xcc {
		plain++
	}
	if plain == len(text) || norm.NFC.IsNormalString(text) {
		return text
	}
	out := make([]byte, 0, len(text))
	var run []mark // a starter and what may combine with it, decomposed
	settle := func() {
		slices.SortStableFunc(run, func(a, b mark) int { return int(a.order) - int(b.order) })
		run = composed(run)
	}
	flush := func() {
		for _, m := range run {
			out = utf8.AppendRune(out, m.char)
		}
		run = run[:0]
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n == 1 {
			settle()
			flush()
			out = append(out, text[i])
			i++
			continue
		}
		for _, r := range decomposed(r, text[i:i+n]) {
			m := mark{r, order(r)}
			if m.order == 0 {
				settle()
				// Two starters that touch may compose: Hangul, and a few vowel signs.
				if len(run) == 1 && run[0].order == 0 {
					if c, ok := pair(run[0].char, r); ok {
						run[0].char = c
						continue
					}
				}
				flush()
			}
			run = append(run, m)
		}
		i += n
	}
	settle()
	flush()
	return string(out)
}

// mark is a character and its canonical combining class, 0 for a starter.
type mark struct {
	char  rune
	order uint8
}

// composed joins to the starter that begins run, if one does, every mark that composes with it and
// is not blocked by one of its own class. run is sorted and reused.
func composed(run []mark) []mark {
	if len(run) < 2 || run[0].order != 0 {
		return run
	}
	kept := run[:1]
	var last uint8 // class of the mark kept last
	for _, m := range run[1:] {
		if blocked := last != 0 && last >= m.order; !blocked {
			if c, ok := pair(kept[0].char, m.char); ok {
				kept[0].char = c
				continue
			}
		}
		kept, last = append(kept, m), m.order
	}
	return kept
}

// pair is the character that two compose to. The two are a starter in normal form and what follows
// it in canonical order, so that norm finds their composition or leaves them alone.
func pair(a, b rune) (rune, bool) {
	s := norm.NFC.String(string([]rune{a, b}))
	r, n := utf8.DecodeRuneInString(s)
	return r, n == len(s) && unicode.Is(unicode9(), r)
}

// unicode9 is the characters of Unicode 9.
var unicode9 = sync.OnceValue(func() *unicode.RangeTable { return rangetable.Assigned("9.0.0") })

// order is the canonical combining class of r.
func order(r rune) uint8 {
	class := norm.NFD.PropertiesString(string(r)).CCC()
	if class != 0 && !unicode.Is(unicode9(), r) {
		return 0
	}
	return class
}

// Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12).
const (
	hangul, hangulEnd = 0xAC00, 0xD7A4
	leads, vowels     = 0x1100, 0x1161
	tails             = 0x11A7
	perLead, perVowel = 588, 28
)

// decomposed is the full canonical decomposition of r, whose encoding is s.
func decomposed(r rune, s string) []rune {
	if r >= hangul && r < hangulEnd {
		i := r - hangul
		d := []rune{leads + i/perLead, vowels + i%perLead/perVowel}
		if t := i % perVowel; t > 0 {
			d = append(d, tails+t)
		}
		return d
	}
	if d := norm.NFD.PropertiesString(s).Decomposition(); len(d) > 0 && unicode.Is(unicode9(), r) {
		return []rune(string(d))
	}
	return []rune{r}
}

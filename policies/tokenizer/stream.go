package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// pieces is what a [Decoder] needs of a tokenizer: the bytes of one token.
type pieces interface {
	// appendToken appends the bytes that id adds to a text, of which it is the first token or not.
	appendToken(dst []byte, id int32, first bool) []byte
}

// Decoder turns a stream of ids into text as it comes. A character whose bytes are spread over
// several tokens is held back until it is whole, so that no output ever holds a broken one. What
// all calls return together, [Decoder.Flush] last, is what Decode gives for all ids together. It is
// for one goroutine.
type Decoder struct {
	of      Tokenizer
	held    []byte  // the beginning of a character
	started bool    // a token has come
	ids     []int32 // every id so far, for a tokenizer that can only decode them all
	sent    int     // bytes of their text that were returned
}

// NewDecoder decodes ids of t.
func NewDecoder(t Tokenizer) *Decoder { return &Decoder{of: t} }

// Push adds ids and returns the text that is now certain, which may be empty.
func (d *Decoder) Push(ids ...int32) string {
	p, ok := d.of.(pieces)
	if !ok {
		d.ids = append(d.ids, ids...)
		text := d.of.Decode(d.ids)
		// A text that ends in a replacement character may end otherwise once more has come.
		whole := strings.TrimRight(text, string(utf8.RuneError))
		if len(whole) <= d.sent {
			return ""
		}
		out := whole[d.sent:]
		d.sent = len(whole)
		return out
	}
	for _, id := range ids {
		d.held = p.appendToken(d.held, id, !d.started)
		d.started = true
	}
	n := len(d.held) - incomplete(d.held)
	out := lossy(d.held[:n])
	d.held = append(d.held[:0], d.held[n:]...)
	return out
}

// Flush returns what was held back, a broken character as U+FFFD, and begins anew.
func (d *Decoder) Flush() string {
	out := lossy(d.held)
	if len(d.ids) > 0 {
		out = d.of.Decode(d.ids)[d.sent:]
	}
	*d = Decoder{of: d.of, held: d.held[:0], ids: d.ids[:0]}
	return out
}

// incomplete is the length of the end of b that may be the beginning of a longer character.
func incomplete(b []byte) int {
	for n := 1; n <= min(3, len(b)); n++ {
		if end := b[len(b)-n:]; utf8.RuneStart(end[0]) {
			if end[0] >= utf8.RuneSelf && !utf8.FullRune(end) {
				return n
			}
			return 0
		}
	}
	return 0
}

// lossy is b as text. Every maximal part of it that begins like a character and is none reads as
// one U+FFFD, which is what Unicode recommends (section 3.9) and what the reference tokenizers do.
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	out.Grow(len(b) + 8)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenLength(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// brokenLength is the length of the broken character that b begins with: the longest beginning that
// some character has too, or one byte.
func brokenLength(b []byte) int {
	for n := min(3, len(b)); n > 1; n-- {
		if !utf8.FullRune(b[:n]) {
			return n
		}
	}
	return 1
}

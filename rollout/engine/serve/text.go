package serve

import (
	"strings"
	"unicode/utf8"

	"pith/policies/tokenizer"
)

// contextTokens is how many tokens of the prompt a detokeniser looks at, so that the text of a
// continuation begins with the blank that parts it from the prompt.
const contextTokens = 5

// detokenizer turns a growing list of tokens into a growing text. What may still change, such as the
// first bytes of a character, is held back. It decodes a window only: the tokens since the last text
// that was given out, and those before it that decide about blanks.
type detokenizer struct {
	tok     tokenizer.Tokenizer
	special map[int32]bool // left out
	ids     []int32
	prefix  int // the window begins here
	read    int // text up to here has been given out
}

// detokenizer starts after a prompt. skip leaves special tokens out.
func (s *Server) detokenizer(prompt []int32, skip bool) *detokenizer {
	d := &detokenizer{tok: s.o.Tokenizer}
	if skip {
		d.special = s.special
	}
	for _, t := range prompt[max(0, len(prompt)-contextTokens):] {
		if !d.special[t] {
			d.ids = append(d.ids, t)
		}
	}
	d.read = len(d.ids)
	return d
}

// push adds a token and returns the text that has become certain.
func (d *detokenizer) push(t int32) string {
	if d.tok == nil || d.special[t] {
		return ""
	}
	d.ids = append(d.ids, t)
	return d.text(false)
}

// flush returns what had been held back.
func (d *detokenizer) flush() string {
	if d.tok == nil || d.read == len(d.ids) {
		return ""
	}
	return d.text(true)
}

func (d *detokenizer) text(all bool) string {
	old, now := d.tok.Decode(d.ids[d.prefix:d.read]), d.tok.Decode(d.ids[d.prefix:])
	if len(now) <= len(old) || !all && strings.HasSuffix(now, string(utf8.RuneError)) {
		return ""
	}
	d.prefix, d.read = d.read, len(d.ids)
	return now[len(old):]
}

// decode is the text of a whole continuation.
func (s *Server) decode(prompt, tokens []int32, skip bool) string {
	if s.o.Tokenizer == nil {
		return ""
	}
	d := s.detokenizer(prompt, skip)
	for _, t := range tokens {
		if !d.special[t] {
			d.ids = append(d.ids, t)
		}
	}
	return d.flush()
}

// stopper ends a sample at a text. It is used by one goroutine.
type stopper struct {
	*detokenizer
	stops []string
	text  strings.Builder
	found string
	end   int // bytes of text before what was found; -1: nothing yet
	given int // bytes that a stream has sent
}

// push adds a token and says whether a stop text is complete. It looks at the new text only, and as
// far back as a stop text may reach.
func (p *stopper) push(t int32) bool {
	add := p.detokenizer.push(t)
	if add == "" {
		return false
	}
	p.text.WriteString(add)
	all := p.text.String()
	best := -1
	for _, stop := range p.stops {
		from := max(0, len(all)-len(add)-len(stop)+1)
		if at := strings.Index(all[from:], stop); at >= 0 && (best < 0 || from+at < best) {
			best, p.found = from+at, stop
		}
	}
	p.end = best
	return best >= 0
}

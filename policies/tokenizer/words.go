package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Roles are the tokens with a part of their own. Empty means none.
type Roles struct {
	BOS, EOS, PAD string
	Special       []string // further tokens that a detokeniser may leave out
}

// Words is a word-level tokenizer: every word of the text is one token, and tokens are separated
// by single spaces. It is immutable.
type Words struct {
	tokens []string
	ids    map[string]int32
	roles  Roles
}

// NewWords makes a tokenizer whose token i has id i. Tokens must be distinct and without blanks.
func NewWords(tokens []string, roles Roles) (*Words, error) {
	w := &Words{tokens: slices.Clone(tokens), ids: make(map[string]int32, len(tokens)), roles: roles}
	w.roles.Special = slices.Clone(roles.Special)
	if len(tokens) == 0 {
		return nil, errors.New("tokenizer: the vocabulary is empty")
	}
	for i, t := range tokens {
		switch {
		case t == "" || !utf8.ValidString(t) || strings.ContainsFunc(t, unicode.IsSpace):
			return nil, fmt.Errorf("tokenizer: token %d is %q, want a word without blanks", i, t)
		case w.has(t):
			return nil, fmt.Errorf("tokenizer: token %q is there twice, as %d and %d", t, w.ids[t], i)
		}
		w.ids[t] = int32(i)
	}
	for _, t := range append([]string{roles.BOS, roles.EOS, roles.PAD}, roles.Special...) {
		if t != "" && !w.has(t) {
			return nil, fmt.Errorf("tokenizer: special token %q is not in the vocabulary", t)
		}
	}
	return w, nil
}

func (w *Words) has(t string) bool {
	_, ok := w.ids[t]
	return ok
}

// Encode splits text at blanks and looks every word up.
func (w *Words) Encode(text string) ([]int32, error) {
	fields := strings.Fields(text)
	ids := make([]int32, len(fields))
	for i, f := range fields {
		id, ok := w.ids[f]
		if !ok {
			return nil, fmt.Errorf("word %d, %q, is not in the vocabulary of %d tokens", i+1, f, len(w.tokens))
		}
		ids[i] = id
	}
	return ids, nil
}

// Decode joins the tokens with single spaces.
func (w *Words) Decode(ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(w.Token(id))
	}
	return b.String()
}

func (w *Words) appendToken(dst []byte, id int32, first bool) []byte {
	if !first {
		dst = append(dst, ' ')
	}
	return append(dst, w.Token(id)...)
}

// ID is the id of a token.
func (w *Words) ID(token string) (int32, bool) {
	id, ok := w.ids[token]
	return id, ok
}

// Token is the text of a token.
func (w *Words) Token(id int32) string {
	if id < 0 || int(id) >= len(w.tokens) {
		return fmt.Sprintf("<?%d>", id)
	}
	return w.tokens[id]
}

// VocabSize is the number of tokens.
func (w *Words) VocabSize() int { return len(w.tokens) }

// Roles are the tokens with a part of their own. The slice is the caller's.
func (w *Words) Roles() Roles {
	r := w.roles
	r.Special = slices.Clone(r.Special)
	return r
}

// special lists every special token once, by id.
func (w *Words) special() []int32 {
	var ids []int32
	for _, t := range append([]string{w.roles.BOS, w.roles.EOS, w.roles.PAD}, w.roles.Special...) {
		if t != "" {
			ids = append(ids, w.ids[t])
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

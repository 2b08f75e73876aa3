package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// BPE is the byte-level byte-pair encoding of the Qwen 2, 2.5 and 3 and the Llama 3 families, read
// from their tokenizer.json. It is immutable.
//
// Text goes through these steps: added tokens are cut out where the text holds them, special ones
// too; the rest is brought into Normalization Form C where the file says so, cut into pieces by the
// file's pattern, and every piece is merged from its bytes. Nothing else is added: the tokens that a
// file's post_processor puts around a text (Llama 3's beginning-of-text) are left to the caller, as
// chat templates spell them out.
//
// The text of a token is its bytes, " the" and not the file's "Ġthe"; those of a token that is part
// of a character are not valid UTF-8.
type BPE struct {
	tokens  []string // bytes by id; "" where the vocabulary has a hole
	known   []bool
	special []bool
	ids     map[string]vocabEntry
	byText  map[string]int32 // added tokens
	bytes   [256]int32
	pairs   *pairTable
	split   splitter
	raw     *added // added tokens that are looked for before normalisation
	normal  *added // those that are looked for after it; nil for none
	nfc     bool
	roles   Roles
	files   []savedFile
}

// vocabEntry is a token of the vocabulary. Whole says that a piece with exactly its bytes becomes
// this token and no other, so that nothing has to be merged.
type vocabEntry struct {
	id    int32
	whole bool
}

// savedFile is a file as it was read, for [BPE.Save].
type savedFile struct {
	name string
	text []byte
}

// Encode returns the ids of text. Every text has some; the error is always nil. Bytes that are not
// UTF-8 are encoded as they are.
func (b *BPE) Encode(text string) ([]int32, error) {
	return b.AppendEncode(make([]int32, 0, len(text)/4+4), text), nil
}

// AppendEncode appends the ids of text to dst.
func (b *BPE) AppendEncode(dst []int32, text string) []int32 {
	token := func(id int32) { dst = append(dst, id) }
	b.raw.cut(text, func(text string) {
		if b.nfc {
			text = nfc(text)
		}
		if b.normal != nil {
			b.normal.cut(text, func(text string) { dst = b.plain(dst, text) }, token)
			return
		}
		dst = b.plain(dst, text)
	}, token)
	return dst
}

// plain encodes normalised text without added tokens.
func (b *BPE) plain(dst []int32, text string) []int32 {
	for i := 0; i < len(text); {
		end := b.split.next(text, i)
		piece := text[i:end]
		if len(piece) == 1 {
			dst = append(dst, b.bytes[piece[0]])
		} else if v, ok := b.ids[piece]; ok && v.whole {
			dst = append(dst, v.id)
		} else {
			dst = b.merge(dst, piece)
		}
		i = end
	}
	return dst
}

// Decode returns the text of ids, special tokens included. A broken character reads as U+FFFD.
func (b *BPE) Decode(ids []int32) string {
	n := 0
	for _, id := range ids {
		if b.has(id) {
			n += len(b.tokens[id])
		}
	}
	text := make([]byte, 0, n)
	for _, id := range ids {
		text = b.appendToken(text, id, false)
	}
	return lossy(text)
}

func (b *BPE) has(id int32) bool { return id >= 0 && int(id) < len(b.tokens) && b.known[id] }

func (b *BPE) appendToken(dst []byte, id int32, _ bool) []byte {
	if b.has(id) {
		return append(dst, b.tokens[id]...)
	}
	return fmt.Appendf(dst, "<?%d>", id)
}

// ID is the id of a token by its text.
func (b *BPE) ID(token string) (int32, bool) {
	if id, ok := b.byText[token]; ok {
		return id, true
	}
	v, ok := b.ids[token]
	return v.id, ok
}

// Token is the text of a token, which need not be valid UTF-8.
func (b *BPE) Token(id int32) string {
	if b.has(id) {
		return b.tokens[id]
	}
	return fmt.Sprintf("<?%d>", id)
}

// VocabSize is one more than the highest id.
func (b *BPE) VocabSize() int { return len(b.tokens) }

// Special says whether a token is marked special: a detokeniser may leave it out.
func (b *BPE) Special(id int32) bool { return b.has(id) && b.special[id] }

// Roles are the tokens with a part of their own. The slice is the caller's.
func (b *BPE) Roles() Roles {
	r := b.roles
	r.Special = slices.Clone(r.Special)
	return r
}

// Save writes the files that [Load] read into dir, as they were: tokenizer.json and, where there were
// any, those of companionFiles. Each appears whole or not at all.
func (b *BPE) Save(dir string) error {
	for _, f := range b.files {
		if err := replace(filepath.Join(dir, f.name), f.text); err != nil {
			return fmt.Errorf("save tokenizer: %w", err)
		}
	}
	return nil
}

// companionFiles belong to a tokenizer beside tokenizer.json: other tools read them.
var companionFiles = []string{configFile, "chat_template.jinja", "special_tokens_map.json"}

// keepCompanions remembers the files beside dir's tokenizer.json for Save.
func (b *BPE) keepCompanions(dir string) error {
	for _, name := range companionFiles {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return fmt.Errorf("read tokenizer: %w", err)
		}
		b.files = append(b.files, savedFile{name, text})
	}
	return nil
}

// MarshalJSON is the tokenizer.json that was read.
func (b *BPE) MarshalJSON() ([]byte, error) {
	var compact bytes.Buffer
	err := json.Compact(&compact, b.files[0].text)
	return compact.Bytes(), err
}

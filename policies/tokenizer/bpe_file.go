package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

const bytePair = "BPE"

// bpeFile is tokenizer.json of a byte-level BPE, as far as it changes what text becomes.
type bpeFile struct {
	Added        []addedToken    `json:"added_tokens"`
	Normalizer   *typed          `json:"normalizer"`
	PreTokenizer json.RawMessage `json:"pre_tokenizer"`
	Decoder      *typed          `json:"decoder"`
	Model        struct {
		Dropout      *float64         `json:"dropout"`
		Unk          *string          `json:"unk_token"`
		Prefix       *string          `json:"continuing_subword_prefix"`
		Suffix       *string          `json:"end_of_word_suffix"`
		ByteFallback bool             `json:"byte_fallback"`
		IgnoreMerges bool             `json:"ignore_merges"`
		Vocab        map[string]int32 `json:"vocab"`
		Merges       mergeList        `json:"merges"`
	} `json:"model"`
}

// mergeList is the merges by rank, each written as "a b" or as ["a", "b"].
type mergeList [][2]string

func (m *mergeList) UnmarshalJSON(text []byte) error {
	var lines []string
	if first := bytes.TrimLeft(text, "[ \t\r\n"); len(text)-len(first) > 1 && bytes.Count(text[:len(text)-len(first)], []byte("[")) > 1 {
		return json.Unmarshal(text, (*[][2]string)(m))
	}
	if err := json.Unmarshal(text, &lines); err != nil {
		return fmt.Errorf("merges: want \"a b\" strings or [\"a\", \"b\"] pairs: %w", err)
	}
	for i, l := range lines {
		a, b, ok := strings.Cut(l, " ")
		if !ok || strings.Contains(b, " ") {
			return fmt.Errorf("merge %d is %q, want two tokens with a space between", i, l)
		}
		*m = append(*m, [2]string{a, b})
	}
	return nil
}

// preTokenizer is a node of the pre_tokenizer tree.
type preTokenizer struct {
	Type     string         `json:"type"`
	Children []preTokenizer `json:"pretokenizers"`
	Pattern  struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
	Behavior       string `json:"behavior"`
	Invert         bool   `json:"invert"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	UseRegex       bool   `json:"use_regex"`
}

// splitterOf recognises the one arrangement that is supported: a split by a known pattern, then
// bytes.
func splitterOf(text json.RawMessage) (splitter, error) {
	var p preTokenizer
	if len(text) > 0 {
		if err := json.Unmarshal(text, &p); err != nil {
			return splitter{}, fmt.Errorf("pre_tokenizer: %w", err)
		}
	}
	if p.Type != "Sequence" || len(p.Children) != 2 || p.Children[0].Type != "Split" || p.Children[1].Type != "ByteLevel" {
		return splitter{}, errors.New("pre_tokenizer is not a Split and then ByteLevel, as in Qwen 2, 2.5, 3 and Llama 3; tokenize on the server instead")
	}
	split, level := p.Children[0], p.Children[1]
	if split.Behavior != "Isolated" || split.Invert || level.AddPrefixSpace || level.UseRegex {
		return splitter{}, errors.New("pre_tokenizer has settings other than Qwen 2, 2.5, 3 and Llama 3 have; tokenize on the server instead")
	}
	digits, ok := digitsOf[split.Pattern.Regex]
	if !ok {
		return splitter{}, fmt.Errorf("pre_tokenizer splits by the unknown pattern %q; those of Qwen 2, 2.5, 3 and Llama 3 are known; tokenize on the server instead", split.Pattern.Regex)
	}
	return newSplitter(digits), nil
}

// byteRunes is the printable character that stands for each byte in a byte-level vocabulary: itself
// where it is printable in Latin-1, else the next one from U+0100 on.
var byteRunes = func() (m [256]rune) {
	next := rune(256)
	for b := range m {
		switch {
		case b >= '!' && b <= '~', b >= 0xa1 && b <= 0xac, b >= 0xae:
			m[b] = rune(b)
		default:
			m[b] = next
			next++
		}
	}
	return m
}()

// runeBytes is the inverse of byteRunes, -1 for a character that stands for no byte.
var runeBytes = func() (m [0x144]int16) {
	for i := range m {
		m[i] = -1
	}
	for b, r := range byteRunes {
		m[r] = int16(b)
	}
	return m
}()

// rawBytes turns a token as the file spells it into its bytes. One that holds a character which
// stands for no byte can never be the outcome of a merge; it is taken literally, and ok is false.
func rawBytes(token string) (text string, ok bool) {
	raw := make([]byte, 0, len(token))
	for _, r := range token {
		if int(r) >= len(runeBytes) || runeBytes[r] < 0 {
			return token, false
		}
		raw = append(raw, byte(runeBytes[r]))
	}
	return string(raw), true
}

// parseBPE reads a byte-level BPE. A setting that would tokenize differently than [BPE] does is an
// error.
func parseBPE(text []byte, roles Roles) (*BPE, error) {
	var f bpeFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, err
	}
	m := f.Model
	set := func(s *string) bool { return s != nil && *s != "" }
	switch {
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, fmt.Errorf("dropout is %v; encoding has to be deterministic", *m.Dropout)
	case set(m.Prefix), set(m.Suffix), m.ByteFallback, set(m.Unk):
		return nil, errors.New("continuing_subword_prefix, end_of_word_suffix, byte_fallback or unk_token is set, which a byte-level BPE does not have")
	case f.Normalizer != nil && f.Normalizer.Type != "NFC":
		return nil, fmt.Errorf("normalizer %q is not supported, only NFC or none", f.Normalizer.Type)
	case f.Decoder == nil || f.Decoder.Type != "ByteLevel":
		return nil, errors.New("decoder is not ByteLevel")
	}
	split, err := splitterOf(f.PreTokenizer)
	if err != nil {
		return nil, err
	}
	b := &BPE{split: split, nfc: f.Normalizer != nil, roles: roles, files: []savedFile{{tokenizerFile, slices.Clone(text)}}}
	if err := b.setVocab(m.Vocab, f.Added); err != nil {
		return nil, err
	}
	if err := b.setMerges(m.Vocab, m.Merges); err != nil {
		return nil, err
	}
	if err := b.setAdded(f.Added); err != nil {
		return nil, err
	}
	b.markWhole(m.IgnoreMerges)
	return b, nil
}

// maxID bounds ids, so that a hostile file cannot make the reader allocate without limit.
const maxID = 1 << 24

func (b *BPE) setVocab(vocab map[string]int32, extra []addedToken) error {
	top := int32(-1)
	for token, id := range vocab {
		if id < 0 || id >= maxID {
			return fmt.Errorf("token %q has id %d, want 0 to %d", token, id, maxID-1)
		}
		top = max(top, id)
	}
	for _, t := range extra {
		if t.ID < 0 || t.ID >= maxID {
			return fmt.Errorf("added token %q has id %d, want 0 to %d", t.Content, t.ID, maxID-1)
		}
		top = max(top, t.ID)
	}
	b.tokens, b.known, b.special = make([]string, top+1), make([]bool, top+1), make([]bool, top+1)
	b.ids, b.byText = make(map[string]vocabEntry, len(vocab)), map[string]int32{}
	for i := range b.bytes {
		b.bytes[i] = -1
	}
	for token, id := range vocab {
		raw, mergeable := rawBytes(token)
		if b.known[id] {
			return fmt.Errorf("id %d is both %q and %q", id, b.tokens[id], raw)
		}
		b.tokens[id], b.known[id] = raw, true
		if !mergeable {
			b.byText[raw] = id
			continue
		}
		b.ids[raw] = vocabEntry{id: id}
		if len(raw) == 1 {
			b.bytes[raw[0]] = id
		}
	}
	for i, id := range b.bytes {
		if id < 0 {
			return fmt.Errorf("the vocabulary has no token for byte %#02x, so that some text could not be encoded", i)
		}
	}
	return nil
}

func (b *BPE) setMerges(vocab map[string]int32, merges mergeList) error {
	if len(merges) > math.MaxInt32 {
		return fmt.Errorf("%d merges are too many", len(merges))
	}
	b.pairs = newPairTable(len(merges))
	for rank, m := range merges {
		l, okL := vocab[m[0]]
		r, okR := vocab[m[1]]
		id, ok := vocab[m[0]+m[1]]
		if !okL || !okR || !ok {
			return fmt.Errorf("merge %d of %q and %q has a side or a result that is not in the vocabulary", rank, m[0], m[1])
		}
		b.pairs.put(l, r, uint32(rank), id)
	}
	return nil
}

func (b *BPE) setAdded(extra []addedToken) error {
	var raw, normal []addedToken
	for _, t := range extra {
		if old, ok := b.byText[t.Content]; ok && old != t.ID {
			return fmt.Errorf("added token %q has ids %d and %d", t.Content, old, t.ID)
		}
		b.tokens[t.ID], b.known[t.ID], b.special[t.ID] = t.Content, true, t.Special
		b.byText[t.Content] = t.ID
		if t.Special && !slices.Contains([]string{b.roles.BOS, b.roles.EOS, b.roles.PAD}, t.Content) {
			b.roles.Special = append(b.roles.Special, t.Content)
		}
		if t.Normalized {
			if b.nfc {
				t.Content = nfc(t.Content)
			}
			normal = append(normal, t)
		} else {
			raw = append(raw, t)
		}
	}
	var err error
	if b.raw, err = newAdded(raw); err == nil && len(normal) > 0 {
		b.normal, err = newAdded(normal)
	}
	return err
}

// markWhole finds the tokens that a piece with their bytes becomes without further ado: all of them
// under ignore_merges, else those that the merges lead to.
func (b *BPE) markWhole(ignoreMerges bool) {
	var out []int32
	for text, v := range b.ids {
		if !ignoreMerges {
			out = b.merge(out[:0], text)
		}
		if text != "" && (ignoreMerges || len(out) == 1 && out[0] == v.id) {
			v.whole = true
			b.ids[text] = v
		}
	}
}

package tokenizer

import (
	"cmp"
	"slices"
)

// Kind says what a token is to a tokenizer that reads the vocabulary from elsewhere.
type Kind uint8

// The kinds of tokens.
const (
	Unused  Kind = iota // a hole in the vocabulary
	Normal              // made by merges, or a word
	Control             // special: a detokeniser may leave it out
	Added               // recognised in the text, and part of what it says
)

// Piece is a token as files spell it: a byte-level vocabulary has printable characters for bytes.
type Piece struct {
	Text string
	Kind Kind
}

// Pieces lists the vocabulary by id.
func (b *BPE) Pieces() []Piece {
	all := make([]Piece, len(b.tokens))
	for id, text := range b.tokens {
		switch _, added := b.byText[text]; {
		case !b.known[id]:
		case b.special[id]:
			all[id] = Piece{text, Control}
		case added && b.byText[text] == int32(id):
			all[id] = Piece{text, Added}
		default:
			all[id] = Piece{spelled(text), Normal}
		}
	}
	return all
}

// Merges lists the merges by rank, spelled as in [BPE.Pieces].
func (b *BPE) Merges() [][2]string {
	var slots []pairSlot
	for _, s := range b.pairs.slots {
		if s.key != 0 {
			slots = append(slots, s)
		}
	}
	slices.SortFunc(slots, func(x, y pairSlot) int { return cmp.Compare(x.rank, y.rank) })
	all := make([][2]string, len(slots))
	for i, s := range slots {
		key := s.key - 1
		all[i] = [2]string{spelled(b.tokens[int32(key>>32)]), spelled(b.tokens[int32(uint32(key))])}
	}
	return all
}

// MaxDigits is the number of digits that a piece holds at most: 1 in Qwen's files, 3 in Llama 3's.
func (b *BPE) MaxDigits() int { return b.split.digits }

// spelled turns bytes into the printable characters that stand for them.
func spelled(raw string) string {
	out := make([]rune, len(raw))
	for i := range len(raw) {
		out[i] = byteRunes[raw[i]]
	}
	return string(out)
}

// Pieces lists the vocabulary by id.
func (w *Words) Pieces() []Piece {
	all := make([]Piece, len(w.tokens))
	for id, text := range w.tokens {
		all[id] = Piece{text, Normal}
	}
	for _, id := range w.special() {
		all[id].Kind = Control
	}
	return all
}

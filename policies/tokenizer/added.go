package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"
)

// added finds the tokens that are recognised in the text before it is split: a trie over their
// bytes. Of several that match at a place the longest counts, and the leftmost place comes first.
type added struct {
	nodes []trieNode
	flags []addedToken // by the index that a node holds
	first [256]bool    // bytes that a token begins with
}

type trieNode struct {
	edges []trieEdge // sorted
	token int32      // index into flags, -1 where no token ends
}

type trieEdge struct {
	b  byte
	to int32
}

func newAdded(tokens []addedToken) (*added, error) {
	a := &added{nodes: []trieNode{{token: -1}}, flags: tokens}
	for i, t := range tokens {
		if t.Content == "" {
			return nil, fmt.Errorf("added token %d has no text", t.ID)
		}
		a.first[t.Content[0]] = true
		at := int32(0)
		for _, b := range []byte(t.Content) {
			edges := a.nodes[at].edges
			k, ok := slices.BinarySearchFunc(edges, b, func(e trieEdge, b byte) int { return cmp.Compare(e.b, b) })
			if !ok {
				a.nodes = append(a.nodes, trieNode{token: -1})
				a.nodes[at].edges = slices.Insert(edges, k, trieEdge{b, int32(len(a.nodes) - 1)})
			}
			at = a.nodes[at].edges[k].to
		}
		a.nodes[at].token = int32(i)
	}
	return a, nil
}

// match is the longest token that text[i:] begins with, as an index and its end; -1 for none.
func (a *added) match(text string, i int) (token int32, end int) {
	token = -1
	for at := int32(0); ; i++ {
		if n := &a.nodes[at]; n.token >= 0 {
			token, end = n.token, i
		}
		if i == len(text) {
			return token, end
		}
		edges := a.nodes[at].edges
		k := 0
		for k < len(edges) && edges[k].b < text[i] {
			k++
		}
		if k == len(edges) || edges[k].b != text[i] {
			return token, end
		}
		at = edges[k].to
	}
}

// cut calls plain with every stretch of text between added tokens and token with each of those, in
// order. A token with lstrip or rstrip takes the white space on that side with it; one with
// single_word counts only where no word character touches it.
func (a *added) cut(text string, plain func(string), token func(id int32)) {
	from := 0
	for i := 0; i < len(text); {
		if !a.first[text[i]] {
			i++
			continue
		}
		k, stop := a.match(text, i)
		if k < 0 {
			i++
			continue
		}
		t, start := &a.flags[k], i
		if i = stop; t.SingleWord && (wordBefore(text[:start]) || wordAfter(text[stop:])) {
			continue
		}
		if t.LStrip {
			start = max(from, start-spacesBefore(text[:start]))
		}
		if t.RStrip {
			stop += spacesAfter(text[stop:])
		}
		if from < start {
			plain(text[from:start])
		}
		token(t.ID)
		from, i = stop, stop
	}
	if from < len(text) {
		plain(text[from:])
	}
}

func spacesBefore(s string) (n int) {
	for n < len(s) {
		r, k := utf8.DecodeLastRuneInString(s[:len(s)-n])
		if !unicode.IsSpace(r) {
			break
		}
		n += k
	}
	return n
}

func spacesAfter(s string) (n int) {
	for n < len(s) {
		r, k := utf8.DecodeRuneInString(s[n:])
		if !unicode.IsSpace(r) {
			break
		}
		n += k
	}
	return n
}

func wordBefore(s string) bool {
	r, n := utf8.DecodeLastRuneInString(s)
	return n > 0 && wordRune(r)
}

func wordAfter(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return n > 0 && wordRune(r)
}

// wordRune is \w of Unicode's regular expressions (Technical Standard 18, annex C).
func wordRune(r rune) bool {
	if all := classes(); int(r) < len(all) && all[r] == letter {
		return true
	}
	for _, d := range digits16 {
		if uint32(r) >= d[0] && uint32(r) <= d[1] {
			return true
		}
	}
	return unicode.In(r, unicode.Nl, unicode.Other_Alphabetic, unicode.M, unicode.Nd, unicode.Pc, unicode.Join_Control)
}

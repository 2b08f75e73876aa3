package tokenizer

import (
	"container/heap"
	"math"
	"math/bits"
	"sync"
)

// pairTable maps two adjacent tokens to the rank of their merge and to what they merge into. It is
// an open-addressing hash table: a lookup is one multiplication and, nearly always, one cache line.
type pairTable struct {
	slots []pairSlot
	shift uint
}

type pairSlot struct {
	key  uint64 // left<<32|right, plus one; 0 is empty
	rank uint32
	id   int32
}

// noMerge is the rank of two tokens that do not merge.
const noMerge = math.MaxUint32

func newPairTable(n int) *pairTable {
	size := uint(bits.Len(uint(max(8, 2*n))))
	return &pairTable{slots: make([]pairSlot, 1<<size), shift: 64 - size}
}

func pairKey(left, right int32) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) + 1 }

func (t *pairTable) slot(key uint64) *pairSlot {
	// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
	for i := key * 0x9e3779b97f4a7c15 >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		if s := &t.slots[i]; s.key == key || s.key == 0 {
			return s
		}
	}
}

// put adds a merge. Of a pair that is listed twice the last counts.
func (t *pairTable) put(left, right int32, rank uint32, id int32) {
	key := pairKey(left, right)
	*t.slot(key) = pairSlot{key, rank, id}
}

func (t *pairTable) get(left, right int32) (rank uint32, id int32) {
	if s := t.slot(pairKey(left, right)); s.key != 0 {
		return s.rank, s.id
	}
	return noMerge, 0
}

// shortPiece is the length in bytes up to which a piece is merged by scanning all its pairs for the
// best at every step. Longer ones, which hostile text can make as long as it likes, use a heap.
const shortPiece = 64

// merge appends the tokens of one piece: beginning with its bytes, the adjacent pair of the lowest
// rank is merged, the leftmost of equals first, until no pair merges (Sennrich, Haddow and Birch
// 2016, arXiv 1508.07909).
func (b *BPE) merge(dst []int32, piece string) []int32 {
	if len(piece) > shortPiece {
		return b.mergeLong(dst, piece)
	}
	var ids, next [shortPiece]int32
	var ranks [shortPiece + 1]uint32
	n := len(piece)
	for i := range n {
		ids[i] = b.bytes[piece[i]]
	}
	for i := range n - 1 {
		ranks[i], next[i] = b.pairs.get(ids[i], ids[i+1])
	}
	for n > 1 {
		best := 0
		for i := 1; i < n-1; i++ {
			if ranks[i] < ranks[best] {
				best = i
			}
		}
		if ranks[best] == noMerge {
			break
		}
		ids[best] = next[best]
		copy(ids[best+1:n-1], ids[best+2:n])
		copy(ranks[best:n-2], ranks[best+1:n-1])
		copy(next[best:n-2], next[best+1:n-1])
		n--
		if best > 0 {
			ranks[best-1], next[best-1] = b.pairs.get(ids[best-1], ids[best])
		}
		if best < n-1 {
			ranks[best], next[best] = b.pairs.get(ids[best], ids[best+1])
		}
	}
	return append(dst, ids[:n]...)
}

// symbol is a token of a piece being merged, in a doubly linked list.
type symbol struct {
	id         int32
	prev, next int32 // -1 at the ends
	dead       bool
}

// candidate is a merge that was possible when it was found.
type candidate struct {
	rank uint32
	at   int32 // the left one
	id   int32 // the result
	pair uint64
}

type candidates []candidate

func (c candidates) Len() int      { return len(c) }
func (c candidates) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c candidates) Less(i, j int) bool {
	return c[i].rank < c[j].rank || c[i].rank == c[j].rank && c[i].at < c[j].at
}
func (c *candidates) Push(x any) { *c = append(*c, x.(candidate)) }
func (c *candidates) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

type mergeScratch struct {
	symbols []symbol
	heap    candidates
}

var mergeScratches = sync.Pool{New: func() any { return new(mergeScratch) }}

// mergeLong is merge in O(n log n).
func (b *BPE) mergeLong(dst []int32, piece string) []int32 {
	s := mergeScratches.Get().(*mergeScratch)
	defer mergeScratches.Put(s)
	s.symbols, s.heap = s.symbols[:0], s.heap[:0]
	for i := range len(piece) {
		s.symbols = append(s.symbols, symbol{id: b.bytes[piece[i]], prev: int32(i) - 1, next: int32(i) + 1})
	}
	s.symbols[len(piece)-1].next = -1
	find := func(at int32) (candidate, bool) {
		right := s.symbols[at].next
		if right < 0 {
			return candidate{}, false
		}
		l, r := s.symbols[at].id, s.symbols[right].id
		rank, id := b.pairs.get(l, r)
		return candidate{rank, at, id, pairKey(l, r)}, rank != noMerge
	}
	for i := range s.symbols {
		if c, ok := find(int32(i)); ok {
			s.heap = append(s.heap, c)
		}
	}
	heap.Init(&s.heap)
	for len(s.heap) > 0 {
		c := heap.Pop(&s.heap).(candidate)
		left := &s.symbols[c.at]
		if left.dead || left.next < 0 || pairKey(left.id, s.symbols[left.next].id) != c.pair {
			continue // one of the two has merged otherwise since
		}
		right := &s.symbols[left.next]
		left.id, left.next, right.dead = c.id, right.next, true
		if left.next >= 0 {
			s.symbols[left.next].prev = c.at
		}
		for _, at := range [2]int32{left.prev, c.at} {
			if at < 0 {
				continue
			}
			if c, ok := find(at); ok {
				heap.Push(&s.heap, c)
			}
		}
	}
	for i := int32(0); i >= 0; i = s.symbols[i].next {
		dst = append(dst, s.symbols[i].id)
	}
	return dst
}

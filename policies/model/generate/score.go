package generate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"pith/policies/kernel"
)

// scoreRows is the number of rows at which a block of sequences to score is closed.
const scoreRows = 160

// scoreScratch is the part of a workspace that only scoring uses.
type scoreScratch struct {
	segs  []segment
	data  []float32   // keys and values of one layer, given out in order
	lists [][]stretch // of each segment, for reuse
	path  []int32     // row of each position of the sequence before
	wants []want
	e     []float32
	norm  []float32 // [rows] log of the sum of e^logit
}

// want is one log-probability to compute: of target after the given row.
type want struct {
	row    int32
	target int32
	to     *float32
}

// Score returns log p(tokens[i] | tokens[:i]) at temperature 1 for every token of every sequence,
// NaN for the first. The values have the bits that sampling gives the same tokens at temperature 1
// without filters.
//
// Sequences are sorted, and each starts where it parts from the one before it: a prompt that
// thousands of sequences share, or the prefixes of one response at several budgets, are computed
// about once. It is safe for concurrent use; ctx is looked at between blocks.
func (p *Policy) Score(ctx context.Context, sequences [][]int32) ([][]float32, error) {
	total := 0
	for i, s := range sequences {
		if len(s) > p.config.MaxContext {
			return nil, fmt.Errorf("sequence %d has %d tokens, the context holds %d", i, len(s), p.config.MaxContext)
		}
		if err := p.checkTokens(fmt.Sprintf("sequence %d", i), s); err != nil {
			return nil, err
		}
		total += len(s)
	}
	b := scoring{p: p, ctx: ctx, in: sequences, out: make([][]float32, len(sequences))}
	flat := make([]float32, total)
	for i, s := range sequences {
		b.out[i], flat = flat[:len(s):len(s)], flat[len(s):]
		if len(s) > 0 {
			b.out[i][0] = float32(math.NaN())
			b.order = append(b.order, i)
		}
	}
	slices.SortFunc(b.order, func(i, j int) int {
		return cmp.Or(slices.Compare(sequences[i], sequences[j]), cmp.Compare(i, j))
	})
	b.cut()
	if len(b.ranges) == 1 {
		b.run(b.ranges[0], true)
	} else {
		kernel.Parallel(len(b.ranges), 1, func(lo, hi int) {
			for _, r := range b.ranges[lo:hi] {
				b.run(r, false)
			}
		})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return b.out, nil
}

// scoring is one call in progress.
type scoring struct {
	p      *Policy
	ctx    context.Context
	in     [][]int32
	out    [][]float32
	order  []int    // of the sequences, lexicographic
	ranges [][2]int // of order, computed together
}

// fed is how many tokens of a sequence have to pass through the network.
func fed(s []int32) int { return len(s) - 1 }

// shared is how many positions of b are computed by a, and common how many tokens are equal.
func shared(a, b []int32) (positions, common int) {
	n := min(len(a), len(b))
	for common < n && a[common] == b[common] {
		common++
	}
	return min(common, fed(a), fed(b)), common
}

// cut divides the sorted sequences into ranges of about scoreRows rows, fewer where that would
// leave cores idle.
func (b *scoring) cut() {
	total := 0
	for k, i := range b.order {
		total += fed(b.in[i])
		if k > 0 {
			s, _ := shared(b.in[b.order[k-1]], b.in[i])
			total -= s
		}
	}
	limit := max(leastRows, min(scoreRows, total/kernel.Threads()))
	start, rows := 0, 0
	for k, i := range b.order {
		n := fed(b.in[i])
		if k > start {
			s, _ := shared(b.in[b.order[k-1]], b.in[i])
			if rows+n-s > limit {
				b.ranges = append(b.ranges, [2]int{start, k})
				start, rows, s = k, 0, 0
			}
			n -= s
		}
		rows += n
	}
	if start < len(b.order) {
		b.ranges = append(b.ranges, [2]int{start, len(b.order)})
	}
}

// run scores one range.
func (b *scoring) run(r [2]int, wide bool) {
	if b.ctx.Err() != nil {
		return
	}
	w := workspaces.Get().(*workspace)
	defer w.release()
	s := &w.score
	b.lay(s, b.order[r[0]:r[1]])
	if len(s.wants) > 0 {
		w.forward(b.p, s.segs, 0, allRows, wide)
		w.normalisers()
		for _, t := range s.wants {
			*t.to = min(0, float32(w.logitRow(int(t.row))[t.target]-s.norm[2*t.row])-s.norm[2*t.row+1])
		}
	}
	// What a sequence has in common with the one before it has the same log-probabilities.
	for k := r[0] + 1; k < r[1]; k++ {
		i, before := b.order[k], b.order[k-1]
		if _, common := shared(b.in[before], b.in[i]); common > 1 {
			copy(b.out[i][1:common], b.out[before][1:])
		}
	}
	clear(s.segs)
}

// normalisers computes, for every row of logits, the maximum and the log of the sum of weights, in
// the way of [drawer.draw].
func (w *workspace) normalisers() {
	s := &w.score
	s.norm = grow(s.norm, 2*w.rows)
	s.e = grow(s.e, w.p.config.VocabSize)
	for r := range w.rows {
		z := w.logitRow(r)
		top := kernel.Max(z)
		s.norm[2*r] = top
		s.norm[2*r+1] = kernel.Log(kernel.ExpSumShift(s.e, z, top))
	}
}

// lay makes the segments, their caches and the wants of the given sequences. A sequence reads the
// positions that it shares with the one before it from that one's cache, and has exactly the room
// for its own.
func (b *scoring) lay(s *scoreScratch, order []int) {
	s.segs, s.path, s.wants = s.segs[:0], s.path[:0], s.wants[:0]
	rows := 0
	for k, i := range order {
		rows += fed(b.in[i])
		if k > 0 {
			at, _ := shared(b.in[order[k-1]], b.in[i])
			rows -= at
		}
	}
	size := b.p.shape.positionFloats()
	s.data = grow(s.data, rows*size)
	rows = 0
	for k, i := range order {
		tokens := b.in[i]
		at, common := 0, 0
		if len(s.lists) <= k {
			s.lists = append(s.lists, nil)
		}
		cache := s.lists[k][:0]
		if k > 0 {
			at, common = shared(b.in[order[k-1]], tokens)
			cache = cut(cache, s.segs[k-1].cache, at)
		}
		if own := fed(tokens) - at; own > 0 {
			cache = append(cache, stretch{data: s.data[rows*size : (rows+own)*size], n: own, room: own})
		}
		s.lists[k] = cache
		s.segs = append(s.segs, segment{cache: cache, from: at, tokens: tokens[at:fed(tokens)]})
		s.path = s.path[:at]
		for range fed(tokens) - at {
			s.path = append(s.path, int32(rows))
			rows++
		}
		for p := max(common, 1); p < len(tokens); p++ {
			s.wants = append(s.wants, want{row: s.path[p-1], target: tokens[p], to: &b.out[i][p]})
		}
	}
}

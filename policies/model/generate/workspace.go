package generate

import (
	"sync"

	"pith/policies/kernel"
)

// segment is a run of consecutive tokens of one sequence in a block: a single token in a decode
// step, a piece of a prompt, or the end of a sequence to score. Its cache covers all positions up
// to its last token's.
type segment struct {
	cache  []stretch
	from   int // position of the first token
	tokens []int32
	row    int // of the first token in the block
}

// wanted says for which rows a block computes logits.
type wanted uint8

const (
	lastRows wanted = iota // the last row of each segment
	allRows
)

// workspace is the scratch of one block on its way through the network. It grows to what it is
// asked for and is reused, so that a step allocates nothing.
type workspace struct {
	p           *Policy
	segs        []segment
	rows        int
	layerStride int  // floats between layers in a page; 0 where pages hold one layer at a time
	wide        bool // nobody else computes: share the loops and products among the cores
	l           int  // current layer

	owner []int32   // [rows] index of the row's segment
	x     []float32 // [rows, H] residual stream
	h     []float32 // [rows, H] normalised
	qkv   []float32 // [rows, (heads+2kv)*d]
	att   []float32 // [rows, heads*d]
	gu    []float32 // [rows, 2F]
	out   []float32 // [wanted rows, V] logits

	normFn, keysFn, attendFn, postFn, siluFn func(lo, hi int) // methods, bound once

	draw  drawer
	score scoreScratch
}

var workspaces = sync.Pool{New: func() any {
	w := new(workspace)
	w.normFn, w.keysFn, w.attendFn, w.postFn, w.siluFn = w.norm, w.keys, w.attend, w.post, w.silu
	return w
}}

// release returns w, without references into caches or policies.
func (w *workspace) release() {
	w.p, w.segs = nil, nil
	workspaces.Put(w)
}

// grow returns b with length n, content undefined.
func grow[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n, n+n/4)
	}
	return b[:n]
}

// rows runs f over the rows, shared among the cores where this block is alone.
func (w *workspace) each(f func(lo, hi int)) {
	if w.wide {
		kernel.Parallel(w.rows, 1+wideWork/(w.p.config.HiddenSize*8), f)
		return
	}
	f(0, w.rows)
}

// wideWork is the work per piece, in scalar operations, below which a loop is not worth sharing.
const wideWork = 1 << 15

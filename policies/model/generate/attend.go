package generate

import "pith/policies/kernel"

// keys finishes the projections of rows [lo, hi): q/k norms, rotation, the scale of the queries;
// and stores keys and values in the cache.
func (w *workspace) keys(lo, hi int) {
	p := w.p
	c, ly := &p.config, &p.layers[w.l]
	d, eps, off := c.HeadDim, float32(c.RMSNormEps), w.l*w.layerStride
	for r := lo; r < hi; r++ {
		s := &w.segs[w.owner[r]]
		pos := s.from + r - s.row
		cos, sin := p.rotary.At(pos)
		row := w.qkv[r*c.QKVDim() : (r+1)*c.QKVDim()]
		for at := 0; at < c.QueryDim(); at += d {
			q := row[at : at+d]
			if ly.qNorm != nil {
				kernel.RMSNorm(q, q, ly.qNorm, eps)
			}
			kernel.RotateHalf(q, cos, sin)
		}
		kernel.Scale(p.scale, row[:c.QueryDim()])
		i, at := locate(s.cache, pos)
		for g := range c.NumKVHeads {
			k := row[c.QueryDim()+g*d:][:d]
			if ly.kNorm != nil {
				kernel.RMSNorm(k, k, ly.kNorm, eps)
			}
			kernel.RotateHalf(k, cos, sin)
			keys, values := s.cache[i].head(off, g, d)
			copy(keys[at*d:(at+1)*d], k)
			copy(values[at*d:(at+1)*d], row[c.QueryDim()+c.KVDim()+g*d:])
		}
	}
}

// attendRows is the most rows of one sequence that share their products: the height of a tile of
// the matrix kernel.
const attendRows = 12

// attend computes the attention of rows [lo, hi) over all positions up to their own. The rows of a
// group's samples lie side by side, so that what they share of the cache is read from memory once.
func (w *workspace) attend(lo, hi int) {
	c := &w.p.config
	group := c.NumHeads / c.NumKVHeads
	var small [4096]float32 // on the stack, because several cores may be in here
	scores := small[:]
	for r := lo; r < hi; {
		s := &w.segs[w.owner[r]]
		m := min(hi-r, s.row+len(s.tokens)-r, attendRows)
		n := s.from + r - s.row + m // positions that the last of the rows sees
		if need := n * max(m, group); need > len(scores) {
			scores = make([]float32, need+need/2)
		}
		if m == 1 {
			w.attendGroups(r, s.cache, n, scores)
		} else {
			w.attendTile(r, m, s.cache, n, scores)
		}
		r += m
	}
}

// attendGroups is softmax attention of one row over n positions. A score is a dot product in 16
// lanes; the output is a chain over positions for each dimension, shared by the query heads that
// read the same key head. Both go stretch by stretch.
func (w *workspace) attendGroups(r int, cache []stretch, n int, scores []float32) {
	c := &w.p.config
	d, group, off := c.HeadDim, c.NumHeads/c.NumKVHeads, w.l*w.layerStride
	for g := range c.NumKVHeads {
		q := w.qkv[r*c.QKVDim()+g*group*d:][:group*d]
		out := w.att[r*c.QueryDim()+g*group*d:][:group*d]
		for h := range group {
			row := scores[h*n : (h+1)*n]
			dots(row, q[h*d:(h+1)*d], cache, off, g)
			softmax(row)
		}
		for i, at := 0, 0; at < n; i++ {
			_, v := cache[i].head(off, g, d)
			k := min(cache[i].n, n-at)
			kernel.Gemm(false, false, group, d, k, scores[at:], n, v, d, float32(min(i, 1)), out, d)
			at += k
		}
	}
}

// attendTile is attention of m consecutive rows of a sequence, the last of which sees n positions.
// A row's weights beyond its own position are zero, which adds nothing to its chains: it gets the
// bits that [workspace.attendGroups] would give it.
func (w *workspace) attendTile(r, m int, cache []stretch, n int, scores []float32) {
	c := &w.p.config
	d, group, off := c.HeadDim, c.NumHeads/c.NumKVHeads, w.l*w.layerStride
	for h := range c.NumHeads {
		for k := range m {
			own := n - m + k + 1
			row := scores[k*n : (k+1)*n]
			dots(row[:own], w.qkv[(r+k)*c.QKVDim()+h*d:][:d], cache, off, h/group)
			softmax(row[:own])
			clear(row[own:])
		}
		out := w.att[r*c.QueryDim()+h*d:]
		for i, at := 0, 0; at < n; i++ {
			_, v := cache[i].head(off, h/group, d)
			k := min(cache[i].n, n-at)
			kernel.Gemm(false, false, m, d, k, scores[at:], n, v, d, float32(min(i, 1)), out, c.QueryDim())
			at += k
		}
	}
}

// dots is the products of a query with the keys of head g at the first len(row) positions.
func dots(row, q []float32, cache []stretch, off, g int) {
	d := len(q)
	for i := range cache {
		k, _ := cache[i].head(off, g, d)
		n := min(cache[i].n, len(row))
		kernel.DotRows(row[:n], q, k, d)
		if row = row[n:]; len(row) == 0 {
			return
		}
	}
}

// softmax turns scores into weights that sum to 1.
func softmax(row []float32) {
	sum := kernel.ExpSumShift(row, row, kernel.Max(row))
	kernel.Scale(1/sum, row)
}

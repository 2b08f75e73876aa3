package generate

import "pith/policies/kernel"

// keys finishes the projections of rows [lo, hi): q/k norms, rotation, the scale of the queries;
// and stores keys and values in the pages.
func (w *workspace) keys(lo, hi int) {
	p := w.p
	c, ly := &p.config, &p.layers[w.l]
	d, eps := c.HeadDim, float32(c.RMSNormEps)
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
		pg := s.pages[pos/pagePositions][w.l*w.layerStride:]
		at := pos % pagePositions
		for g := range c.NumKVHeads {
			k := row[c.QueryDim()+g*d:][:d]
			if ly.kNorm != nil {
				kernel.RMSNorm(k, k, ly.kNorm, eps)
			}
			kernel.RotateHalf(k, cos, sin)
			kt, v := headPage(pg, g, d)
			for i, x := range k {
				kt[i*pagePositions+at] = x
			}
			copy(v[at*d:(at+1)*d], row[c.QueryDim()+c.KVDim()+g*d:])
		}
	}
}

// headPage is the keys, [d, positions], and the values, [positions, d], of key head g in the part
// of a page that belongs to one layer.
func headPage(layer []float32, g, d int) (kt, v []float32) {
	kt = layer[2*g*d*pagePositions:][:d*pagePositions]
	return kt, layer[(2*g+1)*d*pagePositions:][:d*pagePositions]
}

// attendRows is the most rows of one sequence that share their products: the height of a tile of
// the matrix kernel.
const attendRows = 12

// attend computes the attention of rows [lo, hi) over all positions up to their own.
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
			w.attendGroups(r, s.pages, n, scores)
		} else {
			w.attendTile(r, m, s.pages, n, scores)
		}
		r += m
	}
}

// attendGroups is softmax attention of one row over n positions. The query heads that read the
// same key head go together. Scores, [group, n], are a chain over the head's dimensions for each
// position; the output is a chain over positions for each dimension. Both are matrix products of
// a few rows, page by page.
func (w *workspace) attendGroups(r int, pages [][]float32, n int, scores []float32) {
	c := &w.p.config
	d, group, off := c.HeadDim, c.NumHeads/c.NumKVHeads, w.l*w.layerStride
	for g := range c.NumKVHeads {
		q := w.qkv[r*c.QKVDim()+g*group*d:][:group*d]
		out := w.att[r*c.QueryDim()+g*group*d:][:group*d]
		for i, at := 0, 0; at < n; i, at = i+1, at+pagePositions {
			kt, _ := headPage(pages[i][off:], g, d)
			kernel.Gemm(false, false, group, min(pagePositions, n-at), d, q, d, kt, pagePositions, 0, scores[at:], n)
		}
		for h := range group {
			softmax(scores[h*n : (h+1)*n])
		}
		for i, at := 0, 0; at < n; i, at = i+1, at+pagePositions {
			_, v := headPage(pages[i][off:], g, d)
			kernel.Gemm(false, false, group, d, min(pagePositions, n-at), scores[at:], n, v, d, float32(min(i, 1)), out, d)
		}
	}
}

// attendTile is attention of m consecutive rows of a sequence, the last of which sees n positions.
// A row's weights beyond its own position are zero, which adds nothing to its chains: it gets the
// bits that [workspace.attendGroups] would give it.
func (w *workspace) attendTile(r, m int, pages [][]float32, n int, scores []float32) {
	c := &w.p.config
	d, group, off := c.HeadDim, c.NumHeads/c.NumKVHeads, w.l*w.layerStride
	for h := range c.NumHeads {
		q := w.qkv[r*c.QKVDim()+h*d:]
		out := w.att[r*c.QueryDim()+h*d:]
		for i, at := 0, 0; at < n; i, at = i+1, at+pagePositions {
			kt, _ := headPage(pages[i][off:], h/group, d)
			kernel.Gemm(false, false, m, min(pagePositions, n-at), d, q, c.QKVDim(), kt, pagePositions, 0, scores[at:], n)
		}
		for k := range m {
			own := n - m + k + 1
			softmax(scores[k*n : k*n+own])
			clear(scores[k*n+own : (k+1)*n])
		}
		for i, at := 0, 0; at < n; i, at = i+1, at+pagePositions {
			_, v := headPage(pages[i][off:], h/group, d)
			kernel.Gemm(false, false, m, d, min(pagePositions, n-at), scores[at:], n, v, d, float32(min(i, 1)), out, c.QueryDim())
		}
	}
}

// softmax turns scores into weights that sum to 1.
func softmax(row []float32) {
	sum := kernel.ExpSumShift(row, row, kernel.Max(row))
	kernel.Scale(1/sum, row)
}

// forkPages copies, for the current layer, the positions that a forking segment shares with the
// one before it inside the page where they part.
func (w *workspace) forkPages() {
	c := &w.p.config
	d := c.HeadDim
	for i := range w.segs {
		s := &w.segs[i]
		at := s.from % pagePositions
		if !s.forks || at == 0 {
			continue
		}
		off := w.l * w.layerStride
		from, to := w.segs[i-1].pages[s.from/pagePositions][off:], s.pages[s.from/pagePositions][off:]
		for g := range c.NumKVHeads {
			fk, fv := headPage(from, g, d)
			tk, tv := headPage(to, g, d)
			for j := 0; j < len(fk); j += pagePositions {
				copy(tk[j:j+at], fk[j:])
			}
			copy(tv[:at*d], fv)
		}
	}
}

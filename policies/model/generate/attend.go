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

// attend computes the attention of rows [lo, hi) over all positions up to their own.
func (w *workspace) attend(lo, hi int) {
	c := &w.p.config
	d, group := c.HeadDim, c.NumHeads/c.NumKVHeads
	var small [1024]float32 // on the stack, because several cores may be in here
	scores := small[:]
	for r := lo; r < hi; r++ {
		s := &w.segs[w.owner[r]]
		n := s.from + r - s.row + 1
		if n*group > len(scores) {
			scores = make([]float32, (n+n/2)*group)
		}
		q := w.qkv[r*c.QKVDim():][:c.QueryDim()]
		out := w.att[r*c.QueryDim():][:c.QueryDim()]
		for g := range c.NumKVHeads {
			w.attendGroup(out[g*group*d:(g+1)*group*d], q[g*group*d:(g+1)*group*d], s.pages, g, group, n, scores[:n*group])
		}
	}
}

// attendGroup is softmax attention of the scaled queries, [group, d], that read key head g, over n
// positions. Scores, [group, n], are a chain over the head's dimensions for each position; the
// output is a chain over positions for each dimension. Both are matrix products of a few rows,
// page by page.
func (w *workspace) attendGroup(out, q []float32, pages [][]float32, g, group, n int, scores []float32) {
	d, off := w.p.config.HeadDim, w.l*w.layerStride
	for i, at := 0, 0; at < n; i, at = i+1, at+pagePositions {
		kt, _ := headPage(pages[i][off:], g, d)
		kernel.Gemm(false, false, group, min(pagePositions, n-at), d, q, d, kt, pagePositions, 0, scores[at:], n)
	}
	for h := range group {
		row := scores[h*n : (h+1)*n]
		sum := kernel.ExpSumShift(row, row, kernel.Max(row))
		kernel.Scale(1/sum, row)
	}
	for i, at := 0, 0; at < n; i, at = i+1, at+pagePositions {
		_, v := headPage(pages[i][off:], g, d)
		kernel.Gemm(false, false, group, d, min(pagePositions, n-at), scores[at:], n, v, d, float32(min(i, 1)), out, d)
	}
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

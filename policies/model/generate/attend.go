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
	var small [512]float32 // on the stack, because several cores may be in here
	scores := small[:]
	for r := lo; r < hi; r++ {
		s := &w.segs[w.owner[r]]
		n := s.from + r - s.row + 1
		if n > len(scores) {
			scores = make([]float32, n+n/2)
		}
		q := w.qkv[r*c.QKVDim():][:c.QueryDim()]
		out := w.att[r*c.QueryDim():][:c.QueryDim()]
		for h := range c.NumHeads {
			w.attendHead(out[h*d:(h+1)*d], q[h*d:(h+1)*d], s.pages, h/group, scores[:n])
		}
	}
}

// attendHead is softmax attention of one scaled query over len(scores) positions. Scores are a
// chain over the head's dimensions for each position; the output is a chain over positions for
// each dimension, divided at the end by the sum of the weights.
func (w *workspace) attendHead(out, q []float32, pages [][]float32, g int, scores []float32) {
	d, off := len(q), w.l*w.layerStride
	clear(scores)
	for i, n := 0, 0; n < len(scores); i, n = i+1, n+pagePositions {
		kt, _ := headPage(pages[i][off:], g, d)
		kernel.AddRows(scores[n:min(n+pagePositions, len(scores))], q, kt, pagePositions)
	}
	sum := kernel.ExpSumShift(scores, scores, kernel.Max(scores))
	clear(out)
	for i, n := 0, 0; n < len(scores); i, n = i+1, n+pagePositions {
		_, v := headPage(pages[i][off:], g, d)
		kernel.AddRows(out, scores[n:min(n+pagePositions, len(scores))], v, d)
	}
	kernel.Scale(1/sum, out)
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

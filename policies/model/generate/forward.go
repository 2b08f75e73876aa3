package generate

import (
	"pith/policies/kernel"
)

// forward takes the block's segments through the network: it stores their keys and values in their
// caches and leaves the logits of the wanted rows in w.out, [rows, V].
func (w *workspace) forward(p *Policy, segs []segment, layerStride int, want wanted, wide bool) {
	w.p, w.segs, w.layerStride, w.wide = p, segs, layerStride, wide
	c := &p.config
	hid := c.HiddenSize
	w.rows = 0
	for i := range segs {
		segs[i].row = w.rows
		w.rows += len(segs[i].tokens)
	}
	n := w.rows
	w.owner = grow(w.owner, n)
	w.x, w.h = grow(w.x, n*hid), grow(w.h, n*hid)
	w.qkv, w.att = grow(w.qkv, n*c.QKVDim()), grow(w.att, n*c.QueryDim())
	w.gu = grow(w.gu, n*2*c.IntermediateSize)
	for i := range segs {
		s := &segs[i]
		for j, t := range s.tokens {
			w.owner[s.row+j] = int32(i)
			copy(w.x[(s.row+j)*hid:(s.row+j+1)*hid], p.embed[int(t)*hid:])
		}
	}
	for l := range p.layers {
		w.l = l
		ly := &p.layers[l]
		w.each(w.normFn)
		beta := float32(0)
		if ly.qkvBias != nil { // norm has put the bias into every row
			beta = 1
		}
		kernel.GemmPacked(n, w.h, hid, ly.qkv, beta, w.qkv, c.QKVDim())
		w.each(w.keysFn)
		w.each(w.attendFn)
		kernel.GemmPacked(n, w.att, c.QueryDim(), ly.o, 1, w.x, hid)
		w.each(w.postFn)
		kernel.GemmPacked(n, w.h, hid, ly.gateUp, 0, w.gu, 2*c.IntermediateSize)
		w.each(w.siluFn)
		kernel.GemmPacked(n, w.gu, 2*c.IntermediateSize, ly.down, 1, w.x, hid)
	}
	w.logits(want)
}

// logits computes w.out from the residual stream of the wanted rows.
func (w *workspace) logits(want wanted) {
	c := &w.p.config
	hid, n := c.HiddenSize, 0
	eps := float32(c.RMSNormEps)
	if want == allRows {
		for ; n < w.rows; n++ {
			kernel.RMSNorm(w.h[n*hid:(n+1)*hid], w.x[n*hid:(n+1)*hid], w.p.norm, eps)
		}
	} else {
		for i := range w.segs {
			if k := len(w.segs[i].tokens); k > 0 {
				r := w.segs[i].row + k - 1
				kernel.RMSNorm(w.h[n*hid:(n+1)*hid], w.x[r*hid:(r+1)*hid], w.p.norm, eps)
				n++
			}
		}
	}
	w.out = grow(w.out, n*c.VocabSize)
	kernel.GemmPacked(n, w.h, hid, w.p.head, 0, w.out, c.VocabSize)
}

// logitRow is row i of the wanted logits.
func (w *workspace) logitRow(i int) []float32 {
	v := w.p.config.VocabSize
	return w.out[i*v : (i+1)*v]
}

// norm normalises the residual stream before attention, and lays the bias of the projections.
func (w *workspace) norm(lo, hi int) {
	c, ly := &w.p.config, &w.p.layers[w.l]
	hid, eps := c.HiddenSize, float32(c.RMSNormEps)
	for r := lo; r < hi; r++ {
		kernel.RMSNorm(w.h[r*hid:(r+1)*hid], w.x[r*hid:(r+1)*hid], ly.inputNorm, eps)
		copy(w.qkv[r*c.QKVDim():(r+1)*c.QKVDim()], ly.qkvBias)
	}
}

// post normalises before the feed-forward block.
func (w *workspace) post(lo, hi int) {
	c, ly := &w.p.config, &w.p.layers[w.l]
	hid, eps := c.HiddenSize, float32(c.RMSNormEps)
	for r := lo; r < hi; r++ {
		kernel.RMSNorm(w.h[r*hid:(r+1)*hid], w.x[r*hid:(r+1)*hid], ly.postNorm, eps)
	}
}

// silu turns [gate, up] into silu(gate)*up in place of the gate.
func (w *workspace) silu(lo, hi int) {
	f := w.p.config.IntermediateSize
	for r := lo; r < hi; r++ {
		row := w.gu[r*2*f : (r+1)*2*f]
		kernel.SiLUMul(row[:f], row[:f], row[f:])
	}
}

package generate

import "pith/policies/kernel"

// PagePositions lets tests place prompts on both sides of a page's edge.
const PagePositions = pagePositions

// Leaks is the number of pages in use or promised, which an empty decoder must not have.
func (d *Decoder) Leaks() int {
	for d.evict() {
	}
	n := d.keeper.n + len(d.keeper.byKey)
	for _, p := range d.pools {
		n += p.used + p.promised
	}
	return n
}

// Logits computes the logits after each token of one sequence.
func Logits(p *Policy, tokens []int32) [][]float32 {
	w := workspaces.Get().(*workspace)
	defer w.release()
	s := segment{tokens: tokens}
	for left := len(tokens); left > 0; left -= pagePositions {
		s.cache = append(s.cache, stretch{data: make([]float32, p.shape.pageFloats()), n: min(left, pagePositions), room: pagePositions})
	}
	w.forward(p, []segment{s}, p.shape.layerFloats(), allRows, true)
	out := make([][]float32, len(tokens))
	for i := range out {
		out[i] = append(out[i], w.logitRow(i)...)
	}
	return out
}

// CacheBytes is the memory that the pools have taken.
func (d *Decoder) CacheBytes() int64 {
	n := 0
	for _, p := range d.pools {
		n += 4 * p.made * p.shape.pageFloats()
	}
	return int64(n)
}

// PolicyBytes is the memory of the packed weights.
func PolicyBytes(p *Policy) int64 {
	packed := func(m *kernel.Packed) int {
		k, n := m.Shape()
		return k * ((n + 31) / 32 * 32)
	}
	n := len(p.embed) + len(p.norm) + packed(p.head)
	for i := range p.layers {
		l := &p.layers[i]
		n += len(l.inputNorm) + len(l.postNorm) + len(l.qNorm) + len(l.kNorm) + len(l.qkvBias) +
			packed(l.qkv) + packed(l.o) + packed(l.gateUp) + packed(l.down)
	}
	return int64(4 * n)
}

// Draw returns a function that draws tokens with a scratch of its own.
func Draw() func(logits []float32, p *Params, u float64) {
	var d drawer
	return func(logits []float32, p *Params, u float64) { d.draw(logits, p, true, u) }
}

package generate

import "pith/policies/model"

// pagePositions is the number of positions in one page of the cache. Larger pages mean fewer and
// longer vector operations, smaller ones less memory behind short sequences.
const pagePositions = 64

// shape is what decides the layout of a page; policies of equal shape share a pool.
type shape struct{ layers, kvHeads, headDim int }

func shapeOf(c model.Config) shape { return shape{c.NumLayers, c.NumKVHeads, c.HeadDim} }

// positionFloats is what one layer stores of one position: a key and a value for each key head.
func (s shape) positionFloats() int { return s.kvHeads * 2 * s.headDim }

// layerFloats is the part of a page that belongs to one layer: for each key head the keys,
// [positions, d], and then the values, [positions, d].
func (s shape) layerFloats() int { return s.positionFloats() * pagePositions }

func (s shape) pageFloats() int { return s.layers * s.layerFloats() }

// pagesFor is the number of pages that hold n positions.
func pagesFor(n int) int { return (n + pagePositions - 1) / pagePositions }

// page holds the keys and values of consecutive positions, for all layers. One sequence writes it,
// from its first position on; others may read the positions that were written when they began to
// share it.
type page struct {
	data []float32
	refs int
}

// stretch is the first n positions of a page: a sequence is a list of them. Where two sequences
// part, the second one keeps a shorter stretch of the page they share and goes on in its own.
type stretch struct {
	data []float32
	n    int
	room int // positions that data has in a layer
}

// head is the keys and the values, [room, d], of key head g in the part of a page at offset off.
func (t *stretch) head(off, g, d int) (k, v []float32) {
	size := t.room * d
	at := off + 2*g*size
	return t.data[at : at+size], t.data[at+size : at+2*size]
}

// locate finds position pos in a list of stretches.
func locate(list []stretch, pos int) (i, at int) {
	for pos >= list[i].n {
		pos -= list[i].n
		i++
	}
	return i, pos
}

// cut is the first n positions of a list, appended to dst.
func cut(dst, list []stretch, n int) []stretch {
	for i := 0; n > 0; i++ {
		t := list[i]
		t.n = min(t.n, n)
		n -= t.n
		dst = append(dst, t)
	}
	return dst
}

// pool hands out the pages of one shape, up to a limit. Memory is taken from the system as it is
// first needed and kept.
type pool struct {
	shape    shape
	limit    int
	made     int
	used     int
	promised int // pages that admitted sequences may still ask for
	free     []*page
}

// slabPages is how many pages are allocated at a time.
const slabPages = 4

// available is the number of pages that are neither in use nor promised.
func (p *pool) available() int { return p.limit - p.used - p.promised }

// take returns a page with one reference. The caller has promised itself the page before.
func (p *pool) take() *page {
	if len(p.free) == 0 {
		n := min(slabPages, p.limit-p.made)
		if n < 1 {
			panic("generate: page pool overrun; admission promised too much")
		}
		size := p.shape.pageFloats()
		slab := make([]float32, n*size)
		for i := range n {
			p.free = append(p.free, &page{data: slab[i*size : (i+1)*size : (i+1)*size]})
		}
		p.made += n
	}
	pg := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	pg.refs = 1
	p.used++
	return pg
}

// drop gives up one reference.
func (p *pool) drop(pg *page) {
	if pg.refs--; pg.refs == 0 {
		p.free = append(p.free, pg)
		p.used--
	}
}

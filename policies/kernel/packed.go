package kernel

import "sync"

// Packed is op(B) of a product, [k, n], laid out for the tile kernels: panels of 32 columns, each
// panel k rows of 32 consecutive floats, the last panel padded with zeros. It is made once for
// weights that serve many products. Any number of goroutines may read it; Repack must not run
// beside them. The layout is the same for every implementation.
type Packed struct {
	k, n int
	data []float32
}

// Pack packs op(B) of shape [k, n]; b is [n, k] if transB, else [k, n], with leading dimension ldb.
func Pack(transB bool, k, n int, b []float32, ldb int) *Packed {
	p := new(Packed)
	p.Repack(transB, k, n, b, ldb)
	return p
}

// Repack replaces the content, reusing the memory where it suffices.
func (p *Packed) Repack(transB bool, k, n int, b []float32, ldb int) {
	if transB {
		checkMatrix("b", n, k, ldb, b)
	} else {
		checkMatrix("b", k, n, ldb, b)
	}
	p.k, p.n = k, n
	size := panels(n) * panelCols * k
	if cap(p.data) < size {
		p.data = make([]float32, size)
	}
	p.data = p.data[:size]
	if size == 0 {
		return
	}
	if size < parallelFlops/8 {
		packPanels(transB, k, n, b, ldb, p.data, 0, panels(n))
		return
	}
	Parallel(panels(n), 1, func(lo, hi int) { packPanels(transB, k, n, b, ldb, p.data, lo, hi) })
}

// Shape returns k and n of the packed [k, n] matrix.
func (p *Packed) Shape() (k, n int) { return p.k, p.n }

// panels returns how many panels n columns take.
func panels(n int) int { return (n + panelCols - 1) / panelCols }

// offset is where element (p, j) of op(B) lies in b.
func offset(transB bool, p, j, ldb int) int {
	if transB {
		return j*ldb + p
	}
	return p*ldb + j
}

// packPanels writes panels lo to hi of op(B) [k, n] into dst, where panel i starts at i*32*k.
func packPanels(transB bool, k, n int, b []float32, ldb int, dst []float32, lo, hi int) {
	simd := using() != portable
	for i := lo; i < hi; i++ {
		j := i * panelCols
		cols := min(panelCols, n-j)
		panel := dst[j*k : (j+panelCols)*k]
		if transB {
			packTransposed(simd, k, cols, b[j*ldb:], ldb, panel)
		} else {
			packStraight(simd, k, cols, b[j:], ldb, panel)
		}
	}
}

// packStraight copies k rows of cols floats.
func packStraight(simd bool, k, cols int, b []float32, ldb int, panel []float32) {
	if simd && cols == panelCols {
		copyPanel(&panel[0], &b[0], uintptr(ldb)*4, k)
		return
	}
	for p := range k {
		row := panel[p*panelCols:][:panelCols]
		copy(row, b[p*ldb:][:cols])
		clear(row[cols:])
	}
}

// packTransposed turns cols rows of k floats into k rows of panelCols floats.
func packTransposed(simd bool, k, cols int, b []float32, ldb int, panel []float32) {
	j, kWhole := 0, k&^7
	if simd && kWhole > 0 {
		for ; j+8 <= cols; j += 8 { // 8 x 8 squares, then the rest of the 8 rows
			transposePanel(&panel[j], &b[j*ldb], uintptr(ldb)*4, kWhole/8)
			for i := j; i < j+8; i++ {
				for p := kWhole; p < k; p++ {
					panel[p*panelCols+i] = b[i*ldb+p]
				}
			}
		}
	}
	for ; j < cols; j++ {
		for p, v := range b[j*ldb:][:k] {
			panel[p*panelCols+j] = v
		}
	}
	if cols < panelCols {
		for p := range k {
			clear(panel[p*panelCols+cols : (p+1)*panelCols])
		}
	}
}

// packBuffer is memory for packing that outlives one product.
type packBuffer struct{ data []float32 }

var bufferPool = sync.Pool{New: func() any { return new(packBuffer) }}

// floats returns n floats of unspecified content.
func (b *packBuffer) floats(n int) []float32 {
	if cap(b.data) < n {
		b.data = make([]float32, n)
	}
	return b.data[:n:n]
}

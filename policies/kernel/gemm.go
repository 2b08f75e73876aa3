package kernel

import (
	"fmt"
	"sync"
)

const (
	panelCols = 32  // columns of a packed panel of B, whatever the implementation
	kBlock    = 256 // rows of B that pass through the cache together
	nBlock    = 512 // columns likewise: kBlock*nBlock floats sit in half a level-2 cache

	// parallelFlops is the work, in multiply-adds, below which waking another core costs more
	// than it saves.
	parallelFlops = 1 << 21
	// parallelHotFlops is the same for a core that is known to be awake.
	parallelHotFlops = 1 << 18
	// directRows is the most rows for which reading B where it lies beats packing it.
	directRows = 256
	// stripRows is the height of the strips of C that threads share.
	stripRows  = 12
	pageFloats = 1024        // a page of memory, the stride at which rows collide in the cache
	rowStride  = kBlock + 16 // between rows copied to keep them from colliding
	// packBlock is the largest B, in floats, that is packed whole before the work is split.
	packBlock = 1 << 18
)

// Gemm computes C = beta*C + op(A)·op(B), where beta is 0 or 1, op(A) is [m, k], op(B) is [k, n]
// and C is [m, n]. The matrices are row-major with the leading dimensions lda, ldb, ldc; op
// transposes where the flag is set, so a holds [k, m] if transA. With beta 0 the old content of
// C is not read. C must not overlap A or B.
//
// Every element of C is one chain of float32 fused multiply-adds in the order of k. Large
// products use the worker pool.
func Gemm(transA, transB bool, m, n, k int, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	if transA {
		checkMatrix("a", k, m, lda, a)
	} else {
		checkMatrix("a", m, k, lda, a)
	}
	if transB {
		checkMatrix("b", n, k, ldb, b)
	} else {
		checkMatrix("b", k, n, ldb, b)
	}
	checkMatrix("c", m, n, ldc, c)
	load := checkBeta(beta)
	if m == 0 || n == 0 {
		return
	}
	if k == 0 {
		clearC(load, m, n, c, ldc)
		return
	}
	g := gemmJob{
		m: m, n: n, k: k, load: load, level: using(),
		a: a, ars: lda, aks: 1,
		b: b, ldb: ldb, transB: transB, direct: !transB && m <= directRows,
		c: c, ldc: ldc,
	}
	if transA {
		g.ars, g.aks = 1, lda
	}
	g.run()
}

// GemmPacked computes C = beta*C + op(A)·B for a B packed before; otherwise like [Gemm] without
// transposed A.
func GemmPacked(m int, a []float32, lda int, b *Packed, beta float32, c []float32, ldc int) {
	checkMatrix("a", m, b.k, lda, a)
	checkMatrix("c", m, b.n, ldc, c)
	load := checkBeta(beta)
	if m == 0 || b.n == 0 {
		return
	}
	if b.k == 0 {
		clearC(load, m, b.n, c, ldc)
		return
	}
	g := gemmJob{
		m: m, n: b.n, k: b.k, load: load, level: using(),
		a: a, ars: lda, aks: 1,
		packed: b.data,
		c:      c, ldc: ldc,
	}
	g.run()
}

// checkMatrix panics unless data holds a rows x cols matrix with leading dimension ld.
func checkMatrix(name string, rows, cols, ld int, data []float32) {
	if rows < 0 || cols < 0 || ld < max(1, cols) || len(data) < (rows-1)*ld+cols && rows > 0 && cols > 0 {
		badMatrix(name, rows, cols, ld, len(data))
	}
}

// badMatrix stands apart so that checkMatrix is small enough to be inlined.
func badMatrix(name string, rows, cols, ld, size int) {
	panic(fmt.Sprintf("kernel: matrix %s is %d x %d with leading dimension %d, in a slice of %d floats", name, rows, cols, ld, size))
}

func checkBeta(beta float32) bool {
	if beta != 0 && beta != 1 {
		panic(fmt.Sprintf("kernel: beta is %g, want 0 or 1", beta))
	}
	return beta == 1
}

func clearC(load bool, m, n int, c []float32, ldc int) {
	if load {
		return
	}
	for i := range m {
		clear(c[i*ldc : i*ldc+n])
	}
}

// gemmJob is one product in flight. Element (i, p) of op(A) is a[i*ars+p*aks]. B is either packed
// whole, or b with ldb and transB.
type gemmJob struct {
	m, n, k  int
	load     bool
	level    level
	a        []float32
	ars, aks int
	b        []float32
	ldb      int
	transB   bool
	packed   []float32
	c        []float32
	ldc      int
	direct   bool // the tiles read b where it lies
	byCols   bool // threads share columns, not rows
}

// run computes the product, on several threads if it is worth it.
func (g *gemmJob) run() {
	work := g.m * g.n * g.k
	if work < parallelHotFlops && g.direct && g.level != portable && g.k <= kBlock && g.n <= nBlock {
		g.tiles(0, g.m, 0, g.n, 0, g.k, g.load, g.b, g.ldb, panelCols) // short: straight to it
		return
	}
	if work < parallelHotFlops || work < parallelFlops && !thePool.awake() || !thePool.acquire() {
		g.region(0, g.m, 0, g.n)
		return
	}
	s := sharedPool.Get().(*sharedJob)
	s.gemmJob = *g
	s.run()
	s.gemmJob = gemmJob{} // drop references to the caller's memory
	sharedPool.Put(s)
}

// sharedJob is a product that threads share; it is kept so that a product allocates nothing.
type sharedJob struct {
	gemmJob
	split func(lo, hi int) // part, bound once
	bufs  packBuffer       // B, where it is packed before the work is split
}

var sharedPool = sync.Pool{New: func() any {
	s := new(sharedJob)
	s.split = s.part
	return s
}}

// run splits the product on the acquired pool.
func (s *sharedJob) run() {
	// Split the longer side: columns in whole panels, which whoever computes them also packs, so
	// nothing is packed twice; rows in strips of a tile, with B packed before if it is small.
	threads := Threads()
	packs := s.packed == nil && !s.direct
	if s.m < s.n || packs && panels(s.n) >= 2*threads && s.k*s.n > packBlock {
		s.byCols = true
		thePool.run(panels(s.n), 1, s.split)
		return
	}
	strips := (s.m + stripRows - 1) / stripRows
	grain := 1
	if packs && s.level != portable {
		if s.k*s.n <= packBlock {
			s.packed = s.bufs.floats(panels(s.n) * panelCols * s.k)
			packPanels(s.transB, s.k, s.n, s.b, s.ldb, s.packed, 0, panels(s.n))
		} else {
			grain = (strips + threads - 1) / threads
		}
	}
	thePool.run(strips, grain, s.split)
}

// part computes a range of panels or of strips of C.
func (s *sharedJob) part(lo, hi int) {
	if s.byCols {
		s.region(0, s.m, lo*panelCols, min(hi*panelCols, s.n))
	} else {
		s.region(lo*stripRows, min(hi*stripRows, s.m), 0, s.n)
	}
}

// region computes rows [i0, i1) and columns [j0, j1) of C; j0 is a multiple of panelCols.
func (g *gemmJob) region(i0, i1, j0, j1 int) {
	switch {
	case g.level == portable:
		g.regionPortable(i0, i1, j0, j1)
	case g.packed == nil && !g.direct:
		buf := bufferPool.Get().(*packBuffer)
		g.blocks(i0, i1, j0, j1, buf)
		bufferPool.Put(buf)
	default:
		g.blocks(i0, i1, j0, j1, nil)
	}
}

// blocks walks a region in blocks of B that the cache holds, packing into buf where need be.
func (g *gemmJob) blocks(i0, i1, j0, j1 int, buf *packBuffer) {
	for jb := j0; jb < j1; jb += nBlock {
		je := min(jb+nBlock, j1)
		for kb := 0; kb < g.k; kb += kBlock {
			ke := min(kb+kBlock, g.k)
			load := g.load || kb > 0
			kk := ke - kb
			switch {
			case g.packed != nil: // panel p holds k rows of panelCols floats
				g.tiles(i0, i1, jb, je, kb, ke, load, g.packed[jb*g.k+kb*panelCols:], panelCols, g.k*panelCols)
			case g.direct:
				g.tiles(i0, i1, jb, je, kb, ke, load, g.b[kb*g.ldb+jb:], g.ldb, panelCols)
			default:
				data := buf.floats(panels(je-jb) * panelCols * kk)
				packPanels(g.transB, kk, je-jb, g.b[offset(g.transB, kb, jb, g.ldb):], g.ldb, data, 0, panels(je-jb))
				g.tiles(i0, i1, jb, je, kb, ke, load, data, panelCols, kk*panelCols)
			}
		}
	}
}

// tile is what a tile kernel reads; the assembly knows its layout. Strides are in bytes.
type tile struct {
	a, b, c  *float32
	ars, aks uintptr // between rows of op(A), along k
	bks      uintptr // between rows of B
	ldc      uintptr
	k        int
	rows     int
	load     int     // 1: start from C
	mask     uint64  // one bit for each valid column
	bpanel   uintptr // between panels of B, for the single-row kernel
}

// tiles covers C[i0:i1, jb:je] for k in [kb, ke). Row p of B's panel q starts at
// b[p*ldb+q*panelStride].
func (g *gemmJob) tiles(i0, i1, jb, je, kb, ke int, load bool, b []float32, ldb, panelStride int) {
	maxRows, cols := 12, 32
	if g.level == avx2 {
		maxRows, cols = 6, 16
	}
	t := tile{
		ars: uintptr(g.ars) * 4, aks: uintptr(g.aks) * 4,
		bks: uintptr(ldb) * 4, bpanel: uintptr(panelStride) * 4, ldc: uintptr(g.ldc) * 4,
		k: ke - kb,
	}
	if load {
		t.load = 1
	}
	// Rows a multiple of a page apart share one set of the level-1 cache and evict each other, so
	// such a strip of A is copied, if it serves several panels.
	var rows []float32
	if g.aks == 1 && g.ars%pageFloats == 0 && i1-i0 > 4 && je-jb >= 4*panelCols {
		buf := bufferPool.Get().(*packBuffer)
		defer bufferPool.Put(buf)
		rows = buf.floats(maxRows * rowStride)
	}
	var hi int
	for lo := i0; lo < i1; lo = hi {
		// Tiles of nearly equal height: 16 rows are 8 + 8, not 12 + 4.
		if rest := i1 - lo; rest > maxRows {
			count := (rest + maxRows - 1) / maxRows
			hi = lo + (rest+count-1)/count
		} else {
			hi = i1
		}
		t.rows = hi - lo
		t.a = &g.a[lo*g.ars+kb*g.aks]
		if rows != nil {
			for i := lo; i < hi; i++ {
				copy(rows[(i-lo)*rowStride:], g.a[i*g.ars+kb:i*g.ars+ke])
			}
			t.a, t.ars = &rows[0], rowStride*4
		}
		j := jb
		if t.rows == 1 {
			for wide := 4 * cols; j+wide <= je; j += wide {
				t.b = &b[(j-jb)/panelCols*panelStride]
				t.c = &g.c[lo*g.ldc+j]
				runRow(g.level, &t)
			}
			if j+2*cols <= je {
				t.b = &b[(j-jb)/panelCols*panelStride]
				t.c = &g.c[lo*g.ldc+j]
				runHalfRow(g.level, &t)
				j += 2 * cols
			}
		}
		for ; j < je; j += cols {
			t.b = &b[(j-jb)/panelCols*panelStride+(j-jb)%panelCols]
			t.c = &g.c[lo*g.ldc+j]
			t.mask = 1<<min(cols, je-j) - 1
			runTile(g.level, &t)
		}
	}
}

// regionPortable is region without assembly: row by row, k outermost within a row, so that the
// inner loop runs along B's rows.
func (g *gemmJob) regionPortable(i0, i1, j0, j1 int) {
	for i := i0; i < i1; i++ {
		row := g.c[i*g.ldc+j0 : i*g.ldc+j1]
		if !g.load {
			clear(row)
		}
		switch {
		case g.packed != nil:
			for j := 0; j < len(row); j += panelCols {
				out := row[j:min(j+panelCols, len(row))]
				panel := g.packed[(j0+j)*g.k:]
				for p := range g.k {
					axpyPortable(g.a[i*g.ars+p*g.aks], panel[p*panelCols:][:len(out)], out)
				}
			}
		case g.transB:
			for j := range row {
				acc := row[j]
				for p, w := range g.b[(j0+j)*g.ldb:][:g.k] {
					acc = fma32(g.a[i*g.ars+p*g.aks], w, acc)
				}
				row[j] = acc
			}
		default:
			for p := range g.k {
				axpyPortable(g.a[i*g.ars+p*g.aks], g.b[p*g.ldb+j0:][:len(row)], row)
			}
		}
	}
}

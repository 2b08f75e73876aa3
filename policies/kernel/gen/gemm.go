package main

import "fmt"

// panelBytes is the width of a packed panel of B: 32 columns.
const panelBytes = 128

// gemmKernels writes the SGEMM tile kernel: for every number of rows up to the largest tile, a
// loop over k that keeps the tile of C in registers. The tile is two registers wide. Every
// element of C is one chain of fused multiply-adds in the order of k, so the shape of a tile
// never shows in the result.
//
// Registers: SI, R11, R12 point at rows 0, 4, 8 of op(A); R9 and R10 hold one and three row
// strides; R8 the step of A along k; DI points at B, R13 its step; DX at C, R14 its row stride;
// CX counts k down; BX is the mask of valid columns.
func gemmKernels(w *writer) {
	if w.width == 8 {
		w.raw("\n")
		w.laneBits()
	}
	w.raw(fmt.Sprintf("\n// func tile%s(t *tile)\nTEXT ·tile%s(SB), NOSPLIT, $0-8\n", w.suffix, w.suffix))
	w.op("MOVQ t+0(FP), AX")
	w.op("MOVQ 0(AX), SI")
	w.op("MOVQ 8(AX), DI")
	w.op("MOVQ 16(AX), DX")
	w.op("MOVQ 24(AX), R9")
	w.op("MOVQ 32(AX), R8")
	w.op("MOVQ 40(AX), R13")
	w.op("MOVQ 48(AX), R14")
	w.op("MOVQ 56(AX), CX")
	w.op("MOVQ 72(AX), R15")
	w.op("MOVQ 80(AX), BX")
	w.op("MOVQ 64(AX), AX")
	w.op("LEAQ (R9)(R9*2), R10")
	w.op("LEAQ (SI)(R9*4), R11")
	w.op("LEAQ (R11)(R9*4), R12")
	if w.width == 16 {
		w.op("CMPL BX, $-1")
	} else {
		w.op("CMPL BX, $0xffff")
	}
	w.op("JNE masked")
	dispatch(w, "full")
	w.label("masked")
	w.loadMasks()
	dispatch(w, "masked")
	for rows := 1; rows <= w.rows; rows++ {
		gemmTile(w, rows, false)
		gemmTile(w, rows, true)
	}
	gemmRow(w, "row", 8)
	gemmRow(w, "halfRow", 4)
}

// gemmRow writes the kernels for a single row, eight and four registers wide, so that several
// independent chains hide the latency: 128 and 64 columns in AVX-512, 64 and 32 in AVX2.
func gemmRow(w *writer, name string, regs int) {
	w.raw(fmt.Sprintf("\n// func %[1]s%[2]s(t *tile)\nTEXT ·%[1]s%[2]s(SB), NOSPLIT, $0-8\n", name, w.suffix))
	w.op("MOVQ t+0(FP), AX")
	w.op("MOVQ 0(AX), SI")
	w.op("MOVQ 8(AX), DI")
	w.op("MOVQ 16(AX), DX")
	w.op("MOVQ 32(AX), R8")
	w.op("MOVQ 40(AX), R13")
	w.op("MOVQ 56(AX), CX")
	w.op("MOVQ 72(AX), R15")
	w.op("MOVQ 88(AX), R9")
	w.op("LEAQ (R9)(R9*2), R10")
	perPanel := panelBytes / w.size
	addr := func(i int) string {
		off := i % perPanel * w.size
		return fmt.Sprintf("%d(DI)%s", off, []string{"", "(R9*1)", "(R9*2)", "(R10*1)"}[i/perPanel])
	}
	w.op("TESTQ R15, R15")
	w.op("JEQ rowZero")
	for i := range regs {
		w.op("VMOVUPS %d(DX), %s", i*w.size, w.vec(i))
	}
	w.op("JMP rowTest")
	w.label("rowZero")
	for i := range regs {
		w.zero(w.vec(i))
	}
	w.label("rowTest")
	w.op("TESTQ CX, CX")
	w.op("JEQ rowStore")
	w.label("rowLoop")
	w.op("VBROADCASTSS (SI), %s", w.vec(8))
	for i := range regs {
		w.op("VFMADD231PS %s, %s, %s", addr(i), w.vec(8), w.vec(i))
	}
	w.op("ADDQ R8, SI")
	w.op("ADDQ R13, DI")
	w.op("DECQ CX")
	w.op("JNE rowLoop")
	w.label("rowStore")
	for i := range regs {
		w.op("VMOVUPS %s, %d(DX)", w.vec(i), i*w.size)
	}
	w.op("VZEROUPPER")
	w.op("RET")
}

// dispatch jumps to the loop for the number of rows in AX, the largest first.
func dispatch(w *writer, variant string) {
	for rows := w.rows; rows > 1; rows-- {
		w.op("CMPQ AX, $%d", rows)
		w.op("JEQ %s%d", variant, rows)
	}
	w.op("JMP %s1", variant)
}

// loadMasks turns the column bits in BX into mask registers: K1, K2, or Y14, Y15.
func (w *writer) loadMasks() {
	if w.width == 16 {
		w.op("KMOVW BX, K1")
		w.op("SHRQ $16, BX")
		w.op("KMOVW BX, K2")
		return
	}
	w.op("VMOVD BX, X14")
	w.op("VPBROADCASTD X14, Y14")
	w.op("VPSRLD $8, Y14, Y15")
	w.op("VPAND laneBits<>(SB), Y14, Y14")
	w.op("VPAND laneBits<>(SB), Y15, Y15")
	w.op("VPCMPEQD laneBits<>(SB), Y14, Y14")
	w.op("VPCMPEQD laneBits<>(SB), Y15, Y15")
}

func gemmTile(w *writer, rows int, masked bool) {
	variant := "full"
	if masked {
		variant = "masked"
	}
	acc := func(r, half int) string { return w.vec(2*r + half) }
	// The AVX2 mask registers are needed to load B, so the masked tile must leave them alone.
	b0, b1, bc := w.vec(28), w.vec(29), w.vec(30)
	if w.width == 8 {
		b0, b1, bc = w.vec(12), w.vec(13), w.vec(14)
		if masked {
			// 12 accumulators + 2 masks leave 2 registers; one half of B at a time.
			b0, b1, bc = w.vec(12), w.vec(12), w.vec(13)
		}
	}
	bases := []string{"SI", "R11", "R12"}
	addrA := func(r int) string {
		return []string{"(%s)", "(%s)(R9*1)", "(%s)(R9*2)", "(%s)(R10*1)"}[r%4]
	}

	w.label("%s%d", variant, rows)
	w.op("TESTQ R15, R15")
	w.op("JEQ %szero%d", variant, rows)
	w.op("MOVQ DX, BX")
	for r := range rows {
		w.load("(BX)", 0, masked, acc(r, 0))
		w.load(fmt.Sprintf("%d(BX)", w.size), 1, masked, acc(r, 1))
		if r+1 < rows {
			w.op("ADDQ R14, BX")
		}
	}
	w.op("JMP %stest%d", variant, rows)
	w.label("%szero%d", variant, rows)
	for r := range rows {
		w.zero(acc(r, 0))
		w.zero(acc(r, 1))
	}
	w.label("%stest%d", variant, rows)
	w.op("TESTQ CX, CX")
	w.op("JEQ %sstore%d", variant, rows)
	w.label("%sloop%d", variant, rows)
	if b0 != b1 {
		w.load("(DI)", 0, masked, b0)
		w.load(fmt.Sprintf("%d(DI)", w.size), 1, masked, b1)
		for r := range rows {
			w.op("VBROADCASTSS "+addrA(r)+", %s", bases[r/4], bc)
			w.op("VFMADD231PS %s, %s, %s", b0, bc, acc(r, 0))
			w.op("VFMADD231PS %s, %s, %s", b1, bc, acc(r, 1))
		}
	} else {
		for half := range 2 {
			w.load(fmt.Sprintf("%d(DI)", half*w.size), half, masked, b0)
			for r := range rows {
				w.op("VBROADCASTSS "+addrA(r)+", %s", bases[r/4], bc)
				w.op("VFMADD231PS %s, %s, %s", b0, bc, acc(r, half))
			}
		}
	}
	w.op("ADDQ R13, DI")
	for i := range (rows + 3) / 4 {
		w.op("ADDQ R8, %s", bases[i])
	}
	w.op("DECQ CX")
	w.op("JNE %sloop%d", variant, rows)
	w.label("%sstore%d", variant, rows)
	for r := range rows {
		w.store(acc(r, 0), 0, masked, "(DX)")
		w.store(acc(r, 1), 1, masked, fmt.Sprintf("%d(DX)", w.size))
		if r+1 < rows {
			w.op("ADDQ R14, DX")
		}
	}
	w.op("VZEROUPPER")
	w.op("RET")
}

// zero clears a register.
func (w *writer) zero(reg string) {
	if w.width == 16 {
		w.op("VPXORD %s, %s, %s", reg, reg, reg)
		return
	}
	w.op("VXORPS %s, %s, %s", reg, reg, reg)
}

// load reads one register of columns; masked reads touch only the valid columns.
func (w *writer) load(addr string, half int, masked bool, reg string) {
	switch {
	case !masked:
		w.op("VMOVUPS %s, %s", addr, reg)
	case w.width == 16:
		w.op("VMOVUPS.Z %s, K%d, %s", addr, half+1, reg)
	default:
		w.op("VMASKMOVPS %s, Y%d, %s", addr, 14+half, reg)
	}
}

// store writes one register of columns; masked writes touch only the valid columns.
func (w *writer) store(reg string, half int, masked bool, addr string) {
	switch {
	case !masked:
		w.op("VMOVUPS %s, %s", reg, addr)
	case w.width == 16:
		w.op("VMOVUPS %s, K%d, %s", reg, half+1, addr)
	default:
		w.op("VMASKMOVPS %s, Y%d, %s", reg, 14+half, addr)
	}
}

package main

import "fmt"

// packKernels writes the two copies that fill panels of B. AVX2 saturates the ports these use, so
// one version serves both instruction sets.
func packKernels(w *writer) {
	w.raw(`
// func copyPanelAVX2(dst, src *float32, stride uintptr, k int)
//
// k rows of 32 floats, stride bytes apart, become consecutive.
TEXT ·copyPanelAVX2(SB), NOSPLIT, $0-32
`)
	w.op("MOVQ dst+0(FP), DI")
	w.op("MOVQ src+8(FP), SI")
	w.op("MOVQ stride+16(FP), R8")
	w.op("MOVQ k+24(FP), CX")
	w.label("copyRow")
	for i := range 4 {
		w.op("VMOVUPS %d(SI), Y%d", 32*i, i)
	}
	for i := range 4 {
		w.op("VMOVUPS Y%d, %d(DI)", i, 32*i)
	}
	w.op("ADDQ R8, SI")
	w.op("ADDQ $128, DI")
	w.op("DECQ CX")
	w.op("JNE copyRow")
	w.op("VZEROUPPER")
	w.op("RET")

	w.raw(`
// func transposePanelAVX2(dst, src *float32, stride uintptr, blocks int)
//
// 8 rows of 8*blocks floats, stride bytes apart, become 8*blocks rows of 8 floats, 128 bytes apart.
TEXT ·transposePanelAVX2(SB), NOSPLIT, $0-32
`)
	w.op("MOVQ dst+0(FP), DI")
	w.op("MOVQ src+8(FP), SI")
	w.op("MOVQ stride+16(FP), R8")
	w.op("MOVQ blocks+24(FP), CX")
	w.op("LEAQ (R8)(R8*2), R9")
	w.op("LEAQ (SI)(R8*4), R10")
	w.label("transposeBlock")
	addr := func(row, off int) string {
		base := []string{"SI", "R10"}[row/4]
		index := []string{"", "(R8*1)", "(R8*2)", "(R9*1)"}[row%4]
		return fmt.Sprintf("%d(%s)%s", off, base, index)
	}
	// Register i holds row i%4 columns 4*(i/4).. in its low half and row i%4+4 in its high half,
	// so that transposing 4x4 within halves finishes the job.
	for i := range 8 {
		w.op("VMOVUPS %s, X%d", addr(i%4, 16*(i/4)), i)
	}
	for i := range 8 {
		w.op("VINSERTF128 $1, %s, Y%d, Y%d", addr(i%4+4, 16*(i/4)), i, i)
	}
	for h := range 2 {
		r := 4 * h
		w.op("VUNPCKLPS Y%d, Y%d, Y8", r+1, r)
		w.op("VUNPCKHPS Y%d, Y%d, Y9", r+1, r)
		w.op("VUNPCKLPS Y%d, Y%d, Y10", r+3, r+2)
		w.op("VUNPCKHPS Y%d, Y%d, Y11", r+3, r+2)
		w.op("VUNPCKLPD Y10, Y8, Y12")
		w.op("VUNPCKHPD Y10, Y8, Y13")
		w.op("VUNPCKLPD Y11, Y9, Y14")
		w.op("VUNPCKHPD Y11, Y9, Y15")
		for i := range 4 {
			w.op("VMOVUPS Y%d, %d(DI)", 12+i, 128*(r+i))
		}
	}
	w.op("ADDQ $32, SI")
	w.op("ADDQ $32, R10")
	w.op("ADDQ $1024, DI")
	w.op("DECQ CX")
	w.op("JNE transposeBlock")
	w.op("VZEROUPPER")
	w.op("RET")
}

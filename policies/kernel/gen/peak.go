package main

import "fmt"

// peakKernel writes a loop of independent fused multiply-adds, 12 registers times 2, the most a
// core can be asked for.
func peakKernel(w *writer) {
	w.raw(fmt.Sprintf("\n// func peak%[1]s(n int)\n//\n// 24*n fused multiply-adds of whole registers.\nTEXT ·peak%[1]s(SB), NOSPLIT, $0-8\n", w.suffix))
	w.op("MOVQ n+0(FP), CX")
	for i := range 14 {
		w.zero(w.vec(i))
	}
	w.label("again")
	for range 2 {
		for i := range 12 {
			w.op("VFMADD231PS %s, %s, %s", w.vec(12), w.vec(13), w.vec(i))
		}
	}
	w.op("DECQ CX")
	w.op("JNE again")
	w.op("VZEROUPPER")
	w.op("RET")
}

package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

func nothing() {}

// vectorKernels writes the kernels of vector_portable.go, which defines them.
func vectorKernels(w *writer) {
	w.loop(signature{name: "dot", pointers: []string{"x", "y"}, result: true},
		func() { w.clear(v(0)) },
		func(p []string) {
			w.get(p[0], v(1))
			w.get(p[1], v(2))
			w.accumulate("VFMADD231PS", v(0), v(3), v(1), v(2))
		},
		func() { w.fold("VADDPS") })
	w.loop(signature{name: "dot3", pointers: []string{"x", "y", "z"}, result: true},
		func() { w.clear(v(0)) },
		func(p []string) {
			w.get(p[0], v(1))
			w.get(p[1], v(2))
			w.mul(v(1), v(2), v(1))
			w.get(p[2], v(2))
			w.accumulate("VFMADD231PS", v(0), v(3), v(1), v(2))
		},
		func() { w.fold("VADDPS") })
	w.loop(signature{name: "sum", pointers: []string{"x"}, result: true},
		func() { w.clear(v(0)) },
		func(p []string) {
			w.get(p[0], v(1))
			w.accumulate("VADDPS", v(0), v(2), v(1))
		},
		func() { w.fold("VADDPS") })
	w.loop(signature{name: "max", pointers: []string{"x"}, result: true},
		func() { w.do("VMOVUPS", k(float32(math.Inf(-1))), v(0)) },
		func(p []string) {
			w.get(p[0], v(1))
			w.accumulate("VMAXPS", v(0), v(2), v(1))
		},
		func() { w.fold("VMAXPS") })

	w.loop(signature{name: "axpy", pointers: []string{"x", "y"}, scalars: []string{"a"}}, nothing,
		func(p []string) {
			w.get(p[0], v(0))
			w.get(p[1], v(1))
			w.fma(v(0), s(0), v(1))
			w.put(v(1), p[1])
		}, nothing)
	w.loop(signature{name: "scale", pointers: []string{"x"}, scalars: []string{"a"}}, nothing,
		func(p []string) {
			w.get(p[0], v(0))
			w.mul(v(0), s(0), v(0))
			w.put(v(0), p[0])
		}, nothing)
	for _, e := range []struct {
		name string
		op   func(x, y, dst operand)
	}{{"add", w.add}, {"mul", w.mul}} {
		w.loop(signature{name: e.name, pointers: []string{"dst", "x", "y"}}, nothing,
			func(p []string) {
				w.get(p[1], v(0))
				w.get(p[2], v(1))
				e.op(v(0), v(1), v(0))
				w.put(v(0), p[0])
			}, nothing)
	}
	w.loop(signature{name: "mulAdd", pointers: []string{"dst", "x", "y"}}, nothing,
		func(p []string) {
			w.get(p[1], v(0))
			w.get(p[2], v(1))
			w.get(p[0], v(2))
			w.fma(v(0), v(1), v(2))
			w.put(v(2), p[0])
		}, nothing)

	w.loop(signature{name: "exp", pointers: []string{"dst", "x"}}, nothing,
		func(p []string) {
			w.get(p[1], v(0))
			exp(w, v(0), v(1), v(2), v(3), v(4))
			w.put(v(0), p[0])
		}, nothing)
	w.loop(signature{name: "expSumShift", pointers: []string{"dst", "x"}, scalars: []string{"shift"}, result: true},
		func() { w.clear(v(0)) },
		func(p []string) {
			w.get(p[1], v(1))
			w.sub(v(1), s(0), v(1))
			exp(w, v(1), v(2), v(3), v(4), v(5))
			w.put(v(1), p[0])
			w.accumulate("VADDPS", v(0), v(2), v(1))
		},
		func() { w.fold("VADDPS") })
	w.loop(signature{name: "siluMul", pointers: []string{"dst", "gate", "up"}}, nothing,
		func(p []string) {
			w.get(p[1], v(5))
			sigmoid(w, v(5), v(0), v(1), v(2), v(3), v(4))
			w.mul(v(5), v(0), v(0))
			w.get(p[2], v(1))
			w.mul(v(0), v(1), v(0))
			w.put(v(0), p[0])
		}, nothing)
	w.loop(signature{name: "siluMulGrad", pointers: []string{"dgate", "dup", "gate", "up", "dy"}}, nothing,
		func(p []string) {
			w.get(p[2], v(5))
			sigmoid(w, v(5), v(0), v(1), v(2), v(3), v(4))
			w.mul(v(5), v(0), v(1)) // g*s
			w.do("VMOVUPS", k(1), v(2))
			w.sub(v(2), v(0), v(2))
			w.fma(v(1), v(2), v(0)) // s + g*s*(1-s)
			w.get(p[4], v(2))
			w.get(p[3], v(3))
			w.mul(v(2), v(3), v(3)) // dy*up
			w.mul(v(2), v(1), v(1))
			w.mul(v(3), v(0), v(0))
			w.put(v(1), p[1])
			w.put(v(0), p[0])
		}, nothing)

	w.loop(signature{name: "rmsScale", pointers: []string{"dst", "x", "w"}, scalars: []string{"rstd"}}, nothing,
		func(p []string) {
			w.get(p[1], v(0))
			w.get(p[2], v(1))
			w.mul(v(0), s(0), v(0))
			w.mul(v(0), v(1), v(0))
			w.put(v(0), p[0])
		}, nothing)
	w.loop(signature{name: "rmsGrad", pointers: []string{"dx", "dw", "x", "w", "dy"}, scalars: []string{"rstd", "coef"}}, nothing,
		func(p []string) {
			w.get(p[4], v(0))
			w.get(p[3], v(1))
			w.mul(v(1), v(0), v(1)) // w*dy
			w.get(p[2], v(2))
			w.mul(v(2), s(0), v(3))
			w.get(p[1], v(4))
			w.fma(v(0), v(3), v(4))
			w.put(v(4), p[1])
			w.nfma(v(2), s(1), v(1))
			w.mul(v(1), s(0), v(1))
			w.put(v(1), p[0])
		}, nothing)
	w.loop(signature{name: "rotate", pointers: []string{"a", "b", "cos", "sin"}}, nothing,
		func(p []string) {
			w.get(p[0], v(0))
			w.get(p[1], v(1))
			w.get(p[2], v(2))
			w.get(p[3], v(3))
			w.mul(v(0), v(2), v(4))
			w.nfma(v(1), v(3), v(4))
			w.mul(v(1), v(2), v(5))
			w.fma(v(0), v(3), v(5))
			w.put(v(4), p[0])
			w.put(v(5), p[1])
		}, nothing)
	w.loop(signature{name: "adamW", pointers: []string{"w", "grad", "m", "v"}, params: "p"}, nothing,
		func(p []string) {
			// Parameters in the order of adamStep.
			const gradScale, beta1, rest1, beta2, rest2, correct1, correct2, eps, decay, lr = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
			par := func(i int) operand { return param("DX", i) }
			w.get(p[1], v(0))
			w.mul(v(0), par(gradScale), v(0))
			w.mul(v(0), par(rest1), v(1))
			w.get(p[2], v(2))
			w.fma(par(beta1), v(2), v(1)) // m
			w.put(v(1), p[2])
			w.mul(v(0), v(0), v(0))
			w.mul(v(0), par(rest2), v(2))
			w.get(p[3], v(3))
			w.fma(par(beta2), v(3), v(2)) // v
			w.put(v(2), p[3])
			w.mul(v(2), par(correct2), v(2))
			w.do("VSQRTPS", v(2), v(2))
			w.add(v(2), par(eps), v(2))
			w.mul(v(1), par(correct1), v(1))
			w.div(v(1), v(2), v(1))
			w.get(p[0], v(3))
			w.fma(par(decay), v(3), v(1))
			w.nfma(par(lr), v(1), v(3))
			w.put(v(3), p[0])
		}, nothing)
	dotRows(w)
	sumSquares64(w)
	constants(w)
}

// The numbers of exp.go.
var (
	log2e = float32(0x1.715476p+0)
	ln2Hi = float32(0x1.62e43p-1)
	ln2Lo = float32(-0x1.05c61p-29)
	magic = float32(0x1.8p23)
	expC  = []float32{0.5, 0x1.555466p-3, 0x1.5552fep-5, 0x1.1257d2p-7, 0x1.6ff098p-10}
)

// exp writes x = e^x as exp32 does; t, n, r and q are scratch.
func exp(w *writer, x, t, n, r, q operand) {
	// The constant is the first source: min and max return the second if one is NaN.
	w.do("VMOVUPS", k(89), t)
	w.do("VMINPS", x, t, x)
	w.do("VMOVUPS", k(-104), t)
	w.do("VMAXPS", x, t, x)
	w.do("VMOVUPS", k(magic), t)
	w.fma(k(log2e), x, t)
	w.sub(t, k(magic), n)
	w.nfma(k(ln2Hi), n, x)
	w.nfma(k(ln2Lo), n, x) // r
	w.do("VMOVUPS", k(expC[4]), q)
	for i := 3; i >= 0; i-- {
		w.horner(x, k(expC[i]), q)
	}
	w.mul(x, x, r)
	w.fma(q, r, x)
	w.add(x, k(1), x)
	if w.width == 16 {
		w.do("VSCALEFPS", n, x, x)
		return
	}
	// 2^n as two powers, since n may lie outside the exponent range.
	w.do("VPSUBD", kBits(math.Float32bits(magic)), t, t)
	half := func(w *writer, h int) string { return "$1" }
	w.do("VPSRAD", half, t, n)
	w.do("VPSUBD", n, t, t)
	for _, e := range []operand{n, t} {
		w.do("VPADDD", kBits(127), e, e)
		w.do("VPSLLD", func(w *writer, h int) string { return "$23" }, e, e)
		w.mul(x, e, x)
	}
}

// sigmoid writes dst = 1/(1+e^-x); the rest is scratch.
func sigmoid(w *writer, x, dst, t, n, r, q operand) {
	w.do("VXORPS", kBits(1<<31), x, dst)
	exp(w, dst, t, n, r, q)
	w.add(dst, k(1), dst)
	w.do("VMOVUPS", k(1), t)
	w.div(t, dst, dst)
}

// dotRows writes the dot products of one vector with four rows at a time, which share the
// shuffles of the last folds. The length of a row is a multiple of 16.
//
// SI points at q, R8 to R11 at the rows, BX is the offset along them.
func dotRows(w *writer) {
	w.raw(fmt.Sprintf(`
// func dotRows%[1]s(dst, q, k *float32, stride uintptr, n, groups int)
//
// groups of four rows of n floats, stride bytes apart.
TEXT ·dotRows%[1]s(SB), NOSPLIT, $0-48
`, w.suffix))
	w.op("MOVQ dst+0(FP), DI")
	w.op("MOVQ q+8(FP), SI")
	w.op("MOVQ k+16(FP), R8")
	w.op("MOVQ stride+24(FP), DX")
	w.op("MOVQ n+32(FP), R12")
	w.op("MOVQ groups+40(FP), CX")
	w.op("SHLQ $2, R12")
	rows := []string{"R8", "R9", "R10", "R11"}
	w.label("group")
	for i := 1; i < 4; i++ {
		w.op("LEAQ (%s)(DX*1), %s", rows[i-1], rows[i])
	}
	for i := range 4 {
		w.clear(v(i))
	}
	w.op("XORQ BX, BX")
	w.label("along")
	w.get("SI", v(4))
	for i, r := range rows {
		w.fma(at(r), v(4), v(i))
	}
	w.op("ADDQ $64, BX")
	w.op("CMPQ BX, R12")
	w.op("JLT along")
	// 16 -> 8 -> 4 lanes each, then the last two folds for all four together.
	for i := range 4 {
		lo, hi := v(i)(w, 0), "Y9"
		if w.width == 16 {
			w.op("VEXTRACTF64X4 $1, %s, Y9", lo)
			lo = fmt.Sprintf("Y%d", i)
		} else {
			hi = v(i)(w, 1)
		}
		w.op("VADDPS %s, %s, Y%d", hi, lo, 10+i)
		w.op("VEXTRACTF128 $1, Y%d, X9", 10+i)
		w.op("VADDPS X9, X%d, X%d", 10+i, 10+i)
	}
	w.op("VUNPCKLPD X11, X10, X0")
	w.op("VUNPCKHPD X11, X10, X1")
	w.op("VADDPS X1, X0, X0")
	w.op("VUNPCKLPD X13, X12, X2")
	w.op("VUNPCKHPD X13, X12, X3")
	w.op("VADDPS X3, X2, X2")
	w.op("VSHUFPS $0x88, X2, X0, X1")
	w.op("VSHUFPS $0xdd, X2, X0, X3")
	w.op("VADDPS X3, X1, X1")
	w.op("VMOVUPS X1, (DI)")
	w.op("ADDQ $16, DI")
	w.op("LEAQ (R11)(DX*1), R8")
	w.op("DECQ CX")
	w.op("JNE group")
	w.op("VZEROUPPER")
	w.op("RET")
}

// sumSquares64 writes the sum of squares in 16 float64 lanes; the caller adds a tail and folds.
func sumSquares64(w *writer) {
	w.raw(fmt.Sprintf("\n// func sumSquares64%[1]s(x *float32, blocks int, acc *[16]float64)\nTEXT ·sumSquares64%[1]s(SB), NOSPLIT, $0-24\n", w.suffix))
	w.op("MOVQ x+0(FP), SI")
	w.op("MOVQ blocks+8(FP), CX")
	w.op("MOVQ acc+16(FP), DI")
	per := w.width / 2 // float64 in a register
	regs := 16 / per
	for i := range regs {
		w.zero(w.vec(i))
	}
	half := map[int]string{8: "X", 16: "Y"}[w.width]
	w.label("loop")
	for i := range regs {
		w.op("VMOVUPS %d(SI), %s%d", 4*per*i, half, 8+i)
	}
	for i := range regs {
		w.op("VCVTPS2PD %s%d, %s", half, 8+i, w.vec(8+i))
		w.op("VFMADD231PD %s, %s, %s", w.vec(8+i), w.vec(8+i), w.vec(i))
	}
	w.op("ADDQ $64, SI")
	w.op("DECQ CX")
	w.op("JNE loop")
	for i := range regs {
		w.op("VMOVUPS %s, %d(DI)", w.vec(i), 8*per*i)
	}
	w.op("VZEROUPPER")
	w.op("RET")
}

// constants writes the read-only data the kernels named.
func constants(w *writer) {
	w.raw("\n")
	for _, bits := range slices.Sorted(maps.Keys(w.constants)) {
		for i := range 64 / 8 {
			w.raw(fmt.Sprintf("DATA k%08x<>+%d(SB)/8, $0x%08x%08x\n", bits, 8*i, bits, bits))
		}
		w.raw(fmt.Sprintf("GLOBL k%08x<>(SB), RODATA|NOPTR, $64\n", bits))
	}
	if w.width == 8 {
		for i := range 8 {
			w.raw(fmt.Sprintf("DATA tailMask<>+%d(SB)/8, $-1\n", 8*i))
		}
		w.raw("GLOBL tailMask<>(SB), RODATA|NOPTR, $128\n")
	}
}

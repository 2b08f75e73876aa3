package main

import (
	"fmt"
	"math"
	"strings"
)

// The vector kernels are written once, for vectors of 16 lanes: one register in AVX-512, two in
// AVX2. An operand knows how to name its half h (always 0 in AVX-512).
type operand func(w *writer, h int) string

// v is the virtual vector register i: Z0 to Z5, or Y0 to Y11 in pairs.
func v(i int) operand {
	return func(w *writer, h int) string {
		if w.width == 16 {
			return fmt.Sprintf("Z%d", i)
		}
		return fmt.Sprintf("Y%d", 2*i+h)
	}
}

// s is a scalar held in every lane: Z12 or Z13, Y12 or Y13. Y14 and Y15 hold the mask of a tail.
func s(i int) operand {
	return func(w *writer, h int) string { return w.vec(12 + i) }
}

// k is a constant in every lane, in memory.
func k(c float32) operand { return kBits(math.Float32bits(c)) }

func kBits(bits uint32) operand {
	return func(w *writer, h int) string { return w.constant(bits) }
}

// param is field i of a block of parameters at base, each repeated in 16 lanes.
func param(base string, i int) operand {
	return func(w *writer, h int) string { return fmt.Sprintf("%d(%s)", 64*i, base) }
}

// constant returns the symbol of a constant repeated in 16 lanes.
func (w *writer) constant(bits uint32) string {
	if w.constants == nil {
		w.constants = make(map[uint32]bool)
	}
	w.constants[bits] = true
	return fmt.Sprintf("k%08x<>(SB)", bits)
}

// do writes one instruction for every half.
func (w *writer) do(name string, operands ...operand) {
	for h := range 16 / w.width {
		names := make([]string, len(operands))
		for i, o := range operands {
			names[i] = o(w, h)
		}
		w.op("%s %s", name, strings.Join(names, ", "))
	}
}

// at addresses the elements under way of the array at base.
func at(base string) operand {
	return func(w *writer, h int) string { return fmt.Sprintf("%d(%s)(BX*1)", 32*h, base) }
}

func maskOperand(w *writer, h int) string {
	if w.width == 16 {
		return "K1"
	}
	return fmt.Sprintf("Y%d", 14+h)
}

// get loads the elements under way; in a tail the absent lanes become 0.
func (w *writer) get(base string, dst operand) {
	switch {
	case !w.tail:
		w.do("VMOVUPS", at(base), dst)
	case w.width == 16:
		w.do("VMOVUPS.Z", at(base), maskOperand, dst)
	default:
		w.do("VMASKMOVPS", at(base), maskOperand, dst)
	}
}

// put stores the elements under way, in a tail only the present lanes.
func (w *writer) put(src operand, base string) {
	switch {
	case !w.tail:
		w.do("VMOVUPS", src, at(base))
	case w.width == 16:
		w.do("VMOVUPS", src, maskOperand, at(base))
	default:
		w.do("VMASKMOVPS", src, maskOperand, at(base))
	}
}

// add, mul, sub and div write dst = x op y.
func (w *writer) add(x, y, dst operand) { w.do("VADDPS", y, x, dst) }
func (w *writer) sub(x, y, dst operand) { w.do("VSUBPS", y, x, dst) }
func (w *writer) mul(x, y, dst operand) { w.do("VMULPS", y, x, dst) }
func (w *writer) div(x, y, dst operand) { w.do("VDIVPS", y, x, dst) }

// fma writes acc += x*y, nfma acc -= x*y; x may be in memory.
func (w *writer) fma(x, y, acc operand)  { w.do("VFMADD231PS", x, y, acc) }
func (w *writer) nfma(x, y, acc operand) { w.do("VFNMADD231PS", x, y, acc) }

// horner writes acc = acc*y + c.
func (w *writer) horner(y, c, acc operand) { w.do("VFMADD213PS", c, y, acc) }

// accumulate writes acc = name(operands, acc), leaving absent lanes of a tail untouched; tmp is
// scratch. The instruction must read acc where it writes it (fused) or as its last source.
func (w *writer) accumulate(name string, acc, tmp operand, sources ...operand) {
	fused := len(sources) == 2
	switch {
	case !w.tail && fused:
		w.do(name, sources[0], sources[1], acc)
	case !w.tail:
		w.do(name, acc, sources[0], acc)
	case w.width == 16 && fused:
		w.do(name, sources[0], sources[1], maskOperand, acc)
	case w.width == 16:
		w.do(name, acc, sources[0], maskOperand, acc)
	case fused:
		w.do("VMOVAPS", acc, tmp)
		w.do(name, sources[0], sources[1], tmp)
		w.do("VBLENDVPS", maskOperand, tmp, acc, acc)
	default:
		w.do(name, acc, sources[0], tmp)
		w.do("VBLENDVPS", maskOperand, tmp, acc, acc)
	}
}

// fold reduces the 16 lanes of virtual register 0 by halves with the instruction and leaves the
// result in X0. The half that moves is the first source, so that VMAXPS keeps the other on a tie.
func (w *writer) fold(name string) {
	if w.width == 16 {
		w.op("VEXTRACTF64X4 $1, Z0, Y1")
	}
	w.op("%s Y0, Y1, Y0", name)
	w.op("VEXTRACTF128 $1, Y0, X1")
	w.op("%s X0, X1, X0", name)
	w.op("VPERMILPD $1, X0, X1")
	w.op("%s X0, X1, X0", name)
	w.op("VMOVSHDUP X0, X1")
	w.op("%s X0, X1, X0", name)
}

// clear sets a virtual register to +0.
func (w *writer) clear(dst operand) {
	if w.width == 16 {
		w.do("VPXORD", dst, dst, dst)
		return
	}
	w.do("VXORPS", dst, dst, dst)
}

// signature describes the Go declaration of a kernel: pointers, then n, then scalars.
type signature struct {
	name     string
	pointers []string
	scalars  []string // float32, loaded into s(0), s(1)
	params   string   // pointer to a parameter block, kept in DX
	result   bool     // returns a float32
}

// bases gives each pointer its register.
var bases = []string{"SI", "DI", "R8", "R9", "R10", "R11", "R12"}

// loop writes a kernel that walks its arrays 16 elements at a time. body writes the code for the
// elements under way, given the registers of the pointers; it runs a second time for the tail.
func (w *writer) loop(sig signature, before func(), body func(p []string), after func()) {
	decl := strings.Join(sig.pointers, ", ") + " *float32, n int"
	size := 8 * (len(sig.pointers) + 1)
	offsets := map[string]int{}
	for _, sc := range sig.scalars {
		offsets[sc] = size
		size += 4
		decl += ", " + sc + " float32"
	}
	if sig.params != "" {
		offsets[sig.params] = size
		size += 8
		decl += ", " + sig.params + " *[10][16]float32"
	}
	ret, declRet := "", ""
	if sig.result {
		size = (size + 7) &^ 7
		ret = fmt.Sprintf("ret+%d(FP)", size)
		size += 4
		declRet = " float32"
	}
	w.raw(fmt.Sprintf("\n// func %s%s(%s)%s\nTEXT ·%s%s(SB), NOSPLIT, $0-%d\n",
		sig.name, w.suffix, decl, declRet, sig.name, w.suffix, size))
	for i, p := range sig.pointers {
		w.op("MOVQ %s+%d(FP), %s", p, 8*i, bases[i])
	}
	w.op("MOVQ n+%d(FP), CX", 8*len(sig.pointers))
	for i, sc := range sig.scalars {
		w.op("VBROADCASTSS %s+%d(FP), %s", sc, offsets[sc], s(i)(w, 0))
	}
	if sig.params != "" {
		w.op("MOVQ %s+%d(FP), DX", sig.params, offsets[sig.params])
	}
	before()
	w.op("XORQ BX, BX")
	w.op("SUBQ $16, CX")
	w.op("JLT tail")
	w.label("loop")
	body(bases)
	w.op("ADDQ $64, BX")
	w.op("SUBQ $16, CX")
	w.op("JGE loop")
	w.label("tail")
	w.op("ADDQ $16, CX")
	w.op("JEQ done")
	if w.width == 16 {
		w.op("MOVL $1, AX")
		w.op("SHLL CX, AX")
		w.op("DECL AX")
		w.op("KMOVW AX, K1")
	} else {
		w.op("LEAQ tailMask<>+64(SB), AX")
		w.op("SHLQ $2, CX")
		w.op("SUBQ CX, AX")
		w.op("VMOVUPS 0(AX), Y14")
		w.op("VMOVUPS 32(AX), Y15")
	}
	w.tail = true
	body(bases)
	w.tail = false
	w.label("done")
	after()
	if sig.result {
		w.op("VMOVSS X0, %s", ret)
	}
	w.op("VZEROUPPER")
	w.op("RET")
}

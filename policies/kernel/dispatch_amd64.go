package kernel

import "golang.org/x/sys/cpu"

// supported lists the implementations this processor can run, the fastest first.
func supported() []level {
	levels := []level{portable}
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		levels = append([]level{avx2}, levels...)
		if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
			levels = append([]level{avx512}, levels...)
		}
	}
	return levels
}

//go:noescape
func tileAVX512(t *tile)

//go:noescape
func tileAVX2(t *tile)

//go:noescape
func rowAVX512(t *tile)

//go:noescape
func rowAVX2(t *tile)

//go:noescape
func halfRowAVX512(t *tile)

//go:noescape
func halfRowAVX2(t *tile)

// peakAVX512 does 24*n fused multiply-adds of whole registers, whose results nobody reads.
func peakAVX512(n int)

func peakAVX2(n int)

//go:noescape
func copyPanelAVX2(dst, src *float32, stride uintptr, k int)

//go:noescape
func transposePanelAVX2(dst, src *float32, stride uintptr, blocks int)

// copyPanel makes k rows of 32 floats, stride bytes apart, consecutive.
func copyPanel(dst, src *float32, stride uintptr, k int) { copyPanelAVX2(dst, src, stride, k) }

// transposePanel writes 8 rows of 8*blocks floats, stride bytes apart, as columns of a panel.
func transposePanel(dst, src *float32, stride uintptr, blocks int) {
	transposePanelAVX2(dst, src, stride, blocks)
}

// runRow computes a tile of one row, four times as wide as that of runTile.
func runRow(l level, t *tile) {
	if l == avx512 {
		rowAVX512(t)
	} else {
		rowAVX2(t)
	}
}

// runHalfRow computes a tile of one row, twice as wide as that of runTile.
func runHalfRow(l level, t *tile) {
	if l == avx512 {
		halfRowAVX512(t)
	} else {
		halfRowAVX2(t)
	}
}

// runTile computes one tile; avx512 takes up to 12 rows x 32 columns, avx2 6 x 16.
func runTile(l level, t *tile) {
	if l == avx512 {
		tileAVX512(t)
	} else {
		tileAVX2(t)
	}
}

// pause waits a moment without loading the core; n is at least 1.
//
//go:noescape
func pause(n int)

// peakLoop does 24*n*lanes independent fused multiply-adds and returns lanes.
func peakLoop(n int) (lanes int) {
	switch best() {
	case avx512:
		peakAVX512(n)
		return 16
	case avx2:
		peakAVX2(n)
		return 8
	default:
		return peakPortable(n)
	}
}

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

// runTile computes one tile; avx512 takes up to 12 rows x 32 columns, avx2 6 x 16.
func runTile(l level, t *tile) {
	if l == avx512 {
		tileAVX512(t)
	} else {
		tileAVX2(t)
	}
}

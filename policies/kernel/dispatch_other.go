//go:build !amd64

package kernel

import "runtime"

func supported() []level { return []level{portable} }

func runTile(level, *tile) { panic("kernel: no tile kernel on this processor") }

func runRow(level, *tile) { panic("kernel: no tile kernel on this processor") }

func runHalfRow(level, *tile) { panic("kernel: no tile kernel on this processor") }

func copyPanel(_, _ *float32, _ uintptr, _ int) { panic("kernel: no packing kernel on this processor") }

func transposePanel(_, _ *float32, _ uintptr, _ int) {
	panic("kernel: no packing kernel on this processor")
}

// pause waits a moment; without the instruction for it, by yielding.
func pause(int) { runtime.Gosched() }

func peakLoop(n int) (lanes int) { return peakPortable(n) }

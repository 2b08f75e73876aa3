//go:build !amd64

package kernel

func supported() []level { return []level{portable} }

func runTile(level, *tile) { panic("kernel: no tile kernel on this processor") }

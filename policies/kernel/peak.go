package kernel

import (
	"runtime"
	"time"
)

// MeasurePeak measures the most float32 arithmetic one core does with the fastest implementation
// of this processor, in GFLOP/s, a fused multiply-add counting as two operations. It takes about
// 20 ms, keeps the best of short runs and so sees through brief disturbances; benchmarks report
// their share of it.
func MeasurePeak() float64 {
	const runs = 40
	best := 0.0
	n := 1
	for done := 0; done < runs; {
		start := time.Now()
		lanes := peakLoop(n)
		elapsed := time.Since(start)
		if elapsed < 400*time.Microsecond {
			n *= 2 // too short to time
			continue
		}
		done++
		best = max(best, 2*24*float64(n)*float64(lanes)/elapsed.Seconds()/1e9)
	}
	return best
}

// peakPortable does 24*n emulated fused multiply-adds.
func peakPortable(n int) (lanes int) {
	var acc [24]float32
	for range n {
		for i := range acc {
			acc[i] = fma32(peakFactor, peakFactor, acc[i])
		}
	}
	runtime.KeepAlive(acc)
	return 1
}

// peakFactor is a variable, so that the compiler cannot compute the loop away.
var peakFactor float32

package kernel

import "testing"

func TestMeasuredPeakIsPlausible(t *testing.T) {
	// No processor that runs this does fewer than 10 million or more than 2 trillion a second.
	if p := MeasurePeak(); p < 0.01 || p > 2000 {
		t.Errorf("peak %g GFLOP/s", p)
	} else {
		t.Logf("%.1f GFLOP/s", p)
	}
}

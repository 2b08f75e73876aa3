package datasets

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// Whatever a damaged file makes the library do must come back as rows or as an error.
func TestADamagedParquetFileNeverPanics(t *testing.T) {
	sound, err := os.ReadFile("testdata/verl.parquet")
	if err != nil {
		t.Fatal(err)
	}
	refused, step := 0, 3
	if testing.Short() {
		step = 29
	}
	start := time.Now()
	for i := 0; i < len(sound); i += step {
		damaged := bytes.Clone(sound)
		damaged[i] ^= 0x55
		if err := readParquet(bytes.NewReader(damaged), int64(len(damaged)), func(int, record, error) bool { return true }); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
	t.Logf("%d of %d damaged files refused in %v", refused, (len(sound)+step-1)/step, time.Since(start))
}

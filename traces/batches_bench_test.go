package traces

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkBatches reads the columns that a report needs, all columns, and what filters leave.
func BenchmarkBatches(b *testing.B) {
	dir := b.TempDir()
	const steps, perStep = 16, 1024
	for step := range steps {
		rows := make([]Trace, perStep)
		for i := range rows {
			rows[i] = *benchTrace(200)
			rows[i].Step, rows[i].Level = int64(step+1), int32(i%5)+1
			rows[i].Group = fmt.Sprintf("g%09d", (step*perStep+i)/16)
			rows[i].ID = fmt.Sprintf("%s/%d", rows[i].Group, i%16)
		}
		if err := WriteSegment(filepath.Join(dir, TracesDir), SegmentName(int64(step+1), ""), rows, nil); err != nil {
			b.Fatal(err)
		}
	}
	r, err := OpenRun(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		f       Filter
		columns []string
	}{
		{"four columns", Filter{}, []string{"id", "group", "verdict", "status"}},
		{"all columns", Filter{}, Columns()},
		{"one group", Filter{Group: "g000000300"}, Columns()},
		{"one level, four columns", Filter{Level: 3}, []string{"id", "group", "verdict", "status"}},
		{"nothing", Filter{Level: 9}, Columns()},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range r.Batches(c.f, c.columns...) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*steps*perStep), "ns/row")
		})
	}
}

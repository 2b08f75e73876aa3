package analysis

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pith/traces"
	"pith/traces/synthetic"
)

// benchLog is a synthetic log of 20,480 traces, or of as many as PITH_BENCH_TRACES says.
func benchLog(b *testing.B) (string, int) {
	b.Helper()
	n := 20480
	if text := os.Getenv("PITH_BENCH_TRACES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	dir := filepath.Join(b.TempDir(), "run")
	if err := synthetic.Write(dir, synthetic.Options{Traces: n, Seed: 1}); err != nil {
		b.Fatal(err)
	}
	return dir, n
}

// perMillion reports what a log of a million traces takes at the same rate.
func perMillion(b *testing.B, n int) {
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(n)*1e6, "s/10⁶traces")
}

func BenchmarkSummarize(b *testing.B) {
	dir, n := benchLog(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Summarize([]string{dir}); err != nil {
			b.Fatal(err)
		}
	}
	perMillion(b, n)
}

// BenchmarkLedger sets the pass of the accounting over batches beside the same pass a row at a time.
func BenchmarkLedger(b *testing.B) {
	dir, n := benchLog(b)
	log, err := traces.OpenRun(dir)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("batches", func(b *testing.B) {
		for b.Loop() {
			var l ledger
			if errs := Observe(log, traces.Filter{}, &l); len(errs) > 0 || l.rows != int64(n) {
				b.Fatal(l.rows, errs)
			}
		}
		perMillion(b, n)
	})
	b.Run("rows", func(b *testing.B) {
		type row struct {
			ID      string         `parquet:"id"`
			Group   string         `parquet:"group"`
			Verdict traces.Verdict `parquet:"verdict,dict"`
			Status  traces.Status  `parquet:"status,dict"`
		}
		for b.Loop() {
			var l ledger
			for r, err := range traces.Scan[row](log, traces.Filter{}) {
				if err != nil {
					b.Fatal(err)
				}
				l.Observe(&traces.Batch{Rows: []traces.Trace{{ID: r.ID, Group: r.Group, Verdict: r.Verdict, Status: r.Status}}})
			}
		}
		perMillion(b, n)
	})
}

func BenchmarkBreakdown(b *testing.B) {
	dir, n := benchLog(b)
	log, err := traces.OpenRun(dir)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		down, err := NewBreakdown("level")
		if err != nil {
			b.Fatal(err)
		}
		if errs := Observe(log, traces.Filter{}, down); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
	perMillion(b, n)
}

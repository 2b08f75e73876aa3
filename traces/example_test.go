package traces_test

import (
	"fmt"
	"os"
	"path/filepath"

	"pith/traces"
)

// Reading two columns of a log: the others are neither read nor decompressed.
func ExampleScan() {
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	row := traces.Trace{
		Run: "demo", Step: 1, Split: "train", Group: "g1", ID: "g1/0", Tokens: []int32{7, 2}, LogProbs: []float32{-0.5, 0},
		Segments: []traces.Segment{{Kind: traces.Answer, Start: 0, End: 2, Train: true}},
		Spans:    []traces.Span{{Policy: "base", Start: 0, End: 2}}, Finish: traces.FinishStop, LengthTokens: 2, Verdict: traces.Right,
	}
	if err := traces.WriteSegment(filepath.Join(dir, traces.TracesDir), traces.SegmentName(1, ""), []traces.Trace{row}, nil); err != nil {
		fmt.Println(err)
		return
	}
	run, err := traces.OpenRun(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	type slim struct {
		ID      string         `parquet:"id"`
		Tokens  int32          `parquet:"length_tokens"`
		Verdict traces.Verdict `parquet:"verdict,dict"`
	}
	for t, err := range traces.Scan[slim](run, traces.Filter{FromStep: 1}) {
		if err != nil {
			fmt.Println(err) // one file cannot be read; the loop goes on with the next
			continue
		}
		fmt.Println(t.ID, t.Tokens, t.Verdict)
	}
	// Output: g1/0 2 right
}

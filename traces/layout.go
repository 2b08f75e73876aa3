package traces

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names inside a run directory.
const (
	TracesDir    = "traces"  // training: one segment a step
	EvalsDir     = "evals"   // held-out evaluations: one segment a step and decoding
	TimingsDir   = "timings" // segments that [CompactTimings] folds into TimingsFile
	StepsFile    = "steps.parquet"
	EvalsFile    = "evals.parquet"
	TimingsFile  = "timings.parquet"
	ManifestFile = "manifest.json"
)

// SegmentName names the segment of a learner step: step-000020.parquet, or with a suffix (the
// decoding of an evaluation) step-000020-greedy.parquet.
func SegmentName(step int64, suffix string) string {
	if suffix != "" {
		suffix = "-" + suffix
	}
	return fmt.Sprintf("step-%06d%s.parquet", step, suffix)
}

// ParseSegmentName is the inverse of [SegmentName].
func ParseSegmentName(name string) (step int64, suffix string, ok bool) {
	rest, found := strings.CutPrefix(name, "step-")
	if !found {
		return 0, "", false
	}
	if rest, found = strings.CutSuffix(rest, ".parquet"); !found {
		return 0, "", false
	}
	digits, suffix, dashed := strings.Cut(rest, "-")
	step, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || step < 0 || (dashed && suffix == "") || SegmentName(step, suffix) != name {
		return 0, "", false
	}
	return step, suffix, true
}

// Segment files found in a directory, by step and then by suffix.
type segmentFile struct {
	path   string
	step   int64
	suffix string
}

// listSegments returns the segments under run/sub and, apart, the names that are none. Hidden
// files are what an interrupted write leaves behind; they are neither.
func listSegments(fsys FS, run, sub string) (found []segmentFile, foreign []string, err error) {
	dir := filepath.Join(run, sub)
	names, err := fsys.List(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		step, suffix, ok := ParseSegmentName(name)
		if !ok {
			foreign = append(foreign, filepath.Join(dir, name))
			continue
		}
		found = append(found, segmentFile{filepath.Join(dir, name), step, suffix})
	}
	slices.SortFunc(found, func(a, b segmentFile) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.suffix, b.suffix))
	})
	slices.Sort(foreign)
	return found, foreign, nil
}

// Sort orders rows by step, group, sample and id: the order of a segment, which makes its bytes
// independent of the order of arrival.
func Sort(rows []Trace) {
	slices.SortFunc(rows, func(a, b Trace) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Sample, b.Sample), cmp.Compare(a.ID, b.ID))
	})
}

package rewards

import (
	"encoding/json"
	"slices"
)

// laserTargets are the adaptive targets of LASER-D and -DE and the lengths from which the next ones
// will be estimated.
type laserTargets struct {
	o *laserDParams

	Targets [3]int   `json:"targets"` // by level; 0: none estimated yet
	Lengths [3][]int `json:"lengths"` // by band, since the last estimate
	Samples int      `json:"samples"` // largest group since the last estimate
	Steps   int      `json:"steps"`   // observed so far
}

func (t *laserTargets) at(level int) int {
	if t.Targets[level] > 0 {
		return t.Targets[level]
	}
	return [...]int{easy: t.o.TargetEasy, medium: t.o.TargetMedium, hard: t.o.TargetHard}[level]
}

func (t *laserTargets) observe(views []view) {
	for i := range views {
		v := &views[i]
		if v.n() == 0 {
			continue
		}
		good := 0
		for j, right := range v.right {
			if right && v.s[j].Formatted {
				good++
			}
		}
		band := laserBand(good, v.n())
		for _, s := range v.s {
			t.Lengths[band] = append(t.Lengths[band], s.Tokens)
		}
		t.Samples = max(t.Samples, v.n())
	}
	t.Steps++
	if (t.Steps-1)%t.o.MonitorEvery == 0 {
		t.estimate()
	}
}

// laserBand is the band of a monitored problem: above 2/3, above 1/3, or below. The boundaries
// belong to the other side than in laserLevel, as in the code.
func laserBand(right, n int) int {
	switch {
	case 3*right > 2*n:
		return easy
	case 3*right > n:
		return medium
	}
	return hard
}

func (t *laserTargets) estimate() {
	longest := 0
	for _, band := range t.Lengths {
		for _, l := range band {
			longest = max(longest, l)
		}
	}
	if longest == 0 {
		return
	}
	candidates := laserCandidates(t.o.CandidateMin, t.o.CandidateBy, t.o.CandidateMax)
	for level := range t.Targets {
		t.Targets[level] = laserTarget(t.Lengths[level], laserNeeded(level, t.Samples, t.o.Coverage), candidates, longest)
	}
	t.Lengths, t.Samples = [3][]int{}, 0
}

// laserNeeded is the number of samples, of k, among which one has to be covered.
func laserNeeded(level, k int, coverage string) int {
	up := 0
	if coverage == "ceil" {
		up = 2
	}
	switch level {
	case easy:
		return max((2*k+up)/3, 1)
	case medium:
		return max((k+up)/3, 1)
	}
	return 1
}

// laserCandidates runs from least to most; a least below the step is followed by multiples of it.
func laserCandidates(least, by, most int) []int {
	candidates := []int{least}
	next := least + by
	if least < by {
		next = by
	}
	for ; next <= most; next += by {
		candidates = append(candidates, next)
	}
	return candidates
}

// laserTarget is the smallest candidate below the longest response that covers at least 1/needed
// of the band's lengths; the longest where there is none.
func laserTarget(lengths []int, needed int, candidates []int, longest int) int {
	sorted := slices.Sorted(slices.Values(lengths))
	for _, candidate := range candidates {
		if candidate >= longest {
			break
		}
		covered, _ := slices.BinarySearch(sorted, candidate+1)
		if len(sorted) > 0 && covered*needed >= len(sorted) {
			return candidate
		}
	}
	return longest
}

func (t *laserTargets) save() ([]byte, error) { return json.Marshal(t) }

func (t *laserTargets) load(state []byte) error { return loadJSON(state, t) }

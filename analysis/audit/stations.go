package audit

import (
	"fmt"
	"math"
	"slices"
)

// Station is a place in the pipeline.
type Station int

// The stations in the order of the flow.
const (
	Generated Station = iota // released and answered, failures with their length so far included
	Graded                   // has a verdict: right or wrong
	Kept                     // not removed by a filter
	Trained                  // took part in the update with an advantage that is not 0
	stations
)

var stationNames = [...]string{"generated", "graded", "kept", "trained"}

func (s Station) String() string { return stationNames[s] }

// Distribution is the lengths, in tokens, that arrive at a station.
type Distribution struct {
	Station string  `json:"station"`
	Count   int     `json:"count"`
	Mean    float64 `json:"mean"`
	Median  float64 `json:"median"`
	P90     float64 `json:"p90"`
	// Moved is how far the mean is from that of the station before, relative to it; Chance the size
	// of such a move that leaving out as many responses at random stays within 99 % of the time.
	Moved  float64 `json:"moved"`
	Chance float64 `json:"chance"`
}

// Warning names a station that moves the distribution.
type Warning struct {
	Station   string  `json:"station"`
	Moved     float64 `json:"moved"`     // relative, of the mean
	Explained string  `json:"explained"` // what the method means by it; "" where nothing explains it
	Sentence  string  `json:"sentence"`
}

// MinMove is the relative move of the mean below which nothing is said.
const MinMove = 0.02

// Audit adds up lengths. It is not safe for concurrent use. Memory grows with the number of distinct
// lengths.
type Audit struct {
	lengths [stations]map[int]int
}

// Add takes a response of the given length that got as far as last.
func (a *Audit) Add(length int, last Station) {
	for s := Generated; s <= last; s++ {
		if a.lengths[s] == nil {
			a.lengths[s] = map[int]int{}
		}
		a.lengths[s][length]++
	}
}

// Merge adds what another audit has seen.
func (a *Audit) Merge(b *Audit) {
	for s := range a.lengths {
		for length, n := range b.lengths[s] {
			if a.lengths[s] == nil {
				a.lengths[s] = map[int]int{}
			}
			a.lengths[s][length] += n
		}
	}
}

// Distributions are the stations in order, nil where nothing was added.
func (a *Audit) Distributions() []Distribution {
	if len(a.lengths[Generated]) == 0 {
		return nil
	}
	out := make([]Distribution, stations)
	before := moments{}
	for s := range stations {
		m := momentsOf(a.lengths[s])
		d := Distribution{Station: s.String(), Count: m.count, Mean: m.mean, Median: m.quantile(.5), P90: m.quantile(.9)}
		if s > Generated && m.count > 0 && before.mean > 0 {
			d.Moved = m.mean/before.mean - 1
			d.Chance = before.chance(m.count) / before.mean
		}
		out[s] = d
		before = m
	}
	return out
}

// Warnings names the stations that move the mean length by more than [MinMove] and more than chance.
// explain says why a method means to do that at a station, or "".
func (a *Audit) Warnings(explain func(Station) string) []Warning {
	var out []Warning
	for i, d := range a.Distributions() {
		if math.Abs(d.Moved) <= max(MinMove, d.Chance) {
			continue
		}
		w := Warning{Station: d.Station, Moved: d.Moved}
		if explain != nil {
			w.Explained = explain(Station(i))
		}
		way := "longer"
		if d.Moved < 0 {
			way = "shorter"
		}
		w.Sentence = fmt.Sprintf("Responses %s are on average %.0f %% %s than those %s", d.Station, 100*math.Abs(d.Moved), way, stationNames[i-1])
		if w.Explained != "" {
			w.Sentence += ", as is meant: " + w.Explained + "."
		} else {
			w.Sentence += ", and no reward explains it: what is learnt about length is partly this."
		}
		out = append(out, w)
	}
	return out
}

// moments describes one distribution.
type moments struct {
	count          int
	mean, variance float64 // of the population
	sorted         []int
	lengths        map[int]int
}

func momentsOf(lengths map[int]int) moments {
	m := moments{lengths: lengths}
	sum := 0.0
	for length, n := range lengths {
		m.count += n
		sum += float64(n) * float64(length)
		m.sorted = append(m.sorted, length)
	}
	if m.count == 0 {
		return m
	}
	slices.Sort(m.sorted)
	m.mean = sum / float64(m.count)
	for _, length := range m.sorted {
		d := float64(length) - m.mean
		m.variance += float64(lengths[length]) * d * d
	}
	m.variance /= float64(m.count)
	return m
}

// chance is the 99 % range of the mean when kept of the responses are drawn without replacement
// (Cochran 1977, section 2.6: variance σ²/n · (N-n)/(N-1)).
func (m moments) chance(kept int) float64 {
	if m.count < 2 {
		return 0
	}
	n, all := float64(kept), float64(m.count)
	return 2.5758293035489004 * math.Sqrt(m.variance/n*(all-n)/(all-1))
}

// quantile is the smallest length that at least a share q of responses do not exceed.
func (m moments) quantile(q float64) float64 {
	need, seen := q*float64(m.count), 0
	for _, length := range m.sorted {
		seen += m.lengths[length]
		if float64(seen) >= need {
			return float64(length)
		}
	}
	return 0
}

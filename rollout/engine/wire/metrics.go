package wire

import (
	"bytes"
	"strconv"
)

// Metrics reads Prometheus' text format, summing a name's samples over their labels. Most is the
// largest of them, for gauges that are shares.
type Metrics struct{ Sum, Most map[string]float64 }

// ParseMetrics reads what it can and passes over what it cannot.
func ParseMetrics(text []byte) Metrics {
	m := Metrics{Sum: map[string]float64{}, Most: map[string]float64{}}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		end := bytes.IndexAny(line, "{ ")
		if end < 1 {
			continue
		}
		name, rest := line[:end], line[end:]
		if rest[0] == '{' {
			at := bytes.LastIndexByte(rest, '}')
			if at < 0 {
				continue
			}
			rest = rest[at+1:]
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		v, err := strconv.ParseFloat(string(fields[0]), 64)
		if err != nil || v != v {
			continue
		}
		key := string(name)
		if old, ok := m.Most[key]; !ok || v > old {
			m.Most[key] = v
		}
		m.Sum[key] += v
	}
	return m
}

// First is the sum under the first of the names that is there.
func (m Metrics) First(names ...string) (float64, bool) {
	for _, n := range names {
		if v, ok := m.Sum[n]; ok {
			return v, true
		}
	}
	return 0, false
}

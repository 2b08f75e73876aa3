package evaluation

import (
	"pith/analysis/metrics"
	"pith/traces"
)

// markers adds up marker words by outcome.
type markers struct {
	by map[traces.Verdict]*marked
}

type marked struct {
	counts     map[string]int
	tokens     float64
	responses  int
	reflecting int
}

func newMarkers() *markers { return &markers{by: map[traces.Verdict]*marked{}} }

func (m *markers) add(t *traces.Trace) {
	x := m.by[t.Verdict]
	if x == nil {
		x = &marked{counts: map[string]int{}}
		m.by[t.Verdict] = x
	}
	found := metrics.Markers(t.Text)
	for kind, n := range found {
		x.counts[kind] += n
	}
	x.tokens += float64(t.LengthTokens)
	x.responses++
	if found[metrics.Reflection] > 0 {
		x.reflecting++
	}
}

// words are the counts for each outcome that occurs.
func (m *markers) words() []Words {
	out := []Words{}
	for _, verdict := range []traces.Verdict{traces.Right, traces.Wrong, traces.NoScore} {
		x := m.by[verdict]
		if x == nil || x.tokens == 0 {
			continue
		}
		w := Words{Outcome: string(verdict), Per: map[string]float64{}, Reflecting: float64(x.reflecting) / float64(x.responses)}
		for _, kind := range metrics.MarkerKinds {
			w.Per[kind] = float64(x.counts[kind]) / x.tokens * 1000
		}
		out = append(out, w)
	}
	return out
}

package sweep

import (
	"path/filepath"

	"pith/traces"
)

// Measure reads what finished runs of sweeps tell: the mean length of their responses, and how fast
// the machine was, the runs beside each other counted together.
func Measure(dirs []string) Measured {
	m := Measured{TokensPerResponse: map[string]float64{}}
	tokens, responses := map[string]float64{}, map[string]float64{}
	var all, seconds float64
	for _, dir := range dirs {
		s, err := ReadState(dir)
		if err != nil {
			continue // nothing to learn from
		}
		for _, r := range s.Runs {
			if r.Status != Done || r.From != "" {
				continue
			}
			t, n, ok := consumed(filepath.Join(dir, RunsDir, r.Name))
			if !ok || n == 0 {
				continue
			}
			m.Runs++
			tokens[r.Arm] += t
			responses[r.Arm] += n
			tokens[""] += t
			responses[""] += n
			if r.Seconds > 0 && r.Host == "" {
				all += t
				seconds += r.Seconds / float64(max(1, r.Parallel))
			}
		}
	}
	for arm, n := range responses {
		m.TokensPerResponse[arm] = tokens[arm] / n
	}
	if seconds > 0 {
		m.TokensPerSecond = all / seconds
	}
	return m
}

// consumed adds up what a run has sampled, evaluations included.
func consumed(dir string) (tokens, responses float64, ok bool) {
	log, err := traces.OpenRun(dir)
	if err != nil {
		return 0, 0, false
	}
	for s, err := range log.Steps() {
		if err != nil {
			return 0, 0, false
		}
		tokens += float64(s.GeneratedTokens)
		responses += float64(s.Traces)
	}
	for e, err := range log.Evals() {
		if err != nil {
			return 0, 0, false
		}
		tokens += e.TokensMean * float64(e.Samples)
		responses += float64(e.Samples)
	}
	return tokens, responses, true
}

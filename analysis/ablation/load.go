package ablation

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pith/configs"
	"pith/traces"
)

// loaded is what is read of a run: its evaluations, and the responses of the first and last.
type loaded struct {
	Run
	limit float64 // of an evaluation, in tokens
	evals []traces.Eval
	rows  map[evalKey][]answer
}

type evalKey struct {
	step     int64
	decoding string
}

// answer is what a comparison needs of a held-out response.
type answer struct {
	Step         int64          `parquet:"step"`
	Problem      string         `parquet:"problem"`
	Verdict      traces.Verdict `parquet:"verdict,dict"`
	Status       traces.Status  `parquet:"status,dict"`
	LengthTokens int32          `parquet:"length_tokens"`
}

func (a answer) failed() bool { return a.Status == traces.Failed || a.Status == traces.DeadLettered }

// last is the step of the last evaluation.
func (l *loaded) last() int64 {
	step := int64(0)
	for _, e := range l.evals {
		step = max(step, e.Step)
	}
	return step
}

func (l *loaded) eval(step int64, decoding string) (traces.Eval, bool) {
	i := slices.IndexFunc(l.evals, func(e traces.Eval) bool { return e.Step == step && e.Decoding == decoding })
	if i < 0 {
		return traces.Eval{}, false
	}
	return l.evals[i], true
}

// load reads a run directory.
func load(r Run) (*loaded, error) {
	l := &loaded{Run: r, rows: map[evalKey][]answer{}}
	fail := func(err error) (*loaded, error) { return nil, fmt.Errorf("compare %s: %w", r.Dir, err) }
	text, err := os.ReadFile(filepath.Join(r.Dir, traces.ManifestFile))
	if err != nil {
		return fail(err)
	}
	var manifest struct {
		Config configs.Config `json:"config"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		return fail(fmt.Errorf("%s is damaged: %w", traces.ManifestFile, err))
	}
	l.limit = float64(cmp.Or(manifest.Config.Eval.MaxTokens, manifest.Config.Rollout.MaxTokens))
	log, err := traces.OpenRun(r.Dir)
	if err != nil {
		return fail(err)
	}
	for e, err := range log.Evals() {
		if err != nil {
			return fail(err)
		}
		l.evals = append(l.evals, e)
	}
	if len(l.evals) == 0 {
		return fail(fmt.Errorf("it has not been evaluated"))
	}
	slices.SortStableFunc(l.evals, func(a, b traces.Eval) int { return cmp.Compare(a.Step, b.Step) })
	last := l.last()
	for _, decoding := range []string{sampled, greedy} {
		for row, err := range traces.Scan[answer](log, traces.Filter{Set: traces.Evaluations, Decoding: decoding}) {
			if err != nil {
				return fail(err)
			}
			if row.Step == 0 || row.Step == last {
				key := evalKey{row.Step, decoding}
				l.rows[key] = append(l.rows[key], row)
			}
		}
	}
	return l, nil
}

// Ways of decoding.
const (
	sampled = "sampled"
	greedy  = "greedy"
)

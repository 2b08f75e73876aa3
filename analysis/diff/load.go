package diff

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"pith/traces"
)

// Point is a policy: the one that a run evaluated after a step.
type Point struct {
	Dir      string
	Step     int64  // Last is the run's last evaluation
	Decoding string // greedy or sampled
}

// Last asks for a run's last evaluation, First for its first, that of the base policy.
const (
	Last  int64 = -1
	First int64 = 0
)

// Side is what is compared.
type Side struct {
	Dir      string  `json:"dir"`
	Run      string  `json:"run"`
	Method   string  `json:"method"`
	Seed     uint64  `json:"seed"`
	Step     int64   `json:"step"`
	Policy   string  `json:"policy"`
	Problems int     `json:"problems"` // responses to held-out problems
	Accuracy float64 `json:"accuracy"`
	Tokens   float64 `json:"tokens_mean"`
}

// row is what pairing reads of a response.
type row struct {
	Step    int64          `parquet:"step"`
	Problem string         `parquet:"problem"`
	Level   int32          `parquet:"level"`
	Verdict traces.Verdict `parquet:"verdict,dict"`
	Length  int32          `parquet:"length_tokens"`
	Status  traces.Status  `parquet:"status,dict"`
}

// key names one response: the n-th to a problem.
type key struct {
	problem string
	nth     int
}

// loaded is one side with its responses.
type loaded struct {
	side     Side
	run      *traces.Run
	decoding string
	config   map[string]any
	facts    map[string]string // of the manifest: fingerprints and versions
	rows     map[key]row
	order    []key
	evals    []traces.Eval
}

func load(p Point) (*loaded, error) {
	run, err := traces.OpenRun(p.Dir)
	if err != nil {
		return nil, err
	}
	l := &loaded{side: Side{Dir: p.Dir, Run: filepath.Base(p.Dir)}, run: run, decoding: p.Decoding, rows: map[key]row{}}
	if err := l.manifest(); err != nil {
		return nil, err
	}
	for e, err := range run.Evals() {
		if err != nil {
			return nil, err
		}
		if e.Decoding == p.Decoding {
			l.evals = append(l.evals, e)
		}
	}
	eval, err := l.choose(p)
	if err != nil {
		return nil, err
	}
	l.side.Step, l.side.Policy, l.side.Accuracy, l.side.Tokens = eval.Step, eval.Policy, eval.Accuracy, eval.TokensMean
	seen := map[string]int{}
	for r, err := range traces.Scan[row](run, l.filter()) {
		if err != nil {
			return nil, err
		}
		if r.Step > l.side.Step { // a filter cannot end at step 0
			break
		}
		k := key{r.Problem, seen[r.Problem]}
		seen[r.Problem]++
		if r.Status == traces.Failed || r.Status == traces.DeadLettered {
			continue
		}
		l.rows[k] = r
		l.order = append(l.order, k)
	}
	l.side.Problems = len(l.rows)
	return l, nil
}

func (l *loaded) filter() traces.Filter {
	return traces.Filter{Set: traces.Evaluations, FromStep: l.side.Step, ToStep: l.side.Step, Decoding: l.decoding}
}

// choose finds the evaluation that p names.
func (l *loaded) choose(p Point) (traces.Eval, error) {
	if len(l.evals) == 0 {
		return traces.Eval{}, fmt.Errorf("%s has no %s evaluation; pith report says what it has", p.Dir, p.Decoding)
	}
	if p.Step == Last {
		return l.evals[len(l.evals)-1], nil
	}
	i := slices.IndexFunc(l.evals, func(e traces.Eval) bool { return e.Step == p.Step })
	if i < 0 {
		var steps []string
		for _, e := range l.evals {
			steps = append(steps, fmt.Sprint(e.Step))
		}
		return traces.Eval{}, fmt.Errorf("%s has no %s evaluation after step %d; it has them after %s", p.Dir, p.Decoding, p.Step, strings.Join(steps, ", "))
	}
	return l.evals[i], nil
}

// manifest reads what is known of the run; one without a manifest is compared all the same.
func (l *loaded) manifest() error {
	path := filepath.Join(l.side.Dir, traces.ManifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m struct {
		Run     string         `json:"run"`
		Seed    uint64         `json:"seed"`
		Version string         `json:"version"`
		Kernel  string         `json:"kernel"`
		Dataset string         `json:"dataset"`
		Data    string         `json:"data_fingerprint"`
		Base    string         `json:"base_digest"`
		Config  map[string]any `json:"config"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	if m.Run != "" {
		l.side.Run = m.Run
	}
	l.side.Seed, l.config = m.Seed, m.Config
	l.facts = map[string]string{"version": m.Version, "kernel": m.Kernel, "dataset": m.Dataset, "data fingerprint": m.Data, "base policy": m.Base}
	for section, v := range m.Config {
		if rewards, ok := v.(map[string]any); ok && strings.EqualFold(section, "rewards") {
			for k, v := range rewards {
				if strings.EqualFold(k, "method") {
					l.side.Method = fmt.Sprint(v)
				}
			}
		}
	}
	return nil
}

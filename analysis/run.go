package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pith/configs"
	"pith/traces"
)

// runData is what is read of a run directory. Traces are read in projections: the texts of a run of
// a million long traces would not fit, their lengths do.
type runData struct {
	log      *traces.Run
	dir      string
	manifest manifest
	known    bool // the manifest is there
	steps    []traces.Step
	evals    []traces.Eval
	clock    []traces.Timing // of steps
	rows     map[evalKey][]evalRow
	ledger   ledger
	problems []string
}

// manifest is the part of manifest.json that a report reads.
type manifest struct {
	Run        string         `json:"run"`
	Hash       string         `json:"hash"`
	Seed       uint64         `json:"seed"`
	Version    string         `json:"version"`
	Kernel     string         `json:"kernel"`
	Dataset    string         `json:"dataset"`
	Data       string         `json:"data_fingerprint"`
	Base       string         `json:"base_digest"`
	Parameters int64          `json:"parameters"`
	Config     configs.Config `json:"config"`
}

type evalKey struct {
	step     int64
	decoding string
}

// evalRow is what a report needs of every held-out response.
type evalRow struct {
	Step         int64          `parquet:"step"`
	Problem      string         `parquet:"problem"`
	Level        int32          `parquet:"level"`
	Temperature  float64        `parquet:"temperature"`
	Verdict      traces.Verdict `parquet:"verdict,dict"`
	Finish       traces.Finish  `parquet:"finish,dict"`
	Status       traces.Status  `parquet:"status,dict"`
	LengthTokens int32          `parquet:"length_tokens"`
	PromptPrice  float64        `parquet:"prompt_price"`
	Price        float64        `parquet:"completion_price"`
}

// failed reports responses that count in no mean.
func (r evalRow) failed() bool {
	return r.Status == traces.Failed || r.Status == traces.DeadLettered
}

// load reads a run directory. Damage to single files becomes a problem in the report; a directory
// that is no run is an error.
func load(dir string) (*runData, error) {
	log, err := traces.OpenRun(dir)
	if err != nil {
		return nil, err
	}
	d := &runData{log: log, dir: dir, rows: map[evalKey][]evalRow{}}
	if err := d.readManifest(); err != nil {
		return nil, err
	}
	for s, err := range log.Steps() {
		if d.note(err) {
			d.steps = append(d.steps, s)
		}
	}
	for e, err := range log.Evals() {
		if d.note(err) {
			d.evals = append(d.evals, e)
		}
	}
	for t, err := range log.Timings() {
		if d.note(err) && t.ID == "" {
			d.clock = append(d.clock, t)
		}
	}
	for _, decoding := range []string{sampled, greedy} {
		for row, err := range traces.Scan[evalRow](log, traces.Filter{Set: traces.Evaluations, Decoding: decoding}) {
			if d.note(err) {
				key := evalKey{row.Step, decoding}
				d.rows[key] = append(d.rows[key], row)
			}
		}
	}
	d.ledger.read(d)
	if len(d.steps) == 0 && len(d.evals) == 0 && d.ledger.rows == 0 {
		d.problems = append(d.problems, "the log is empty: neither a step nor an evaluation has been committed")
	}
	return d, nil
}

// note records an error of the reader and reports whether there was none.
func (d *runData) note(err error) bool {
	if err != nil {
		d.problems = append(d.problems, err.Error())
	}
	return err == nil
}

func (d *runData) readManifest() error {
	path := filepath.Join(d.dir, traces.ManifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		d.problems = append(d.problems, "no "+traces.ManifestFile+": method, seed and settings are unknown")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read run: %w", err)
	}
	if err := json.Unmarshal(text, &d.manifest); err != nil {
		return fmt.Errorf("read run: %s is damaged: %w", path, err)
	}
	d.known = true
	return nil
}

// name is the run's own name, else that of its directory.
func (d *runData) name() string {
	if d.manifest.Run != "" {
		return d.manifest.Run
	}
	if absolute, err := filepath.Abs(d.dir); err == nil {
		return filepath.Base(absolute)
	}
	return filepath.Base(d.dir)
}

// Ways of decoding.
const (
	sampled = "sampled"
	greedy  = "greedy"
)

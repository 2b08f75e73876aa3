package analysis

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unique"

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
	stations stations
	problems []string

	// notes are the problems that the reader of the log met, and unreadable is the first file that
	// gave nothing, "" where all could be read.
	notes      []string
	unreadable string
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
	Step         int64
	Problem      string
	Level        int32
	Temperature  float64
	Verdict      traces.Verdict
	Finish       traces.Finish
	Status       traces.Status
	LengthTokens int32
	PromptPrice  float64
	Price        float64
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
	for t, err := range log.StepTimings() {
		if d.note(err) {
			d.clock = append(d.clock, t)
		}
	}
	// One pass over the held-out traces, one over the training traces. A section of the report that
	// needs more of them adds its observer here.
	d.noteAll(Observe(log, traces.Filter{Set: traces.Evaluations}, heldOut{d}))
	d.noteAll(Observe(log, traces.Filter{Set: traces.Training}, &d.ledger, &d.stations))
	d.ledger.finish()
	if len(d.steps) == 0 && len(d.evals) == 0 && d.ledger.rows == 0 {
		d.problems = append(d.problems, "the log is empty: neither a step nor an evaluation has been committed")
	}
	return d, nil
}

// note records an error of the reader and reports whether there was none.
func (d *runData) note(err error) bool {
	if err == nil {
		return true
	}
	d.problems = append(d.problems, err.Error())
	d.notes = append(d.notes, err.Error())
	if _, newer := traces.Newer(err); !newer && d.unreadable == "" {
		d.unreadable = err.Error()
	}
	return false
}

func (d *runData) noteAll(errs []error) {
	for _, err := range errs {
		d.note(err)
	}
}

// heldOut keeps what a report needs of every held-out response. Problems come up in every
// evaluation, so their names are kept once.
type heldOut struct{ d *runData }

func (heldOut) Columns() []string {
	return []string{"step", "problem", "level", "temperature", "verdict", "finish", "status", "length_tokens", "prompt_price", "completion_price"}
}

func (o heldOut) Observe(b *traces.Batch) {
	if b.Decoding != sampled && b.Decoding != greedy {
		return
	}
	for i := range b.Rows {
		t := &b.Rows[i]
		key := evalKey{t.Step, b.Decoding}
		o.d.rows[key] = append(o.d.rows[key], evalRow{
			Step: t.Step, Problem: unique.Make(t.Problem).Value(), Level: t.Level, Temperature: t.Temperature, Verdict: interned(t.Verdict),
			Finish: interned(t.Finish), Status: interned(t.Status), LengthTokens: t.LengthTokens, PromptPrice: t.PromptPrice, Price: t.CompletionPrice,
		})
	}
}

// interned returns a value of few kinds without the page that it was read from.
func interned[S ~string](s S) S { return S(unique.Make(string(s)).Value()) }

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

package live

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pith/configs"
	"pith/traces"
)

// Snapshot is the state of a run at one moment.
type Snapshot struct {
	Run    string `json:"run"`
	Method string `json:"method"`
	Seed   uint64 `json:"seed"`
	Done   int64  `json:"done"`  // committed steps
	Steps  int64  `json:"steps"` // of the config; 0 where unknown
	State  string `json:"state"` // waiting, running, quiet, finished
	// Left is the estimated time to the end, in seconds, from the last steps; 0 where unknown.
	Left    float64     `json:"left_seconds"`
	Curve   []StepPoint `json:"curve"`
	Evals   []EvalPoint `json:"evals"`
	Workers []Worker    `json:"workers"` // who sampled the latest step
	Waits   Waits       `json:"waits"`   // over the last [window] steps
	Queue   *Queue      `json:"queue"`   // null where the run's server was not asked
	Last    []Sample    `json:"last"`    // traces of the latest step
	// Problems are files that could not be read, one line each.
	Problems []string `json:"problems"`
}

// StepPoint is one learner step.
type StepPoint struct {
	Step      int64   `json:"step"`
	Accuracy  float64 `json:"accuracy"`
	Tokens    float64 `json:"tokens"` // mean of a response
	Right     float64 `json:"tokens_right"`
	Wrong     float64 `json:"tokens_wrong"`
	Truncated float64 `json:"truncated"`
	Reward    float64 `json:"reward"`
	Entropy   float64 `json:"entropy"`
	ToolCalls float64 `json:"tool_calls"`
	Failed    int64   `json:"failed"` // with dead letters
}

// EvalPoint is one held-out evaluation.
type EvalPoint struct {
	Step     int64   `json:"step"`
	Decoding string  `json:"decoding"`
	Problems int64   `json:"problems"`
	Accuracy float64 `json:"accuracy"`
	Tokens   float64 `json:"tokens"`
}

// Worker is who sampled traces of the latest step.
type Worker struct {
	Name   string  `json:"name"`
	Traces int     `json:"traces"`
	Queue  float64 `json:"queue_seconds"`  // mean from release to the first engine call
	Engine float64 `json:"engine_seconds"` // mean in the engine
}

// Waits are shares of the wall clock of the last steps.
type Waits struct {
	SecondsPerStep float64 `json:"seconds_per_step"`
	Trainer        float64 `json:"trainer"` // waited for traces
	Engine         float64 `json:"engine"`  // had nothing to decode
	Learn          float64 `json:"learn"`
}

// Queue is what the run's server holds.
type Queue struct {
	Queued   int `json:"queued"`   // tasks that no worker has
	Running  int `json:"running"`  // tasks in the hands of workers
	Outcomes int `json:"outcomes"` // traces not committed yet
}

// Sample is one trace of the latest step.
type Sample struct {
	ID      string  `json:"id"`
	Verdict string  `json:"verdict"`
	Tokens  int32   `json:"tokens"`
	Reward  float64 `json:"reward"`
	Prompt  string  `json:"prompt"`
	Text    string  `json:"text"`
}

// Run states.
const (
	Waiting  = "waiting" // no step has been committed
	Running  = "running"
	Quiet    = "quiet" // nothing was committed for longer than the last steps would explain
	Finished = "finished"
)

const (
	window  = 10 // steps of waits and of the estimate
	samples = 3  // traces shown
	textual = 600
)

// Source reads snapshots of one run directory. It is safe for concurrent use.
type Source struct {
	dir string
	// Ask returns the queues of the run's server; nil where none is known. Its errors leave the
	// queue out.
	Ask func() (Queue, error)
	now func() time.Time
}

// Open checks that dir is, or is becoming, a run directory.
func Open(dir string) (*Source, error) {
	if _, err := traces.OpenRun(dir); err != nil {
		return nil, err
	}
	return &Source{dir: dir, now: time.Now}, nil
}

// Snapshot reads the log. A file that cannot be read is among the problems; the rest is shown.
func (s *Source) Snapshot() Snapshot {
	x := Snapshot{Run: filepath.Base(s.dir), State: Waiting, Curve: []StepPoint{}, Evals: []EvalPoint{}, Workers: []Worker{}, Last: []Sample{}, Problems: []string{}}
	note := func(err error) bool {
		if err != nil && len(x.Problems) < 5 {
			x.Problems = append(x.Problems, err.Error())
		}
		return err == nil
	}
	s.manifest(&x, note)
	run, err := traces.OpenRun(s.dir)
	if !note(err) {
		return x
	}
	for r, err := range run.Steps() {
		if note(err) {
			x.Curve = append(x.Curve, StepPoint{
				r.Step, r.Accuracy, r.Lengths.All, r.Lengths.Right, r.Lengths.Wrong, r.Truncated, r.Reward, r.Entropy, r.ToolCalls, r.Failed + r.DeadLetter,
			})
		}
	}
	for e, err := range run.Evals() {
		if note(err) {
			x.Evals = append(x.Evals, EvalPoint{e.Step, e.Decoding, e.Problems, e.Accuracy, e.TokensMean})
		}
	}
	if n := len(x.Curve); n > 0 {
		x.Done = x.Curve[n-1].Step
		s.last(&x, run, note)
	}
	s.timings(&x, run, note)
	s.state(&x)
	if s.Ask != nil && x.State != Finished {
		if q, err := s.Ask(); err == nil {
			x.Queue = &q
		}
	}
	x.finite()
	return x
}

func (s *Source) manifest(x *Snapshot, note func(error) bool) {
	text, err := os.ReadFile(filepath.Join(s.dir, traces.ManifestFile))
	if !note(err) {
		return
	}
	var m struct {
		Run    string         `json:"run"`
		Seed   uint64         `json:"seed"`
		Config configs.Config `json:"config"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		note(fmt.Errorf("%s is damaged: %w", traces.ManifestFile, err))
		return
	}
	x.Run, x.Seed, x.Method, x.Steps = cmp.Or(m.Run, x.Run), m.Seed, m.Config.Rewards.Method, int64(m.Config.Run.Steps)
}

// shown are the columns of a sample.
type shown struct {
	Step    int64          `parquet:"step"`
	ID      string         `parquet:"id"`
	Verdict traces.Verdict `parquet:"verdict,dict"`
	Length  int32          `parquet:"length_tokens"`
	Reward  float64        `parquet:"reward"`
	Prompt  string         `parquet:"prompt_text"`
	Text    string         `parquet:"text"`
}

// last takes the first traces of different groups of the latest step: one of each, so that a page
// shows more than one problem.
func (s *Source) last(x *Snapshot, run *traces.Run, note func(error) bool) {
	seen := map[string]bool{}
	for t, err := range traces.Scan[shown](run, traces.Filter{FromStep: x.Done, ToStep: x.Done}) {
		if !note(err) || seen[t.Prompt] {
			continue
		}
		seen[t.Prompt] = true
		x.Last = append(x.Last, Sample{t.ID, string(t.Verdict), t.Length, t.Reward, clip(t.Prompt), clip(t.Text)})
		if len(x.Last) == samples {
			return
		}
	}
}

// clip keeps the ends of a long text.
func clip(text string) string {
	r := []rune(text)
	if len(r) <= textual {
		return text
	}
	return string(r[:textual/2]) + " … " + string(r[len(r)-textual/2:])
}

func (s *Source) timings(x *Snapshot, run *traces.Run, note func(error) bool) {
	workers := map[string]*Worker{}
	var total, wait, idle, learn float64
	steps := 0
	for t, err := range run.Timings() {
		if !note(err) {
			continue
		}
		switch {
		case t.ID == "" && t.Step > x.Done-window && t.Total > 0:
			total, wait, idle, learn = total+t.Total, wait+t.TrainerWait, idle+t.EngineIdle, learn+t.Learn
			steps++
		case t.ID != "" && t.Step == x.Done && x.Done > 0:
			w := workers[t.Worker]
			if w == nil {
				w = &Worker{Name: t.Worker}
				workers[t.Worker] = w
			}
			w.Traces++
			w.Queue += t.Queue
			w.Engine += t.Total
		}
	}
	for _, w := range workers {
		w.Queue /= float64(w.Traces)
		w.Engine /= float64(w.Traces)
		x.Workers = append(x.Workers, *w)
	}
	slices.SortFunc(x.Workers, func(a, b Worker) int { return cmp.Compare(a.Name, b.Name) })
	if total > 0 {
		x.Waits = Waits{total / float64(steps), min(wait/total, 1), min(idle/total, 1), min(learn/total, 1)}
	}
}

// state reads from the log's age whether the run is alive.
func (s *Source) state(x *Snapshot) {
	finished := x.Steps > 0 && x.Done >= x.Steps && slices.ContainsFunc(x.Evals, func(e EvalPoint) bool { return e.Step == x.Done })
	switch {
	case finished:
		x.State = Finished
		return
	case x.Done == 0:
		return
	}
	x.State = Running
	if x.Steps > x.Done {
		x.Left = x.Waits.SecondsPerStep * float64(x.Steps-x.Done)
	}
	info, err := os.Stat(filepath.Join(s.dir, traces.StepsFile))
	if err == nil && s.now().Sub(info.ModTime()).Seconds() > max(60, 10*x.Waits.SecondsPerStep) {
		x.State = Quiet
	}
}

// finite replaces what JSON cannot say: a mean over nothing is 0, as in the log.
func (x *Snapshot) finite() {
	for i := range x.Curve {
		p := &x.Curve[i]
		for _, v := range []*float64{&p.Accuracy, &p.Tokens, &p.Right, &p.Wrong, &p.Truncated, &p.Reward, &p.Entropy, &p.ToolCalls} {
			if math.IsNaN(*v) || math.IsInf(*v, 0) {
				*v = 0
			}
		}
	}
}

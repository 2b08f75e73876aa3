package exporters

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"pith/traces"
)

// Value is one number with its name, parts separated by slashes.
type Value struct {
	Name  string
	Value float64
}

// Row is everything of one kind that was measured at one step. Seconds is the time since the run
// began.
type Row struct {
	Step    int64
	Seconds float64
	Values  []Value
}

// Kinds of rows, each with a place of its own in the order of a log.
const (
	Steps    = "steps"
	Timings  = "timings"
	EvalKind = "evals-" // and the decoding
)

// Data is a run's measurements: rows of each kind, by rising step.
type Data struct {
	Run    string // name
	ID     string // 32 hex digits that tell the run from others
	Params []Param
	Rows   map[string][]Row
	Clock  []traces.Timing // of steps
}

// Param is a setting of the run.
type Param struct{ Name, Value string }

// Kinds lists the kinds that data has, in order.
func (d *Data) Kinds() []string {
	var kinds []string
	for kind := range d.Rows {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	return kinds
}

// Read takes the tables of a run. Files that cannot be read are in errs and the others are used.
func Read(run *traces.Run) (d *Data, errs []error) {
	d = &Data{Run: filepath.Base(run.Dir), Rows: map[string][]Row{}}
	if err := d.manifest(run.Dir); err != nil {
		errs = append(errs, err)
	}
	seconds := map[int64]float64{} // at the end of each step
	clock := map[int64]traces.Timing{}
	for t, err := range run.StepTimings() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.Clock = append(d.Clock, t)
		clock[t.Step] = t
	}
	slices.SortStableFunc(d.Clock, func(a, b traces.Timing) int { return int(a.Step - b.Step) })
	total := 0.0
	for _, t := range d.Clock {
		total += t.Total + t.Eval
		seconds[t.Step] = total
	}
	for s, err := range run.Steps() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		d.Rows[Steps] = append(d.Rows[Steps], Row{s.Step, seconds[s.Step], stepValues(&s)})
		if t, ok := clock[s.Step]; ok { // a step without its row is not committed
			d.Rows[Timings] = append(d.Rows[Timings], Row{s.Step, seconds[s.Step], timingValues(&t)})
		}
	}
	for e, err := range run.Evals() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		kind := EvalKind + e.Decoding
		d.Rows[kind] = append(d.Rows[kind], Row{e.Step, seconds[e.Step], evalValues(&e)})
	}
	for kind := range d.Rows {
		slices.SortStableFunc(d.Rows[kind], func(a, b Row) int { return int(a.Step - b.Step) })
	}
	return d, errs
}

func (d *Data) manifest(dir string) error {
	path := filepath.Join(dir, traces.ManifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) { // nothing is known of the settings
		text, err = []byte("{}"), nil
	}
	if err != nil {
		return err
	}
	// What a run keeps when it is resumed or moved, so that its export goes on where it was.
	identity := []byte(filepath.Base(dir))
	defer func() { d.ID = fmt.Sprintf("%016x%016x", fnv(identity, 1), fnv(identity, 2)) }()
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	if name, ok := m["run"].(string); ok && name != "" {
		d.Run = name
	}
	if m["hash"] != nil {
		identity = fmt.Appendf(nil, "%v %v %v", m["run"], m["hash"], m["seed"])
	}
	d.flatten("", m["config"])
	for _, name := range []string{"seed", "version", "dataset", "hash"} {
		if v, ok := m[name]; ok {
			d.Params = append(d.Params, Param{name, fmt.Sprint(v)})
		}
	}
	slices.SortFunc(d.Params, func(a, b Param) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return nil
}

func (d *Data) flatten(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			at := key
			if path != "" {
				at = path + "." + key
			}
			d.flatten(at, inner)
		}
	case nil:
	default:
		d.Params = append(d.Params, Param{path, fmt.Sprint(v)})
	}
}

// fnv is FNV-1a of 64 bits from another start for each salt.
func fnv(text []byte, salt uint64) uint64 {
	h := uint64(14695981039346656037) ^ salt
	for _, c := range text {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

func stepValues(s *traces.Step) []Value {
	v := []Value{
		{"train/accuracy", s.Accuracy}, {"train/truncated", s.Truncated}, {"train/tokens/all", s.Lengths.All}, {"train/tokens/right", s.Lengths.Right},
		{"train/tokens/wrong", s.Lengths.Wrong}, {"train/tokens/truncated", s.Lengths.Truncated}, {"train/tokens/trained", s.LengthTrained},
		{"train/tool_calls", s.ToolCalls}, {"train/reward", s.Reward}, {"train/traces/released", float64(s.Traces)}, {"train/traces/trained", float64(s.Trained)},
		{"train/traces/filtered", float64(s.Filtered)}, {"train/traces/failed", float64(s.Failed)}, {"train/traces/dead_lettered", float64(s.DeadLetter)},
		{"train/traces/no_score", float64(s.NoScore)}, {"train/generated_tokens", float64(s.GeneratedTokens)}, {"train/prompt_tokens", float64(s.PromptTokens)},
		{"train/price", s.Price}, {"learn/loss", s.Loss}, {"learn/entropy", s.Entropy}, {"learn/kl", s.KL}, {"learn/clip_low", s.ClipLow},
		{"learn/clip_high", s.ClipHigh}, {"learn/grad_norm", s.GradNorm}, {"learn/learning_rate", s.LearningRate}, {"learn/updates", float64(s.Updates)},
		{"learn/trained_tokens", float64(s.TrainedTokens)}, {"learn/mismatch_mean", s.MismatchMean}, {"learn/mismatch_max", s.MismatchMax},
		{"learn/staleness_mean", s.StalenessMean}, {"learn/staleness_max", float64(s.StalenessMax)},
	}
	if s.Anytime != nil {
		v = append(v, Value{"train/anytime_accuracy", *s.Anytime})
	}
	for _, term := range s.Terms {
		v = append(v, Value{"reward/" + term.Name, term.Value})
	}
	return v
}

func timingValues(t *traces.Timing) []Value {
	return []Value{
		{"time/step_seconds", t.Total}, {"time/trainer_wait_seconds", t.TrainerWait}, {"time/engine_idle_seconds", t.EngineIdle},
		{"time/grade_seconds", t.Grade}, {"time/learn_seconds", t.Learn}, {"time/publish_seconds", t.Publish}, {"time/commit_seconds", t.Commit},
		{"time/eval_seconds", t.Eval},
	}
}

func evalValues(e *traces.Eval) []Value {
	at := "eval/" + e.Decoding + "/"
	v := []Value{
		{at + "accuracy", e.Accuracy}, {at + "tokens/all", e.TokensMean}, {at + "tokens/right", e.TokensRight}, {at + "tokens/wrong", e.TokensWrong},
		{at + "truncated", e.Truncated}, {at + "no_score", e.NoScore}, {at + "tool_calls", e.ToolCalls},
	}
	if e.Anytime != nil {
		v = append(v, Value{at + "anytime_accuracy", *e.Anytime})
	}
	for _, l := range e.Levels {
		v = append(v, Value{fmt.Sprintf("%slevel_%d/accuracy", at, l.Level), l.Accuracy}, Value{fmt.Sprintf("%slevel_%d/tokens", at, l.Level), l.Tokens})
	}
	return v
}

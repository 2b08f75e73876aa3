package foreign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"pith/traces"
)

// Options say how a foreign log is read. The zero value detects the format and estimates lengths.
type Options struct {
	Name    string            // of the run; "" = the directory's
	Format  string            // of [Formats]; "" or auto = by the fields of the first record
	Fields  map[string]string // overrides: target of [Targets] to the field that holds it
	Count   string            // rule for lengths that the log does not give, of [Rules]
	Policy  string            // keep the records of one policy only; "" = all
	HeldOut bool              // evaluations, not training
	// Decoding is what evaluations are called, sampled or greedy; "" = sampled.
	Decoding string
	// PerStep cuts a log without steps into steps of at least so many traces, whole groups each;
	// 0 = 1024.
	PerStep int
	// RightAt is the least label or score that counts as right; 0 = 1.
	RightAt    float64
	Calculator bool // <<expression=result>> in a text is a call of a calculator
	// Temperature of records that do not give theirs.
	Temperature float64
	Grade       Grader // judges what has no label, and is compared with labels; nil = none

	Price  Price            // of every policy
	Prices map[string]Price // of single policies, instead
}

// Price is what tokens cost, in dollars for each million.
type Price struct {
	Prompt     float64 `json:"prompt_per_million"`
	Completion float64 `json:"completion_per_million"`
}

// Summary says what was imported. It is part of the run's manifest.
type Summary struct {
	Format    string              `json:"format"`
	Files     []string            `json:"files"`
	Fields    map[string][]string `json:"fields"`
	Records   int64               `json:"records"`
	Traces    int64               `json:"traces"`
	Groups    int64               `json:"groups"`
	Steps     int64               `json:"steps"`
	StepRule  string              `json:"step_rule"`
	GroupRule string              `json:"group_rule"`

	// Where lengths come from: token ids with log-probabilities, the log's own counts, or LengthRule.
	Exact      int64  `json:"lengths_exact"`
	Reported   int64  `json:"lengths_reported"`
	Estimated  int64  `json:"lengths_estimated"`
	LengthRule string `json:"length_rule"`

	VerdictRule string     `json:"verdict_rule"`
	Right       int64      `json:"right"`
	Wrong       int64      `json:"wrong"`
	NoScore     int64      `json:"no_score"`
	Agreement   *Agreement `json:"agreement,omitempty"` // of the grader with the labels

	Temperature float64 `json:"temperature_assumed"`

	Price  Price            `json:"price"`
	Prices map[string]Price `json:"prices,omitempty"` // by policy

	UnknownFinish int64 `json:"unknown_finish,omitempty"` // stop conditions taken for stops
}

// Agreement counts verdicts of the log against those of the grader.
type Agreement struct {
	BothRight   int64    `json:"both_right"`
	BothWrong   int64    `json:"both_wrong"`
	LabelRight  int64    `json:"label_right_grader_wrong"`
	LabelWrong  int64    `json:"label_wrong_grader_right"`
	NoScore     int64    `json:"grader_no_score"`
	Disputed    []string `json:"disputed,omitempty"` // ids, the first of them
	disputedMax int
}

// Share is how often the two agree, of the answers that the grader has scored.
func (a *Agreement) Share() float64 {
	agreed := a.BothRight + a.BothWrong
	return float64(agreed) / float64(max(agreed+a.LabelRight+a.LabelWrong, 1))
}

// disputedKept bounds the list of ids in a manifest.
const disputedKept = 200

func (s *Summary) compare(t *traces.Trace, grader traces.Verdict) {
	if s.Agreement == nil {
		s.Agreement = &Agreement{disputedMax: disputedKept}
	}
	a := s.Agreement
	switch right := t.Verdict == traces.Right; {
	case grader == traces.NoScore:
		a.NoScore++
	case right && grader == traces.Right:
		a.BothRight++
	case !right && grader == traces.Wrong:
		a.BothWrong++
	case right:
		a.LabelRight++
		t.VerdictReason = "label of the log; the grader says wrong"
	default:
		a.LabelWrong++
		t.VerdictReason = "label of the log; the grader says right"
	}
}

// Import reads files, in the order given, into a new run directory at dir. It is there whole or not
// at all. Errors in a record are [*FieldError].
func Import(dir string, files []string, o Options) (*Summary, error) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("import: %s is not empty; name a directory that is new", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("import: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("import: no file is named")
	}
	rule, err := RuleNamed(o.Count)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if o.Name == "" {
		o.Name = filepath.Base(dir)
	}
	if o.RightAt == 0 {
		o.RightAt = 1
	}
	if o.PerStep <= 0 {
		o.PerStep = 1024
	}
	switch o.Decoding {
	case "":
		o.Decoding = "sampled"
	case "sampled", "greedy":
	default:
		return nil, fmt.Errorf("import: no decoding %q; a report knows sampled and greedy", o.Decoding)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	work, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".importing-")
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // nothing is there after the rename
	im := &importer{o: &o, dir: work, summary: &Summary{LengthRule: rule.Name + ": " + rule.About, Temperature: o.Temperature, Price: o.Price, Prices: o.Prices}}
	im.builder = builder{&o, rule, im.summary}
	for _, file := range files {
		im.summary.Files = append(im.summary.Files, filepath.Base(file))
		for object, err := range objects(file) {
			if err == nil {
				err = im.add(file, object)
			}
			if err != nil {
				return nil, fmt.Errorf("import: %w", err)
			}
		}
	}
	if err := im.finish(); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := os.Chmod(work, 0o755); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("import: %w", err)
	}
	if err := os.Rename(work, dir); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return im.summary, nil
}

// importer gathers the traces of one step and writes them when the next begins.
type importer struct {
	builder
	o       *Options
	dir     string
	summary *Summary
	format  *Format
	fields  map[string][]string

	step   int64 // in work
	begun  bool
	inLog  bool // the log numbers its steps
	rows   []traces.Trace
	groups map[string]*group
	last   string // key of the last record
	next   int64  // number of the next group
	steps  []traces.Step
	evals  []traces.Eval
}

type group struct {
	name string
	size int32
}

func (im *importer) add(file string, o object) error {
	if im.format == nil {
		if err := im.choose(file, o); err != nil {
			return err
		}
	}
	im.summary.Records++
	r := &record{values: o.values, file: file, line: o.line, format: im.format, fields: im.fields}
	parts := []*record{r}
	if im.format.expand != nil {
		var err error
		if parts, err = im.format.expand(r); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if im.o.Policy != "" {
			policy, err := part.text("policy")
			if err != nil {
				return err
			}
			if policy != im.o.Policy {
				continue
			}
		}
		if err := im.take(part); err != nil {
			return err
		}
	}
	return nil
}

func (im *importer) choose(file string, o object) (err error) {
	if im.o.Format == "" || im.o.Format == "auto" {
		if im.format, err = detect(o.values); err != nil {
			return &FieldError{File: file, Line: o.line, Why: err.Error()}
		}
	} else if im.format, err = FormatNamed(im.o.Format); err != nil {
		return err
	}
	im.summary.Format = im.format.Name
	if im.fields, err = mapping(im.format, im.o.Fields); err != nil {
		return err
	}
	im.summary.Fields = im.fields
	return nil
}

// take makes one trace of a record.
func (im *importer) take(r *record) error {
	id, err := im.identity(r)
	if err != nil {
		return err
	}
	key := id.group
	if key == "" {
		key = id.problem
	}
	if key == "" {
		key = id.prompt
	}
	if err := im.place(r, id.step, key); err != nil {
		return err
	}
	g := im.groups[key]
	if g == nil {
		g = &group{name: id.group}
		if g.name == "" {
			g.name = fmt.Sprintf("g%09d", im.next)
		}
		if im.o.HeldOut { // as the evaluations of our own runs: unlike the groups of training
			g.name = fmt.Sprintf("e%06d-%s-%06d", im.step, im.o.Decoding, im.next)
		}
		im.next++
		im.groups[key] = g
		im.summary.Groups++
	}
	t := traces.Trace{Step: im.step, Problem: id.problem, PromptText: id.prompt}
	if t.Problem == "" {
		t.Problem = g.name
		if id.prompt != "" {
			t.Problem = fmt.Sprintf("prompt-%016x", hash(id.prompt)) // the same prompt is the same problem
		}
	}
	sample := g.size
	if id.sample >= 0 {
		sample = int32(id.sample)
	}
	name(&t, g.name, sample)
	g.size++
	if err := im.trace(r, &t); err != nil {
		return err
	}
	switch t.Verdict {
	case traces.Right:
		im.summary.Right++
	case traces.Wrong:
		im.summary.Wrong++
	default:
		im.summary.NoScore++
	}
	if a := im.summary.Agreement; a != nil && t.VerdictReason != "label of the log" && len(a.Disputed) < a.disputedMax {
		a.Disputed = append(a.Disputed, t.ID)
	}
	im.summary.Traces++
	im.rows = append(im.rows, t)
	im.last = key
	return nil
}

// place moves to the step of a record. A log without steps is cut where enough traces have come and
// another group begins.
func (im *importer) place(r *record, step int64, key string) error {
	switch {
	case !im.begun:
		im.begun, im.inLog = true, step >= 0
		im.step = step
		if !im.inLog {
			im.step = 1
			if im.o.HeldOut {
				im.step = 0
			}
		}
		im.groups = map[string]*group{}
		return nil
	case im.inLog != (step >= 0):
		return r.fault("step", "some records have a step and some have none")
	case !im.inLog:
		if im.o.HeldOut || len(im.rows) < im.o.PerStep || key == im.last {
			return nil
		}
		step = im.step + 1
	case step == im.step:
		return nil
	case step < im.step:
		return r.fault("step", "step %d comes after step %d; name the files in the order of their steps", step, im.step)
	}
	if err := im.flush(); err != nil {
		return err
	}
	im.step = step
	im.groups = map[string]*group{}
	return nil
}

// flush writes the step in work.
func (im *importer) flush() error {
	if len(im.rows) == 0 {
		return nil
	}
	traces.Sort(im.rows)
	for i := 1; i < len(im.rows); i++ {
		if im.rows[i].ID == im.rows[i-1].ID {
			return fmt.Errorf("two records of step %d are sample %d of the group %s", im.step, im.rows[i].Sample, im.rows[i].Group)
		}
	}
	im.summary.Steps++
	sub, suffix := traces.TracesDir, ""
	if im.o.HeldOut {
		sub, suffix = traces.EvalsDir, im.o.Decoding
		im.evals = append(im.evals, evalOf(im.step, im.o.Decoding, im.rows))
	} else {
		im.steps = append(im.steps, stepOf(im.step, im.rows))
	}
	err := traces.WriteSegment(filepath.Join(im.dir, sub), traces.SegmentName(im.step, suffix), im.rows, nil)
	im.rows = im.rows[:0]
	return err
}

func (im *importer) finish() error {
	if im.summary.Traces == 0 {
		return errors.New("the files hold no trace")
	}
	if err := im.flush(); err != nil {
		return err
	}
	s := im.summary
	s.StepRule = "the field " + source(im.fields["step"])
	if !im.inLog {
		s.StepRule = fmt.Sprintf("the log has none: whole groups of at least %d traces in their order", im.o.PerStep)
		if im.o.HeldOut {
			s.StepRule = "the log has none: one evaluation, called step 0"
		}
	}
	s.GroupRule = "equal group, else problem, else prompt within a step"
	labels := source(im.fields["correct"])
	if len(im.fields["score"]) > 0 {
		labels += ", else " + source(im.fields["score"]) + ","
	}
	s.VerdictRule = fmt.Sprintf("right where %s is at least %g; without it the grader, where there is one and a gold answer, else no score", labels, im.o.RightAt)
	manifest, err := json.MarshalIndent(map[string]any{
		"run": im.o.Name, "dataset": im.format.Name, "imported": s,
		"config": map[string]any{"run": map[string]any{"name": im.o.Name}, "prices": map[string]any{
			"prompt_per_million": im.o.Price.Prompt, "completion_per_million": im.o.Price.Completion,
		}},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(im.dir, traces.ManifestFile), append(manifest, '\n'), 0o644); err != nil {
		return err
	}
	if im.o.HeldOut {
		return traces.WriteTable(im.dir, traces.EvalsFile, im.evals, nil)
	}
	return traces.WriteTable(im.dir, traces.StepsFile, im.steps, nil)
}

func source(fields []string) string {
	if len(fields) == 0 {
		return "none"
	}
	return fields[0]
}

// hash is FNV-1a of 64 bits.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// Imported reads what the manifest of a run says of its import; ok is false for a run of our own.
func Imported(dir string) (s Summary, ok bool, err error) {
	text, err := os.ReadFile(filepath.Join(dir, traces.ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	var m struct {
		Imported *Summary `json:"imported"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return s, false, fmt.Errorf("%s is damaged: %w", filepath.Join(dir, traces.ManifestFile), err)
	}
	if m.Imported == nil {
		return s, false, nil
	}
	return *m.Imported, true, nil
}

// levels are the difficulty levels of rows, in order.
func levels(rows []traces.Trace) []int32 {
	seen := map[int32]bool{}
	for i := range rows {
		seen[rows[i].Level] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

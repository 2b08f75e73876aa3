package strategy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pith/datasets"
	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/rollout/task"
	"pith/traces"
)

// Strategy samples one task. Run returns a rollout for each of the task's samples, in order, some
// of them perhaps failed; or an error, which says that the task should be tried again as a whole
// (the context ended, the engine does not recover, the options cannot work here). It is safe for
// concurrent use.
type Strategy interface {
	Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error)
}

// Rollout is one finished sample. The two are apart because nothing that is read from a clock may
// be in the trace.
type Rollout struct {
	Trace  *traces.Trace
	Timing *traces.Timing
}

// Env is what a worker gives its strategies. Only Sampler, Tokens and Policy must be set.
type Env struct {
	Sampler engine.Sampler
	Caps    engine.SamplerCaps
	Policy  engine.PolicyRef // to sample from: at least what the task asks for
	Tokens  Tokenizer
	Markers Markers
	Tools   []Tool
	Grader  grade.Grader

	// Retry runs one engine call and again after passing errors, as the worker sees fit. What it
	// returns is final. nil = once.
	Retry func(ctx context.Context, op string, call func(context.Context) error) error

	Worker   string           // for timings
	Released time.Time        // when the task was released, for timings
	Now      func() time.Time // nil = time.Now
}

func (e *Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// Tokenizer is what a strategy needs of the policy's tokenizer.
type Tokenizer interface {
	Encode(text string) ([]int32, error)
	Decode(ids []int32) string
	ID(token string) (int32, bool)
}

// Markers are the tokens that structure a response, by their text; "" where there is none.
type Markers struct {
	Pad, BOS, EOS     string
	Think, EndThink   string // around the thought; Think ends the prompt
	Cut               string // inserted before EndThink where the environment cuts a thought
	Call, EndCall     string // around the arguments of a tool call
	Result, EndResult string // around its result
}

// Tool is something that a response can call. Call is given the text between the markers and
// must respect ctx, whose deadline is the strategy's. An error is shown to the policy as an empty
// result. Safe for concurrent use.
type Tool interface {
	Name() string
	Call(ctx context.Context, p datasets.Problem, arguments string) (string, error)
}

// ErrMalformedCall is what a [FuncTool] answers to arguments that it cannot read.
var ErrMalformedCall = errors.New("malformed arguments")

// FuncTool makes a tool of a function that neither blocks nor fails in other ways.
func FuncTool(name string, f func(p datasets.Problem, arguments string) (result string, ok bool)) Tool {
	return funcTool{name, f}
}

type funcTool struct {
	name string
	f    func(datasets.Problem, string) (string, bool)
}

func (t funcTool) Name() string { return t.name }

func (t funcTool) Call(_ context.Context, p datasets.Problem, arguments string) (string, error) {
	result, ok := t.f(p, arguments)
	if !ok {
		return "", ErrMalformedCall
	}
	return result, nil
}

// entry is a row of the table.
type entry struct {
	name, about string
	options     []Option
	open        func(json.RawMessage) (Strategy, error)
}

// Option documents one option of a strategy.
type Option struct {
	Name    string `json:"name"`
	Default any    `json:"default"`
	About   string `json:"about"`
}

func table() []entry {
	return []entry{
		{"single", "one response per sample", nil, openSingle},
		{"anytime", "one response per sample, and the quality of its answer at each of several thinking budgets", anytimeDocs(), openAnytime},
		{"modes", "some samples of a group are forced into each of several ways to answer", modesDocs(), openModes},
		{"tools", "calls in the response are executed and their results inserted", toolsDocs(), openTools},
		{"turns", "several turns, each a thought and an answer, until two agree", turnsDocs(), openTurns},
		{"refine", "a draft, and answers that improve on it or compress it", refineDocs(), openRefine},
		{"forced", "the thinking is held between two bounds: cut at a budget, made to go on where it ends too soon", forcedDocs(), openForced},
		{"hints", "a hint in the question or at the start of the response, such as a token budget", hintsDocs(), openHints},
	}
}

// Names lists the strategies.
func Names() []string {
	var names []string
	for _, e := range table() {
		names = append(names, e.name)
	}
	return names
}

// About says in one line what a strategy does, and documents its options.
func About(name string) (about string, options []Option, err error) {
	e, err := find(name)
	return e.about, e.options, err
}

// New returns a strategy by name. options is a JSON object, or empty for the defaults; an unknown
// key, a wrong type or a value out of range is an error that says what would be valid.
func New(name string, options json.RawMessage) (Strategy, error) {
	e, err := find(name)
	if err != nil {
		return nil, err
	}
	s, err := e.open(options)
	if err != nil {
		return nil, fmt.Errorf("strategy %s: %w", name, err)
	}
	return s, nil
}

// readier is a strategy that can say, before anything is sampled, what it lacks.
type readier interface{ ready(env *Env) error }

// Check opens a strategy and says in one line what it lacks of what a worker would give it: a
// token that the policy's vocabulary does not have, a tool, a grader. Of env it reads Tokens,
// Markers, Tools and Grader.
func Check(name string, options json.RawMessage, env *Env) error {
	s, err := New(name, options)
	if err != nil {
		return err
	}
	if r, ok := s.(readier); ok {
		if err := r.ready(env); err != nil {
			return fmt.Errorf("strategy %s: %w", name, err)
		}
	}
	return nil
}

func find(name string) (entry, error) {
	for _, e := range table() {
		if e.name == name {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("no strategy %q; there are %s", name, strings.Join(Names(), ", "))
}

// decode reads options over the defaults that are in into.
func decode(options json.RawMessage, into any) error {
	if len(bytes.TrimSpace(options)) == 0 || string(bytes.TrimSpace(options)) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(options))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("options: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("options: more than one JSON value")
	}
	return nil
}

// marker looks up a token that a strategy cannot do without.
func (e *Env) marker(role, text string) (int32, error) {
	if text == "" {
		return 0, fmt.Errorf("the data has no %s token, which this strategy needs", role)
	}
	id, ok := e.Tokens.ID(text)
	if !ok {
		return 0, fmt.Errorf("the policy's vocabulary has no token %q (%s)", text, role)
	}
	return id, nil
}

// optional looks up a token that may be missing: -1 then, which no token is.
func (e *Env) optional(text string) int32 {
	if text == "" {
		return -1
	}
	if id, ok := e.Tokens.ID(text); ok {
		return id
	}
	return -1
}

// byName finds a tool.
func (e *Env) byName(name string) (Tool, bool) {
	i := slices.IndexFunc(e.Tools, func(t Tool) bool { return t.Name() == name })
	if i < 0 {
		return nil, false
	}
	return e.Tools[i], true
}

func (e *Env) toolNames() string {
	var names []string
	for _, t := range e.Tools {
		names = append(names, t.Name())
	}
	slices.SortFunc(names, cmp.Compare)
	return strings.Join(names, ", ")
}

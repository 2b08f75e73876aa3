package sweep

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"pith/configs"
)

// Spec is a sweep file. Decoding is strict.
type Spec struct {
	Name      string    `yaml:"name"`  // of the sweep; also its directory
	About     string    `yaml:"about"` // one sentence for the head of the report
	Base      Base      `yaml:"base"`
	Axes      Axes      `yaml:"axes"`
	Search    Search    `yaml:"search"`
	Baselines Baselines `yaml:"baselines"`
	Rates     Rates     `yaml:"rates"`
	Compare   Compare   `yaml:"compare"`

	dir string // of the file, for base.config
}

// Base is what every run starts from: defaults < presets < config < method < environment < set.
type Base struct {
	Presets []string `yaml:"presets"`
	Config  string   `yaml:"config"` // a config file, relative to the sweep file
	Method  string   `yaml:"method"` // where no axis names one
	Set     Settings `yaml:"set"`
}

// Search says which combinations of the axes run. Every one of them runs under every seed.
type Search struct {
	Kind string `yaml:"kind"` // grid (default), random, halving
	Runs int    `yaml:"runs"` // random: settings to draw; halving: candidates to draw, 0 = the grid
	Seed uint64 `yaml:"seed"` // of the draws
	// Halving (successive halving, Jamieson and Talwalkar 2016): after each of Rungs, in learner
	// steps, the best Keep of the settings go on and the others stop where they stand. By is the
	// score, a mean over seeds at the rung's evaluation: aes (default), accuracy, tokens_per_right.
	Rungs []int   `yaml:"rungs"`
	Keep  float64 `yaml:"keep"`
	By    string  `yaml:"by"`
}

// Baselines are added to every sweep unless they are turned off.
type Baselines struct {
	Untrained *bool `yaml:"untrained"` // a row from the evaluations before the first step; default true
	GRPO      *bool `yaml:"grpo"`      // plain GRPO under every seed; default true
	// HardCap lists token limits at which the untrained policy is cut off in evaluation, without
	// training. They cost nothing: what a limit does is read from the recorded responses. Default:
	// a half, a quarter and an eighth of rollout.max_tokens. Empty list = none.
	HardCap *[]int `yaml:"hard_cap"`
	// Truncation lists limits for plain GRPO whose rollouts are cut off there and earn nothing, while
	// the evaluation keeps its limit: what a limit alone does. Default: a quarter of
	// rollout.max_tokens. Empty list = none.
	Truncation *[]int `yaml:"truncation"`
}

// Rates are what the bill is made from where nothing has been measured yet.
type Rates struct {
	TokensPerSecond   float64 `yaml:"tokens_per_second"`   // sampled by the whole machine, learning included
	TokensPerResponse float64 `yaml:"tokens_per_response"` // mean over a run
	DollarsPerHour    float64 `yaml:"dollars_per_hour"`    // of the machine; added to prices in the config
}

// Compare says what the report asks.
type Compare struct {
	Reference string  `yaml:"reference"` // the arm that others are compared with; default grpo, else the first
	Points    float64 `yaml:"points"`    // the smallest difference in accuracy that matters, in points; default 1.5
}

// Names lists the sweeps that ship with pith.
func Names() []string { return configs.Sweeps() }

// Load reads a sweep file, or the embedded one of that name.
func Load(nameOrPath string) (*Spec, error) {
	text, err := os.ReadFile(nameOrPath)
	if errors.Is(err, fs.ErrNotExist) {
		name := strings.TrimSuffix(filepath.Base(nameOrPath), ".yaml")
		var embedded error
		if text, embedded = configs.SweepYAML(name); embedded != nil {
			return nil, &configs.Error{Problems: []string{fmt.Sprintf("%s: no such sweep file; give a YAML path, or one of: %s", nameOrPath, strings.Join(Names(), ", "))}}
		}
		return Parse(text, "")
	}
	if err != nil {
		return nil, fmt.Errorf("sweep file: %w", err)
	}
	return Parse(text, filepath.Dir(nameOrPath))
}

// Parse decodes the text of a sweep file. dir is where base.config is looked for.
func Parse(text []byte, dir string) (*Spec, error) {
	s := &Spec{dir: dir}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		var list *yaml.TypeError
		if errors.As(err, &list) {
			problems := make([]string, len(list.Errors))
			for i, e := range list.Errors {
				problems[i] = "sweep: " + typeName.ReplaceAllString(e, "")
			}
			return nil, &configs.Error{Problems: problems}
		}
		return nil, &configs.Error{Problems: []string{"sweep: " + strings.Join(strings.Fields(err.Error()), " ")}}
	}
	return s, s.validate()
}

// typeName is how the decoder speaks of our types.
var typeName = regexp.MustCompile(` in type sweep\.\w+`)

var sweepName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$`)

func (s *Spec) validate() error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, "sweep."+fmt.Sprintf(format, args...)) }
	if !sweepName.MatchString(s.Name) {
		bad("name: %q cannot name a directory; use letters, digits, dot, dash and underscore, at most 80", s.Name)
	}
	if s.Search.Kind == "" {
		s.Search.Kind = Grid
	}
	if s.Search.By == "" {
		s.Search.By = ByAES
	}
	if s.Search.Keep == 0 {
		s.Search.Keep = 0.5
	}
	if s.Compare.Points == 0 {
		s.Compare.Points = 1.5
	}
	h := &s.Search
	if !slices.Contains([]string{Grid, Random, Halving}, h.Kind) {
		bad("search.kind: %q is not known; valid: %s, %s, %s", h.Kind, Grid, Random, Halving)
	}
	if !slices.Contains([]string{ByAES, ByAccuracy, ByTokensPerRight}, h.By) {
		bad("search.by: %q is not known; valid: %s, %s, %s", h.By, ByAES, ByAccuracy, ByTokensPerRight)
	}
	if h.Kind == Random && h.Runs < 1 {
		bad("search.runs: random search needs the number of settings to draw, at least 1")
	}
	if h.Runs < 0 {
		bad("search.runs: %d is negative", h.Runs)
	}
	if h.Kind == Halving && len(h.Rungs) == 0 {
		bad("search.rungs: halving needs the learner steps after which settings stop, such as [10, 20]")
	}
	if h.Kind != Halving && len(h.Rungs) > 0 {
		bad("search.rungs: only halving has rungs; drop them or set search.kind: halving")
	}
	for i, r := range h.Rungs {
		if r < 1 || i > 0 && r <= h.Rungs[i-1] {
			bad("search.rungs: must be positive and rise, got %v", h.Rungs)
			break
		}
	}
	if !(h.Keep > 0 && h.Keep < 1) {
		bad("search.keep: %v must lie between 0 and 1, such as 0.5", h.Keep)
	}
	for path, list := range map[string]*[]int{"hard_cap": s.Baselines.HardCap, "truncation": s.Baselines.Truncation} {
		if list != nil && slices.ContainsFunc(*list, func(n int) bool { return n < 1 }) {
			bad("baselines.%s: token limits must be at least 1, got %v", path, *list)
		}
	}
	if s.Compare.Points < 0 {
		bad("compare.points: %v is negative", s.Compare.Points)
	}
	for path, v := range map[string]float64{"tokens_per_second": s.Rates.TokensPerSecond, "tokens_per_response": s.Rates.TokensPerResponse, "dollars_per_hour": s.Rates.DollarsPerHour} {
		if v < 0 {
			bad("rates.%s: %v is negative", path, v)
		}
	}
	ranged := slices.ContainsFunc(s.Axes.Keys, func(k Key) bool { return k.Range != nil })
	if ranged && (h.Kind == Grid || h.Kind == Halving && h.Runs == 0) {
		bad("axes: a range needs search.kind random, or halving with search.runs; a grid needs lists")
	}
	slices.Sort(problems)
	if len(problems) > 0 {
		return &configs.Error{Problems: problems}
	}
	return nil
}

// The kinds of search, and the scores of halving.
const (
	Grid    = "grid"
	Random  = "random"
	Halving = "halving"

	ByAES            = "aes"
	ByAccuracy       = "accuracy"
	ByTokensPerRight = "tokens_per_right"
)

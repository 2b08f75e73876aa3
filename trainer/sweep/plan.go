package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"pith/configs"
	"pith/trainer"
)

// Options are what the command line adds to a sweep file.
type Options struct {
	Set     []string // path=value for every run, over base.set and under the axes
	Environ []string // KEY=value; see configs.Sources
}

// Plan is a sweep worked out: every run with its resolved config.
type Plan struct {
	Spec *Spec
	Arms []Arm
	Runs []Run // arm by arm, seeds in order
}

// Arm is what is compared: runs that differ in nothing but seed.
type Arm struct {
	Name     string            `json:"name"`
	Method   string            `json:"method"`
	Baseline bool              `json:"baseline"`
	Settings map[string]string `json:"settings,omitempty"` // by key path, where the arm differs from the base
}

// Run is one training run of a sweep.
type Run struct {
	Name   string // of the run and its directory: arm and seed
	Arm    string
	Seed   uint64
	Config configs.Config
	Hash   string // of the config
}

// candidate is an arm before its seeds.
type candidate struct {
	arm    Arm
	method string
	set    []Setting
}

// Plan works the sweep out and checks every arm as training would. All violations are reported.
func (s *Spec) Plan(o Options) (*Plan, error) {
	chosen, err := s.candidates()
	if err != nil {
		return nil, err
	}
	base, err := s.resolve(o, candidate{method: s.Base.Method}, 1, "base")
	if err != nil {
		return nil, err
	}
	chosen = append(chosen, s.baselines(base)...)
	seeds := s.Axes.Seeds
	if len(seeds) == 0 {
		seeds = []uint64{base.Run.Seed}
	}
	p := &Plan{Spec: s}
	var problems []string
	byContent, byName := map[string]string{}, map[string]bool{}
	for _, c := range chosen {
		first, err := s.resolve(o, c, seeds[0], c.arm.Name)
		if err == nil {
			err = trainer.Check(first)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("sweep arm %s: %s", c.arm.Name, strings.TrimPrefix(err.Error(), "config: ")))
			continue
		}
		if _, twice := byContent[content(first)]; twice {
			continue // a baseline that the axes name as well, or a setting drawn twice
		}
		if byName[c.arm.Name] {
			problems = append(problems, fmt.Sprintf("sweep arm %s: two entries have this name; give one of them a name of its own", c.arm.Name))
			continue
		}
		byContent[content(first)], byName[c.arm.Name] = c.arm.Name, true
		c.arm.Method = first.Rewards.Method
		p.Arms = append(p.Arms, c.arm)
		for _, seed := range seeds {
			run, err := s.run(o, c, seed)
			if err != nil {
				return nil, err
			}
			p.Runs = append(p.Runs, run)
		}
	}
	problems = append(problems, p.checkRungs()...)
	if len(problems) > 0 {
		return nil, &configs.Error{Problems: problems}
	}
	return p, nil
}

func (s *Spec) run(o Options, c candidate, seed uint64) (Run, error) {
	name := fmt.Sprintf("%s-s%d", c.arm.Name, seed)
	config, err := s.resolve(o, c, seed, name)
	if err != nil {
		return Run{}, err
	}
	return Run{Name: name, Arm: c.arm.Name, Seed: seed, Config: config, Hash: config.Hash()}, nil
}

// content identifies what an arm computes, whatever its name and seed.
func content(c configs.Config) string {
	c.Run.Name, c.Run.Seed = "", 0
	return c.Hash()
}

// resolve gives the config of one run.
func (s *Spec) resolve(o Options, c candidate, seed uint64, name string) (configs.Config, error) {
	sources := configs.Sources{Presets: s.Base.Presets, Environ: o.Environ, Method: s.Base.Method}
	if s.Base.Config != "" {
		path := s.Base.Config
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.dir, path)
		}
		sources.Files = []string{path}
	}
	if len(sources.Presets)+len(sources.Files) == 0 {
		sources.Presets = []string{"quickstart"}
	}
	if c.method != "" {
		sources.Method = c.method
	}
	if sources.Method != "" && !slices.Contains(configs.MethodFiles(), sources.Method) {
		// A method without a file of its own runs with its defaults; to name it here is to allow it.
		sources.Set, sources.Method = append(sources.Set, "rewards.method="+sources.Method, "rewards.allow_inversions=["+sources.Method+"]"), ""
	}
	for _, set := range s.Base.Set {
		sources.Set = append(sources.Set, set.String())
	}
	sources.Set = append(sources.Set, o.Set...)
	for _, set := range c.set {
		sources.Set = append(sources.Set, set.String())
	}
	sources.Set = append(sources.Set, fmt.Sprintf("run.seed=%d", seed), Setting{"run.name", name}.String())
	return configs.Load(sources)
}

// baselines are the arms that every sweep has unless it says otherwise. The untrained policy and its
// hard limits need no run: they are read from the evaluations before the first step.
func (s *Spec) baselines(base configs.Config) []candidate {
	var out []candidate
	if s.Baselines.GRPO == nil || *s.Baselines.GRPO {
		out = append(out, candidate{arm: Arm{Name: "grpo", Baseline: true}, method: "grpo"})
	}
	limits := []int{base.Rollout.MaxTokens / 4}
	if s.Baselines.Truncation != nil {
		limits = *s.Baselines.Truncation
	}
	for _, limit := range limits {
		if limit < 1 {
			continue
		}
		evalLimit := base.Eval.MaxTokens
		if evalLimit == 0 {
			evalLimit = base.Rollout.MaxTokens
		}
		out = append(out, candidate{
			arm:    Arm{Name: fmt.Sprintf("truncation-%d", limit), Baseline: true, Settings: map[string]string{"rollout.max_tokens": fmt.Sprint(limit)}},
			method: "grpo",
			set:    []Setting{{"rollout.max_tokens", limit}, {"eval.max_tokens", evalLimit}},
		})
	}
	return out
}

// HardCaps are the limits at which the untrained policy is cut off.
func (p *Plan) HardCaps() []int {
	if c := p.Spec.Baselines.HardCap; c != nil {
		return *c
	}
	most := p.Runs[0].Config.Rollout.MaxTokens
	return slices.DeleteFunc([]int{most / 8, most / 4, most / 2}, func(n int) bool { return n < 1 })
}

// Untrained says whether the untrained policy is a row of the comparison.
func (p *Plan) Untrained() bool {
	return p.Spec.Baselines.Untrained == nil || *p.Spec.Baselines.Untrained
}

// candidates are the arms of the search, in the order of the axes.
func (s *Spec) candidates() ([]candidate, error) {
	methods := s.Axes.Methods
	if len(methods) == 0 {
		name := s.Base.Method
		if name == "" {
			name = "base"
		}
		methods = []Variant{{Name: name, Method: s.Base.Method}}
	}
	draws := s.Search.Runs
	if s.Search.Kind == Grid {
		draws = 0
	}
	var out []candidate
	if draws == 0 {
		for _, m := range methods {
			for _, set := range product(slices.Concat(m.Axes.Keys, s.Axes.Keys)) {
				out = append(out, newCandidate(m, set))
			}
		}
		return out, nil
	}
	random := rand.New(rand.NewPCG(s.Search.Seed, 0x5eed))
	seen := map[string]bool{}
	for tries := 0; len(out) < draws && tries < 100*draws; tries++ {
		m := methods[random.IntN(len(methods))]
		var set []Setting
		for _, k := range slices.Concat(m.Axes.Keys, s.Axes.Keys) {
			if k.Range != nil {
				set = append(set, Setting{k.Path, k.Range.draw(random)})
			} else {
				set = append(set, Setting{k.Path, k.Values[random.IntN(len(k.Values))]})
			}
		}
		c := newCandidate(m, set)
		if !seen[c.arm.Name] {
			seen[c.arm.Name] = true
			out = append(out, c)
		}
	}
	if len(out) < draws {
		return nil, &configs.Error{Problems: []string{fmt.Sprintf("sweep.search.runs: %d settings asked for, the axes have only %d", draws, len(out))}}
	}
	return out, nil
}

func newCandidate(m Variant, set []Setting) candidate {
	c := candidate{arm: Arm{Name: armName(m.Name, set), Settings: map[string]string{}}, method: m.Method, set: slices.Concat([]Setting(m.Set), set)}
	for _, x := range c.set {
		_, value, _ := strings.Cut(x.String(), "=")
		c.arm.Settings[x.Path] = value
	}
	return c
}

// product lists every combination of the values of keys; of none it is one empty combination.
func product(keys []Key) [][]Setting {
	all := [][]Setting{nil}
	for _, k := range keys {
		var next [][]Setting
		for _, have := range all {
			for _, v := range k.Values {
				next = append(next, append(slices.Clone(have), Setting{k.Path, v}))
			}
		}
		all = next
	}
	return all
}

var unnameable = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// armName joins the entry's name with what the axes set, as a directory may be called.
func armName(name string, set []Setting) string {
	for _, s := range set {
		path, value, _ := strings.Cut(s.String(), "=")
		name += "-" + path[strings.LastIndexByte(path, '.')+1:] + strings.Trim(unnameable.ReplaceAllString(value, "_"), "_")
	}
	name = unnameable.ReplaceAllString(name, "_")
	if len(name) > 64 {
		sum := sha256.Sum256([]byte(name))
		name = name[:55] + "-" + hex.EncodeToString(sum[:4])
	}
	return name
}

// checkRungs: settings are ranked at an evaluation, so a rung needs one.
func (p *Plan) checkRungs() []string {
	var problems []string
	if len(p.Runs) == 0 {
		return nil
	}
	c := p.Runs[0].Config
	for _, r := range p.Spec.Search.Rungs {
		switch {
		case r >= c.Run.Steps:
			problems = append(problems, fmt.Sprintf("sweep.search.rungs: %d is not before the last step (run.steps is %d)", r, c.Run.Steps))
		case c.Eval.Every == 0 || r%c.Eval.Every != 0:
			problems = append(problems, fmt.Sprintf("sweep.search.rungs: nothing is evaluated after step %d; make it a multiple of eval.every (%d)", r, c.Eval.Every))
		}
	}
	return problems
}

// StopRule says in words when a run ends.
func (p *Plan) StopRule() string {
	if p.Spec.Search.Kind != Halving {
		return "Every run goes to its last step."
	}
	steps := make([]string, len(p.Spec.Search.Rungs))
	for i, r := range p.Spec.Search.Rungs {
		steps[i] = fmt.Sprint(r)
	}
	by := map[string]string{ByAES: "accuracy-efficiency score against the untrained policy", ByAccuracy: "held-out accuracy", ByTokensPerRight: "fewest tokens for a right answer"}[p.Spec.Search.By]
	return fmt.Sprintf("Successive halving: after step %s the best %g %% of the settings that are left, by %s (mean over seeds), go on; the others stop there. Baselines always finish.",
		strings.Join(steps, ", "), 100*p.Spec.Search.Keep, by)
}

func (p *Plan) arm(name string) *Arm {
	for i := range p.Arms {
		if p.Arms[i].Name == name {
			return &p.Arms[i]
		}
	}
	return nil
}

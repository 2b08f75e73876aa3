package sweep

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"pith/configs"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"))
}

// small is a sweep whose runs end in a second.
const small = `
name: small
base:
  presets: [quickstart]
  set: {run.steps: 4, rollout.prompts_per_step: 2, rollout.samples_per_prompt: 4, rollout.max_tokens: 40, eval.every: 1, eval.problems: 4, eval.final_problems: 6, checkpoint.every: 4}
`

func TestBadSweepFilesSayWhatIsWrongAndWhatWouldBeValid(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"an unknown key":               {"name: a\naxis: {seed: 3}", "field axis not found"},
		"an unknown search":            {"name: a\nsearch: {kind: bayes}", `search.kind: "bayes" is not known; valid: grid, random, halving`},
		"no name":                      {"axes: {seed: 3}", `name: "" cannot name a directory`},
		"a name with a slash":          {"name: a/b", `name: "a/b" cannot name a directory`},
		"random without a number":      {"name: a\nsearch: {kind: random}", "search.runs: random search needs"},
		"halving without rungs":        {"name: a\nsearch: {kind: halving}", "search.rungs: halving needs"},
		"falling rungs":                {"name: a\nsearch: {kind: halving, rungs: [4, 2]}", "search.rungs: must be positive and rise"},
		"rungs of a grid":              {"name: a\nsearch: {rungs: [4]}", "search.rungs: only halving has rungs"},
		"all kept":                     {"name: a\nsearch: {kind: halving, rungs: [2], keep: 1}", "search.keep: 1 must lie between 0 and 1"},
		"a range in a grid":            {"name: a\naxes: {optimizer.learning_rate: {min: 1, max: 2}}", "a range needs search.kind random"},
		"an empty range":               {"name: a\naxes: {optimizer.learning_rate: {min: 2, max: 2}}", "needs min < max"},
		"a logarithm of 0":             {"name: a\naxes: {optimizer.learning_rate: {min: 0, max: 2, log: true}}", "min above 0 where log is set"},
		"an unknown key of a range":    {"name: a\naxes: {optimizer.learning_rate: {from: 0, max: 2}}", "from is not known; a range has min, max, log, integer"},
		"an axis without values":       {"name: a\naxes: {optimizer.learning_rate: []}", "must be a list of values"},
		"a seed twice":                 {"name: a\naxes: {seed: [1, 1]}", "names a seed twice"},
		"no seed":                      {"name: a\naxes: {seed: 0}", "axes.seed must be a list of seeds"},
		"an entry without method":      {"name: a\naxes: {method: [{name: x}]}", "an entry names no method"},
		"an unknown key of an entry":   {"name: a\naxes: {method: [{method: grpo, sets: {}}]}", "sets is not known; an entry has name, method, set, axes"},
		"a family that has no methods": {"name: a\naxes: {method: {families: [nonsense]}}", "no method of the families"},
		"an exception that is none":    {"name: a\naxes: {method: {families: [length], except: [nonsense]}}", `method "nonsense" does not exist`},
		"a limit of 0":                 {"name: a\nbaselines: {truncation: [0]}", "baselines.truncation: token limits must be at least 1"},
		"a negative rate":              {"name: a\nrates: {tokens_per_second: -1}", "rates.tokens_per_second: -1 is negative"},
		"no YAML":                      {"name: [", "sweep: yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.text), "")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestAllViolationsAreReportedAtOnce(t *testing.T) {
	_, err := Parse([]byte("name: a/b\nsearch: {kind: bayes, by: luck}"), "")
	list, ok := errors.AsType[*configs.Error](err)
	if !ok || len(list.Problems) != 3 {
		t.Errorf("got %v, want three problems", err)
	}
}

func plan(t *testing.T, text string, set ...string) *Plan {
	t.Helper()
	s, err := Parse([]byte(text), "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(Options{Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func names(p *Plan) []string {
	var out []string
	for _, r := range p.Runs {
		out = append(out, r.Name)
	}
	return out
}

func TestAGridIsTheProductOfItsAxesUnderEverySeedWithBaselines(t *testing.T) {
	p := plan(t, small+`
axes:
  method: [{method: kimi_length, axes: {method.weight: [0.25, 0.5]}}, {name: dler-16, method: dler, set: {method.limit: 16}}]
  optimizer.learning_rate: [1.0e-4, 3.0e-4]
  seed: [1, 2]
`)
	want := []string{
		"kimi_length-weight0.25-learning_rate0.0001-s1", "kimi_length-weight0.25-learning_rate0.0001-s2",
		"kimi_length-weight0.25-learning_rate0.0003-s1", "kimi_length-weight0.25-learning_rate0.0003-s2",
		"kimi_length-weight0.5-learning_rate0.0001-s1", "kimi_length-weight0.5-learning_rate0.0001-s2",
		"kimi_length-weight0.5-learning_rate0.0003-s1", "kimi_length-weight0.5-learning_rate0.0003-s2",
		"dler-16-learning_rate0.0001-s1", "dler-16-learning_rate0.0001-s2",
		"dler-16-learning_rate0.0003-s1", "dler-16-learning_rate0.0003-s2",
		"grpo-s1", "grpo-s2", "truncation-10-s1", "truncation-10-s2",
	}
	if diff := cmp.Diff(want, names(p)); diff != "" {
		t.Error(diff)
	}
	c := p.Runs[0].Config
	if c.Rewards.Method != "kimi_length" || c.Rewards.Params["weight"] != 0.25 || c.Optimizer.LearningRate != 1e-4 || c.Run.Seed != 1 || c.Run.Steps != 4 {
		t.Errorf("the first run's config: %+v", c)
	}
	last := p.Runs[len(p.Runs)-1].Config
	if last.Rollout.MaxTokens != 10 || last.Eval.MaxTokens != 40 || last.Rewards.Method != "grpo" {
		t.Errorf("truncation alone samples at most %d tokens, evaluates with %d, method %s", last.Rollout.MaxTokens, last.Eval.MaxTokens, last.Rewards.Method)
	}
	if diff := cmp.Diff([]int{5, 10, 20}, p.HardCaps()); diff != "" {
		t.Error(diff)
	}
}

func TestBaselinesCanBeTurnedOffAndAreNotDoubled(t *testing.T) {
	off := plan(t, small+"axes: {method: [kimi_length]}\nbaselines: {untrained: false, grpo: false, truncation: [], hard_cap: []}")
	if diff := cmp.Diff([]string{"kimi_length-s1"}, names(off)); diff != "" || off.Untrained() || len(off.HardCaps()) > 0 {
		t.Error(diff, off.Untrained(), off.HardCaps())
	}
	named := plan(t, small+"axes: {method: [grpo, kimi_length]}\nbaselines: {truncation: []}")
	if diff := cmp.Diff([]string{"grpo-s1", "kimi_length-s1"}, names(named)); diff != "" {
		t.Error(diff)
	}
}

func TestRandomSearchDrawsTheSameForTheSameSeed(t *testing.T) {
	text := small + `
axes: {method: [kimi_length], method.weight: {min: 0.1, max: 1, log: true}, loss.epochs: {min: 1, max: 3, integer: true}}
search: {kind: random, runs: 5, seed: `
	a, b, other := plan(t, text+"1}"), plan(t, text+"1}"), plan(t, text+"2}")
	if diff := cmp.Diff(names(a), names(b)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(names(a), names(other)) {
		t.Error("another seed draws the same")
	}
	for _, r := range a.Runs[:5] {
		if w, ok := r.Config.Rewards.Params["weight"].(float64); !ok || w < 0.1 || w > 1 {
			t.Errorf("weight %v outside its range", r.Config.Rewards.Params["weight"])
		}
	}
	s, err := Parse([]byte(small+"axes: {method: [kimi_length], method.weight: [1, 2]}\nsearch: {kind: random, runs: 3}"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Plan(Options{}); err == nil || !strings.Contains(err.Error(), "the axes have only 2") {
		t.Error(err)
	}
}

func TestAPlanIsRefusedWhereTrainingWouldRefuseARun(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"a value out of range":          {"axes: {method: [kimi_length], optimizer.learning_rate: [5]}", "sweep arm kimi_length-learning_rate5: optimizer.learning_rate: 5 is out of range"},
		"a strategy that cannot":        {"axes: {method: [brpo]}\nbase: {presets: [quickstart], set: {rollout.strategy: single}}", "brpo needs budget_scores"},
		"two arms of one name":          {"axes: {method: [{name: a, method: kimi_length}, {name: a, method: dler}]}", "two entries have this name"},
		"a rung that nothing evaluates": {"base: {presets: [quickstart]}\nsearch: {kind: halving, rungs: [7]}", "nothing is evaluated after step 7"},
		"a rung after the end":          {"base: {presets: [quickstart]}\nsearch: {kind: halving, rungs: [40]}", "40 is not before the last step"},
	} {
		t.Run(name, func(t *testing.T) {
			text := small + tc.text
			if strings.Contains(tc.text, "base:") {
				text = "name: small\n" + tc.text
			}
			s, err := Parse([]byte(text), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Plan(Options{}); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestSettingsOfTheCommandLineLieUnderTheAxes(t *testing.T) {
	p := plan(t, small+"axes: {method: [kimi_length], optimizer.learning_rate: [1.0e-4]}", "run.steps=3", "optimizer.learning_rate=0.01")
	if c := p.Runs[0].Config; c.Run.Steps != 3 || c.Optimizer.LearningRate != 1e-4 {
		t.Errorf("%d steps, learning rate %v", c.Run.Steps, c.Optimizer.LearningRate)
	}
}

func TestShippedSweepsAreWholeAndShareTheirRuns(t *testing.T) {
	all := map[string]string{} // run name to hash
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Plan(Options{})
		if err != nil {
			t.Fatal(err)
		}
		arms := 0
		for _, a := range p.Arms {
			if !a.Baseline {
				arms++
			}
		}
		if arms < 6 || len(p.Runs) != 3*len(p.Arms) || !p.Untrained() || len(p.HardCaps()) == 0 {
			t.Errorf("%s: %d arms, %d runs", name, arms, len(p.Runs))
		}
		for _, r := range p.Runs {
			if was, ok := all[r.Name]; ok && was != r.Hash {
				t.Errorf("%s of %s is not the run of that name of another sweep", r.Name, name)
			}
			all[r.Name] = r.Hash
		}
	}
}

func TestASweepFileIsFoundByNameAndByPath(t *testing.T) {
	byName, err := Load("length-rewards")
	if err != nil {
		t.Fatal(err)
	}
	byPath, err := Load("../../configs/sweeps/length-rewards.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if byName.Name != byPath.Name {
		t.Errorf("%s and %s", byName.Name, byPath.Name)
	}
	if _, err := Load("no-such-sweep"); err == nil || !strings.Contains(err.Error(), "give a YAML path, or one of: length-methods, length-rewards") {
		t.Error(err)
	}
	if _, err := Load(t.TempDir()); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add("name: a\naxes: {method: {families: [length]}, seed: 3, x.y: {min: 1, max: 2}}")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse([]byte(text), "")
		if (s == nil) == (err == nil) && err == nil {
			t.Fatal("neither a sweep nor an error")
		}
	})
}

package trainer

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/configs"
	"pith/rewards"
	"pith/rewards/score"
	"pith/traces"
)

// smallest makes a config of a method file that takes a second or less.
func smallest(t *testing.T, method string, set ...string) configs.Config {
	t.Helper()
	m, err := configs.OpenMethod(method)
	if err != nil {
		t.Fatal(err)
	}
	c, err := configs.Load(configs.Sources{Presets: []string{m.Base}, Method: method, Set: append([]string{
		"run.name=" + method, "run.steps=2", "rollout.prompts_per_step=4", "rollout.max_tokens=60", "eval.every=0",
		"eval.final_problems=4", "eval.greedy=false", "checkpoint.every=1", "log.report=false",
	}, set...)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trained runs a config in dir.
func trained(t *testing.T, c configs.Config, dir string) {
	t.Helper()
	r, err := Open(t.Context(), c, Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	err = r.Run(t.Context())
	if closed := r.Close(); err == nil {
		err = closed
	}
	if err != nil {
		t.Fatal(err)
	}
}

// replayed scores a run again as pith score does: with the run's settings and schedules, from its
// log alone.
func replayed(t *testing.T, dir string) *score.Replayed {
	t.Helper()
	manifest, err := ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := rewards.New(manifest.Config.Rewards.Method, MethodOptions(manifest.Config))
	if err != nil {
		t.Fatal(err)
	}
	prepare, err := ReplaySchedules(manifest.Config, run, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := score.Replay(run, m, score.ReplayOptions{Prepare: prepare})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// failed counts the traces of a run that failed or never came.
func failed(t *testing.T, dir string) (n int64) {
	t.Helper()
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range run.Steps() {
		if err != nil {
			t.Fatal(err)
		}
		n += s.Failed + s.DeadLetter
	}
	return n
}

// TestEveryMethodTrainsFromItsFileAndIsReproducedFromItsLog runs every method file for two real
// steps, and then scores the run's own traces: rewards, terms, advantages and filters must be those
// that were trained on, to the last bit.
func TestEveryMethodTrainsFromItsFileAndIsReproducedFromItsLog(t *testing.T) {
	for i, name := range rewards.Names() {
		if (testing.Short() || raceEnabled) && i%6 != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := smallest(t, name)
			dir := filepath.Join(t.TempDir(), name)
			trained(t, c, dir)
			r := replayed(t, dir)
			if r.Different != 0 {
				t.Errorf("%d of %d traces score differently: %s", r.Different, r.Traces, r.First)
			}
			if want := int64(2 * 4); r.Steps != 2 || r.Traces < want {
				t.Errorf("%d traces in %d steps", r.Traces, r.Steps)
			}
			if n := failed(t, dir); n > 0 {
				t.Errorf("%d of %d traces failed", n, r.Traces)
			}
		})
	}
}

func TestEveryMethodHasAFileAndEveryFileAMethod(t *testing.T) {
	want := slices.Sorted(slices.Values(rewards.Names()))
	if diff := cmp.Diff(want, configs.MethodFiles()); diff != "" {
		t.Errorf("registered methods (-) and method files (+):\n%s", diff)
	}
}

// TestMethodFilesFollowTheRecipeThatTheRegistrationRecommends holds the two places that state a
// paper's recipe against each other.
func TestMethodFilesFollowTheRecipeThatTheRegistrationRecommends(t *testing.T) {
	for _, d := range rewards.Methods() {
		m, err := configs.OpenMethod(d.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		c, err := configs.Load(configs.Sources{Presets: []string{m.Base}, Method: d.Name, Scale: configs.ScalePaper})
		if err != nil {
			t.Error(err)
			continue
		}
		r := d.Recommended
		number := func(key string) float64 {
			if whole, ok := c.Loss.Params[key].(int); ok {
				return float64(whole)
			}
			v, _ := c.Loss.Params[key].(float64)
			return v
		}
		word := func(key string) string { v, _ := c.Loss.Params[key].(string); return v }
		for _, x := range []struct {
			what      string
			want, got any
			stated    bool
		}{
			{"strategy", r.Strategy, c.Rollout.Strategy, r.Strategy != ""},
			{"samples a prompt", r.GroupSize, c.Rollout.SamplesPerPrompt, r.GroupSize != 0},
			{"loss", r.Loss, c.Loss.Kind, r.Loss != ""},
			{"aggregation", r.Aggregation, c.Loss.Aggregation, r.Aggregation != ""},
			{"clip below", r.ClipLow, number("clip_low"), true},
			{"clip above", r.ClipHigh, number("clip_high"), true},
			{"dual clip", r.DualClip, number("dual_clip"), true},
			{"KL coefficient", r.KL, number("kl_coef"), true},
			{"KL estimator", r.KLKind, word("kl_kind"), r.KLKind != ""},
			{"entropy coefficient", r.Entropy, number("entropy_coef"), true},
			{"temperature", r.Temperature, c.Rollout.Temperature, r.Temperature != 0},
			{"learning rate", r.Rate, c.Optimizer.LearningRate, r.Rate != 0},
			{"dynamic sampling", r.Dynamic, c.Rollout.DynamicSampling, true},
			{"a schedule", r.Schedule != "", len(c.Schedule) > 0, true},
			{"a curriculum", r.Curriculum != "", c.Data.Curriculum.Kind != "none", true},
		} {
			if x.stated && x.want != x.got {
				t.Errorf("%s: %s is %v in the registration, %v in its file", d.Name, x.what, x.want, x.got)
			}
		}
	}
}

// TestEveryMethodFileIsAcceptedAtThePapersScale checks the files, unchanged but for sizes, against a
// policy whose context holds the papers' responses.
func TestEveryMethodFileIsAcceptedAtThePapersScale(t *testing.T) {
	for i, name := range rewards.Names() {
		if (testing.Short() || raceEnabled) && i%6 != 0 {
			continue
		}
		m, err := configs.OpenMethod(name)
		if err != nil {
			t.Fatal(err)
		}
		c, err := configs.Load(configs.Sources{Presets: []string{m.Base}, Method: name, Scale: configs.ScalePaper})
		if err != nil {
			t.Fatal(err)
		}
		c.Policy.Base = longContext(t, c.Policy.Base)
		if err := Check(c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// longContext copies a shipped policy and gives it a context of 128k tokens.
func longContext(t *testing.T, base string) string {
	t.Helper()
	files, err := configs.BasePolicy(strings.TrimPrefix(base, "builtin:"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "policy")
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	long := regexp.MustCompile(`"max_position_embeddings": \d+`).ReplaceAll(text, []byte(`"max_position_embeddings": 131072`))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, long, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func fixtures(t *testing.T, kind string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", kind, "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures in testdata/%s (%v)", kind, err)
	}
	return paths
}

func TestBadConfigsSayWhatIsWrongAndWhere(t *testing.T) {
	for _, path := range fixtures(t, "bad") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Load(Sources{Files: []string{path}})
			if err == nil {
				t.Fatal("loaded without an error")
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is not one line: %q", err)
			}
			for line := range strings.SplitSeq(string(text), "\n") {
				if want, ok := strings.CutPrefix(line, "# want: "); ok && !strings.Contains(err.Error(), want) {
					t.Errorf("error %q\ndoes not contain %q", err, want)
				}
			}
		})
	}
}

func TestGoodConfigsLoad(t *testing.T) {
	for _, path := range fixtures(t, "good") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, err := Load(Sources{Files: []string{path}}); err != nil {
				t.Error(err)
			}
		})
	}
	for _, p := range Presets() {
		t.Run("preset "+p, func(t *testing.T) {
			if _, err := Load(Sources{Presets: []string{p}}); err != nil {
				t.Error(err)
			}
		})
	}
	for _, m := range MethodFiles() {
		t.Run("method "+m, func(t *testing.T) {
			c, err := Load(Sources{Presets: []string{"quickstart"}, Method: m})
			if err != nil {
				t.Fatal(err)
			}
			if c.Rewards.Method != m {
				t.Errorf("method file %s selects method %s", m, c.Rewards.Method)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	write := func(text string) Sources {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return Sources{Presets: []string{"quickstart"}, Files: []string{file}}
	}
	seed := func(s Sources) uint64 {
		t.Helper()
		c, err := Load(s)
		if err != nil {
			t.Fatal(err)
		}
		return c.Run.Seed
	}
	s := write("run: {seed: 5}")
	if got := seed(s); got != 5 {
		t.Errorf("file over preset: seed %d, want 5", got)
	}
	s.Environ = []string{"PITH_RUN__SEED=6", "PITH_KERNEL=portable", "HOME=/"}
	if got := seed(s); got != 6 {
		t.Errorf("environment over file: seed %d, want 6", got)
	}
	s.Set = []string{"run.seed=7"}
	if got := seed(s); got != 7 {
		t.Errorf("--set over environment: seed %d, want 7", got)
	}
}

func TestAnotherMethodDropsTheParametersOfTheOneItReplaces(t *testing.T) {
	c, err := Load(Sources{Presets: []string{"quickstart"}, Set: []string{"rewards.method=dler", "method.limit=48", "advantage.std=population"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"limit": 48}, c.Rewards.Params); diff != "" {
		t.Errorf("rewards.params (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"std": "population"}, c.Advantage.Params); diff != "" {
		t.Errorf("advantage.params (-want +got):\n%s", diff)
	}
}

func TestSetRefusesWhatIsNoSetting(t *testing.T) {
	for _, set := range []string{"run.seed", "=3", "run.seed=[", "run.sede=3"} {
		if _, err := Load(Sources{Set: []string{set}}); err == nil {
			t.Errorf("--set %s was accepted", set)
		}
	}
}

func TestResolvedYAMLLoadsBackToTheSameConfig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Default()
		c.Run.Seed = rapid.Uint64().Draw(t, "seed")
		c.Run.Steps = rapid.IntRange(0, 1e6).Draw(t, "steps")
		c.Rollout.Temperature = rapid.Float64Range(1e-3, 10).Draw(t, "temperature")
		c.Optimizer.LearningRate = rapid.Float64Range(0, 1).Draw(t, "lr")
		c.Rewards.Params = map[string]any{"limit": rapid.IntRange(0, 1000).Draw(t, "limit"), "alpha": rapid.Float64Range(1e-9, 1e9).Draw(t, "alpha")}
		text, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		m, err := parse(text, "resolved")
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(m)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if again, err := back.YAML(); err != nil || string(again) != string(text) {
			t.Fatalf("not the same config (%v):\n%s", err, cmp.Diff(string(text), string(again)))
		}
		if c.Hash() != back.Hash() {
			t.Fatal("the hash changed")
		}
	})
}

func TestHashIgnoresWhatCannotChangeAResult(t *testing.T) {
	base := Default()
	same, other := base, base
	same.Rollout.Workers, same.Engine.Threads, same.Stream.Listen, same.Checkpoint.Every = 4, 2, "127.0.0.1:4222", 1
	other.Run.Seed++
	if base.Hash() != same.Hash() {
		t.Error("workers, threads, stream or checkpoints changed the hash")
	}
	if base.Hash() == other.Hash() {
		t.Error("another seed has the same hash")
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	text, err := Default().YAML()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("rollout: [1, {a: b}]\nschedule: {x: 1}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parse(text, "fuzz")
		if err != nil {
			return
		}
		merged, err := defaults()
		if err != nil {
			t.Fatal(err)
		}
		delete(m, "presets")
		delete(m, "method")
		mergeLayer(merged, m)
		if c, err := decode(merged); err == nil {
			_ = c.Validate()
			if _, err := yaml.Marshal(c); err != nil {
				t.Fatal(err)
			}
		}
	})
}

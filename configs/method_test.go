package configs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustLoad(t *testing.T, s Sources) Config {
	t.Helper()
	c, err := Load(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAMethodsNumbersShrinkWithTheSizesOfTheConfig(t *testing.T) {
	quick := []string{"quickstart"} // 200 tokens, 40 steps, groups of 12
	for _, tc := range []struct {
		name, method string
		set          []string
		got          func(c Config) any
		want         any
	}{
		{"tokens: 4000 of 16384 is 49 of 200", "dler", nil, func(c Config) any { return c.Rewards.Params["limit"] }, 49},
		{"with the final limit, set above the method", "dler", []string{"rollout.max_tokens=64"}, func(c Config) any { return c.Rewards.Params["limit"] }, 16},
		{"what is set by hand is not scaled", "dler", []string{"method.limit=48"}, func(c Config) any { return c.Rewards.Params["limit"] }, 48},
		{"every item of a list", "brpo", nil, func(c Config) any { return c.Rewards.Params["budgets"] }, []any{50, 100, 150, 200}},
		{"prices of a token grow", "shorter_better", nil, func(c Config) any { return c.Rewards.Params["beta"] }, 0.001 * 6000 / 200},
		{"steps", "siri", []string{"run.steps=60"}, func(c Config) any { return c.Rewards.Params["period"] }, 20},
		{"never below 1", "siri", []string{"run.steps=1"}, func(c Config) any { return c.Rewards.Params["period"] }, 1},
		{"samples", "gfpo_shortest", nil, func(c Config) any { return c.Rewards.Params["keep"] }, 4},
		{"inside schedules", "siri", nil, func(c Config) any { return c.Schedule[0].Params["limit_max"] }, 200},
		{"a profile brings numbers of its own", "grpo_lead", []string{"rewards.profile=released_code"}, func(c Config) any { return c.Rewards.Params["gate"] }, 49},
		{"sizes are the config's", "dler", nil, func(c Config) any {
			return []any{c.Rollout.PromptsPerStep, c.Rollout.SamplesPerPrompt, c.Rollout.MaxTokens, c.Optimizer.LearningRate}
		}, []any{16, 12, 200, 3e-4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := mustLoad(t, Sources{Presets: quick, Method: tc.method, Set: tc.set})
			if diff := cmp.Diff(tc.want, tc.got(c)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestThePapersScaleTakesItsSizesAndItsNumbersAsTheyStand(t *testing.T) {
	c := mustLoad(t, Sources{Presets: []string{"quickstart"}, Method: "dler", Scale: ScalePaper, Set: []string{"rollout.prompts_per_step=64"}})
	got := []any{c.Rewards.Params["limit"], c.Rollout.MaxTokens, c.Rollout.SamplesPerPrompt, c.Rollout.PromptsPerStep, c.Loss.MiniBatches, c.Optimizer.LearningRate, c.Eval.MaxTokens}
	if diff := cmp.Diff([]any{4000, 4000, 16, 64, 8, 1e-6, 32768}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("presets: [quickstart]\nmethod: siri\nscale: paper\nrun: {steps: 9}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c = mustLoad(t, Sources{Files: []string{file}}); c.Rewards.Params["period"] != 640 || c.Run.Steps != 9 {
		t.Errorf("a file's scale: period %v in %d steps", c.Rewards.Params["period"], c.Run.Steps)
	}
	if _, err := Load(Sources{Method: "siri", Scale: "large"}); err == nil || !strings.Contains(err.Error(), `scale: "large" is not known; valid: config, paper`) {
		t.Error(err)
	}
}

func TestAProfileOfAMethodFileFollowsTheCode(t *testing.T) {
	load := func(profile string) Loss {
		return mustLoad(t, Sources{Presets: []string{"quickstart"}, Method: "adaptthink", Set: []string{"rewards.profile=" + profile}}).Loss
	}
	if got := load("paper"); got.Kind != "ppo" || got.Params["clip_high"] != 0.2 {
		t.Errorf("paper: %+v", got)
	}
	if got := load("released_code"); got.Kind != "gspo" || got.Params["clip_high"] != 0.2 {
		t.Errorf("released code: %+v", got)
	}
}

func TestSchedulesOfAMethod(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	text := `
presets: [quickstart]
schedule:
  - {target: optimizer.learning_rate, kind: linear, params: {from: 1.0e-3, to: 0, steps: 40}}
  - {target: rewards.params.weight, kind: constant, params: {value: 0.5}}
  - {target: rollout.max_tokens, kind: constant, params: {value: 100}}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	targets := func(set ...string) []string {
		var out []string
		for _, s := range mustLoad(t, Sources{Files: []string{file}, Method: "thinkprune", Set: set}).Schedule {
			out = append(out, s.Target+" "+s.Kind)
		}
		return out
	}
	// Those of the layers below stay, but for the other method's and those with the same target.
	if diff := cmp.Diff([]string{"optimizer.learning_rate linear", "rewards.params.limit thinkprune", "rollout.max_tokens thinkprune"}, targets()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A number set by hand holds throughout.
	if diff := cmp.Diff([]string{"optimizer.learning_rate linear", "rollout.max_tokens thinkprune"}, targets("method.limit=48")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAMethodFileSaysWhereItIsWrong(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"an unknown part of scale", "scale: {off: {tokens: 3}}", "scale: "},
		{"a path that is not there", "scale: {of: {tokens: 3}, tokens: [rewards.params.limit]}\nrewards: {method: dler}", "rewards.params.limit: there is no params"},
		{"a path to a word", "scale: {of: {tokens: 3}, tokens: [rewards.method]}\nrewards: {method: dler}", "dler is no number"},
		{"an index beyond the list", "scale: {of: {steps: 3}, steps: [schedule.2.params.a]}\nschedule: [{target: a, params: {a: 1}}]", "there is no 2"},
		{"no size", "scale: {tokens: [rewards.params.limit]}\nrewards: {method: dler, params: {limit: 1}}", "set scale.of"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := parseMethod("m", []byte(tc.text))
			if err == nil {
				_, err = m.layer("paper", ScaleConfig, sizes{tokens: 6, steps: 6, samples: 6})
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestEveryMethodFileLoadsAtBothScalesAndInBothProfiles(t *testing.T) {
	for _, name := range MethodFiles() {
		m, err := OpenMethod(name)
		if err != nil {
			t.Fatal(err)
		}
		if m.About == "" {
			t.Errorf("%s has no comment", name)
		}
		for _, scale := range []string{ScaleConfig, ScalePaper} {
			for _, profile := range []string{"paper", "released_code"} {
				c, err := Load(Sources{Presets: []string{m.Base}, Method: name, Scale: scale, Set: []string{"rewards.profile=" + profile}})
				if err != nil {
					t.Errorf("%s, scale %s, profile %s: %v", name, scale, profile, err)
				} else if c.Rewards.Method != name || c.Rewards.Profile != profile {
					t.Errorf("%s, scale %s: method %s, profile %s", name, scale, c.Rewards.Method, c.Rewards.Profile)
				}
			}
		}
	}
}

package trainer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/configs"
	"pith/traces"
)

// logged reads the files of a run that hold nothing from a clock.
func logged(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"traces/*.parquet", "evals/*.parquet", "steps.parquet", "evals.parquet"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			out[filepath.Base(p)] = string(text)
		}
	}
	return out
}

// interrupted runs a config in dir, is cancelled after each of the given steps, and resumes.
func interrupted(t *testing.T, c configs.Config, dir string, after ...int64) {
	t.Helper()
	for i, stop := range append(after, -1) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := Open(ctx, c, Options{Dir: dir, Resume: i > 0, Events: Events{Step: func(s traces.Step, _ traces.Timing) {
			if s.Step == stop {
				cancel()
			}
		}}})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Run(ctx)
		cancel()
		if closed := r.Close(); closed != nil {
			t.Fatal(closed)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}

// TestAnInterruptedRunChoosesAndSchedulesAsIfItWereNot resumes runs whose choices depend on what
// they have observed: from a checkpoint, and from the log beyond it.
func TestAnInterruptedRunChoosesAndSchedulesAsIfItWereNot(t *testing.T) {
	for _, tc := range []struct {
		name, method string
		set          []string
	}{
		{"CurES", "grpo", []string{"data.curriculum.kind=cures", "data.curriculum.params.tau=0.1"}},
		{"a window, dynamic sampling", "dapo", []string{"data.curriculum.kind=window", "data.curriculum.params.low=0.3", "data.curriculum.params.by=level"}},
		{"levels", "grpo", []string{"data.curriculum.kind=levels", "data.curriculum.params.to_max=4"}},
		{"over-generation", "dot", nil},
		{"a controller", "canon_length", []string{"schedule=[{target: rewards.params.mu, kind: accuracy, params: {initial: 0.5}}, {target: loss.params.clip_high, kind: multiplier, params: {initial: 0.2, eta: 0.1}}]"}},
		{"references from the base policy's evaluation", "o1_pruner", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if (raceEnabled || testing.Short()) && tc.method != "dot" {
				t.Skip("the quick run resumes one of them")
			}
			c := smallest(t, tc.method, append([]string{"run.steps=5", "checkpoint.every=2", "rollout.max_tokens=40"}, tc.set...)...)
			dir := t.TempDir()
			trained(t, c, filepath.Join(dir, "whole"))
			interrupted(t, c, filepath.Join(dir, "cut"), 1, 3)
			want, got := logged(t, filepath.Join(dir, "whole")), logged(t, filepath.Join(dir, "cut"))
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s differs", name)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d files, want %d", len(got), len(want))
			}
			if r := replayed(t, filepath.Join(dir, "cut")); r.Different != 0 {
				t.Errorf("%d traces score differently: %s", r.Different, r.First)
			}
		})
	}
}

func TestCheckpointsHoldTheStateOfCurriculumAndControllers(t *testing.T) {
	c := smallest(t, "canon_length", "run.steps=1", "data.curriculum.kind=cures",
		"schedule=[{target: rewards.params.mu, kind: accuracy, params: {initial: 0.5}}]")
	dir := filepath.Join(t.TempDir(), "run")
	trained(t, c, dir)
	text, err := os.ReadFile(filepath.Join(dir, checkpointsDir, checkpointName(1), stateFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"curriculum"`, `"beliefs"`, `"rewards.params.mu"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	// A checkpoint of a run without a curriculum cannot be taken up by one with it.
	k, err := newChooser(c, mustOpen(t, c).family.Source)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.restore(nil); err == nil {
		t.Error("restored a curriculum from nothing")
	}
}

func mustOpen(t *testing.T, c configs.Config) *parts {
	t.Helper()
	p, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChoosersGiveEachGroupItsProblemOnce(t *testing.T) {
	c := smallest(t, "grpo", "rollout.prompts_per_step=6", "data.curriculum.kind=cures", "data.curriculum.params.multiple=8")
	k := mustOpen(t, c).chooser
	n, err := k.begin()
	if err != nil {
		t.Fatal(err)
	}
	first, err := k.choose(0, n)
	if err != nil {
		t.Fatal(err)
	}
	again, err := k.choose(0, n)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("a group that was chosen keeps its problem:\n%s", diff)
	}
	total := 0
	for _, p := range first {
		total += p.Samples
	}
	if total%8 != 0 || total < 6*c.Rollout.SamplesPerPrompt {
		t.Errorf("%d rollouts for a step of %d, a multiple of 8 was asked for", total, 6*c.Rollout.SamplesPerPrompt)
	}
	if _, err := k.choose(n, 1); err == nil {
		t.Error("chose a group beyond those that the step began with")
	}
}

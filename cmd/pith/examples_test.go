package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The worked configs are checked with everything but the model that they name, which is too large for
// a test: a small policy of the same kind of vocabulary stands in for it.
func TestWorkedConfigsAreWhole(t *testing.T) {
	paths, err := filepath.Glob("../../configs/examples/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no worked config: %v", err)
	}
	problems, err := filepath.Abs("../../datasets/testdata/gsm8k.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			out := mustPith(t, "config", "check", path, "--set", "data.params.path="+problems, "--set", "policy.base=builtin:clock",
				"--set", "rollout.max_tokens=200", "--set", "eval.max_tokens=200")
			if out != "ok\n" {
				t.Errorf("config check says %q", out)
			}
		})
	}
}

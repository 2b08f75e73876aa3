package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sharedData is the folder of data sets beside the module, or where PITH_SHARED_DATA says.
func sharedData(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("PITH_SHARED_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there; set PITH_SHARED_DATA to the folder that holds it", path)
	}
	return path
}

// TestThePageOnGSM8KIsMadeByItsCommands makes docs/gsm8k-solutions.md and its figures again.
func TestThePageOnGSM8KIsMadeByItsCommands(t *testing.T) {
	data := sharedData(t, "gsm8k_model_solutions.jsonl")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, out := filepath.Join("..", ".."), t.TempDir()
	cmd := exec.CommandContext(t.Context(), "bash", filepath.Join(root, "docs", "make-gsm8k"), data, out, self)
	cmd.Env = append(os.Environ(), asPith+"=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range []string{"gsm8k-solutions.md", filepath.Join("images", "gsm8k-plane.png"), filepath.Join("images", "gsm8k-lengths.png")} {
		want, err := os.ReadFile(filepath.Join(root, "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(want, got) {
			continue
		}
		if filepath.Ext(name) != ".md" {
			t.Errorf("docs/%s is not what docs/make-gsm8k draws", name)
			continue
		}
		t.Errorf("docs/%s is not what docs/make-gsm8k writes (-page +made):\n%s", name, cmp.Diff(string(want), string(got)))
	}
}

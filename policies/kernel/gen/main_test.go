package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestCommittedAssemblyIsWhatTheGeneratorWrites(t *testing.T) {
	dir := t.TempDir()
	if err := generate(dir); err != nil {
		t.Fatal(err)
	}
	written, err := filepath.Glob(filepath.Join(dir, "*.s"))
	if err != nil || len(written) == 0 {
		t.Fatalf("generated %d files: %v", len(written), err)
	}
	for _, path := range written {
		name := filepath.Base(path)
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale; run go generate ./policies/kernel", name)
		}
	}
}

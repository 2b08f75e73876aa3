package rewards_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fence matches the code blocks of docs/adding-a-method.md that name the file they belong to.
var fence = regexp.MustCompile("(?ms)^```\\w+ (\\S+)\n(.*?)^```$")

// The walk-through of docs/adding-a-method.md is applied to a copy of the packages that a method
// touches, and the tests that derive from the table are run there.
func TestTheWalkThroughOfAddingAMethodWorks(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a copy of the package")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go tool on the path")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "adding-a-method.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "traces", "policies/advantage", "policies/loss", "rewards"} {
		copyTree(t, filepath.Join(root, name), filepath.Join(dir, name))
	}
	applied := map[string]bool{}
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		path, text := filepath.Join(dir, block[1]), block[2]
		if block[1] == "rewards/methods.go" { // a line to add, not the whole file
			table, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text = strings.Replace(string(table), "\tgrpoSpec,", "\t"+text+"\tgrpoSpec,", 1)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		applied[block[1]] = true
	}
	for _, name := range []string{"rewards/nemo_group.go", "rewards/testdata/vectors/nemo_group.yaml", "configs/methods/nemo_group.yaml", "rewards/methods.go"} {
		if !applied[name] {
			t.Fatalf("the page has no block for %s", name)
		}
	}
	cmd := exec.Command(goTool, "test", "-short", "-run", "/nemo_group|TestEveryMethodIsDescribed|TestTheTableHoldsTheContract", "./rewards")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GOPROXY=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go test in the copy: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "ok") || strings.Contains(string(out), "no tests to run") {
		t.Errorf("the copy ran nothing: %s", out)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

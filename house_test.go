// Package pith_test checks the rules of the house that no compiler does: who may import whom,
// that every package says what it is, and that files stay readable.
package pith_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// level orders the packages; a package may import its own level and those below.
var levels = []struct {
	level    int
	prefixes []string
}{
	{4, []string{"pith/cmd"}},
	{3, []string{"pith/trainer", "pith/analysis"}},
	{2, []string{"pith/rollout", "pith/rewards", "pith/policies", "pith/configs"}},
	{1, []string{"pith/datasets"}},
	{0, []string{"pith/traces"}},
}

func levelOf(path string) (int, bool) {
	for _, l := range levels {
		for _, p := range l.prefixes {
			if path == p || strings.HasPrefix(path, p+"/") {
				return l.level, true
			}
		}
	}
	return 0, false
}

type listed struct {
	ImportPath string
	Dir        string
	Imports    []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != "pith" {
			all = append(all, p)
		}
	}
}

func TestNothingImportsUpwards(t *testing.T) {
	for _, p := range packages(t) {
		from, ok := levelOf(p.ImportPath)
		if !ok {
			t.Errorf("%s stands on no level: give it a place in DESIGN's house and in this test", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if to, ours := levelOf(imported); ours && to > from {
				t.Errorf("%s imports %s, which stands above it", p.ImportPath, imported)
			}
			if strings.HasPrefix(p.ImportPath, "pith/rewards/grade") && strings.HasPrefix(imported, "pith/") && !strings.HasPrefix(imported, "pith/rewards/grade") {
				t.Errorf("%s imports %s: the grader is used without pith", p.ImportPath, imported)
			}
		}
	}
}

// Rewards, advantages, losses and schedules are pure: no I/O, no clock, no goroutine's tools.
func TestPurePackagesStayPure(t *testing.T) {
	forbidden := []string{"os", "net", "net/http", "time", "io/fs", "log", "log/slog", "math/rand", "sync"}
	pure := regexp.MustCompile(`^pith/(rewards|rewards/params|policies/advantage|policies/loss|trainer/schedule|datasets/curriculum)$`)
	for _, p := range packages(t) {
		if !pure.MatchString(p.ImportPath) {
			continue
		}
		for _, imported := range p.Imports {
			if slices.Contains(forbidden, imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		parsed := token.NewFileSet()
		found := false
		files, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(parsed, file, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			found = found || f.Doc != nil
		}
		if !found {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		if name := filepath.Base(p.Dir); slices.Contains([]string{"util", "common", "helpers", "types"}, name) {
			t.Errorf("%s: a package is named for what it holds", p.ImportPath)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	const ceiling = 600
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		lines := 0
		for s := bufio.NewScanner(f); s.Scan(); {
			lines++
		}
		if lines > ceiling {
			t.Errorf("%s has %d lines; above %d something wants to leave", path, lines, ceiling)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

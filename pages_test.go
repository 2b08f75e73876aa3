package pith_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are README.md and everything below docs, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, root := range []string{"README.md", "docs"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".md") {
				return err
			}
			text, err := os.ReadFile(path)
			out[filepath.ToSlash(path)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	fences  = regexp.MustCompile("(?ms)^```.*?^```$")
)

// anchors are the names that links give the headings of a page.
func anchors(page string) []string {
	var out []string
	for _, h := range heading.FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(h[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}

func TestEveryLinkOfThePagesLeadsSomewhere(t *testing.T) {
	all, links := pages(t), 0
	for path, page := range all {
		for _, m := range link.FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			to := path
			if file != "" {
				to = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(all[to]), anchor) {
				t.Errorf("%s links to %s, which has no such heading", path, m[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found", links)
	}
}

func TestTheIndexOfTheDocsHasALineForEveryPage(t *testing.T) {
	all := pages(t)
	index := all["docs/README.md"]
	for path := range all {
		name, below := strings.CutPrefix(path, "docs/")
		if below && name != "README.md" && strings.Count(index, "("+name+")") != 1 {
			t.Errorf("docs/README.md does not list %s once", name)
		}
	}
	if !strings.Contains(all["README.md"], "(docs/README.md)") {
		t.Error("README.md does not lead to docs/README.md")
	}
}

var (
	goCommand = regexp.MustCompile(`\bgo (?:test|run)\b[^` + "`" + `\n|)]*`)
	pattern   = regexp.MustCompile(`-(run|bench|fuzz) +'?([^ ']+)'?`)
	directory = regexp.MustCompile(`(?:^| )(\.(?:/[\w./-]*)?)`)
)

// The go commands that the pages and the scripts of CI show name packages that are there, and tests
// and benchmarks that those packages have.
func TestTheGoCommandsOfThePagesFindWhatTheyRun(t *testing.T) {
	all := pages(t)
	for _, script := range []string{".ci/run", ".ci/parquet-reader.sh", ".ci/openai-client.sh", ".ci/html-validator.sh"} {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		all[script] = strings.ReplaceAll(string(text), "\ttests -", "\tgo test -") // as .ci/run defines it
	}
	commands := 0
	for path, page := range all {
		for _, command := range goCommand.FindAllString(page, -1) {
			command, _, _ = strings.Cut(command, " #")
			dirs := directory.FindAllStringSubmatch(command, -1)
			if len(dirs) == 0 || strings.Contains(command, "$") {
				continue // prose
			}
			commands++
			tests := ""
			for _, d := range dirs {
				dir, deep := strings.CutSuffix(d[1], "/...")
				if info, err := os.Stat(dir); err != nil || !info.IsDir() {
					t.Errorf("%s: %s: there is no %s", path, command, d[1])
					continue
				}
				tests += testsOf(t, dir, deep)
			}
			for _, p := range pattern.FindAllStringSubmatch(command, -1) {
				name, _, _ := strings.Cut(strings.Trim(p[2], "/"), "/")
				if name == "xxx" || name == "xx" || name == "^$" {
					continue // a name that no test has
				}
				kind := map[string]string{"run": "Test|Example|Fuzz", "bench": "Benchmark", "fuzz": "Fuzz"}[p[1]]
				re, err := regexp.Compile(name)
				if err != nil {
					t.Errorf("%s: %s: %v", path, command, err)
					continue
				}
				found := false
				for _, f := range regexp.MustCompile(`(?m)^func ((?:`+kind+`)\w*)\(`).FindAllStringSubmatch(tests, -1) {
					found = found || re.MatchString(f[1])
				}
				if !found {
					t.Errorf("%s: %s: no name matches %s", path, command, p[2])
				}
			}
		}
	}
	if commands < 15 {
		t.Errorf("only %d go commands were found", commands)
	}
}

// testsOf is the text of a directory's tests, and where deep of those below it.
func testsOf(t *testing.T, dir string, deep bool) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != dir && !deep {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A variable of the environment that a page names is read somewhere; those of configs are checked with
// the commands.
func TestTheVariablesThatThePagesNameAreRead(t *testing.T) {
	var sources strings.Builder
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, page := range pages(t) {
		for _, name := range regexp.MustCompile(`\bPITH_[A-Z_]+`).FindAllString(page, -1) {
			if !strings.Contains(name, "__") && !strings.Contains(sources.String(), `"`+name+`"`) {
				t.Errorf("%s names %s, which nothing reads", path, name)
			}
		}
	}
}

// Tests, and paths of the repository, that a page names are there.
func TestThePagesNameTestsAndPathsThatAreThere(t *testing.T) {
	tests := testsOf(t, ".", true)
	name := regexp.MustCompile("`(?:\\w+\\.)?((?:Test|Benchmark|Fuzz)[A-Z]\\w*)`")
	path := regexp.MustCompile("`((?:analysis|cmd|configs|datasets|docs|policies|rewards|rollout|traces|trainer)/[\\w./-]*)`")
	for page, text := range pages(t) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(tests, "func "+m[1]+"(") {
				t.Errorf("%s names %s, which no package has", page, m[1])
			}
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(m[1]); err != nil && !elsewhere.MatchString(m[1]) {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
}

// elsewhere are paths that are not of the repository: of a run directory, with a name to fill in, of the
// method that docs/adding-a-method.md adds to a copy.
var elsewhere = regexp.MustCompile(`\.parquet$|NAME|nemo_group`)

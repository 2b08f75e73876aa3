package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pith/configs"
	"pith/rewards"
)

// ranElsewhere are the shapes of command lines that a Go test runs because a script cannot: it would
// need an address that is known beforehand, or a signal to end. A line of a page is run where one of
// these, or a line of a script, has its command and its flags.
var ranElsewhere = []struct{ line, test string }{
	{"pith serve builtin:clock --port 8000 --load-from runs", "TestTheDocumentOfServeIsTrue"},
	{"pith serve --watch runs/quickstart", "TestTheDocumentOfServeIsTrue"},
	{"pith train --engine vllm --set engine.urls=URLS --set engine.publish_dir=DIR", "TestTrainSamplesFromAServerAndPublishesToIt"},
	{"pith eval POLICY --engine openai --set engine.urls=URLS --problems 8", "TestEvalMeasuresWhatAServerServes"},
	{"pith probe URL --train --publish DIR --publish DIR", "TestProbeTellsWhatHoldsOfAServer"},
	{"pith probe URL --dialect openai --train", "TestProbeSaysInOneLineWhatIsWrong"},
	{"pith probe URL --no-score", "TestProbeDoesNotAskForScoresWhereItIsToldSo"},
	{"pith worker --nats URL", "TestAWorkerInAnotherProcessServesTheRun"},
	{"pith sweep FILE --listen HOST:PORT", "TestASweepIsSharedByTwoProcesses"},
	{"pith sweep --join URL --parallel 2", "TestASweepIsSharedByTwoProcesses"},
	{"pith sweep FILE --nats URL --parallel 1", "TestASweepIsOfferedOnAServerThatRunsAnyway"},
	{"pith simulate --published", "TestTheDocumentedComparisonIsTheCommands"},
	{"pith traces import --in FILE --out DIR --grader numeric --per-step 100000 --price X", "TestThePageOnGSM8KIsMadeByItsCommands"},
	{"pith traces stats RUN --by policy --expert 3.5 --figures DIR", "TestThePageOnGSM8KIsMadeByItsCommands"},
	{"pith score --method grpo,kimi_length,gr3,alp --in RUN", "TestThePageOnGSM8KIsMadeByItsCommands"},
	{"pith watch RUN --http ADDRESS", "TestAViewAndMetricsAreServedUntilInterrupted"},
	{"pith metrics RUN --http ADDRESS", "TestAViewAndMetricsAreServedUntilInterrupted"},
	{"pith train --method nemo_group", "TestTheWalkThroughOfAddingAMethodWorks"}, // the method is only in the copy that the test makes
}

// freeFlags take a path, an address or a size: an equivalent line may have another one.
var freeFlags = []string{
	"out", "in", "base", "figures", "http", "nats", "listen", "join", "port", "watch", "load-from", "publish", "adapter", "columns",
	"parallel", "processors", "staleness", "steps", "budgets", "api-key-env", "price", "per-step", "expert", "grace", "max-sequences",
	"problems", "samples", "limit",
}

// shape is a command line without what an equivalent one may have differently.
type shape struct {
	command string
	flags   []string // name, name=value, or set=key
}

// covers says whether running s runs what page shows.
func (s shape) covers(page shape) bool {
	return s.command == page.command && !slices.ContainsFunc(page.flags, func(f string) bool {
		if name, value, _ := strings.Cut(f, "="); placeholder.MatchString(value) {
			return !s.has(name)
		}
		return !slices.Contains(s.flags, f)
	})
}

// has says whether a line gives a flag, whatever its value.
func (s shape) has(flag string) bool {
	return slices.ContainsFunc(s.flags, func(f string) bool { return f == flag || strings.HasPrefix(f, flag+"=") })
}

// placeholder is a value that a reader has to fill in.
var placeholder = regexp.MustCompile(`^[A-Z|]+$`)

// shapeOf reads a command line as pith would, down to the names of its flags.
func shapeOf(t *testing.T, line string) (shape, bool) {
	t.Helper()
	words := splitWords(line)
	root := newRoot(stdio{})
	cmd, rest, err := root.Find(words[1:])
	if err != nil || cmd == root && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("%s: no such command", line)
		return shape{}, false
	}
	s := shape{command: cmd.CommandPath()}
	record := func(f *pflag.Flag, value string) {
		key, _, _ := strings.Cut(value, "=")
		switch {
		case f.Name == "set":
			s.flags = append(s.flags, "set="+key)
		case f.Value.Type() == "bool" || slices.Contains(freeFlags, f.Name):
			s.flags = append(s.flags, f.Name)
		default:
			s.flags = append(s.flags, f.Name+"="+value)
		}
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.Flags().ParseAll(rest, func(f *pflag.Flag, value string) error { record(f, value); return nil }); err != nil {
		t.Errorf("%s: %v", line, err)
		return shape{}, false
	}
	return s, true
}

// splitWords cuts at blanks outside of quotes, as a shell would.
func splitWords(line string) []string {
	var words []string
	var word strings.Builder
	quote := rune(0)
	for _, r := range line + " " {
		switch {
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		case quote == 0 && r == ' ':
			if word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return words
}

// pages are README.md and everything below docs, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(text)
	}
	root := filepath.Join("..", "..")
	add(filepath.Join(root, "README.md"))
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			add(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	commandLine = regexp.MustCompile(`^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:go run \./cmd/)?(pith(?: .*)?)$`)
	inlineCode  = regexp.MustCompile("`([^`]+)`")
)

// codeOf is what a page shows as code: the lines of its blocks, fenced or indented, and what stands in
// its prose and tables between backticks.
func codeOf(page string) []string {
	var out []string
	in := false
	for line := range strings.Lines(strings.ReplaceAll(page, "\\\n", "")) {
		switch {
		case strings.HasPrefix(line, "```"):
			in = !in
		case in || strings.HasPrefix(line, "    "):
			out = append(out, strings.TrimSpace(line))
		default:
			for _, code := range inlineCode.FindAllStringSubmatch(line, -1) {
				out = append(out, code[1])
			}
		}
	}
	return out
}

// shownCommands are the command lines of a page. A usage stands for every line that it allows.
func shownCommands(page string) []string {
	var out []string
	for _, code := range codeOf(page) {
		code, _, _ = strings.Cut(code, " #")
		code, _, _ = strings.Cut(code, "  ")
		if m := commandLine.FindStringSubmatch(strings.TrimSpace(code)); m != nil {
			out = append(out, alternatives(m[1])...)
		}
	}
	return out
}

// optional is a placeholder of a usage line that a reader may leave out.
var optional = regexp.MustCompile(`\[([A-Za-z-][^\]]*)\]`)

// alternatives are the lines that a usage with [--flag] or ls\|show stands for.
func alternatives(line string) []string {
	line = strings.ReplaceAll(line, `\|`, "|")
	if with := optional.ReplaceAllString(line, "$1"); with != line {
		return append(alternatives(with), alternatives(optional.ReplaceAllString(line, ""))...)
	}
	words := strings.Fields(line)
	for i, w := range words {
		if w != strings.ToLower(w) || !strings.Contains(w, "|") {
			continue
		}
		var out []string
		for choice := range strings.SplitSeq(w, "|") {
			words[i] = choice
			out = append(out, strings.Join(words, " "))
		}
		return out
	}
	return []string{line}
}

// scripted are the command lines that the scripts run to success, or, where the page says so, to a
// failure that is the point of the line.
func scripted(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	var out []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		commands, _, _ := strings.Cut(string(text), "\n-- ")
		for line := range strings.Lines(commands) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "exec ")
			if line == "! pith lint naive_length" || strings.HasPrefix(line, "pith") {
				out = append(out, strings.TrimPrefix(line, "! "))
			}
		}
	}
	return out
}

// Every command line that the pages show is run by a test, itself or at another size: a line of a
// script, or of a Go test where a script cannot, has the same command, flags and settings.
func TestEveryCommandThatThePagesShowIsRun(t *testing.T) {
	var tested []shape
	add := func(line string) {
		if s, ok := shapeOf(t, line); ok {
			tested = append(tested, s)
		}
	}
	for _, line := range scripted(t) {
		add(line)
	}
	sources := testSources(t)
	for _, e := range ranElsewhere {
		if !strings.Contains(sources, "func "+e.test+"(") {
			t.Errorf("%s: there is no test %s", e.line, e.test)
		}
		add(e.line)
	}
	shown := 0
	all := pages(t)
	for path, page := range all {
		for _, line := range shownCommands(page) {
			shown++
			want, ok := shapeOf(t, line)
			if ok && !slices.ContainsFunc(tested, func(s shape) bool { return s.covers(want) }) {
				t.Errorf("%s shows a command that no test runs: %s", path, line)
			}
		}
	}
	if shown < 100 {
		t.Errorf("only %d command lines were found", shown)
	}
	// A row of the README's table of commands names flags of the command that it is about.
	for line := range strings.Lines(all[filepath.Join("..", "..", "README.md")]) {
		if !strings.HasPrefix(line, "| `pith ") {
			continue
		}
		for _, code := range inlineCode.FindAllStringSubmatch(line, -1) {
			flag, ok := strings.CutPrefix(code[1], "--")
			flag, _, _ = strings.Cut(flag, " ")
			if ok && !slices.ContainsFunc(tested, func(s shape) bool { return strings.HasPrefix(line, "| `"+s.command) && s.has(flag) }) {
				t.Errorf("README.md: no test runs --%s with the command of\n%s", flag, line)
			}
		}
	}
}

// Every YAML block of the pages stands in a script as it is, or belongs to a page whose own test loads
// all of its blocks.
func TestEveryConfigThatThePagesShowIsLoaded(t *testing.T) {
	ownTest := map[string]string{
		"datasets.md":        "TestTheDocumentedExamplesLoad",
		"strategies.md":      "TestTheConfigsOfTheStrategiesPageWork",
		"adding-a-method.md": "TestTheWalkThroughOfAddingAMethodWorks",
	}
	files, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(text)
	}
	sources := testSources(t)
	for path, page := range pages(t) {
		for _, block := range regexp.MustCompile("(?ms)^```yaml[^\n]*\n(.*?)^```").FindAllStringSubmatch(page, -1) {
			if test := ownTest[filepath.Base(path)]; test != "" {
				if !strings.Contains(sources, "func "+test+"(") {
					t.Errorf("%s: there is no test %s", path, test)
				}
			} else if !strings.Contains(scripts.String(), block[1]) {
				t.Errorf("%s: no script has\n%s", path, block[1])
			}
		}
	}
}

// testSources are the tests of the module, to look names up in.
func testSources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, _ fs.DirEntry, err error) error {
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

// The README has every command, preset and engine, figures that the results have, and every flag and setting that the pages name exists.
func TestThePagesNameOnlyWhatExists(t *testing.T) {
	all := pages(t)
	root := newRoot(stdio{})
	readme := all[filepath.Join("..", "..", "README.md")]
	flags := map[string]bool{"help": true}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	if count := fmt.Sprintf("the %d [methods]", len(rewards.Names())); !strings.Contains(readme, count) {
		t.Errorf("README.md does not say %q", count)
	}
	for _, name := range slices.Concat(configs.Presets(), configs.Engines(), []string{configs.EngineLocal}) {
		if !regexp.MustCompile("(?m)^\\|.*`" + name + "`.*\\|").MatchString(readme) {
			t.Errorf("no table of README.md has %s", name)
		}
	}
	results := all[filepath.Join("..", "..", "docs", "results.md")]
	for _, figure := range regexp.MustCompile(`\d[\d.]* ± [\d.]+ %`).FindAllString(readme, -1) {
		if !strings.Contains(results, figure) {
			t.Errorf("README.md says %s, and docs/results.md does not", figure)
		}
	}
	for _, c := range root.Commands() {
		if !regexp.MustCompile(`(?m)^\| .*` + "`pith " + c.Name() + `\b`).MatchString(readme) {
			t.Errorf("the table of README.md lacks pith %s", c.Name())
		}
	}
	flag := regexp.MustCompile(`^--([a-z][a-z0-9-]*)`)
	sections := regexp.MustCompile(`^(?:run|policy|engine|learner|rollout|data|rewards|advantage|loss|optimizer|stream|log|eval|checkpoint|prices)(?:\.[a-z_]+)+$`)
	set := regexp.MustCompile(`--set '?([a-z_.]+)=`)
	environment := regexp.MustCompile(`\bPITH_([A-Z]+__[A-Z_]+)\b`)
	for path, page := range all {
		foreign := strings.Contains(filepath.ToSlash(path), "docs/engines/") // they show the servers' own flags
		for _, code := range codeOf(page) {
			if m := flag.FindStringSubmatch(code); m != nil && !flags[m[1]] && !foreign {
				t.Errorf("%s names --%s, which no command has", path, m[1])
			}
			key, _, _ := strings.Cut(code, ":")
			keys := []string{key}
			for _, m := range set.FindAllStringSubmatch(code, -1) {
				keys = append(keys, m[1])
			}
			for _, m := range environment.FindAllStringSubmatch(code, -1) {
				keys = append(keys, strings.ToLower(strings.ReplaceAll(m[1], "__", ".")))
			}
			for _, key := range keys {
				if sections.MatchString(key) && !hasSetting(reflect.TypeFor[configs.Config](), strings.Split(key, ".")) {
					t.Errorf("%s names the setting %s, which no config has", path, key)
				}
			}
		}
	}
}

// hasSetting follows a path through the config's keys; what a map holds is its owner's to know.
func hasSetting(t reflect.Type, path []string) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if len(path) == 0 || t.Kind() == reflect.Map {
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("mapstructure"), ","); name == path[0] {
			return hasSetting(t.Field(i).Type, path[1:])
		}
	}
	return false
}

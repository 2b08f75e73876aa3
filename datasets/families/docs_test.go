package families

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pith/datasets"
)

// Every config in docs/datasets.md opens, and every source and shape is described there.
func TestTheDocumentedExamplesLoad(t *testing.T) {
	const root = "../.."
	raw, err := os.ReadFile(filepath.Join(root, "docs", "datasets.md"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(root) // the paths in it are those of the repository
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(raw), -1)
	if len(blocks) < 5 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		var config struct {
			Data struct {
				Source string
				Params map[string]any
			}
		}
		if err := yaml.Unmarshal([]byte(b[1]), &config); err != nil {
			t.Fatalf("%v in\n%s", err, b[1])
		}
		f, err := Open(config.Data.Source, 1, config.Data.Params)
		if err != nil {
			t.Errorf("%v in\n%s", err, b[1])
			continue
		}
		if p, err := f.Source.Problem(datasets.Train, 0); err != nil || p.Prompt == "" || p.Answer == "" {
			t.Errorf("%+v, %v in\n%s", p, err, b[1])
		}
	}
	for _, name := range Names() {
		if !strings.Contains(string(raw), "| `"+name+"` |") {
			t.Errorf("the source %s is not described", name)
		}
	}
	for _, s := range datasets.Shapes() {
		if !strings.Contains(string(raw), "| `"+s.Name+"` |") {
			t.Errorf("the shape %s is not described", s.Name)
		}
	}
}

func TestStatisticsOfAGeneratedFamily(t *testing.T) {
	f, err := Open("clock-tools", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	st, err := datasets.Describe(f.Source, datasets.DescribeOptions{
		Look: 400, Tokens: func(p string) int { return len(strings.Fields(p)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(st.Splits) != 2 || st.Report != nil {
		t.Fatalf("%+v", st)
	}
	for _, s := range st.Splits {
		// A prompt of level n has 4 + 2n tokens.
		if s.Looked != 400 || s.Problems != 0 || len(s.Levels) != 8 || s.Distinct != 10 || s.Prompt.Min != 6 || s.Prompt.Max != 20 || s.Hidden < 150 || s.Hidden > 250 {
			t.Errorf("%+v", s)
		}
	}
	var text strings.Builder
	if err := st.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"without end, looked at 400", "hide something that only a tool knows"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

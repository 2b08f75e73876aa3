package strategy

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite docs/strategies.md")

// options renders the table's documentation.
func optionsPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, name := range Names() {
		about, options, err := About(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n**%s**: %s.\n", name, about)
		if len(options) == 0 {
			continue
		}
		b.WriteString("\n| option | default | |\n|---|---|---|\n")
		for _, o := range options {
			value, err := json.Marshal(o.Default)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", o.Name, value, o.About)
		}
	}
	return b.String() + "\n"
}

func TestThePageOfStrategiesListsEveryOption(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "strategies.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), "<!-- options -->\n")
	got, after, okToo := strings.Cut(rest, "<!-- /options -->")
	if !ok || !okToo {
		t.Fatal("docs/strategies.md has lost the marks around its options")
	}
	want := optionsPage(t)
	if *update {
		if err := os.WriteFile(path, []byte(before+"<!-- options -->\n"+want+"<!-- /options -->"+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/strategies.md is out of date; go test ./rollout/strategy -run Page -update rewrites it (-want +page):\n%s", diff)
	}
}

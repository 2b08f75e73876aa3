package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pith/policies/builtin"
)

// shells are the commands of a document's sh blocks, in order.
func shells(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		for line := range strings.Lines(string(block[1])) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// Every command of docs/serve.md works: servers start, and every call succeeds on one that may load
// weights.
func TestTheDocumentOfServeIsTrue(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here")
	}
	commands := shells(t, filepath.Join("..", "..", "docs", "serve.md"))
	t.Chdir(t.TempDir())
	w, _, err := builtin.Open("builtin:clock")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("runs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := w.Save(filepath.Join("runs", "policy-000012")); err != nil {
		t.Fatal(err)
	}
	mustPith(t, append([]string{"train", "--out", "runs/quickstart"}, tiny("--set", "run.steps=2")...)...)
	url := serving(t, "builtin:clock", "--load-from", "runs")
	const written = "http://127.0.0.1:8000"
	served, called := 0, 0
	for _, c := range commands {
		if args, ok := strings.CutPrefix(c, "pith serve "); ok {
			served++
			t.Run(c, func(t *testing.T) {
				serving(t, strings.Fields(strings.TrimSpace(strings.Replace(args, "--port 8000", "", 1)))...)
			})
			continue
		}
		if !strings.HasPrefix(c, "curl ") {
			t.Errorf("neither pith serve nor curl: %s", c)
			continue
		}
		called++
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(c, "curl ", "curl -sS --fail-with-body ", 1))
		cmd.Args[2] = strings.ReplaceAll(cmd.Args[2], written, url)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v\n%s%s", c, err, out, stderr.String())
		}
		if bytes.Contains(out, []byte(`"error"`)) {
			t.Errorf("%s:\n%s", c, out)
		}
	}
	if served < 3 || called < 25 {
		t.Errorf("only %d servers and %d calls were found", served, called)
	}
}

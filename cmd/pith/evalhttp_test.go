package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pith/analysis/evaluation"
	"pith/datasets"
	"pith/datasets/families"
)

// What a server serves is measured through its own dialect as in this process, to the bit; through
// OpenAI's completions it is measured too.
func TestEvalMeasuresWhatAServerServes(t *testing.T) {
	url := serving(t, "builtin:clock")
	measure := func(args ...string) (r evaluation.Report) {
		t.Helper()
		args = append([]string{"eval", "builtin:clock", "--preset", "quickstart", "--problems", "12", "--samples", "2", "--max-tokens", "96", "--json"}, args...)
		out := mustPith(t, args...)
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		return r
	}
	at := "engine.urls=[\"" + url + "\"]"
	want := measure()
	if diff := cmp.Diff(want, measure("--engine", "vllm", "--set", at)); diff != "" {
		t.Errorf("in process, then over HTTP (-want +got):\n%s", diff)
	}
	completions := []string{"--engine", "openai", "--set", at, "--set", "engine.api_key_env="}
	code, _, said := pith(t, append([]string{"eval", "builtin:clock", "--preset", "quickstart", "--problems", "2"}, completions...)...)
	if code != exitFailed || !strings.Contains(said, "answers in text") {
		t.Errorf("a family with tokens that text leaves out: exit %d, %s", code, said)
	}
	// A file of problems needs none.
	f, err := families.Open("clock", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	var rows []byte
	for i := range int64(8) {
		p, err := f.Source.Problem(datasets.Train, i)
		if err != nil {
			t.Fatal(err)
		}
		row, err := json.Marshal(map[string]string{"question": p.Prompt, "answer": p.Answer})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(append(rows, row...), '\n')
	}
	path := filepath.Join(t.TempDir(), "problems.jsonl")
	if err := os.WriteFile(path, rows, 0o600); err != nil {
		t.Fatal(err)
	}
	got := measure(append(completions, "--set", "data.source=file", "--set", "data.params={path: "+path+", held_out: 0.5, template: \"{question}\"}")...)
	if got.Problems == 0 || got.Responses != 2*got.Problems || got.Failed != 0 || got.Tokens.Value < 2 {
		t.Errorf("through OpenAI's completions: %+v", got)
	}
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fenced finds the blocks of a page with their language.
var fenced = regexp.MustCompile("(?ms)^```(sql|python)\n(.*?)^```$")

// TestQueriesOfThePageRun executes every block of docs/queries.md against a real run. It needs a
// Python with DuckDB, pandas and Polars: PITH_PYTHON=$(sh .ci/parquet-reader.sh).
func TestQueriesOfThePageRun(t *testing.T) {
	python := os.Getenv("PITH_PYTHON")
	if python == "" {
		t.Skip("PITH_PYTHON is not set; PITH_PYTHON=$(sh .ci/parquet-reader.sh) runs the queries")
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "queries.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mustPith(t, append([]string{"train", "--out", filepath.Join(dir, "runs", "quickstart")}, tiny()...)...)
	blocks := fenced.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 10 {
		t.Fatalf("%d blocks on the page", len(blocks))
	}
	for _, block := range blocks {
		title, _, _ := strings.Cut(strings.TrimSpace(block[2]), "\n")
		t.Run(block[1]+" "+title, func(t *testing.T) {
			program := block[2]
			if block[1] == "sql" {
				program = "import duckdb, sys\nrows = duckdb.sql(sys.stdin.read()).fetchall()\nprint(*rows, sep='\\n')\nassert rows, 'no rows'"
			}
			cmd := exec.CommandContext(t.Context(), python, "-c", program)
			cmd.Dir, cmd.Stdin = dir, strings.NewReader(block[2])
			out, err := cmd.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) == "" {
				t.Errorf("%v\n%s\ngave:\n%s", err, block[2], out)
			}
		})
	}
}

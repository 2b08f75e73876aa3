package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The tables of docs/simulator.md are what the command prints.
func TestTheDocumentedComparisonIsTheCommands(t *testing.T) {
	doc, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "<!-- pith simulate --published -->\n")
	table, _, ended := strings.Cut(rest, "<!-- end -->")
	if !found || !ended {
		t.Fatal("docs/simulator.md has no place for the tables")
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"simulate", "--published"}, stdio{out: &out, err: &errs}); code != exitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	if diff := cmp.Diff(out.String(), table); diff != "" {
		t.Errorf("make it anew with pith simulate --published (-command +docs):\n%s", diff)
	}
}

package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the generated tables of docs")

// generated puts text between the markers of a name.
func generated(t *testing.T, doc, name, text string) string {
	t.Helper()
	open, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(doc, open)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("no %s … %s", open, end)
	}
	return before + open + text + end + after
}

func TestTheTablesOfMethodsAndSchedulesAreThoseOfTheRegistration(t *testing.T) {
	const path = "../../docs/methods.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var methods, schedules bytes.Buffer
	if err := methodsTable(&methods); err != nil {
		t.Fatal(err)
	}
	schedulesTable(&schedules)
	want := generated(t, generated(t, string(text), "methods", methods.String()), "schedules", schedules.String())
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("docs/methods.md: run go test ./cmd/pith -run Tables -update (-want +got):\n%s", diff)
	}
}

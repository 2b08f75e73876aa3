package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asPith makes the test binary behave as pith, for tests that kill a process.
const asPith = "PITH_TEST_AS_PITH"

func TestMain(m *testing.M) {
	if os.Getenv(asPith) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"pith": main})
}

func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", ContinueOnError: true})
}

// tiny is a run of a second or two that does everything a run does.
func tiny(more ...string) []string {
	return append([]string{
		"--preset", "quickstart",
		"--set", "run.name=tiny", "--set", "run.steps=4",
		"--set", "rollout.prompts_per_step=2", "--set", "rollout.samples_per_prompt=4", "--set", "rollout.max_tokens=40",
		"--set", "eval.every=2", "--set", "eval.problems=4", "--set", "eval.final_problems=6",
		"--set", "checkpoint.every=2", "--set", "log.report=false",
	}, more...)
}

// pith runs one command line in this process.
func pith(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, stdio{in: strings.NewReader(""), out: &out, err: &err})
	return code, out.String(), err.String()
}

func mustPith(t *testing.T, args ...string) string {
	t.Helper()
	code, out, err := pith(t, args...)
	if code != exitOK {
		t.Fatalf("pith %s: exit %d\n%s", strings.Join(args, " "), code, err)
	}
	return out
}

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pith/rollout/engine/probe"
	"pith/rollout/engine/serve/servetest"
)

// pithCommand runs a command line and returns its exit code and what it wrote.
func pithCommand(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, stdio{in: strings.NewReader(""), out: &o, err: &e})
	return code, o.String(), e.String()
}

func TestProbeTellsWhatHoldsOfAServer(t *testing.T) {
	s := servetest.Start(t, servetest.MaxContext(2048))
	code, out, errs := pithCommand(t, "probe", s.URL, "--train", "--publish", s.First.Path, "--publish", s.Second.Path)
	if code != exitOK {
		t.Fatalf("exit %d: %s", code, errs)
	}
	for _, want := range []string{"speaks vllm pith", "versions are told apart", "two policies live side by side", "log-probabilities"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if strings.Contains(out, string(probe.Fails)+" ") {
		t.Errorf("something fails:\n%s", out)
	}
}

func TestProbePrintsItsReportAsData(t *testing.T) {
	s := servetest.Start(t, servetest.MaxContext(2048))
	code, out, errs := pithCommand(t, "probe", s.URL, "--json", "--dialect", "sglang")
	var r probe.Report
	if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil {
		t.Fatalf("exit %d: %s (%v)", code, errs, err)
	}
	if r.Dialect != "sglang" || len(r.Results) != 12 || !r.Caps.Exact || r.Results[0].Status != probe.Holds {
		t.Errorf("%+v", r)
	}
}

func TestProbeDoesNotAskForScoresWhereItIsToldSo(t *testing.T) {
	s := servetest.Start(t, servetest.MaxContext(2048))
	code, out, errs := pithCommand(t, "probe", s.URL, "--no-score", "--json")
	var r probe.Report
	if err := json.Unmarshal([]byte(out), &r); code != exitOK || err != nil {
		t.Fatalf("exit %d: %s (%v)", code, errs, err)
	}
	for _, p := range r.Results {
		if strings.Contains(p.Name, "scor") && p.Status == probe.Holds {
			t.Errorf("%s was asked: %+v", p.Name, p)
		}
	}
}

func TestProbeSaysInOneLineWhatIsWrong(t *testing.T) {
	s := servetest.Start(t)
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a server that cannot be trained on": {[]string{"probe", s.URL, "--dialect", "openai", "--train"}, exitFailed, "token ids"},
		"no server":                          {[]string{"probe", "http://127.0.0.1:1"}, exitFailed, "connection refused"},
		"no address":                         {[]string{"probe", "localhost:8000"}, exitUsage, "http://host:port"},
		"an unknown dialect":                 {[]string{"probe", s.URL, "--dialect", "morse"}, exitUsage, "morse"},
		"nothing to publish":                 {[]string{"probe", s.URL, "--publish", t.TempDir()}, exitUsage, "neither an adapter"},
		"no argument":                        {[]string{"probe"}, exitUsage, "URL"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := pithCommand(t, tc.args...)
			if code != tc.code || !strings.Contains(errs, tc.says) || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit %d, want %d; %q", code, tc.code, errs)
			}
		})
	}
}

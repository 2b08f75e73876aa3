package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith/trainer/sweep"
)

// smallSweep has two methods under two seeds, two steps each, beside plain GRPO.
const smallSweep = `
name: small
base:
  presets: [quickstart]
  set: {run.steps: 2, rollout.prompts_per_step: 2, rollout.samples_per_prompt: 4, rollout.max_tokens: 60, eval.every: 1, eval.problems: 10, eval.final_problems: 40, log.report: false}
axes:
  method: [kimi_length, dler]
  seed: 2
baselines: {truncation: [], hard_cap: [16]}
`

func sweepFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sweep.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sweepProcess(t *testing.T, args ...string) (*exec.Cmd, *strings.Builder) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"sweep"}, args...)...)
	cmd.Env = append(os.Environ(), asPith+"=1")
	var log strings.Builder
	cmd.Stderr = &log
	return cmd, &log
}

func TestASweepKilledAndResumedEndsWithTheSameBytes(t *testing.T) {
	file, dir := sweepFile(t, smallSweep), t.TempDir()
	quiet, killed := filepath.Join(dir, "a", "quiet"), filepath.Join(dir, "b", "killed")
	cmd, log := sweepProcess(t, file, "--out", quiet, "--parallel", "2")
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	whole := time.Since(start)
	for _, share := range []float64{0.25, 0.5} {
		cmd, _ = sweepProcess(t, file, "--out", killed, "--parallel", "2")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(share * float64(whole)))
		_ = cmd.Process.Kill() // it may have ended, on a machine that has less to do now
		_ = cmd.Wait()
	}
	cmd, log = sweepProcess(t, file, "--out", killed, "--parallel", "2")
	if err := cmd.Run(); err != nil {
		t.Fatalf("resumed: %v\n%s", err, log)
	}
	state, err := sweep.ReadState(killed)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Runs) != 6 {
		t.Errorf("%d runs, want two methods and plain GRPO under two seeds", len(state.Runs))
	}
	for _, r := range state.Runs {
		if r.Status != sweep.Done {
			t.Errorf("%s is %s: %s", r.Name, r.Status, r.Error)
		}
		sameBytes(t, reproducible(t, filepath.Join(quiet, sweep.RunsDir, r.Name)), reproducible(t, filepath.Join(killed, sweep.RunsDir, r.Name)))
	}
}

func TestADryRunPrintsTheRunsAndTheBillAndRunsNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sweep")
	text := mustPith(t, "sweep", sweepFile(t, smallSweep+"rates: {tokens_per_second: 1000, tokens_per_response: 30, dollars_per_hour: 2}"), "--out", out, "--dry-run", "--json")
	var bill sweep.Bill
	if err := json.Unmarshal([]byte(text), &bill); err != nil {
		t.Fatal(err)
	}
	if len(bill.Runs) != 6 || bill.Total.Steps != 12 || bill.Total.Dollars == nil || *bill.Total.Dollars <= 0 {
		t.Errorf("%s", text)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a dry run made a directory")
	}
}

func TestASweepIsSharedByTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	file, out := sweepFile(t, smallSweep), filepath.Join(dir, "offered")
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	offering, offered := sweepProcess(t, file, "--out", out, "--listen", address)
	if err := offering.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = offering.Process.Kill() }()
	var joined *strings.Builder
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		var joining *exec.Cmd
		joining, joined = sweepProcess(t, "--join", "nats://"+address, "--parallel", "2", "--out", filepath.Join(dir, "here"))
		if joining.Run() == nil {
			break
		}
		if time.Since(start) > 30*time.Second { // the server needs a moment to be there
			t.Fatalf("%s\n%s", joined, offered)
		}
	}
	if err := offering.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, offered)
	}
	if !strings.Contains(joined.String(), "kimi_length-s1: done") || !strings.Contains(joined.String(), "the sweep is over") {
		t.Errorf("the host that joined said\n%s", joined)
	}
	state, err := sweep.ReadState(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Runs {
		if r.Status != sweep.Done || r.Host == "" {
			t.Errorf("%s is %s, made by %q: %s", r.Name, r.Status, r.Host, r.Error)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "report.html")); err != nil {
		t.Error(err)
	}
}

func TestAFailingRunIsReportedAndTheOthersAreCompared(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sweep")
	// A file where one run's directory belongs: that run cannot be made.
	if err := os.MkdirAll(filepath.Join(out, sweep.RunsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, sweep.ConfigsDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, log := sweepProcess(t, sweepFile(t, smallSweep), "--out", out, "--set", "run.steps=1")
	err := cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(log.String(), "6 of 6 runs failed") {
		t.Errorf("exit %d, %v\n%s", code, err, log)
	}
	if err := os.Remove(filepath.Join(out, sweep.ConfigsDir)); err != nil {
		t.Fatal(err)
	}
	// Now one only: its log cannot be written.
	if err := os.MkdirAll(filepath.Join(out, sweep.LogsDir, "dler-s1.log"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, log = sweepProcess(t, sweepFile(t, smallSweep), "--out", out, "--set", "run.steps=1", "--json")
	var stdout strings.Builder
	cmd.Stdout = &stdout
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(log.String(), "1 of 6 runs failed, the others are done: dler-s1") {
		t.Errorf("exit %d\n%s", code, log)
	}
	var report struct {
		Failed []struct{ Run string }
		Tables []struct{ Rows []struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(stdout.String()), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Failed) != 1 || report.Failed[0].Run != "dler-s1" || len(report.Tables) != 2 || len(report.Tables[0].Rows) != 5 {
		t.Errorf("%+v", report)
	}
}

//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestAMillionTracesAreReadInSeconds holds the commands to their bounds on a log of a million traces
// of about a kilobyte of text each. It takes half a minute and 2 GB of disk, and means something on a
// machine that does nothing else: PITH_MILLION=1 runs it, PITH_MILLION=DIR keeps the log in DIR.
func TestAMillionTracesAreReadInSeconds(t *testing.T) {
	dir := os.Getenv("PITH_MILLION")
	switch dir {
	case "":
		t.Skip("PITH_MILLION is not set; PITH_MILLION=1 runs this test")
	case "1":
		dir = filepath.Join(t.TempDir(), "run")
	}
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err != nil {
		// A process of its own writes it: the peak of a child counts its parent's up to exec.
		cmd := exec.CommandContext(t.Context(), "go", "run", "pith/traces/synthetic/makelog", "-traces", "1000000", dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		args    []string
		seconds float64
		lines   int // at least
	}{
		{"report", []string{"report", dir, "--out", t.TempDir()}, 10, 3},
		{"listing a group", []string{"traces", "ls", dir, "--group", "g000050000"}, 1, 17},
		{"listing rare lengths", []string{"traces", "ls", dir, "--verdict", "wrong", "--min-tokens", "750", "--limit", "0"}, 1, 100},
		{"listing what is not there", []string{"traces", "ls", dir, "--level", "9"}, 1, 0},
		{"listing a problem", []string{"traces", "ls", dir, "--problem", "p000017", "--limit", "0"}, 1, 100},
		{"one trace whole", []string{"traces", "show", dir, "g000050000/3"}, 1, 8},
		{"a breakdown", []string{"traces", "stats", dir, "--by", "level"}, 10, 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), self, c.args...)
			cmd.Env = append(os.Environ(), asPith+"=1")
			var out strings.Builder
			cmd.Stdout, cmd.Stderr = &out, os.Stderr
			begin := time.Now()
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			wall := time.Since(begin)
			usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			if !ok {
				t.Fatal("no resource usage")
			}
			peak := int64(usage.Maxrss) // KiB, but bytes on Apple's systems
			if runtime.GOOS == "darwin" {
				peak /= 1024
			}
			t.Logf("%.2f s, %.2f s of processor, %d MiB", wall.Seconds(), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), peak/1024)
			if wall.Seconds() > c.seconds {
				t.Errorf("%.2f s, the bound is %v s", wall.Seconds(), c.seconds)
			}
			if peak > 1<<20 {
				t.Errorf("%d MiB, the bound is 1 GiB", peak/1024)
			}
			if lines := strings.Count(out.String(), "\n"); lines < c.lines {
				t.Errorf("%d lines, want at least %d", lines, c.lines)
			}
		})
	}
}

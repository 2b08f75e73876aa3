package sweep

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"pith/configs"
	"pith/traces"
)

// Job is a run that a runner is to make, or to go on with.
type Job struct {
	Run     Run
	Dir     string // run directory; one that holds the run already is resumed
	File    string // where its config is written
	Log     string // where its output goes
	Until   int    // pause after this step; 0 = run to the end
	Threads int
}

// Runner makes a run. It returns when the run has ended or has paused; what it leaves behind when it
// is stopped can be resumed. progress is told of every step.
type Runner interface {
	Run(ctx context.Context, j Job, progress func(step int64)) error
}

// Child runs each job as a process of its own, so that nothing that happens to one reaches the
// others, and so that a killed sweep leaves no half of itself behind: the children end with it.
type Child struct {
	Executable string // "" = this one
}

// stopGrace is how long a child has to commit what it is doing.
const stopGrace = 20 * time.Second

// Run implements [Runner].
func (c Child) Run(ctx context.Context, j Job, progress func(int64)) error {
	exe := c.Executable
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return fmt.Errorf("sweep: find pith's own executable: %w", err)
		}
	}
	args, environ, err := j.prepare()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(j.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Args[0] = "pith"
	cmd.Env = environ
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopGrace
	dieWithParent(cmd)
	out, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	// A parent-death signal comes when the starting thread ends, so the thread stays with the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("sweep: start %s: %w", exe, err)
	}
	last := follow(out, log, progress)
	err = cmd.Wait()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if last == "" {
		last = err.Error()
	}
	return errors.New(last)
}

// prepare writes the config and works out the command line.
func (j *Job) prepare() (args, environ []string, err error) {
	config := j.Run.Config
	config.Engine.Threads = j.Threads
	text, err := config.WithoutSecrets().YAML()
	if err != nil {
		return nil, nil, err
	}
	for _, dir := range []string{filepath.Dir(j.File), filepath.Dir(j.Dir), filepath.Dir(j.Log)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, fmt.Errorf("sweep: %w", err)
		}
	}
	if err := writeFile(j.File, text); err != nil {
		return nil, nil, err
	}
	args = []string{"train", j.File, "--out", j.Dir}
	if _, err := os.Stat(filepath.Join(j.Dir, traces.ManifestFile)); err == nil {
		args = append(args, "--resume")
	} else if errors.Is(err, fs.ErrNotExist) {
		// Killed before it was a run: nothing in it is worth keeping.
		if err := os.RemoveAll(j.Dir); err != nil {
			return nil, nil, fmt.Errorf("sweep: %w", err)
		}
	}
	if j.Until > 0 {
		args = append(args, "--until", strconv.Itoa(j.Until))
	}
	// The config is resolved; settings of the environment are in it, and must not apply twice.
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !(strings.HasPrefix(name, "PITH_") && strings.Contains(name, "__")) {
			environ = append(environ, kv)
		}
	}
	return args, append(environ, secrets(j.Run.Config)...), nil
}

// secrets hands on what a config file must not hold.
func secrets(c configs.Config) []string {
	var out []string
	if c.Stream.Password != "" {
		out = append(out, "PITH_STREAM__PASSWORD="+c.Stream.Password)
	}
	if c.Stream.Token != "" {
		out = append(out, "PITH_STREAM__TOKEN="+c.Stream.Token)
	}
	return out
}

var stepLine = regexp.MustCompile(`^step +(\d+) `)

// follow copies a child's output to its log, reports steps, and returns the child's own complaint
// where there is one.
func follow(out io.Reader, log io.Writer, progress func(int64)) (complaint string) {
	r := bufio.NewReaderSize(out, 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			_, _ = log.Write(line) // a full disk must not stop the child; its own errors say so
			text := string(bytes.TrimSpace(line))
			if m := stepLine.FindStringSubmatch(text); m != nil {
				if step, err := strconv.ParseInt(m[1], 10, 64); err == nil {
					progress(step)
				}
			}
			if c, ok := strings.CutPrefix(text, "pith: "); ok {
				complaint = c
			} else if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
				complaint = text
			}
		}
		if err != nil {
			return complaint
		}
	}
}

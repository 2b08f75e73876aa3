package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pith/traces"
)

// reproducible lists the Parquet files of a run that hold nothing from a clock, with their bytes.
func reproducible(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"traces/*.parquet", "evals/*.parquet", "steps.parquet", "evals.parquet"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			name, err := filepath.Rel(dir, p)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = string(text)
		}
	}
	if len(out) < 4 {
		t.Fatalf("%s holds only %d files of the log", dir, len(out))
	}
	return out
}

func sameBytes(t *testing.T, want, got map[string]string) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
}

func TestTheNumberOfWorkersDoesNotChangeAByte(t *testing.T) {
	dir := t.TempDir()
	one, four := filepath.Join(dir, "one"), filepath.Join(dir, "four")
	mustPith(t, append([]string{"train", "--out", one}, tiny("--set", "rollout.workers=1")...)...)
	mustPith(t, append([]string{"train", "--out", four}, tiny("--set", "rollout.workers=4", "--set", "rollout.concurrency=2", "--set", "engine.slots=3")...)...)
	sameBytes(t, reproducible(t, one), reproducible(t, four))
}

func TestKilledAtTenMomentsARunEndsWithTheSameBytes(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	killAndResume(t, kills, tiny())
}

// TestKilledRunsOfEveryStrategyEndWithTheSameBytes covers what is not in the quickstart: what a
// strategy draws or forces, log-probabilities of a frozen policy, pairs.
func TestKilledRunsOfEveryStrategyEndWithTheSameBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"turns, held to the base policy", tiny("--method", "mind", "--set", "loss.params.kl_coef=0.01")},
		{"modes, decoupled from the start of the step", tiny("--method", "adaptthink", "--set", "loss.kind=decoupled_ppo")},
		{"hints", tiny("--method", "l1_max", "--set", "data.token_budget.max=0", "--set", "data.token_budget.min=0", "--set", "data.token_budget.prompt=",
			"--set", "rollout.strategy=hints", "--set", `rollout.params.text="{budget_digits}"`, "--set", "rollout.params.budget_min=9", "--set", "rollout.params.budget_max=40")},
		{"refine, imitating", tiny("--set", "rollout.strategy=refine", "--set", "rewards.method=grpo", "--set", "loss.kind=sft", "--set", "loss.params=", "--set", "loss.pairs.rule=best_worst")},
		{"preferences, with the loss under the base policy", tiny("--method", "optima")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name[0] != 'p' {
				t.Skip("one of them is enough in short mode")
			}
			killAndResume(t, 1, c.args)
		})
	}
}

// killAndResume kills a process at random moments and resumes it, until so many kills have hit or
// the run is over, in which case another run is started. What is left must have the bytes of a run
// that nobody disturbed.
func killAndResume(t *testing.T, kills int, run []string) {
	t.Helper()
	dir := t.TempDir()
	quiet := filepath.Join(dir, "quiet")
	start := time.Now()
	mustPith(t, append([]string{"train", "--out", quiet}, run...)...)
	whole := time.Since(start)
	want := reproducible(t, quiet)

	moments := rand.New(rand.NewPCG(7, 11))
	hit := 0
	for round := 0; hit < kills; round++ {
		if round > 3*kills {
			t.Fatalf("only %d kills in %d runs", hit, round)
		}
		out := filepath.Join(dir, fmt.Sprintf("killed-%d", round))
		for ended := false; !ended; {
			args := append([]string{"train", "--out", out}, run...)
			if _, err := os.Stat(filepath.Join(out, traces.ManifestFile)); err == nil {
				args = append(args, "--resume")
			} else if err := os.RemoveAll(out); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			cmd.Env = append(os.Environ(), asPith+"=1")
			var log strings.Builder
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			var err error
			if hit >= kills {
				err = <-done
			} else {
				select {
				case err = <-done:
				case <-time.After(time.Duration(moments.Float64() * 1.3 * float64(whole))):
					if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
						t.Fatal(err)
					}
					if err = <-done; err != nil {
						hit++
						continue
					}
				}
			}
			if err != nil {
				t.Fatalf("resumed run failed: %v\n%s", err, log.String())
			}
			ended = true
		}
		sameBytes(t, want, reproducible(t, out))
	}
}

func TestEveryReleasedTraceIsAccountedFor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustPith(t, append([]string{"train", "--out", dir}, tiny("--set", "rollout.dynamic_sampling=true", "--set", "rewards.method=dler", "--set", "method.limit=30")...)...)
	var report struct {
		Runs []struct {
			Accounting struct {
				Released     int64 `json:"released"`
				Trained      int64 `json:"trained"`
				Filtered     int64 `json:"filtered"`
				Failed       int64 `json:"failed"`
				DeadLettered int64 `json:"dead_lettered"`
			} `json:"accounting"`
		} `json:"runs"`
	}
	if err := json.Unmarshal([]byte(mustPith(t, "report", dir, "--json")), &report); err != nil {
		t.Fatal(err)
	}
	a := report.Runs[0].Accounting
	if a.Released == 0 || a.Filtered == 0 || a.Released != a.Trained+a.Filtered+a.Failed+a.DeadLettered {
		t.Errorf("accounting does not close: %+v", a)
	}
}

func TestAsynchronousRunsKeepStalenessWithinItsBound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	mustPith(t, append([]string{"train", "--out", dir}, tiny("--set", "rollout.max_staleness=2", "--set", "run.steps=6")...)...)
	run, err := traces.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	steps, stale := 0, int32(0)
	for x, err := range run.Traces(traces.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if x.Staleness < 0 || x.Staleness > 2 {
			t.Errorf("trace %s has staleness %d, bound 2", x.ID, x.Staleness)
		}
		stale = max(stale, x.Staleness)
		steps = max(steps, int(x.Step))
	}
	if steps != 6 || stale == 0 {
		t.Errorf("%d steps, largest staleness %d: nothing ran ahead", steps, stale)
	}
}

func TestAWorkerInAnotherProcessServesTheRun(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	out := filepath.Join(dir, "run")
	worker := exec.CommandContext(t.Context(), os.Args[0], append([]string{"worker", "--nats", "nats://" + address}, tiny()...)...)
	worker.Env = append(os.Environ(), asPith+"=1")
	trained := make(chan string, 1)
	go func() {
		code, _, stderr := pith(t, append([]string{"train", "--out", out}, tiny("--set", "rollout.workers=0", "--set", "stream.listen="+address)...)...)
		trained <- fmt.Sprintf("%d %s", code, stderr)
	}()
	for range 400 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // the queue is made after the port is open
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	got := <-trained
	_ = worker.Process.Kill()
	_ = worker.Wait()
	if !strings.HasPrefix(got, "0 ") {
		t.Fatalf("train with a remote worker: exit %s", got)
	}
	local := filepath.Join(dir, "local")
	mustPith(t, append([]string{"train", "--out", local}, tiny()...)...)
	sameBytes(t, reproducible(t, local), reproducible(t, out))
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestRewardsAreRecomputableFromTheLog(t *testing.T) {
	for _, c := range []struct {
		name, method string
		train, score []string
	}{
		{"kimi_length", "kimi_length", nil, []string{"--set", "method.weight=0.5"}},
		{"dler", "dler", []string{"--set", "rewards.method=dler", "--set", "method.limit=30"}, []string{"--set", "method.limit=30"}},
		{"laser", "laser", []string{"--set", "rewards.method=laser", "--set", "method.target=30"}, []string{"--set", "method.target=30"}},
		{"otc_grpo", "otc_grpo", []string{"--preset", "quickstart-tools", "--set", "rewards.method=otc_grpo"}, nil},
		{"brpo", "brpo", []string{"--preset", "quickstart-anytime"}, []string{"--set", "method.budgets=[4,8,16,32,64]", "--set", "advantage.scale=batch"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			mustPith(t, append([]string{"train", "--out", dir}, tiny(c.train...)...)...)
			out := mustPith(t, append([]string{"score", "--method", c.method, "--in", dir}, c.score...)...)
			var replayed struct{ Steps, Traces, Different int }
			if err := json.Unmarshal([]byte(out), &replayed); err != nil {
				t.Fatal(err)
			}
			if replayed.Traces != 32 || replayed.Different != 0 {
				t.Errorf("replay: %+v", replayed)
			}
		})
	}
}

func TestMistakesAreMetWithOneLine(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	closed := freePort(t)
	existing := filepath.Join(t.TempDir(), "run")
	mustPith(t, append([]string{"train", "--out", existing}, tiny("--set", "run.steps=0")...)...)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"unknown command", []string{"trian"}, exitUsage, `unknown command "pith trian"`},
		{"unknown flag", []string{"train", "--preset-name", "x"}, exitUsage, "unknown flag"},
		{"unknown key", []string{"train", "--set", "run.sede=3"}, exitUsage, "run.sede: unknown key (did you mean seed?)"},
		{"wrong type", []string{"train", "--set", "run.steps=ten"}, exitUsage, `run.steps: "ten" is text; a whole number belongs here`},
		{"missing file", []string{"train", "nowhere.yaml"}, exitUsage, "nowhere.yaml: no such config file"},
		{"missing policy", []string{"train", "--set", "policy.base=nowhere"}, exitUsage, "policy.base: nowhere is not a Hugging Face directory"},
		{"unknown method", []string{"train", "--set", "rewards.method=dlerr"}, exitUsage, `method "dlerr" is unknown`},
		{"unknown parameter of a method", []string{"train", "--set", "method.wieght=1"}, exitUsage, "wieght"},
		{"a method that needs another strategy", []string{"train", "--set", "rewards.method=brpo"}, exitUsage, "set it to anytime"},
		{"an inversion", []string{"train", "--set", "rewards.method=naive_length"}, exitUsage, "rewards.allow_inversions"},
		{"no room for a prompt", []string{"train", "--set", "rollout.max_tokens=5000"}, exitUsage, "rollout.max_tokens: 5000 does not fit the context"},
		{"a run directory that exists", append([]string{"train", "--out", existing}, tiny()...), exitUsage, "--resume"},
		{"another config on resume", append([]string{"train", "--resume", "--out", existing}, tiny("--set", "run.seed=9")...), exitFailed, "cannot resume: the config is not the run's"},
		{"nothing to resume", append([]string{"train", "--resume", "--out", filepath.Join(t.TempDir(), "none")}, tiny()...), exitFailed, "nothing to resume"},
		{"a busy port", append([]string{"train", "--out", filepath.Join(t.TempDir(), "a")}, tiny("--set", "stream.listen="+busy.Addr().String())...), exitFailed, busy.Addr().String()},
		{"a server that does not answer", append([]string{"train", "--out", filepath.Join(t.TempDir(), "b")}, tiny("--set", fmt.Sprintf("stream.url=nats://127.0.0.1:%d", closed))...), exitFailed, fmt.Sprintf("127.0.0.1:%d", closed)},
		{"an open door", append([]string{"train", "--out", filepath.Join(t.TempDir(), "c")}, tiny("--set", "stream.listen=0.0.0.0:4222")...), exitUsage, "stream.allow_insecure"},
		{"a report of nothing", []string{"report", t.TempDir()}, exitFailed, "not a run"},
		{"a worker without a server", []string{"worker"}, exitUsage, "--nats"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := pith(t, c.args...)
			last := strings.TrimSpace(stderr)
			last = last[strings.LastIndex(last, "\n")+1:]
			if code != c.code || !strings.HasPrefix(last, "pith: ") || !strings.Contains(last, c.want) {
				t.Errorf("pith %s: exit %d, want %d\n%s\nwant %q", strings.Join(c.args, " "), code, c.code, stderr, c.want)
			}
		})
	}
}

func TestAFullDiskIsSaidInOneLine(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(filepath.Join(dir, traces.EvalsDir), 0o755); err != nil {
		t.Fatal(err)
	}
	// The first evaluation's temporary file lands on a device that is always full.
	tmp := filepath.Join(dir, traces.EvalsDir, "."+traces.SegmentName(0, "sampled")+".tmp")
	if err := os.Symlink("/dev/full", tmp); err != nil {
		t.Fatal(err)
	}
	// The directory becomes a run that was killed before its first evaluation.
	other := filepath.Join(t.TempDir(), "other")
	mustPith(t, append([]string{"train", "--out", other}, tiny("--set", "run.steps=0")...)...)
	for _, name := range []string{traces.ManifestFile, "config.yaml"} {
		text, err := os.ReadFile(filepath.Join(other, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := pith(t, append([]string{"train", "--resume", "--out", dir}, tiny("--set", "run.steps=0")...)...)
	if code != exitFailed || !strings.Contains(stderr, "no space left on device") || !strings.Contains(stderr, "free some space") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

package rollout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pith/rollout/engine"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

// The crash tests run this test binary again as a child, which they kill.
const (
	childKind = "PITH_TEST_CHILD" // trainer or worker
	childDir  = "PITH_TEST_DIR"
	childURL  = "PITH_TEST_URL"
	childTurn = "PITH_TEST_TURN" // counts processes, from 1
)

func TestMain(m *testing.M) {
	switch os.Getenv(childKind) {
	case "trainer":
		report(trainerChild(os.Getenv(childDir)))
	case "worker":
		report(workerChild(os.Getenv(childDir), os.Getenv(childURL)))
	default:
		// The object store of nats.go 1.55 drops its status channel after each Put; where that happens
		// before the goroutine that watches it has started, the goroutine waits on nil for ever.
		goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("pith/policies/kernel.(*pool).worker"),
			goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
	}
}

func report(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

const crashGroups, crashSamples, crashSegment = 30, 4, 16

func crashConfig(dir string) stream.Config {
	c := stream.Default("run-1", filepath.Join(dir, "stream"))
	c.AckWait, c.MaxDeliver = time.Second, 1000
	return c
}

func crashTasks() (tasks []*task.Task) {
	for i := range crashGroups {
		tasks = append(tasks, newTask(fmt.Sprintf("g%02d", i), crashSamples, engine.PolicyRef{ID: "p0"}))
	}
	return tasks
}

// moody is an engine that never samples the same twice: every process draws a token of its own,
// which rises from process to process.
func moody() *counting {
	turn, err := strconv.Atoi(os.Getenv(childTurn))
	if err != nil {
		panic(err)
	}
	return &counting{
		before: func(context.Context, engine.SampleRequest) error {
			time.Sleep(time.Duration(20+rand.IntN(40)) * time.Millisecond)
			return nil
		},
		mine: int32(turn),
	}
}

// accepting notes every trace that the stream has accepted, in the order of acceptance.
type accepting struct {
	*stream.Stream
	dir string
}

func (a accepting) PublishTraces(ctx context.Context, outcomes []stream.Outcome) error {
	if err := a.Stream.PublishTraces(ctx, outcomes); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(a.dir, "accepted"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, o := range outcomes {
		fmt.Fprintln(&b, o.Trace.ID, o.Trace.Tokens[0])
	}
	_, err = f.Write(b.Bytes())
	return errors.Join(err, f.Close())
}

// trainerChild does what a trainer does to traces: collect, write a segment, acknowledge.
func trainerChild(dir string) error {
	ctx := context.Background()
	c := crashConfig(dir)
	s, err := stream.Open(ctx, c)
	if err != nil {
		return err
	}
	run := filepath.Join(dir, "run")
	total, segment := 0, int64(1)
	if r, err := traces.OpenRun(run); err == nil {
		for t, err := range r.Traces(traces.Filter{}) {
			if err != nil {
				return err
			}
			s.Durable(t.ID)
			total++
		}
		n, err := r.Segments(traces.Filter{})
		if err != nil {
			return err
		}
		segment = int64(n) + 1
	}
	if err := s.Announce(ctx, engine.PolicyRef{ID: "p0"}, nil); err != nil {
		return err
	}
	if err := s.Release(ctx, crashTasks()); err != nil {
		return err
	}
	workCtx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		w := &Worker{Sampler: moody(), Queue: accepting{s, dir}, Tokens: letters{}, Concurrency: 3}
		ended <- w.Run(workCtx)
	}()
	for total < crashGroups*crashSamples {
		var ds []*stream.Delivery
		var rows []traces.Trace
		for len(ds) < min(crashSegment, crashGroups*crashSamples-total) {
			collectCtx, cancel := context.WithTimeout(ctx, 20*time.Second)
			d, err := s.Collect(collectCtx)
			cancel()
			if err != nil {
				return fmt.Errorf("after %d traces: %w", total+len(ds), err)
			}
			if d.Dead != nil {
				return fmt.Errorf("dead letter: %s", d.Dead.Reason)
			}
			ds, rows = append(ds, d), append(rows, *d.Trace)
		}
		traces.Sort(rows)
		if err := traces.WriteSegment(filepath.Join(run, traces.TracesDir), traces.SegmentName(segment, ""), rows, nil); err != nil {
			return err
		}
		if err := s.Commit(ctx, ds); err != nil {
			return err
		}
		total += len(ds)
		segment++
	}
	stop()
	return errors.Join(<-ended, s.Close())
}

// child starts this binary as kind.
func child(t *testing.T, kind, dir, url string, turn int) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childKind+"="+kind, childDir+"="+dir, childURL+"="+url, fmt.Sprintf("%s=%d", childTurn, turn))
	var out bytes.Buffer
	cmd.Stderr, cmd.Stdout = &out, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

func TestNothingIsLostOrDoubledWhenTheTrainerIsKilled(t *testing.T) {
	dir := t.TempDir()
	r := newRand(uint64(time.Now().UnixNano()))
	kills := 0
	for finished := false; !finished; {
		cmd, out := child(t, "trainer", dir, "", kills+1)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		life := time.Duration(20+r.IntN(230)) * time.Millisecond
		if kills >= 10 {
			life = time.Minute
		}
		select {
		case err := <-done:
			if finished = err == nil; !finished {
				t.Fatalf("after %d kills: %v\n%s", kills, err, out)
			}
		case <-time.After(life):
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-done
			kills++
		}
	}
	if kills == 0 {
		t.Error("the child finished before it could be killed: the test shows nothing")
	}
	run, err := traces.OpenRun(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	logged := map[string]int{} // which process sampled it
	for tr, err := range run.Traces(traces.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := logged[tr.ID]; twice {
			t.Errorf("%s is in the log twice", tr.ID)
		}
		logged[tr.ID] = int(tr.Tokens[0])
	}
	for _, tk := range crashTasks() {
		for i := range tk.N {
			if _, ok := logged[tk.TraceID(i)]; !ok {
				t.Errorf("%s is lost", tk.TraceID(i))
			}
		}
	}
	if len(logged) != crashGroups*crashSamples {
		t.Errorf("%d traces in the log, want %d", len(logged), crashGroups*crashSamples)
	}
	// What was accepted first is what counts: no trace was replaced by a later try. (A process killed
	// between acceptance and note lets a later one note first, but never sample first.)
	accepted, err := os.ReadFile(filepath.Join(dir, "accepted"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(accepted)) {
		var id string
		var turn int
		if _, err := fmt.Sscan(line, &id, &turn); err != nil {
			continue // the note was cut short by a kill
		}
		if !seen[id] && logged[id] > turn {
			t.Errorf("%s was accepted from process %d and logged from process %d", id, turn, logged[id])
		}
		seen[id] = true
	}
	t.Logf("%d kills, %d acceptances of %d traces", kills, bytes.Count(accepted, []byte("\n")), len(logged))
}

func workerChild(dir, url string) error {
	c := crashConfig(dir)
	c.StoreDir, c.URL = "", url
	s, err := stream.Join(context.Background(), c)
	if err != nil {
		return err
	}
	w := &Worker{Sampler: moody(), Queue: s, Tokens: letters{}, Concurrency: 2}
	return w.Run(context.Background())
}

func TestNothingIsLostOrDoubledWhenWorkersAreKilled(t *testing.T) {
	dir := t.TempDir()
	b := newBench(t, func(c *stream.Config) {
		*c = crashConfig(dir)
		c.Listen = "127.0.0.1:0"
	})
	b.announce(0, nil)
	b.release(crashTasks()...)
	r := newRand(uint64(time.Now().UnixNano()))
	stop := make(chan struct{})
	killed := make(chan int)
	go func() {
		kills := 0
		defer func() { killed <- kills }()
		for {
			cmd, _ := child(t, "worker", dir, b.stream.URL(), kills+1)
			life := time.After(time.Duration(60+r.IntN(120)) * time.Millisecond)
			if kills >= 6 {
				life = nil
			}
			select {
			case <-life:
				kills++
			case <-stop:
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				return
			}
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	ds := b.outcomes(crashGroups * crashSamples)
	close(stop)
	kills := <-killed
	var ids []string
	for _, d := range ds {
		if d.Dead != nil {
			t.Errorf("dead letter: %s", d.Dead.Reason)
		}
		ids = append(ids, d.ID())
	}
	if unique := len(slices.Compact(ids)); unique != crashGroups*crashSamples {
		t.Errorf("%d different traces", unique)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if d, err := b.stream.Collect(ctx); err == nil {
		t.Errorf("%s came twice", d.ID())
	}
	t.Logf("%d kills", kills)
}

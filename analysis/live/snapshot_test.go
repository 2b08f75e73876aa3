package live

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pith/traces"
)

func TestASnapshotFollowsTheRunFromNothingToTheEnd(t *testing.T) {
	g := newRun(t, 2)
	s := g.source()
	x := s.Snapshot()
	want := Snapshot{Run: "demo <i>", Method: "kimi_length", Seed: 3, Steps: 2, State: Waiting,
		Curve: []StepPoint{}, Evals: []EvalPoint{}, Workers: []Worker{}, Last: []Sample{}, Problems: []string{}}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Fatal(diff)
	}

	g.evaluate()
	g.step()
	s.Ask = func() (Queue, error) { return Queue{Queued: 3, Running: 2, Outcomes: 1}, nil }
	x = s.Snapshot()
	want.State, want.Done, want.Left = Running, 1, 4
	want.Curve = []StepPoint{{Step: 1, Accuracy: .51, Tokens: 99, Reward: 1, Entropy: .4, Failed: 1}}
	want.Evals = []EvalPoint{{0, "sampled", 100, .75, 42}, {0, "greedy", 100, .75, 42}}
	want.Workers = []Worker{{"w0", 2, .5, 2}, {"w1", 2, .5, 2}}
	want.Waits = Waits{SecondsPerStep: 4, Trainer: .25, Engine: .5, Learn: .5}
	want.Queue = &Queue{3, 2, 1}
	for _, group := range []string{"g1-0", "g1-1"} {
		want.Last = append(want.Last, Sample{group + "/0", "right", 2, 1.25, "what is " + group + "? <script>alert(1)</script>", "it is 7"})
	}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Fatal(diff)
	}

	g.step()
	if x = s.Snapshot(); x.State != Running || x.Left != 0 {
		t.Errorf("before the final evaluation: got %s with %g s left, want running with nothing left", x.State, x.Left)
	}
	g.evaluate()
	if x = s.Snapshot(); x.State != Finished || x.Queue != nil {
		t.Errorf("at the end: got %s, queue %v", x.State, x.Queue)
	}
}

func TestARunThatStoppedCommittingIsQuiet(t *testing.T) {
	g := newRun(t, 5)
	g.step()
	s := g.source()
	s.now = func() time.Time { return time.Now().Add(59 * time.Second) }
	if got := s.Snapshot().State; got != Running {
		t.Errorf("after a minute: got %s", got)
	}
	s.now = func() time.Time { return time.Now().Add(2 * time.Minute) }
	if got := s.Snapshot().State; got != Quiet {
		t.Errorf("after two minutes of 4 s steps: got %s", got)
	}
}

func TestDamageIsOneLineAndTheRestIsShown(t *testing.T) {
	g := newRun(t, 5)
	g.step()
	g.evaluate()
	path := filepath.Join(g.dir, traces.TracesDir, traces.SegmentName(1, ""))
	g.must(os.WriteFile(path, []byte("PAR1 torn"), 0o644))
	s := g.source()
	s.Ask = func() (Queue, error) { return Queue{}, errors.New("no server") }
	x := s.Snapshot()
	if len(x.Problems) != 1 || !strings.Contains(x.Problems[0], "step-000001") || strings.Contains(x.Problems[0], "\n") {
		t.Errorf("problems: %q", x.Problems)
	}
	if len(x.Curve) != 1 || len(x.Evals) != 2 || len(x.Last) != 0 || x.Queue != nil {
		t.Errorf("the rest: %+v", x)
	}
	if _, err := Open(filepath.Join(g.dir, "nothing")); err == nil {
		t.Error("a directory that is not there is opened")
	}
}

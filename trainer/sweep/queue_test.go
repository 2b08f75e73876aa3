package sweep

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pith/rollout/stream"
)

// server is the embedded NATS server, listening.
func server(t *testing.T) stream.Config {
	t.Helper()
	c := stream.Default("server", t.TempDir())
	c.Listen = "127.0.0.1:0"
	s, err := stream.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	client := stream.Default("client", "")
	client.URL = s.URL()
	return client
}

const queued = small + "axes: {method: [kimi_length, dler]}\nbaselines: {grpo: false, truncation: []}"

// overQueue executes a plan through a queue, with hosts that take runs.
func overQueue(t *testing.T, dir string, c stream.Config, hosts map[string]Runner, prepare func(q *Queue)) State {
	t.Helper()
	p := plan(t, queued)
	s, err := Open(p, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := NewQueue(t.Context(), c, p.Spec.Name, dir, len(p.Runs))
	if err != nil {
		t.Fatal(err)
	}
	prepare(q)
	ended := make(chan error, len(hosts))
	for name, r := range hosts {
		go func() {
			ended <- Take(t.Context(), c, r, TakeOptions{Sweep: "small", Dir: filepath.Join(t.TempDir(), name), Parallel: 1, Threads: 1, Host: name})
		}()
	}
	state, err := s.Execute(t.Context(), q, 1, Events{})
	if err := errors.Join(err, q.Close(t.Context(), true), s.Close()); err != nil {
		t.Fatal(err)
	}
	for range hosts {
		if err := <-ended; err != nil {
			t.Error("a host did not go home:", err)
		}
	}
	return state
}

func TestHostsTakeRunsAndResultsComeBack(t *testing.T) {
	for name, tc := range map[string]struct {
		shared bool
	}{"through a shared directory": {true}, "through the object store": {false}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "sweep")
			host := &inProcess{fail: map[string]bool{"dler-s1": true}}
			state := overQueue(t, dir, server(t), map[string]Runner{"far": host}, func(q *Queue) {
				if !tc.shared {
					if err := os.Remove(filepath.Join(dir, sharedMark)); err != nil {
						t.Fatal(err)
					}
				}
			})
			if diff := cmp.Diff(map[string]Status{"kimi_length-s1": Done, "dler-s1": Failed}, statuses(state)); diff != "" {
				t.Error(diff)
			}
			if x := state.Runs[0]; x.Host != "far" || x.Step != 4 {
				t.Errorf("%+v", x)
			}
			if x := state.Runs[1]; !strings.Contains(x.Error, "on far: out") {
				t.Errorf("%+v", x)
			}
			run, err := inspect(filepath.Join(dir, RunsDir, "kimi_length-s1"), plan(t, queued).Runs[0].Config)
			if err != nil || !run.finished {
				t.Errorf("the run directory: %+v %v", run, err)
			}
		})
	}
}

// silent takes a run and never speaks again.
type silent struct{ taken chan string }

func (s silent) Run(ctx context.Context, j Job, _ func(int64)) error {
	s.taken <- j.Run.Name
	<-ctx.Done()
	return ctx.Err()
}

func TestARunWhoseHostLeavesGoesToAnother(t *testing.T) {
	c := server(t)
	dir := filepath.Join(t.TempDir(), "sweep")
	second := &inProcess{}
	var left chan error
	state := overQueue(t, dir, c, map[string]Runner{}, func(*Queue) {
		leaving, leave := context.WithCancel(t.Context())
		first := silent{make(chan string, 2)}
		left = make(chan error, 2)
		go func() { left <- Take(leaving, c, first, TakeOptions{Sweep: "small", Dir: t.TempDir(), Host: "first"}) }()
		go func() {
			<-first.taken
			leave()
			left <- Take(t.Context(), c, second, TakeOptions{Sweep: "small", Dir: t.TempDir(), Host: "second"})
		}()
	})
	if a, b := <-left, <-left; !errors.Is(errors.Join(a, b), context.Canceled) {
		t.Errorf("%v, %v", a, b)
	}
	for _, r := range state.Runs {
		if r.Status != Done || r.Host != "second" {
			t.Errorf("%+v", r)
		}
	}
}

func TestAnOfferingProcessThatStartsAgainFindsItsOffers(t *testing.T) {
	c := server(t)
	dir := filepath.Join(t.TempDir(), "sweep")
	p := plan(t, queued)
	// The first process offers and is gone before anybody has taken a run.
	s, err := Open(p, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	q, err := NewQueue(t.Context(), c, "small", dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := s.Execute(ctx, q, 1, Events{}); err == nil {
		t.Error("runs that nobody made are done")
	}
	if err := errors.Join(q.Close(t.Context(), false), s.Close()); err != nil {
		t.Fatal(err)
	}
	offered, err := Offered(t.Context(), c)
	if err != nil || !slices.Equal(offered, []string{"small"}) {
		t.Errorf("%v %v", offered, err)
	}
	host := &inProcess{}
	state := overQueue(t, dir, c, map[string]Runner{"host": host}, func(*Queue) {})
	for _, r := range state.Runs {
		if r.Status != Done {
			t.Errorf("%+v", r)
		}
	}
	if len(host.made) != 2 {
		t.Errorf("made %v, want each run once", host.made)
	}
	if offered, err := Offered(t.Context(), c); err != nil || len(offered) > 0 {
		t.Errorf("left on the server: %v %v", offered, err)
	}
}

func TestJoiningWhatIsNotOfferedSaysSo(t *testing.T) {
	err := Take(t.Context(), server(t), &inProcess{}, TakeOptions{Sweep: "none"})
	if err == nil || !strings.Contains(err.Error(), "sweep none is not offered on") {
		t.Error(err)
	}
}

func TestAnArchiveCannotLeaveItsDirectory(t *testing.T) {
	for _, name := range []string{"../evil", "/evil", "a/../../evil"} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		w := tar.NewWriter(z)
		if err := w.WriteHeader(&tar.Header{Name: name, Size: 1, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Close(), z.Close()); err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		if err := unpack(&b, filepath.Join(root, "in")); err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(root, "evil")); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

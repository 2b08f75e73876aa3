package sweep

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Directories and files within a sweep's directory, beside [StateFile].
const (
	RunsDir    = "runs"    // one run directory each
	ConfigsDir = "configs" // their configs
	LogsDir    = "logs"    // what their processes said
)

// Events is what a sweep tells whoever watches. Every field may be nil; calls do not overlap.
type Events struct {
	Reused   func(run, from string) // a finished run of another sweep that computed the same
	Started  func(run string, resumed bool)
	Step     func(run string, step int64, s State)
	Ended    func(r RunState, s State)
	Selected func(rung int, kept, stopped []string)
	Note     func(text string)
}

// Sweep is a plan with its directory. One process may have it open.
type Sweep struct {
	plan   *Plan
	dir    string
	unlock func() error

	mu     sync.Mutex
	state  State
	events Events
}

// Open takes a sweep's directory, and up what an earlier call left there. others are directories of
// further sweeps, from which finished runs with the same config are taken over.
func Open(p *Plan, dir string, others []string) (_ *Sweep, err error) {
	if err := os.MkdirAll(filepath.Join(dir, RunsDir), 0o755); err != nil {
		return nil, fmt.Errorf("sweep directory: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	s := &Sweep{plan: p, dir: dir, unlock: unlock, state: State{Sweep: p.Spec.Name, StopRule: p.StopRule()}}
	defer func() {
		if err != nil {
			err = errors.Join(err, unlock())
		}
	}()
	old := State{}
	if _, missing := os.Stat(filepath.Join(dir, StateFile)); missing == nil {
		if old, err = ReadState(dir); err != nil {
			return nil, err
		}
	}
	var changed []string
	for _, r := range p.Runs {
		x := RunState{Name: r.Name, Arm: r.Arm, Seed: r.Seed, Hash: r.Hash, Status: Waiting, Steps: r.Config.Run.Steps}
		for _, was := range old.Runs {
			if was.Name == r.Name && was.Hash == r.Hash {
				x = was
				if x.Status == Running || x.Status == Stopped {
					x.Status = Waiting // interrupted, or to be judged by the stop rule again
				}
			}
		}
		found, err := inspect(s.RunDir(r.Name), r.Config)
		if err != nil {
			return nil, err
		}
		switch {
		case found.other:
			changed = append(changed, r.Name)
		case found.finished:
			x.Status, x.Step, x.Error = Done, found.step, ""
		case found.there:
			x.Step = found.step
		}
		if x.Status == Done && !found.finished {
			x.Status = Waiting // its directory is gone or damaged
		}
		s.state.Runs = append(s.state.Runs, x)
	}
	if len(changed) > 0 {
		return nil, fmt.Errorf("%s holds runs that were made with other settings (%s); give this sweep another directory with --out, or delete them", dir, shorten(changed, 4))
	}
	s.reuse(others)
	return s, s.state.write(dir)
}

// RunDir is the directory of a run.
func (s *Sweep) RunDir(name string) string { return filepath.Join(s.dir, RunsDir, name) }

// State is where every run stands.
func (s *Sweep) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot()
}

func (s *Sweep) snapshot() State {
	out := s.state
	out.Runs = slices.Clone(out.Runs)
	return out
}

// Close lets go of the directory.
func (s *Sweep) Close() error { return s.unlock() }

// Execute makes every run, at most parallel of them at once, and returns where they ended. Runs
// that fail are in the state with their reason; the others go on. The error is of the sweep itself:
// the context's, or a directory that cannot be written. Call it once.
func (s *Sweep) Execute(ctx context.Context, r Runner, parallel int, e Events) (State, error) {
	s.events = e
	parallel = max(1, parallel)
	for _, x := range s.state.Runs {
		if x.From != "" && e.Reused != nil {
			e.Reused(x.Name, x.From)
		}
	}
	alive := map[string]bool{}
	for _, a := range s.plan.Arms {
		alive[a.Name] = true
	}
	for i, rung := range s.plan.Spec.Search.Rungs {
		if err := s.round(ctx, r, parallel, rung, alive); err != nil {
			return s.State(), err
		}
		if err := s.halve(i, alive); err != nil {
			return s.State(), err
		}
	}
	err := s.round(ctx, r, parallel, 0, alive)
	return s.State(), err
}

// round brings every living run to a step, or to its end.
func (s *Sweep) round(ctx context.Context, r Runner, parallel, until int, alive map[string]bool) error {
	var due []int
	for i := range s.state.Runs {
		x := &s.state.Runs[i]
		baseline := s.plan.arm(x.Arm).Baseline
		switch {
		case x.Status == Done, !alive[x.Arm]:
		case until > 0 && (baseline || s.evaluated(x.Name, until)):
			// A baseline goes to its end in the last round.
		default:
			due = append(due, i)
		}
	}
	parallel = min(parallel, max(1, len(due)))
	threads := max(1, runtime.NumCPU()/parallel)
	if l, ok := r.(interface{ Lanes() int }); ok { // the runner has its own machines
		parallel = l.Lanes()
	}
	queue := make(chan int)
	failed := make(chan error, parallel)
	var group sync.WaitGroup
	for range parallel {
		group.Go(func() {
			for i := range queue {
				if err := s.one(ctx, r, i, until, parallel, threads); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
feed:
	for _, i := range due {
		select {
		case queue <- i:
		case <-ctx.Done():
			break feed
		case err = <-failed:
			break feed
		}
	}
	close(queue)
	group.Wait()
	select {
	case first := <-failed:
		err = first
	default:
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// one makes a run and notes what became of it. Only trouble with the sweep itself is an error.
func (s *Sweep) one(ctx context.Context, r Runner, i, until, parallel, threads int) error {
	run := s.plan.Runs[i]
	dir := s.RunDir(run.Name)
	resumed := present(dir)
	err := s.update(i, func(x *RunState) {
		x.Status, x.Error, x.Parallel, x.Threads = Running, "", parallel, threads
		x.Attempts++
		x.Log = filepath.Join(LogsDir, run.Name+".log")
	})
	if err != nil {
		return err
	}
	s.tell(func(State) {
		if s.events.Started != nil {
			s.events.Started(run.Name, resumed)
		}
	})
	began := time.Now()
	job := Job{
		Run: run, Dir: dir, Until: until, Threads: threads,
		File: filepath.Join(s.dir, ConfigsDir, run.Name+".yaml"), Log: filepath.Join(s.dir, LogsDir, run.Name+".log"),
	}
	failure := r.Run(ctx, job, func(step int64) {
		s.tell(func(State) {
			s.state.Runs[i].Step = step
			if s.events.Step != nil {
				s.events.Step(run.Name, step, s.snapshot())
			}
		})
	})
	if ctx.Err() != nil {
		return s.update(i, func(x *RunState) {
			x.Status = Waiting
			x.Seconds += time.Since(began).Seconds()
		})
	}
	found, err := inspect(dir, run.Config)
	if failure == nil && err != nil {
		failure = err
	}
	if failure == nil && !found.finished && (until == 0 || found.step < int64(until)) {
		failure = fmt.Errorf("the process ended after step %d without a word", found.step)
	}
	err = s.update(i, func(x *RunState) {
		x.Seconds += time.Since(began).Seconds()
		x.Step = max(x.Step, found.step)
		switch {
		case failure != nil:
			x.Status, x.Error = Failed, strings.Join(strings.Fields(failure.Error()), " ")
		case found.finished:
			x.Status = Done
		default:
			x.Status = Waiting // for the next round
		}
		if h, ok := r.(interface{ Host(run string) string }); ok {
			x.Host = h.Host(run.Name)
		}
	})
	s.tell(func(now State) {
		if s.events.Ended != nil {
			s.events.Ended(now.Runs[i], now)
		}
	})
	return err
}

// update changes a run's state and writes the file.
func (s *Sweep) update(i int, change func(*RunState)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state.Runs[i])
	return s.state.write(s.dir)
}

// tell calls a watcher with the state, one call at a time.
func (s *Sweep) tell(call func(State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call(s.snapshot())
}

func shorten(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

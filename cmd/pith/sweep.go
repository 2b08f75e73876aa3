package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith/analysis/ablation"
	"pith/trainer/sweep"
)

func newSweep(io stdio) *cobra.Command {
	f := sweepFlags{io: io}
	cmd := &cobra.Command{
		Use:   "sweep SWEEP.yaml | NAME | --join URL",
		Short: "Many runs in one command, then one comparison",
		Long: "Run every combination that a sweep file names, beside the baselines without which a comparison says\n" +
			"little, and compare them. Call it again to go on: finished runs are kept, interrupted ones resumed,\n" +
			"failed ones tried again. One failing run stops no other.\n\n" +
			"  pith sweep length-rewards --dry-run    the runs and the bill, before anything runs\n" +
			"  pith sweep length-rewards --listen 127.0.0.1:4222    other hosts may take runs …\n" +
			"  pith sweep --join nats://127.0.0.1:4222              … and this one does",
		Args: argsBetween(0, 1, "one sweep file, or the name of one that ships with pith"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.parallelSet = cmd.Flags().Changed("parallel")
			switch {
			case f.join != "" && len(args) == 0:
				return f.take(cmd.Context())
			case f.join != "":
				return usagef("pith sweep --join takes runs of a sweep that another host offers: no sweep file, but --sweep NAME where it offers several")
			case len(args) == 0:
				return usagef("pith sweep needs a sweep file, or the name of one that ships with pith: %s", strings.Join(sweep.Names(), ", "))
			case f.nats != "" && f.listen != "":
				return usagef("--nats names a server elsewhere, --listen starts one here; give one of them")
			}
			return f.run(cmd.Context(), args[0])
		},
	}
	cmd.Flags().StringVar(&f.out, "out", "", "directory of the sweep (default runs/sweeps/NAME)")
	cmd.Flags().IntVar(&f.parallel, "parallel", 1, "runs at a time; the cores are divided between them")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "path=value for every run, under the axes (repeatable)")
	cmd.Flags().StringArrayVar(&f.reuse, "reuse", nil, "directory of another sweep whose finished runs may be taken over where they are the same (repeatable; default: those beside --out)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "print the runs and the bill, and run nothing")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print the comparison as JSON, or with --dry-run the bill")
	cmd.Flags().StringVar(&f.nats, "nats", "", "offer the runs to other hosts on this NATS server; with --parallel this host makes some too")
	cmd.Flags().StringVar(&f.listen, "listen", "", "the same on a server of this process, at host:port")
	cmd.Flags().StringVar(&f.join, "join", "", "take runs that another host offers on this NATS server")
	cmd.Flags().StringVar(&f.name, "sweep", "", "with --join: the sweep, where the server has several")
	return cmd
}

// sweepFlags are what the command line says of a sweep.
type sweepFlags struct {
	io             stdio
	out            string
	parallel       int
	set, reuse     []string
	dryRun, asJSON bool

	nats, listen, join, name string
	parallelSet              bool
}

func (f *sweepFlags) run(ctx context.Context, file string) error {
	if f.parallel < 1 {
		return usagef("--parallel %d: must be at least 1", f.parallel)
	}
	spec, err := sweep.Load(file)
	if err != nil {
		return err
	}
	plan, err := spec.Plan(sweep.Options{Set: f.set, Environ: os.Environ()})
	if err != nil {
		return err
	}
	if f.out == "" {
		f.out = filepath.Join("runs", "sweeps", spec.Name)
	}
	others := f.reuse
	if len(others) == 0 {
		others = sweep.Siblings(f.out)
	}
	if f.dryRun {
		return f.bill(plan, others)
	}
	s, err := sweep.Open(plan, f.out, others)
	if err != nil {
		return err
	}
	state, err := f.execute(ctx, s, plan)
	if closed := s.Close(); err == nil {
		err = closed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; what was committed is safe: the same command goes on where it stopped")
	}
	if err != nil {
		return err
	}
	return f.conclude(plan, state)
}

func (f *sweepFlags) execute(ctx context.Context, s *sweep.Sweep, plan *sweep.Plan) (sweep.State, error) {
	w := &sweepWatch{line: newStatus(f.io), started: time.Now(), plan: plan}
	w.line.print(fmt.Sprintf("sweep %s in %s: %d runs of %d arms", plan.Spec.Name, f.out, len(plan.Runs), len(plan.Arms)))
	if f.nats != "" || f.listen != "" {
		return f.offer(ctx, s, plan, w)
	}
	state, err := s.Execute(ctx, sweep.Child{}, f.parallel, w.events())
	w.line.clear()
	return state, err
}

// bill prints what the sweep would take.
func (f *sweepFlags) bill(plan *sweep.Plan, others []string) error {
	var state *sweep.State
	if now, err := sweep.ReadState(f.out); err == nil && len(now.Runs) == len(plan.Runs) {
		state = &now
	}
	bill, err := plan.Bill(state, sweep.Measure(append([]string{f.out}, others...)))
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(f.io, bill)
	}
	for _, line := range bill.Lines() {
		fmt.Fprintln(f.io.out, line)
	}
	return nil
}

func printJSON(io stdio, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(io.out, string(text))
	return err
}

// conclude compares what there is, and fails where a run has.
func (f *sweepFlags) conclude(plan *sweep.Plan, state sweep.State) error {
	in, failed := compareInput(plan, state, f.out)
	if len(in.Runs) > 0 {
		report, err := ablation.Compare(in)
		if err != nil {
			return err
		}
		if err := ablation.Write(f.out, report); err != nil {
			return err
		}
		line := newStatus(f.io)
		for _, s := range report.Sentences {
			line.print(s)
		}
		line.print("report: " + filepath.Join(f.out, ablation.HTMLFile))
		if f.asJSON {
			if err := report.WriteJSON(f.io.out); err != nil {
				return err
			}
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d runs failed, the others are done: %s", len(failed), len(state.Runs), strings.Join(failed, "; "))
	}
	return nil
}

// compareInput hands the runs of a sweep to the comparison.
func compareInput(plan *sweep.Plan, state sweep.State, dir string) (in ablation.Input, failed []string) {
	spec := plan.Spec
	in = ablation.Input{
		Name: spec.Name, About: spec.About, Untrained: plan.Untrained(), HardCaps: plan.HardCaps(),
		Reference: spec.Compare.Reference, Points: spec.Compare.Points, StopRule: plan.StopRule(),
	}
	arms := map[string]sweep.Arm{}
	for _, a := range plan.Arms {
		arms[a.Name] = a
	}
	for _, r := range state.Runs {
		switch r.Status {
		case sweep.Done:
			in.Runs = append(in.Runs, ablation.Run{Arm: r.Arm, Method: arms[r.Arm].Method, Baseline: arms[r.Arm].Baseline, Seed: r.Seed, Dir: filepath.Join(dir, sweep.RunsDir, r.Name)})
		case sweep.Failed:
			in.Failed = append(in.Failed, ablation.Excluded{Run: r.Name, Reason: r.Error})
			failed = append(failed, fmt.Sprintf("%s: %s (%s)", r.Name, r.Error, filepath.Join(dir, r.Log)))
		case sweep.Stopped:
			in.Stopped = append(in.Stopped, ablation.Excluded{Run: r.Name, Reason: r.Note})
		}
	}
	return in, failed
}

// sweepWatch prints a line as a run ends, and on a terminal where those that run stand.
type sweepWatch struct {
	line    *status
	plan    *sweep.Plan
	started time.Time
	before  int64 // steps that were done already
	counted bool
}

func (w *sweepWatch) events() sweep.Events {
	return sweep.Events{
		Reused: func(run, from string) { w.line.print(fmt.Sprintf("%s: the same as %s, taken over", run, from)) },
		Started: func(run string, resumed bool) {
			if resumed {
				w.line.print(run + ": resumed")
			}
		},
		Step:  func(_ string, _ int64, s sweep.State) { w.progress(s) },
		Ended: w.ended,
		Selected: func(step int, kept, stopped []string) {
			w.line.print(fmt.Sprintf("after step %d: %d arms go on, %d stop", step, len(kept), len(stopped)))
		},
		Note: w.line.print,
	}
}

func (w *sweepWatch) ended(r sweep.RunState, s sweep.State) {
	ended := 0
	for _, x := range s.Runs {
		if x.Status == sweep.Done || x.Status == sweep.Failed || x.Status == sweep.Stopped {
			ended++
		}
	}
	text := fmt.Sprintf("[%d/%d] %s: ", ended, len(s.Runs), r.Name)
	switch r.Status {
	case sweep.Done:
		text += fmt.Sprintf("done, %d steps in %.0fs", r.Step, r.Seconds)
	case sweep.Failed:
		text += "FAILED: " + r.Error
	default:
		text += fmt.Sprintf("waits after step %d", r.Step)
	}
	if r.Host != "" {
		text += " on " + r.Host
	}
	w.line.print(text)
}

// progress shows the running ones and what is left of the whole.
func (w *sweepWatch) progress(s sweep.State) {
	var steps, all int64
	text := ""
	for _, x := range s.Runs {
		at := x.Step
		if x.Status == sweep.Done {
			at = int64(x.Steps)
		}
		steps += at
		all += int64(x.Steps)
		if x.Status == sweep.Running {
			text += fmt.Sprintf("  %s %d/%d", x.Name, x.Step, x.Steps)
		}
	}
	if !w.counted {
		w.before, w.counted = steps, true
	}
	left := ""
	if done := steps - w.before; done > 0 {
		each := time.Since(w.started) / time.Duration(done)
		left = fmt.Sprintf(", about %s left", (each * time.Duration(all-steps)).Round(time.Minute))
	}
	w.line.status(fmt.Sprintf("%d of %d steps%s:%s", steps, all, left, text))
}

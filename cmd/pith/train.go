package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith/analysis"
	"pith/configs"
	"pith/traces"
	"pith/trainer"
)

func newTrain(io stdio) *cobra.Command {
	var flags configFlags
	var out string
	var resume, asJSON bool
	var until int
	cmd := &cobra.Command{
		Use:   "train [CONFIG]",
		Short: "Train a policy; without a config: the quickstart",
		Long: "Train a policy as a config says. Without a config it is the quickstart: a small transformer that\n" +
			"over-thinks arithmetic learns to be right in a fraction of the tokens, in about a minute on two cores.\n" +
			"The run directory holds everything: the trace log, the tables, checkpoints and the report.",
		Args: argsBetween(0, 1, "at most one config file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := resolve(&flags, args, out, resume)
			if err != nil {
				return err
			}
			if out == "" {
				out = filepath.Join("runs", c.Run.Name)
				if resume {
					// nothing to choose: the run that is there
				} else if _, err := os.Stat(out); err == nil {
					out = free(out)
				}
			}
			if until < 0 {
				return usagef("--until %d: must be a learner step", until)
			}
			return train(cmd.Context(), io, c, trainer.Options{Dir: out, Resume: resume, Until: int64(until)}, asJSON)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&out, "out", "", "run directory (default runs/NAME, or runs/NAME-2 … where that exists)")
	cmd.Flags().BoolVar(&resume, "resume", false, "go on with the run in the run directory")
	cmd.Flags().IntVar(&until, "until", 0, "pause after this learner step; --resume goes on (0 = run to the end)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report's JSON at the end")
	return cmd
}

// resolve loads the config. A resumed run for which none is named goes on with its own.
func resolve(flags *configFlags, args []string, out string, resume bool) (configs.Config, error) {
	if resume && out != "" && len(args) == 0 && len(flags.presets) == 0 && flags.method == "" && flags.engine == "" && len(flags.set) == 0 {
		own := filepath.Join(out, "config.yaml")
		if _, err := os.Stat(own); err == nil {
			args = []string{own}
		}
	}
	return flags.load(args)
}

// free returns dir-2, dir-3 … whichever does not exist yet.
func free(dir string) string {
	for i := 2; ; i++ {
		next := fmt.Sprintf("%s-%d", dir, i)
		if _, err := os.Stat(next); errors.Is(err, os.ErrNotExist) {
			return next
		}
	}
}

func train(ctx context.Context, io stdio, c configs.Config, o trainer.Options, asJSON bool) error {
	dir := o.Dir
	w := newWatch(io, c)
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(c.Log.Level))); err != nil {
		return usagef("log.level: %w", err)
	}
	o.Events = w.events(dir)
	o.Log = slog.New(slog.NewTextHandler(io.err, &slog.HandlerOptions{Level: max(level, slog.LevelWarn)}))
	t, err := trainer.Open(ctx, c, o)
	if err != nil {
		if errors.Is(err, trainer.ErrExists) {
			return usageError{err}
		}
		return err
	}
	if url := t.URL(); url != "" {
		w.line.print("workers can join: pith worker --nats " + url)
	}
	err = t.Run(ctx)
	w.line.clear()
	if closed := t.Close(); err == nil {
		err = closed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; what was committed is safe: continue with pith train --resume --out %s", dir)
	}
	if err != nil {
		return fmt.Errorf("%w; what was committed is safe: continue with pith train --resume --out %s", err, dir)
	}
	if t.Paused() {
		w.line.print(fmt.Sprintf("paused after step %d of %d: continue with pith train --resume --out %s", o.Until, c.Run.Steps, dir))
		return nil
	}
	return conclude(io, w.line, c, dir, asJSON)
}

// conclude writes the report and says in words what was gained.
func conclude(io stdio, line *status, c configs.Config, dir string, asJSON bool) error {
	r, err := analysis.Summarize([]string{dir})
	if err != nil {
		return err
	}
	if c.Log.Report {
		if err := analysis.Write(dir, r); err != nil {
			return err
		}
	}
	for _, s := range r.Sentences() {
		line.print(s)
	}
	if c.Log.Report {
		line.print("report: " + filepath.Join(dir, "report.html"))
	}
	if asJSON {
		return r.WriteJSON(io.out)
	}
	return nil
}

// watch prints a run as it goes: one line a step, and on a terminal a line of progress below.
type watch struct {
	line    *status
	steps   int
	started time.Time
	from    int64
	said    time.Time
}

func newWatch(io stdio, c configs.Config) *watch {
	return &watch{line: newStatus(io), steps: c.Run.Steps, started: time.Now()}
}

func (w *watch) events(dir string) trainer.Events {
	return trainer.Events{
		Started: func(m trainer.Manifest, at int64) {
			w.from = at
			verb := "run"
			if at > 0 {
				verb = fmt.Sprintf("resume after step %d:", at)
			}
			w.line.print(fmt.Sprintf("%s %s in %s: %s on %s, %d parameters, seed %d, kernel %s", verb, m.Run, dir, m.Config.Rewards.Method, m.Dataset, m.Parameters, m.Seed, m.Kernel))
		},
		Replayed: func(step int64) { w.line.print(fmt.Sprintf("step %4d  replayed from the log", step)) },
		Progress: func(what string, have, want int) {
			if time.Since(w.said) < 150*time.Millisecond {
				return
			}
			w.said = time.Now()
			w.line.status(fmt.Sprintf("%s: %d of %d%s", what, have, want, w.left()))
		},
		Stalled: func(what string, waited time.Duration) {
			w.line.print(fmt.Sprintf("waiting for %s for %s: is a worker alive?", what, waited.Round(time.Second)))
		},
		Step: w.step,
		Eval: w.eval,
	}
}

func (w *watch) step(s traces.Step, t traces.Timing) {
	text := fmt.Sprintf("step %4d  accuracy %5.1f%%  tokens %5.1f (right %.1f, wrong %.1f)  reward %6.3f  entropy %.3f  clip %.3f  %.2fs",
		s.Step, 100*s.Accuracy, s.Lengths.All, s.Lengths.Right, s.Lengths.Wrong, s.Reward, s.Entropy, s.ClipLow+s.ClipHigh, t.Total)
	if s.ToolCalls > 0 {
		text += fmt.Sprintf("  calls %.2f", s.ToolCalls)
	}
	if s.Anytime != nil {
		text += fmt.Sprintf("  anytime %.3f", *s.Anytime)
	}
	if s.Failed+s.DeadLetter > 0 {
		text += fmt.Sprintf("  failed %d, dead %d", s.Failed, s.DeadLetter)
	}
	w.line.print(text)
	w.from = max(w.from, s.Step)
}

func (w *watch) eval(e traces.Eval, took time.Duration) {
	text := fmt.Sprintf("  held out, %-7s  accuracy %5.1f%%  tokens %5.1f  (%d problems, %.1fs)", e.Decoding, 100*e.Accuracy, e.TokensMean, e.Problems, took.Seconds())
	if e.ToolCalls > 0 {
		text += fmt.Sprintf("  calls %.2f", e.ToolCalls)
	}
	if e.Anytime != nil {
		text += fmt.Sprintf("  anytime %.3f", *e.Anytime)
	}
	w.line.print(text)
}

// left estimates the time to the end from the steps so far.
func (w *watch) left() string {
	if w.from == 0 {
		return ""
	}
	each := time.Since(w.started) / time.Duration(w.from)
	return fmt.Sprintf("  about %s left", (each * time.Duration(int64(w.steps)-w.from)).Round(time.Second))
}

package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith/traces"
)

func newTraces(std stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "traces", Short: "Look into a run's trace log", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newTracesLs(std), newTracesShow(std), newTracesTail(std), newTracesStats(std), newTracesImport(std), newTracesExport(std))
	return cmd
}

// selection is which traces of a run are wanted.
type selection struct {
	f       traces.Filter
	heldout bool
	limit   int
}

func (s *selection) register(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&s.f.FromStep, "from", 0, "first step")
	cmd.Flags().Int64Var(&s.f.ToStep, "to", 0, "last step; 0 is the end")
	cmd.Flags().StringVar((*string)(&s.f.Verdict), "verdict", "", "right, wrong or no_score")
	cmd.Flags().StringVar((*string)(&s.f.Status), "status", "", "trained, filtered, failed, dead_lettered or evaluated")
	cmd.Flags().StringVar((*string)(&s.f.Finish), "finish", "", "stop, length, aborted or error")
	cmd.Flags().Int32Var(&s.f.Level, "level", 0, "difficulty level; 0 is all")
	cmd.Flags().StringVar(&s.f.Group, "group", "", "one group")
	cmd.Flags().StringVar(&s.f.Problem, "problem", "", "one problem")
	cmd.Flags().Int32Var(&s.f.MinTokens, "min-tokens", 0, "response tokens at least")
	cmd.Flags().Int32Var(&s.f.MaxTokens, "max-tokens", 0, "response tokens at most; 0 is no limit")
	cmd.Flags().BoolVar(&s.heldout, "heldout", false, "evaluations instead of training")
	cmd.Flags().IntVar(&s.limit, "limit", 50, "traces at most; 0 is all")
}

func (s *selection) filter() traces.Filter {
	f := s.f
	if s.heldout {
		f.Set = traces.Evaluations
	}
	return f
}

// unread says of files that could not be read what is wrong, a line each, while the others are
// used. The last one is the command's own error; notes are none.
type unread struct {
	std  stdio
	last error
	seen map[string]bool
}

func (u *unread) add(err error) {
	if columns, newer := traces.Newer(err); newer {
		if !u.seen[columns] {
			u.seen = map[string]bool{columns: true}
			fmt.Fprintf(u.std.err, "pith: %v\n", err)
		}
		return
	}
	if u.last != nil {
		fmt.Fprintf(u.std.err, "pith: %v\n", u.last)
	}
	u.last = err
}

// brief is the columns of a listing.
type brief struct {
	Step     int64          `json:"step"`
	ID       string         `json:"id"`
	Group    string         `json:"group"`
	Level    int32          `json:"level"`
	Verdict  traces.Verdict `json:"verdict"`
	Length   int32          `json:"length_tokens"`
	Finish   traces.Finish  `json:"finish"`
	Reward   float64        `json:"reward"`
	Adv      float64        `json:"advantage"`
	Status   traces.Status  `json:"status"`
	Problem  string         `json:"problem"`
	Answered string         `json:"extracted"`
	Gold     string         `json:"gold"`
}

var briefColumns = []string{"step", "id", "group", "level", "verdict", "length_tokens", "finish", "reward", "advantage", "status", "problem", "extracted", "gold"}

func newTracesLs(std stdio) *cobra.Command {
	var s selection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls RUN", Short: "List traces, one a line", Args: argsBetween(1, 1, "a run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := traces.OpenRun(args[0])
			if err != nil {
				return err
			}
			return list(std, run, &s, asJSON)
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
}

func list(std stdio, run *traces.Run, s *selection, asJSON bool) error {
	lines := bufio.NewWriterSize(std.out, 1<<16)
	out := stdio{out: lines}
	bad := unread{std: std}
	n := 0
	for b, err := range run.Batches(s.filter(), briefColumns...) {
		if err != nil {
			bad.add(err)
			continue
		}
		for i := range b.Rows {
			if s.limit > 0 && n == s.limit {
				break
			}
			n++
			t := &b.Rows[i]
			if asJSON {
				if err := writeLine(out, brief{
					t.Step, t.ID, t.Group, t.Level, t.Verdict, t.LengthTokens, t.Finish, t.Reward, t.Advantage, t.Status, t.Problem, t.Extracted, t.Gold,
				}); err != nil {
					return err
				}
				continue
			}
			if n == 1 {
				fmt.Fprintf(lines, "%5s %-28s %5s %-8s %6s %-7s %8s %9s %-9s %s\n", "step", "id", "level", "verdict", "tokens", "finish", "reward", "advantage", "status", "problem = gold (answered)")
			}
			if _, err := fmt.Fprintf(lines, "%5d %-28s %5d %-8s %6d %-7s %8.3f %9.3f %-9s %s = %s (%s)\n",
				t.Step, t.ID, t.Level, t.Verdict, t.LengthTokens, t.Finish, t.Reward, t.Advantage, t.Status, t.Problem, t.Gold, t.Extracted); err != nil {
				return err
			}
		}
		if s.limit > 0 && n == s.limit {
			break
		}
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	return bad.last
}

func newTracesShow(std stdio) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show RUN ID", Short: "Everything about one trace", Args: argsBetween(2, 2, "a run directory and the id of a trace"),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := traces.OpenRun(args[0])
			if err != nil {
				return err
			}
			bad := unread{std: std}
			for _, set := range []traces.Set{traces.Training, traces.Evaluations} {
				for b, err := range run.Batches(traces.Filter{Set: set, ID: args[1]}, traces.Columns()...) {
					if err != nil {
						bad.add(err)
						continue
					}
					if bad.last != nil {
						fmt.Fprintf(std.err, "pith: %v\n", bad.last)
					}
					if asJSON {
						return writeJSON(std, b.Rows[0])
					}
					show(std, &b.Rows[0])
					return nil
				}
			}
			if bad.last != nil {
				return bad.last // it may be in there
			}
			return fmt.Errorf("%s has no trace %q; pith traces ls lists them", args[0], args[1])
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func show(std stdio, t *traces.Trace) {
	fmt.Fprintf(std.out, "trace     %s (step %d, group %s, %s, level %d)\n", t.ID, t.Step, t.Group, t.Dataset, t.Level)
	fmt.Fprintf(std.out, "prompt    %s\n", t.PromptText)
	for _, s := range t.Segments {
		fmt.Fprintf(std.out, "%-9s tokens %d to %d%s\n", s.Kind, s.Start, s.End, map[bool]string{true: ", trained"}[s.Train])
	}
	fmt.Fprintf(std.out, "response  %s\n", t.Text)
	fmt.Fprintf(std.out, "finish    %s after %d sampled tokens at temperature %g\n", t.Finish, t.LengthTokens, t.Temperature)
	fmt.Fprintf(std.out, "verdict   %s: gold %s, answered %q (%s)\n", t.Verdict, t.Gold, t.Extracted, t.VerdictReason)
	var terms []string
	for _, term := range t.Terms {
		terms = append(terms, fmt.Sprintf("%s %.4f", term.Name, term.Value))
	}
	fmt.Fprintf(std.out, "reward    %.4f (%s), advantage %.4f, %s %s\n", t.Reward, strings.Join(terms, ", "), t.Advantage, t.Status, t.StatusReason)
	for _, c := range t.ToolCalls {
		fmt.Fprintf(std.out, "call      %s(%s) = %s\n", c.Name, c.Arguments, c.Result)
	}
	for i, b := range t.Budgets {
		fmt.Fprintf(std.out, "budget    %d thinking tokens: %.3f\n", b, t.BudgetScores[i])
	}
	for _, s := range t.Spans {
		fmt.Fprintf(std.out, "policy    %s drew tokens %d to %d\n", s.Policy, s.Start, s.End)
	}
}

func newTracesTail(std stdio) *cobra.Command {
	var every time.Duration
	var once bool
	cmd := &cobra.Command{
		Use: "tail RUN", Short: "Follow a run: a trace of each new step", Args: argsBetween(1, 1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error { return tail(cmd.Context(), std, args[0], every, once) },
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look")
	cmd.Flags().BoolVar(&once, "once", false, "print what is there and end")
	return cmd
}

func tail(ctx context.Context, std stdio, dir string, every time.Duration, once bool) error {
	for next := int64(0); ; {
		run, err := traces.OpenRun(dir)
		if err != nil {
			return err
		}
		last := next - 1
		for t, err := range run.Traces(traces.Filter{FromStep: next}) {
			if err != nil {
				return err
			}
			if t.Step > last {
				last = t.Step
				fmt.Fprintf(std.out, "step %d  %s  %s, %d tokens, reward %.3f: %s %s\n", t.Step, t.ID, t.Verdict, t.LengthTokens, t.Reward, t.PromptText, t.Text)
			}
		}
		next = last + 1
		if once {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

package main

import (
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
	cmd.AddCommand(newTracesLs(std), newTracesShow(std), newTracesTail(std))
	return cmd
}

// selection is which traces of a run are wanted.
type selection struct {
	from, to int64
	verdict  string
	level    int32
	group    string
	heldout  bool
	limit    int
}

func (s *selection) register(cmd *cobra.Command) {
	cmd.Flags().Int64Var(&s.from, "from", 0, "first step")
	cmd.Flags().Int64Var(&s.to, "to", 0, "last step; 0 is the end")
	cmd.Flags().StringVar(&s.verdict, "verdict", "", "right, wrong or no_score")
	cmd.Flags().Int32Var(&s.level, "level", 0, "difficulty level; 0 is all")
	cmd.Flags().StringVar(&s.group, "group", "", "one group")
	cmd.Flags().BoolVar(&s.heldout, "heldout", false, "evaluations instead of training")
	cmd.Flags().IntVar(&s.limit, "limit", 50, "traces at most; 0 is all")
}

func (s *selection) filter() traces.Filter {
	f := traces.Filter{FromStep: s.from, ToStep: s.to}
	if s.heldout {
		f.Set = traces.Evaluations
	}
	return f
}

// brief is the columns of a listing.
type brief struct {
	Step     int64          `parquet:"step" json:"step"`
	ID       string         `parquet:"id" json:"id"`
	Group    string         `parquet:"group" json:"group"`
	Level    int32          `parquet:"level" json:"level"`
	Verdict  traces.Verdict `parquet:"verdict,dict" json:"verdict"`
	Length   int32          `parquet:"length_tokens" json:"length_tokens"`
	Finish   traces.Finish  `parquet:"finish,dict" json:"finish"`
	Reward   float64        `parquet:"reward" json:"reward"`
	Adv      float64        `parquet:"advantage" json:"advantage"`
	Status   traces.Status  `parquet:"status,dict" json:"status"`
	Problem  string         `parquet:"problem" json:"problem"`
	Answered string         `parquet:"extracted" json:"extracted"`
	Gold     string         `parquet:"gold" json:"gold"`
}

func (s *selection) wants(b *brief) bool {
	return (s.verdict == "" || string(b.Verdict) == s.verdict) && (s.level == 0 || b.Level == s.level) && (s.group == "" || b.Group == s.group)
}

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
			n := 0
			for b, err := range traces.Scan[brief](run, s.filter()) {
				if err != nil {
					return err
				}
				if !s.wants(&b) {
					continue
				}
				if asJSON {
					if err := writeLine(std, b); err != nil {
						return err
					}
				} else {
					if n == 0 {
						fmt.Fprintf(std.out, "%5s %-28s %5s %-8s %6s %-7s %8s %9s %-9s %s\n", "step", "id", "level", "verdict", "tokens", "finish", "reward", "advantage", "status", "problem = gold (answered)")
					}
					fmt.Fprintf(std.out, "%5d %-28s %5d %-8s %6d %-7s %8.3f %9.3f %-9s %s = %s (%s)\n", b.Step, b.ID, b.Level, b.Verdict, b.Length, b.Finish, b.Reward, b.Adv, b.Status, b.Problem, b.Gold, b.Answered)
				}
				if n++; s.limit > 0 && n == s.limit {
					break
				}
			}
			return nil
		},
	}
	s.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON lines")
	return cmd
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
			for _, set := range []traces.Set{traces.Training, traces.Evaluations} {
				for t, err := range run.Traces(traces.Filter{Set: set}) {
					if err != nil {
						return err
					}
					if t.ID != args[1] {
						continue
					}
					if asJSON {
						return writeJSON(std, t)
					}
					show(std, &t)
					return nil
				}
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

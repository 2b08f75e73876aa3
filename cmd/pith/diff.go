package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pith/analysis/diff"
)

func newDiff(std stdio) *cobra.Command {
	var a, b int64
	var examples int
	var sampled, asJSON bool
	cmd := &cobra.Command{
		Use:   "diff RUN [RUN]",
		Short: "Two runs, or one before and after: settings, accuracy, length, and the problems that flipped",
		Long: "Compare the last evaluations of two runs on the held-out problems that both answered; with one run, its\n" +
			"base policy with its last. Problems that went from right to wrong while getting shorter come first.",
		Args: argsBetween(1, 2, "one or two run directories"),
		RunE: func(cmd *cobra.Command, args []string) error {
			decoding := "greedy"
			if sampled {
				decoding = "sampled"
			}
			from, to := diff.Point{Dir: args[0], Step: a, Decoding: decoding}, diff.Point{Dir: args[len(args)-1], Step: b, Decoding: decoding}
			if len(args) == 1 && !cmd.Flags().Changed("step-a") {
				from.Step = diff.First
			}
			r, err := diff.Compare(from, to, examples)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(std, r)
			}
			width, _ := terminalSize(std.out)
			_, err = fmt.Fprint(std.out, r.Text(width))
			return err
		},
	}
	cmd.Flags().Int64Var(&a, "step-a", diff.Last, "evaluation of the first run, by step; -1 is its last")
	cmd.Flags().Int64Var(&b, "step-b", diff.Last, "evaluation of the second run")
	cmd.Flags().IntVar(&examples, "examples", 3, "flipped problems shown each way")
	cmd.Flags().BoolVar(&sampled, "sampled", false, "compare the sampled evaluations instead of the greedy ones")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

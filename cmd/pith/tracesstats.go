package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pith/analysis"
	"pith/traces"
)

func newTracesStats(std stdio) *cobra.Command {
	var s selection
	var by, figures string
	var expert float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "stats RUN",
		Short: "Accuracy, lengths, calls, cost and pass@k of traces, by policy, level, step …",
		Args:  argsBetween(1, 1, "a run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := traces.OpenRun(args[0])
			if err != nil {
				return err
			}
			b, err := analysis.NewBreakdown(by)
			if err != nil {
				return usageError{err}
			}
			bad := unread{std: std}
			for _, err := range analysis.Observe(run, s.filter(), b) {
				bad.add(err)
			}
			if figures != "" {
				if err := b.WriteFigures(figures); err != nil {
					return err
				}
			}
			r := b.Report(expert)
			if asJSON {
				err = writeJSON(std, r)
			} else {
				_, err = fmt.Fprint(std.out, r.Markdown())
			}
			if err != nil {
				return err
			}
			return bad.last
		},
	}
	s.register(cmd)
	cmd.Flags().Lookup("limit").Hidden = true // every trace that is selected counts
	cmd.Flags().StringVar(&by, "by", "all", strings.Join(analysis.BreakdownBy, ", "))
	cmd.Flags().StringVar(&figures, "figures", "", "directory for the accuracy-length plane and the lengths by outcome, as SVG and PNG")
	cmd.Flags().Float64Var(&expert, "expert", 0, "dollars that a person charges for a problem, in the frontier cost-of-pass")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

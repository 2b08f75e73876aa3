package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"pith/analysis"
)

func newReport(io stdio) *cobra.Command {
	var asJSON bool
	var out string
	cmd := &cobra.Command{
		Use:   "report RUN...",
		Short: "What was gained: report.html, figures and report.json",
		Long: "Write report.html (self-contained, readable offline), figures as SVG and PNG, and report.json into the\n" +
			"run directory, or for several runs into --out. With --json nothing is written: the JSON is printed.",
		Args: argsBetween(1, -1, "at least one run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := analysis.Summarize(args)
			if err != nil {
				return err
			}
			if asJSON {
				return r.WriteJSON(io.out)
			}
			if out == "" {
				if len(args) > 1 {
					return usagef("pith report of several runs needs --out DIR")
				}
				out = args[0]
			}
			if err := analysis.Write(out, r); err != nil {
				return err
			}
			for _, s := range r.Sentences() {
				fmt.Fprintln(io.out, s)
			}
			fmt.Fprintln(io.out, "report: "+filepath.Join(out, analysis.HTMLFile))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	cmd.Flags().StringVar(&out, "out", "", "directory of the report (default: the run directory)")
	return cmd
}

func newCompare(io stdio) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare RUN...",
		Short: "Runs grouped by name: means and 95 % intervals over seeds, as Markdown or JSON",
		Args:  argsBetween(1, -1, "at least one run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := analysis.Compare(args)
			if err != nil {
				return err
			}
			for _, note := range c.Notes {
				fmt.Fprintln(io.err, "pith: "+note)
			}
			if asJSON {
				return c.WriteJSON(io.out)
			}
			fmt.Fprint(io.out, c.Markdown())
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

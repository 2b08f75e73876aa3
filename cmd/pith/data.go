package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"pith/datasets"
	"pith/datasets/families"
)

func newData(std stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "data", Short: "Look at problems and where they come from", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var asJSON bool
	sources := &cobra.Command{
		Use: "sources", Short: "List the sources that data.source can name, with their parameters", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			for _, name := range families.Names() {
				about, keys, err := families.About(name)
				if err != nil {
					return err
				}
				fmt.Fprintf(std.out, "%s: %s\n", name, about)
				for _, k := range keys {
					fmt.Fprintf(std.out, "  %-24s %-10s default %v\n", k.Name, k.Type, k.Default)
				}
			}
			return nil
		},
	}
	var flags configFlags
	show := &cobra.Command{
		Use: "show [CONFIG]", Short: "Count and sample the problems of a config", Args: argsBetween(0, 1, "at most one config file"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := flags.load(args)
			if err != nil {
				return err
			}
			f, err := families.Open(c.Data.Source, c.Run.Seed, c.Data.Params)
			if err != nil {
				return usageError{err}
			}
			s, err := datasets.Describe(f.Source, datasets.DescribeOptions{})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(std, s)
			}
			return s.WriteText(std.out)
		},
	}
	flags.register(show)
	show.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.AddCommand(sources, show)
	return cmd
}

package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pith/rewards"
)

func newMethods(io stdio) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "methods",
		Short: "List the methods, or show what one does, its formula, source and settings",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			all := rewards.Methods()
			if asJSON {
				return writeJSON(io, all)
			}
			for _, m := range all {
				mark := " "
				if !m.Verified.Firm() {
					mark = "~"
				}
				fmt.Fprintf(io.out, "%-16s %-11s %s %s\n", m.Name, m.Family, mark, m.Title)
			}
			fmt.Fprintln(io.out, "\n~ the formula could not be checked against a paper or released code; pith methods show NAME says what is known")
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	show := &cobra.Command{
		Use:   "show NAME",
		Short: "What a method does, its formula, its source, its settings",
		Args:  argsBetween(1, 1, "the name of a method"),
		RunE: func(_ *cobra.Command, args []string) error {
			d, ok := rewards.Lookup(args[0])
			if !ok {
				return usagef("method %q is unknown; known: %s", args[0], strings.Join(rewards.Names(), ", "))
			}
			if asJSON {
				return writeJSON(io, d)
			}
			fmt.Fprint(io.out, rewards.Describe(args[0]))
			return nil
		},
	}
	show.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.AddCommand(show)
	return cmd
}

func writeJSON(io stdio, v any) error {
	e := json.NewEncoder(io.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeLine writes one JSON line.
func writeLine(io stdio, v any) error { return json.NewEncoder(io.out).Encode(v) }

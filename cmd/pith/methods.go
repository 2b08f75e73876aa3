package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"pith/configs"
	"pith/rewards"
)

func newMethods(std stdio) *cobra.Command {
	var asJSON, asTable bool
	cmd := &cobra.Command{
		Use:   "methods",
		Short: "List the methods, or show what one does, its formula, source and settings",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			all := rewards.Methods()
			if asTable {
				return methodsTable(std.out)
			}
			if asJSON {
				return writeJSON(std, all)
			}
			for _, m := range all {
				mark := " "
				if !m.Verified.Firm() {
					mark = "~"
				}
				fmt.Fprintf(std.out, "%-16s %-11s %s %s\n", m.Name, m.Family, mark, m.Title)
			}
			fmt.Fprintln(std.out, "\n~ the formula could not be checked against a paper or released code; pith methods show NAME says what is known")
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&asTable, "markdown", false, "as the table of docs/methods.md")
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
				text, err := configs.MethodYAML(args[0])
				if err != nil {
					return err
				}
				return writeJSON(std, struct {
					rewards.Description
					Preset string `json:"preset"` // the method file
				}{d, string(text)})
			}
			fmt.Fprint(std.out, rewards.Describe(args[0]))
			return showPreset(std.out, args[0])
		},
	}
	show.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.AddCommand(show)
	return cmd
}

// showPreset prints the method file.
func showPreset(w io.Writer, name string) error {
	text, err := configs.MethodYAML(name)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\npreset (pith train --method %s)\n", name)
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			fmt.Fprint(w, "  "+line)
		}
	}
	return nil
}

func writeJSON(std stdio, v any) error {
	e := json.NewEncoder(std.out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeLine writes one JSON line.
func writeLine(std stdio, v any) error { return json.NewEncoder(std.out).Encode(v) }

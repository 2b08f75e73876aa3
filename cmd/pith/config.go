package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"pith/configs"
	"pith/trainer"
)

func newConfig(io stdio) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Show, check and list configs", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(newConfigShow(io), newConfigCheck(io), newConfigPresets(io), newConfigEngines(io))
	return cmd
}

func newConfigShow(io stdio) *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [CONFIG]",
		Short: "Print the resolved config and the arithmetic that follows from it",
		Args:  argsBetween(0, 1, "at most one config file"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := flags.load(args)
			if err != nil {
				return err
			}
			a, err := trainer.Derive(c)
			if err != nil {
				return err
			}
			if asJSON {
				tree, err := c.Tree()
				if err != nil {
					return err
				}
				return writeJSON(io, struct {
					Config     map[string]any      `json:"config"` // by the keys that --set takes
					Arithmetic trainer.Arithmetics `json:"arithmetic"`
				}{tree, a})
			}
			text, err := c.YAML()
			if err != nil {
				return err
			}
			for _, line := range a.Lines() {
				fmt.Fprintln(io.out, "# "+line)
			}
			fmt.Fprintf(io.out, "%s", text)
			return nil
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func newConfigCheck(io stdio) *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "check [CONFIG]",
		Short: "Check a config as train would, without running it",
		Args:  argsBetween(0, 1, "at most one config file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.load(args)
			if err != nil {
				return err
			}
			if err := trainer.Check(c); err != nil {
				return err
			}
			fmt.Fprintln(io.out, "ok")
			return nil
		},
	}
	flags.register(cmd)
	return cmd
}

func newConfigPresets(io stdio) *cobra.Command {
	return newConfigFiles(io, "presets", "preset", configs.Presets, configs.PresetYAML)
}

func newConfigEngines(io stdio) *cobra.Command {
	return newConfigFiles(io, "engines", "engine file", configs.Engines, configs.EngineYAML)
}

// newConfigFiles lists embedded files, or prints one.
func newConfigFiles(io stdio, use, what string, names func() []string, read func(string) ([]byte, error)) *cobra.Command {
	return &cobra.Command{
		Use:   use + " [NAME]",
		Short: "List the " + what + "s, or print one",
		Args:  argsBetween(0, 1, "at most one "+what),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				text, err := read(args[0])
				if err != nil {
					return err
				}
				fmt.Fprintf(io.out, "%s", text)
				return nil
			}
			for _, name := range names() {
				text, err := read(name)
				if err != nil {
					return err
				}
				first, _, _ := strings.Cut(string(text), "\n")
				fmt.Fprintf(io.out, "%-20s %s\n", name, strings.TrimPrefix(first, "# "))
			}
			return nil
		},
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pith/configs"
	"pith/policies/kernel"
)

// Exit codes, part of the command line's contract.
const (
	exitOK     = 0
	exitFailed = 1 // the work failed
	exitUsage  = 2 // a usage or config error
)

// kernelVariable chooses the arithmetic kernel. All give the same bits; it is for comparing speed
// and for checking that they do.
const kernelVariable = "PITH_KERNEL"

// stdio is where a command reads and writes; tests pass buffers.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// terminal says whether err is a terminal, where progress may be drawn.
func (s stdio) terminal() bool {
	f, ok := s.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// usageError marks an error that the caller's words caused.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, io stdio) int {
	root := newRoot(io)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(io.err, "pith: %s\n", strings.Join(strings.Fields(err.Error()), " "))
	var config *configs.Error
	var usage usageError
	if errors.As(err, &config) || errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailed
}

func newRoot(io stdio) *cobra.Command {
	root := &cobra.Command{
		Use:   "pith",
		Short: "Train language models to reason well in fewer tokens",
		Long: "pith turns a config into a reinforcement-learning run: workers sample reasoning traces, NATS\n" +
			"JetStream streams them to a trainer that grades, rewards and learns, and Parquet logs keep every trace.\n\n" +
			"  pith train            the quickstart: a small transformer on this machine, nothing to download\n" +
			"  pith report RUN       what was gained, as HTML, figures and JSON\n" +
			"  pith methods          the efficient-reasoning methods that a config can name",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			name := os.Getenv(kernelVariable)
			if name == "" {
				return nil
			}
			if err := kernel.Use(name); err != nil {
				return usagef("%s: %w", kernelVariable, err)
			}
			return nil
		},
	}
	root.SetIn(io.in)
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s: %w; see %s --help", cmd.CommandPath(), err, cmd.CommandPath())
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(commands(io)...)
	return root
}

// noArgs and exactly are cobra's argument checks as usage errors that say what to do.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		var names []string
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				names = append(names, c.Name())
			}
		}
		return usagef("unknown command %q; known: %s", cmd.CommandPath()+" "+args[0], strings.Join(names, ", "))
	}
	return usagef("%s takes no argument, got %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
}

func argsBetween(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < low || high >= 0 && len(args) > high {
			return usagef("%s needs %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

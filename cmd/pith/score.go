package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"pith/rewards"
	"pith/rewards/lint"
	"pith/rewards/score"
	"pith/traces"
	"pith/traces/foreign"
	"pith/trainer"
)

// methodFlags name a method and its settings.
type methodFlags struct {
	profile string
	set     []string
}

func (f *methodFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.profile, "profile", "paper", "paper or released_code")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "method.PARAM=value or advantage.PARAM=value (repeatable)")
}

func (f *methodFlags) open(name string) (*rewards.Method, error) {
	return f.over(name, rewards.Options{Profile: f.profile, Params: map[string]any{}, Advantage: map[string]any{}})
}

// over opens a method with the flags' settings over those of o.
func (f *methodFlags) over(name string, o rewards.Options) (*rewards.Method, error) {
	for _, s := range f.set {
		path, text, ok := strings.Cut(s, "=")
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); !ok || err != nil {
			return nil, usagef("--set %s: must be path=value, for example --set method.limit=48", s)
		}
		switch param, of := methodSetting(path); of {
		case "method":
			o.Params[param] = value
		case "advantage":
			o.Advantage[param] = value
		default:
			return nil, usagef("--set %s: must be method.PARAM=value or advantage.PARAM=value", s)
		}
	}
	m, err := rewards.New(name, o)
	if err != nil {
		return nil, usageError{err}
	}
	return m, nil
}

// methodSetting says which parameter a path of --set names, of the method or of its estimator: in the
// short form, as configs have it, or for the method's by its bare name.
func methodSetting(path string) (param, of string) {
	for _, form := range []struct{ prefix, of string }{
		{"method.", "method"}, {"rewards.params.", "method"}, {"advantage.params.", "advantage"}, {"advantage.", "advantage"},
	} {
		if param, ok := strings.CutPrefix(path, form.prefix); ok {
			return param, form.of
		}
	}
	if strings.Contains(path, ".") {
		return "", ""
	}
	return path, "method"
}

func newScore(std stdio) *cobra.Command {
	var flags methodFlags
	var names []string
	var in string
	var lines bool
	cmd := &cobra.Command{
		Use:   "score [--method NAME] --in FILE|RUN",
		Short: "Rewards and advantages of recorded groups under any method",
		Long: "Score groups of traces, a JSON line each, under a method: one line a trace. With several methods, a table\n" +
			"of how they differ from the first.\n\n" +
			"With a run directory, one method re-computes what the run was trained on and says whether it is the same;\n" +
			"the run's own method, also where none is named, has the run's settings and schedules, with --profile and\n" +
			"--set over them. An imported run gives a line a trace, each step scored as a batch. Several methods are compared on the run's traces.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := os.Stat(in)
			if err != nil && in != "-" {
				return usagef("--in %s: %w; give JSON lines, - for standard input, or a run directory", in, err)
			}
			isRun := err == nil && info.IsDir()
			if isRun && len(names) <= 1 {
				return scoreRun(std, &flags, names, in, cmd.Flags().Changed("profile"), lines)
			}
			if lines {
				return usagef("--lines is for one method on a run directory; recorded groups give a line a trace anyway")
			}
			if len(names) == 0 {
				return usagef("pith score needs --method; known: %s", strings.Join(rewards.Names(), ", "))
			}
			var methods []*rewards.Method
			for _, name := range names {
				m, err := flags.open(name)
				if err != nil {
					return err
				}
				methods = append(methods, m)
			}
			if isRun {
				return compareOnRun(std, methods, in)
			}
			r, done, err := input(std, in)
			if err != nil {
				return err
			}
			defer done()
			if len(methods) == 1 {
				return score.Lines(methods[0], r, std.out)
			}
			c, err := score.Compare(methods, r)
			if err != nil {
				return err
			}
			return c.WriteTable(std.out)
		},
	}
	cmd.Flags().StringSliceVar(&names, "method", nil, "a method, or several to compare")
	cmd.Flags().StringVar(&in, "in", "-", "JSON lines, - for standard input, or a run directory")
	cmd.Flags().BoolVar(&lines, "lines", false, "with a run directory: also a line for each trace, before the summary")
	flags.register(cmd)
	return cmd
}

// scoreRun recomputes a run's rewards and advantages.
func scoreRun(std stdio, flags *methodFlags, names []string, dir string, profile, lines bool) error {
	run, err := traces.OpenRun(dir)
	if err != nil {
		return err
	}
	_, imported, err := foreign.Imported(dir)
	if err != nil {
		return err
	}
	if imported && len(names) == 0 {
		return usagef("%s was sampled by another program; name a method with --method", dir)
	}
	m, o, err := replayOf(run, flags, names, dir, profile)
	if err != nil {
		return err
	}
	if lines || imported {
		o.Out = std.out
	}
	r, err := score.Replay(run, m, o)
	if err != nil {
		return err
	}
	if imported {
		return nil // no rewards of ours are on record that these could differ from
	}
	if lines {
		return writeLine(std, r)
	}
	return writeJSON(std, r)
}

// replayOf opens the method to replay a run with: the run's own with its settings and schedules, or
// another one as the flags say.
func replayOf(run *traces.Run, flags *methodFlags, names []string, dir string, profile bool) (*rewards.Method, score.ReplayOptions, error) {
	var o score.ReplayOptions
	manifest, err := trainer.ReadManifest(dir)
	switch own := manifest.Config.Rewards.Method; {
	case err != nil && len(names) == 0:
		return nil, o, usagef("%s does not say how it was trained (%w); name a method with --method", dir, err)
	case err != nil || len(names) == 1 && names[0] != own:
		m, err := flags.open(names[0])
		return m, o, err
	}
	options := trainer.MethodOptions(manifest.Config)
	if profile {
		options.Profile = flags.profile
	}
	m, err := flags.over(manifest.Config.Rewards.Method, options)
	if err != nil {
		return nil, o, err
	}
	var byHand []string
	for _, s := range flags.set {
		path, _, _ := strings.Cut(s, "=")
		if param, of := methodSetting(path); of == "method" {
			byHand = append(byHand, "rewards.params."+param)
		}
	}
	o.Prepare, err = trainer.ReplaySchedules(manifest.Config, run, byHand)
	return m, o, err
}

// compareOnRun shows how methods differ on a run's traces.
func compareOnRun(std stdio, methods []*rewards.Method, dir string) error {
	run, err := traces.OpenRun(dir)
	if err != nil {
		return err
	}
	c, err := score.CompareBatches(methods, score.RunBatches(run))
	if err != nil {
		return err
	}
	return c.WriteTable(std.out)
}

func newLint(std stdio) *cobra.Command {
	var flags methodFlags
	var asJSON bool
	var group, tokens int
	cmd := &cobra.Command{
		Use:   "lint METHOD",
		Short: "Does a reward ever rank a success below a failure?",
		Args:  argsBetween(1, 1, "the name of a method"),
		RunE: func(_ *cobra.Command, args []string) error {
			m, err := flags.open(args[0])
			if err != nil {
				return err
			}
			r, err := lint.Check(m, lint.GridFor(rewards.Setting{GroupSize: group, MaxTokens: tokens}))
			if err != nil {
				return err
			}
			if asJSON {
				if err := writeJSON(std, r); err != nil {
					return err
				}
			} else {
				for i := range r.Findings {
					fmt.Fprintf(std.out, "%s: %s\n", args[0], &r.Findings[i])
				}
				if len(r.Findings) == 0 {
					fmt.Fprintf(std.out, "%s: no success ranks below a failure in %d groups\n", args[0], r.Groups)
				}
			}
			return r.Err(nil)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().IntVar(&group, "group", 12, "samples a group")
	cmd.Flags().IntVar(&tokens, "max-tokens", 200, "longest response of the grid")
	return cmd
}

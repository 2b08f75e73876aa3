package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pith/rewards/grade"
	"pith/traces"
	"pith/traces/foreign"
)

func newTracesImport(std stdio) *cobra.Command {
	var o foreign.Options
	var files, fields, prices []string
	var out, grader, profile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import --in FILE... --out RUN",
		Short: "Make a run directory of a log that another program wrote",
		Long: "Read JSON lines or Parquet and write an ordinary run directory, for pith traces, pith report and pith score.\n" +
			"Lengths that the log does not give are estimated by a stated rule and marked as estimates.\n\n" + formatsHelp(),
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if len(files) == 0 || out == "" {
				return usagef("pith traces import needs --in FILE and --out RUN")
			}
			o.Fields = map[string]string{}
			for _, f := range fields {
				target, source, ok := strings.Cut(f, "=")
				if !ok {
					return usagef("--field %s: must be target=field, for example --field gold=answer", f)
				}
				o.Fields[target] = source
			}
			for _, p := range prices {
				if err := addPrice(&o, p); err != nil {
					return err
				}
			}
			if grader != "" {
				grade, err := graderFor(grader, profile)
				if err != nil {
					return err
				}
				o.Grade = grade
			}
			s, err := foreign.Import(out, files, o)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(std, s)
			}
			imported(std, out, s)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&files, "in", nil, "files, in the order of their steps")
	f.StringVar(&out, "out", "", "run directory to make")
	f.StringVar(&o.Format, "format", "auto", "trl, verl, prime-rl, groups, gsm8k-solutions or auto")
	f.StringArrayVar(&fields, "field", nil, "target=field where the log has other names (repeatable); targets: "+strings.Join(foreign.Targets, ", "))
	f.StringVar(&o.Name, "name", "", "name of the run; default that of the directory")
	f.StringVar(&o.Count, "count", "", "rule for lengths that the log does not give: pieces, words or bytes/4")
	f.StringVar(&o.Policy, "policy", "", "keep the records of one model only")
	f.BoolVar(&o.HeldOut, "heldout", false, "evaluations instead of training")
	f.StringVar(&o.Decoding, "decoding", "sampled", "of evaluations: sampled or greedy")
	f.Float64Var(&o.Temperature, "temperature", 1, "of records that do not give theirs")
	f.IntVar(&o.PerStep, "per-step", 1024, "traces a step at least, where the log has no steps")
	f.Float64Var(&o.RightAt, "right-at", 1, "least label or score that is right")
	f.BoolVar(&o.Calculator, "calculator", false, "<<expression=result>> in a response is a call of a calculator")
	f.StringVar(&grader, "grader", "", "judge answers without a label, and compare with labels: math, numeric, …")
	f.StringVar(&profile, "grader-profile", "", "of the grader, as for pith grade")
	f.StringArrayVar(&prices, "price", nil, "[POLICY=]PROMPT/COMPLETION: dollars for a million tokens, of all policies or of one (repeatable)")
	f.BoolVar(&asJSON, "json", false, "the summary as JSON")
	return cmd
}

// addPrice reads [POLICY=]PROMPT/COMPLETION.
func addPrice(o *foreign.Options, text string) error {
	policy, pair := "", text
	if at := strings.LastIndexByte(text, '='); at >= 0 {
		policy, pair = text[:at], text[at+1:]
	}
	prompt, completion, ok := strings.Cut(pair, "/")
	x, errPrompt := strconv.ParseFloat(prompt, 64)
	y, errCompletion := strconv.ParseFloat(completion, 64)
	if !ok || errPrompt != nil || errCompletion != nil || !(x >= 0 && x < math.MaxFloat64 && y >= 0 && y < math.MaxFloat64) {
		return usagef("--price %s: must be [POLICY=]PROMPT/COMPLETION in dollars for a million tokens, for example --price 0.5/2", text)
	}
	if policy == "" {
		o.Price = foreign.Price{Prompt: x, Completion: y}
		return nil
	}
	if o.Prices == nil {
		o.Prices = map[string]foreign.Price{}
	}
	o.Prices[policy] = foreign.Price{Prompt: x, Completion: y}
	return nil
}

func formatsHelp() string {
	var b strings.Builder
	for _, f := range foreign.Formats {
		fmt.Fprintf(&b, "  %-16s %s\n", f.Name, f.About)
	}
	return b.String()
}

// graderFor wraps one of the graders; a response is judged as pith grade does.
func graderFor(name, profile string) (foreign.Grader, error) {
	params := map[string]any{}
	if profile != "" {
		params["profile"] = profile
	}
	g, err := grade.New(name, params)
	if err != nil {
		return nil, usageError{fmt.Errorf("--grader: %w", err)}
	}
	return func(gold, response string) (traces.Verdict, string, string) {
		v := g.Grade(gold, response)
		return traces.Verdict(v.Outcome), v.Extracted, v.Reason
	}, nil
}

func imported(std stdio, out string, s *foreign.Summary) {
	fmt.Fprintf(std.out, "%s: %d traces in %d groups and %d steps, from %d records of %s\n", out, s.Traces, s.Groups, s.Steps, s.Records, s.Format)
	fmt.Fprintf(std.out, "verdicts: %d right, %d wrong, %d without a score (%s)\n", s.Right, s.Wrong, s.NoScore, s.VerdictRule)
	fmt.Fprintf(std.out, "lengths: %d exact, %d reported by the log, %d estimated", s.Exact, s.Reported, s.Estimated)
	if s.Estimated > 0 {
		fmt.Fprintf(std.out, " (%s)", s.LengthRule)
	}
	fmt.Fprintln(std.out)
	if a := s.Agreement; a != nil {
		fmt.Fprintf(std.out, "grader and labels agree on %.2f %% of %d answers: %d labelled right that it calls wrong, %d labelled wrong that it calls right; %d it could not score\n",
			100*a.Share(), a.BothRight+a.BothWrong+a.LabelRight+a.LabelWrong, a.LabelRight, a.LabelWrong, a.NoScore)
	}
}

func newTracesExport(std stdio) *cobra.Command {
	var s selection
	var format, out string
	var columns []string
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "Write traces as groups, JSON lines, CSV or one Parquet file",
		Args:  argsBetween(1, 1, "a run directory"),
		RunE: func(_ *cobra.Command, args []string) error {
			run, err := traces.OpenRun(args[0])
			if err != nil {
				return err
			}
			bad := unread{std: std}
			write := func(w io.Writer) error {
				_, err := foreign.Export(w, run, s.filter(), format, columns, bad.add)
				return err
			}
			if out == "" || out == "-" {
				err = write(std.out)
			} else {
				err = whole(out, write)
			}
			if err != nil {
				return err
			}
			return bad.last
		},
	}
	s.register(cmd)
	cmd.Flags().Lookup("limit").Hidden = true // an export is of everything that is selected
	cmd.Flags().StringVar(&format, "format", "groups", strings.Join(foreign.ExportFormats, ", "))
	cmd.Flags().StringSliceVar(&columns, "columns", nil, "columns of jsonl, csv and parquet; default all")
	cmd.Flags().StringVar(&out, "out", "-", "file; - is standard output")
	return cmd
}

// whole writes a file beside its place and renames it, so that there is never half of one.
func whole(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // nothing is there after the rename
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Chmod(0o644); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pith/analysis/evaluation"
	"pith/analysis/metrics"
	"pith/configs"
	"pith/traces"
	"pith/trainer"
)

func newEval(std stdio) *cobra.Command {
	var flags configFlags
	var o trainer.MeasureOptions
	var k []int
	var budgets []int
	var out, text string
	var asJSON, base bool
	cmd := &cobra.Command{
		Use:   "eval RUN|CHECKPOINT",
		Short: "Accuracy, pass@k, maj@k, length and cost of a policy on held-out problems, and at budgets of thinking",
		Long: "Measure the latest policy of a run (with --base the one that it started from), with the run's own config,\n" +
			"or a policy given as a Hugging Face directory or builtin:NAME, with the config of --preset and --set.\n" +
			"With an engine of servers (--engine vllm --set engine.urls=[…]) what they serve is measured.\n" +
			"--budgets cuts the thinking at each budget and forces the answer. --out keeps the responses as a run\n" +
			"directory, for pith report, traces and diff.",
		Args: argsBetween(1, 1, "a run directory or a policy"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, step, err := evalConfig(&flags, args[0], base)
			if err != nil {
				return err
			}
			o.Step = step
			if !cmd.Flags().Changed("temperature") {
				if o.Temperature = c.Eval.Temperature; o.Temperature == 0 {
					o.Temperature = c.Rollout.Temperature
				}
			}
			if o.Problems == 0 {
				o.Problems = c.Eval.FinalProblems
			}
			if text != "" {
				return compress(cmd.Context(), std, c, text, asJSON)
			}
			if o.Problems < 1 || o.Samples < 1 {
				return usagef("--problems %d and --samples %d must be positive", o.Problems, o.Samples)
			}
			if o.Temperature == 0 && o.Samples > 1 {
				return usagef("at temperature 0 all %d samples are the same; use --samples 1 or a temperature above 0", o.Samples)
			}
			if len(budgets) > 0 {
				c.Rollout.Strategy, c.Rollout.Params = "anytime", map[string]any{"budgets": budgets}
			}
			line := newStatus(std)
			o.Progress = func(done, of int) { line.status(fmt.Sprintf("%d of %d problems", done, of)) }
			rows, err := trainer.Measure(cmd.Context(), c, o)
			line.clear()
			if err != nil {
				return err
			}
			if out != "" {
				if err := trainer.WriteMeasurement(out, c, o, rows); err != nil {
					return err
				}
			}
			r, err := evaluation.Summarize(rows, evaluation.Options{K: k})
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(std, r)
			}
			_, err = fmt.Fprintf(std.out, "%s, temperature %g\n%s", c.Policy.Base, o.Temperature, r.Text())
			return err
		},
	}
	flags.register(cmd)
	cmd.Flags().IntVar(&o.Problems, "problems", 0, "held-out problems (default eval.final_problems)")
	cmd.Flags().IntVar(&o.Samples, "samples", 1, "responses to each problem")
	cmd.Flags().Float64Var(&o.Temperature, "temperature", 0, "0 is greedy (default that of the run's sampled evaluations)")
	cmd.Flags().IntVar(&o.MaxTokens, "max-tokens", 0, "a hard cap on a response (default that of the run's evaluations)")
	cmd.Flags().IntSliceVar(&k, "k", []int{1, 2, 4, 8, 16, 32, 64}, "the k of pass@k and the votes; those above --samples are left out")
	cmd.Flags().IntSliceVar(&budgets, "budgets", nil, "thinking tokens to cut at, ascending, such as 4,8,16,32,64")
	cmd.Flags().StringVar(&out, "out", "", "keep the responses in this run directory")
	cmd.Flags().StringVar(&text, "text", "", "measure the information capacity on the texts of this file instead, one a line")
	cmd.Flags().BoolVar(&base, "base", false, "measure the policy that the run started from")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

// compress prints how well the policy predicts the lines of a file.
func compress(ctx context.Context, std stdio, c configs.Config, path string, asJSON bool) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var texts []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" {
			texts = append(texts, line)
		}
	}
	r, err := trainer.Compress(ctx, c, texts, metrics.CapacityMixedText)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if asJSON {
		return writeJSON(std, r)
	}
	_, err = fmt.Fprintf(std.out, "%s: information capacity %.4f on %d texts (%d tokens of %.2f bits predicted at %.2f bits, %.4g FLOPs a token, offset %g)\n",
		c.Policy.Base, r.Capacity, r.Texts, r.Tokens, r.TextBits, r.NLL, r.FLOPs, r.Offset)
	return err
}

// evalConfig finds the config and the policy of what is to be measured.
func evalConfig(flags *configFlags, what string, base bool) (c configs.Config, step int64, err error) {
	if _, err := os.Stat(filepath.Join(what, traces.ManifestFile)); err != nil {
		if base {
			return c, 0, usagef("--base is about a run, and %s is none: it has no %s", what, traces.ManifestFile)
		}
		flags.set = append(flags.set, "policy.base="+what)
		c, err := flags.load(nil)
		return c, 0, err
	}
	c, err = flags.load([]string{filepath.Join(what, "config.yaml")})
	if err != nil || base {
		return c, 0, err
	}
	if c.Policy.Base, err = trainer.LatestPolicy(what); err != nil {
		return c, 0, err
	}
	run, err := traces.OpenRun(what)
	if err != nil {
		return c, 0, err
	}
	for s, err := range run.Steps() {
		if err != nil {
			return c, 0, err
		}
		step = s.Step
	}
	return c, step, nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pith/rollout/engine/sim"
	"pith/trainer"
)

func newSimulate(io stdio) *cobra.Command {
	var flags configFlags
	var o trainer.SimulateOptions
	var asJSON, published bool
	cmd := &cobra.Command{
		Use:   "simulate [CONFIG]",
		Short: "Plan a run without running it: throughput by staleness and split of the processors",
		Long: "Simulate the replicas of engine.sim and a trainer as a discrete-event model, with the config's steps, groups\n" +
			"and limits, and print what each bound on staleness and each split of the processors comes to.\n" +
			"With --published: what the simulator says of published measurements. See docs/simulator.md.\n\n" +
			"  pith simulate --engine sim --processors 8 --staleness 0,1,2,4",
		Args: argsBetween(0, 1, "at most one config file"),
		RunE: func(_ *cobra.Command, args []string) error {
			if published {
				return writePublished(io.out, asJSON)
			}
			c, err := flags.load(args)
			if err != nil {
				return err
			}
			splits, err := trainer.Simulate(c, o)
			if err != nil {
				return usageError{err}
			}
			if asJSON {
				e := json.NewEncoder(io.out)
				e.SetIndent("", "  ")
				return e.Encode(splits)
			}
			writeSplits(io.out, splits)
			return nil
		},
	}
	flags.register(cmd)
	cmd.Flags().IntSliceVar(&o.Staleness, "staleness", nil, "bounds to try, -1 for none (default: rollout.max_staleness)")
	cmd.Flags().IntVar(&o.Processors, "processors", 0, "GPUs to split between sampling and training (default: engine.sim.replicas and one)")
	cmd.Flags().IntSliceVar(&o.Samplers, "samplers", nil, "how many of them sample (default: every eighth)")
	cmd.Flags().IntVar(&o.Steps, "steps", 12, "steps to measure, after a warm-up")
	cmd.Flags().BoolVar(&published, "published", false, "compare the simulator with published tables, as Markdown")
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func percent(x float64) string { return fmt.Sprintf("%.0f %%", 100*x) }

func bound(staleness int) string {
	if staleness < 0 {
		return "none"
	}
	return strconv.Itoa(staleness)
}

func writeSplits(w io.Writer, splits []trainer.Split) {
	best := 0
	for i, s := range splits {
		if s.Estimate.TokensPerSecond > splits[best].Estimate.TokensPerSecond {
			best = i
		}
	}
	fmt.Fprintf(w, "%8s %8s %9s %9s %11s %12s %11s %9s %9s\n", "samplers", "trainers", "staleness", "s/step", "tokens/s", "trainer wait", "engine idle", "stale", "running")
	for i, s := range splits {
		e, mark := s.Estimate, ""
		if i == best {
			mark = "  fastest"
		}
		fmt.Fprintf(w, "%8d %8d %9s %9.1f %11.0f %12s %11s %9.2f %9.0f%s\n", s.Samplers, s.Trainers, bound(e.Staleness), e.StepSeconds, e.TokensPerSecond,
			percent(e.TrainerWait), percent(e.EngineIdle), e.StalenessMean, e.Running, mark)
	}
}

// writePublished writes the part of docs/simulator.md that is measured.
func writePublished(w io.Writer, asJSON bool) error {
	all := map[string][]sim.Comparison{}
	tables := sim.Published()
	for _, t := range tables {
		rows, err := t.Compare()
		if err != nil {
			return err
		}
		all[t.Name] = rows
	}
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	for i, t := range tables {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "### AReaL, %s\n\nSource: %s.\n\nAssumptions:\n\n", t.Name, t.Source)
		for _, a := range t.Assumptions {
			fmt.Fprintf(w, "- %s\n", a)
		}
		fmt.Fprintf(w, "\n| staleness | published, k tokens/s | relative | simulated | deviation | trainer waits | engines idle | |\n|---|---|---|---|---|---|---|---|\n")
		for _, r := range all[t.Name] {
			how := "predicted"
			if r.Fitted {
				how = "fitted"
			}
			fmt.Fprintf(w, "| %s | %.1f | %.3f | %.3f | %+.1f %% | %s | %s | %s |\n", strings.Replace(bound(r.Staleness), "none", "∞", 1), r.Published,
				r.PublishedRelative, r.SimulatedRelative, 100*r.Deviation, percent(r.Estimate.TrainerWait), percent(r.Estimate.EngineIdle), how)
		}
	}
	return nil
}

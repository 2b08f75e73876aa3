package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/probe"
	"pith/rollout/engine/wire"
)

// apiKeyVariable holds an inference server's key, which has no place on a command line.
const apiKeyVariable = "PITH_API_KEY"

func newProbe(io stdio) *cobra.Command {
	var f probeFlags
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Find out what holds of a live inference server",
		Long: "Asks a running inference server, in seconds, what a run can rely on: token ids, log-probabilities and of\n" +
			"which distribution they are, stop tokens, cancelling, versions of weights, limits, failures. A key goes\n" +
			"into " + apiKeyVariable + ".\n\n" +
			"  pith probe http://127.0.0.1:8000             which dialect it speaks is found out too\n" +
			"  pith probe http://127.0.0.1:8000 --train     exit code 1 where a training run could not use it\n" +
			"  pith probe URL --publish DIR --publish DIR   two adapters or models, to see that versions keep apart;\n" +
			"                                               a server that replaces weights in place ends with the last",
		Args: argsBetween(1, 1, "the URL of a server"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, io, args[0]) },
	}
	f.add(cmd)
	return cmd
}

type probeFlags struct {
	dialect, model string
	publish        []string
	context, stop  int
	timeout        time.Duration
	train, json    bool
	noScore        bool
}

func (f *probeFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.dialect, "dialect", dialect.Auto, "how to speak to it: "+strings.Join(dialect.Names(), ", "))
	fl.StringVar(&f.model, "model", "", "the server's name for its weights, where it has several")
	fl.StringArrayVar(&f.publish, "publish", nil, "a directory of an adapter or a model that the server can read; twice")
	fl.IntVar(&f.context, "context", 0, "the server's context in tokens, where it does not tell")
	fl.IntVar(&f.stop, "stop", 0, "the model's end token, for servers that stop at no other")
	fl.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long everything may take")
	fl.BoolVar(&f.train, "train", false, "fail where a training run could not use the server")
	fl.BoolVar(&f.noScore, "no-score", false, "do not ask for log-probabilities of given tokens")
	fl.BoolVar(&f.json, "json", false, "print the report as JSON")
}

func (f *probeFlags) run(cmd *cobra.Command, io stdio, url string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	t := probe.Target{Dialect: f.dialect, Stop: int32(f.stop), Options: wire.Options{URL: url, Model: f.model, APIKey: os.Getenv(apiKeyVariable), MaxContext: f.context, NoScore: f.noScore}}
	for i, dir := range f.publish {
		a, err := probeArtifact(i, dir)
		if err != nil {
			return err
		}
		t.Artifacts = append(t.Artifacts, a)
	}
	report, err := probe.Run(ctx, t)
	if err != nil {
		if class, _ := engine.ClassOf(err); class == engine.User {
			return usageError{err}
		}
		return err
	}
	if f.json {
		enc := json.NewEncoder(io.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(report); err != nil {
			return err
		}
	} else if err := printProbe(io.out, report); err != nil {
		return err
	}
	if f.train {
		return probe.Require(report, probe.Needs{Train: true, Params: engine.Params{Temperature: 1, TopP: 1}})
	}
	return nil
}

// probeArtifact says what a directory holds.
func probeArtifact(i int, dir string) (engine.Artifact, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return engine.Artifact{}, err
	}
	a := engine.Artifact{Policy: engine.PolicyRef{ID: fmt.Sprintf("pith-probe-%06d", i+1), Step: int64(i + 1)}, Path: dir, Kind: engine.ArtifactModelDir}
	if _, err := os.Stat(filepath.Join(dir, "adapter_config.json")); err == nil {
		a.Kind = engine.ArtifactLoRADir
	} else if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		return a, usagef("--publish %s: it holds neither an adapter (adapter_config.json) nor a model (config.json)", dir)
	}
	return a, nil
}

// printProbe writes the report for people.
func printProbe(out io.Writer, r probe.Report) error {
	c := r.Caps
	version := r.Version
	if version != "" {
		version = " " + version
	}
	fmt.Fprintf(out, "%s speaks %s%s\n\n", r.URL, r.Dialect, version)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, res := range r.Results {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", res.Number, res.Status, res.Name, res.Detail)
	}
	fmt.Fprintln(w)
	var policies []string
	for _, p := range r.Policies {
		policies = append(policies, p.ID)
	}
	accepts := strings.Join(r.Accepts, ", ")
	if accepts == "" {
		accepts = "nothing"
	}
	for _, l := range [][2]string{
		{"policies", strings.Join(policies, ", ")},
		{"context", fmt.Sprint(c.MaxContext)},
		{"log-probabilities", fmt.Sprintf("at temperature 1 %s, at 0.5 %s, under top-k %s", r.Logprobs["temperature 1"], r.Logprobs["temperature 0.5"], r.Logprobs["top-k 20"])},
		{"publishing", accepts + fmt.Sprintf("; %d policies at a time", c.ConcurrentPolicy)},
		{"exact / scores / seeds", fmt.Sprintf("%s / %s / %s", yes(c.Exact), yes(c.PromptLogprobs), yes(c.Seeded))},
		{"versions per token", yes(c.PerTokenVersion)},
		{"tokens kept on abort", yes(c.PartialOnAbort)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", l[0], l[1])
	}
	return w.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

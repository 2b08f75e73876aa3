package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pith/configs"
	"pith/policies/model"
	"pith/rollout"
	"pith/rollout/engine"
	"pith/rollout/stream"
	"pith/trainer"
)

func newWorker(std stdio) *cobra.Command {
	var flags configFlags
	var url, run string
	cmd := &cobra.Command{
		Use:   "worker --nats URL [CONFIG]",
		Short: "A rollout worker in another process, for a run that listens",
		Long: "Join a run whose trainer has stream.listen or stream.url set, and sample for it with the engine of the config.\n" +
			"The config must name the same policy, data and grader as the run's: give the run's config.yaml or preset.",
		Args: argsBetween(0, 1, "at most one config file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if url == "" {
				return usagef("pith worker needs --nats URL, as printed by pith train")
			}
			c, err := flags.load(args)
			if err != nil {
				return err
			}
			c.Stream.URL, c.Stream.Listen = url, ""
			if run != "" {
				c.Run.Name = run
			}
			return work(cmd.Context(), std, c)
		},
	}
	flags.register(cmd)
	cmd.Flags().StringVar(&url, "nats", "", "URL of the trainer's server, such as nats://127.0.0.1:4222")
	cmd.Flags().StringVar(&run, "run", "", "name of the run (default: run.name of the config)")
	return cmd
}

func work(ctx context.Context, std stdio, c configs.Config) error {
	s, err := trainer.StreamConfig(c, "")
	if err != nil {
		return err
	}
	joined, err := stream.Join(ctx, s)
	if err != nil {
		if runs, listErr := stream.Runs(ctx, s); listErr == nil {
			return fmt.Errorf("%w; runs on this server: %s", err, strings.Join(runs, ", "))
		}
		return err
	}
	parts, err := trainer.OpenWorkerParts(c)
	if err != nil {
		return errors.Join(err, joined.Close())
	}
	log := slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	e, err := trainer.OpenEngine(c, parts.Shape, parts.Tokens, log)
	if err != nil {
		return errors.Join(err, joined.Close())
	}
	host, _ := os.Hostname()
	line := newStatus(std)
	w := &rollout.Worker{
		Name: fmt.Sprintf("%s-%d", filepath.Base(host), os.Getpid()), Sampler: e, Queue: joined,
		Tokens: parts.Tokens, Markers: parts.Markers, Tools: parts.Tools, Grader: parts.Grader, Concurrency: c.Rollout.Concurrency,
		Log: log,
	}
	if !c.Engine.Remote() { // servers are published to by the trainer
		w.Load = func(ctx context.Context, p engine.PolicyRef, weights []byte) error {
			policy, err := model.UnmarshalSafetensors(weights)
			if err != nil {
				return err
			}
			_, err = e.Publisher.Publish(ctx, engine.Artifact{Policy: p, Kind: engine.ArtifactMemory, Digest: policy.Digest(), Handle: policy})
			line.status("policy " + p.ID)
			return err
		}
		w.Unload = e.Publisher.Retire
	}
	line.print(fmt.Sprintf("worker %s samples for run %s", w.Name, c.Run.Name))
	err = w.Run(ctx)
	line.clear()
	return errors.Join(err, e.Close(), joined.Close())
}

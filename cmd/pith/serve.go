package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"pith/policies/kernel"
	"pith/rollout/engine"
	"pith/rollout/engine/local"
	"pith/rollout/engine/serve"
	"pith/trainer"
)

// serveFlags are what `pith serve` can be told.
type serveFlags struct {
	listen                              serve.ListenOptions
	keyEnv, name, logprobs, watch       string
	roots                               []string
	slots, maxContext, threads, waiting int
	every                               time.Duration
	log                                 bool
}

func newServe(std stdio) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve CHECKPOINT|RUN|builtin:NAME",
		Short: "Serve a policy over HTTP: vLLM's, SGLang's and llama-server's dialects",
		Long: "Put the local engine behind HTTP, for other tools, for the OpenAI client libraries and for runs that sample\n" +
			"over the network. The policy is a Hugging Face directory, the newest checkpoint of a run, or one that ships\n" +
			"with pith. docs/serve.md lists the endpoints.\n\n" +
			"  pith serve builtin:clock --port 8000\n" +
			"  pith serve --watch runs/quickstart",
		Args: argsBetween(0, 1, "one policy at the most: a directory, a run or builtin:NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, err := f.source(args)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), std, source)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen.Host, "host", "127.0.0.1", "address to listen on")
	flags.IntVar(&f.listen.Port, "port", 8000, "port to listen on; 0: any that is free")
	flags.StringVar(&f.keyEnv, "api-key-env", "", "environment variable that holds the key clients must send as a bearer token")
	flags.BoolVar(&f.listen.AllowOpen, "allow-open", false, "listen beyond this machine without a key")
	flags.StringVar(&f.name, "model-name", "", "name of the model in requests (default: the policy's)")
	flags.StringVar(&f.logprobs, "logprobs-mode", "raw_logprobs", "of which distribution vLLM's endpoints tell log-probabilities: raw_logprobs or processed_logprobs")
	flags.StringArrayVar(&f.roots, "load-from", nil, "directory that clients may load weights and adapters from; may be repeated")
	flags.IntVar(&f.slots, "slots", 0, "sequences that decode at the same time (default 128)")
	flags.IntVar(&f.maxContext, "max-context", 0, "tokens of prompt and response together (default: what the policy allows)")
	flags.IntVar(&f.threads, "threads", 0, "cores to use (default: all)")
	flags.IntVar(&f.waiting, "max-sequences", 0, "sequences running and waiting, beyond which requests are refused with 429 (default 8192)")
	flags.StringVar(&f.watch, "watch", "", "serve the newest checkpoint of this run, and every later one")
	flags.DurationVar(&f.every, "watch-every", 2*time.Second, "how often to look for a newer checkpoint")
	flags.DurationVar(&f.listen.Grace, "grace", 30*time.Second, "how long requests may go on after an interrupt")
	flags.BoolVar(&f.log, "access-log", false, "a line on standard error for every request")
	return cmd
}

func (f *serveFlags) run(ctx context.Context, std stdio, p served) error {
	if f.threads > 0 {
		defer kernel.SetThreads(kernel.SetThreads(f.threads))
	}
	key := ""
	if f.keyEnv != "" {
		if key = os.Getenv(f.keyEnv); key == "" {
			return usagef("the environment variable %s, which is to hold the API key, is empty", f.keyEnv)
		}
	}
	level := slog.LevelWarn
	if f.log {
		level = slog.LevelInfo
	}
	e := local.New(local.Options{Slots: f.slots, MaxContext: f.maxContext})
	defer func() { _ = e.Close() }()
	base, err := e.Publish(ctx, engine.Artifact{Policy: engine.PolicyRef{ID: cmp.Or(p.version, "base")}, Kind: engine.ArtifactMemory, Handle: p.weights})
	if err != nil {
		return err
	}
	o := serve.Options{
		Sampler: e, Publisher: serve.Merging(e, p.weights), Observer: e, Tokenizer: p.tokens, Model: cmp.Or(f.name, p.name), Base: base, BaseVersion: p.version, EOS: p.eos, Chat: p.chat,
		ModelPath: p.path, APIKey: key, Roots: f.roots, Version: "pith-" + trainer.Version(), MaxSequences: f.waiting,
		Log: slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: level})),
	}
	if f.logprobs == "processed_logprobs" {
		o.VLLMLogprobs = engine.LogprobProcessed
	}
	s, err := serve.New(o)
	if err != nil {
		return err
	}
	l, err := s.Listen(ctx, f.listen)
	if err != nil {
		return err
	}
	f.announce(std, o, "http://"+l.Addr().String())
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		if f.watch != "" {
			f.follow(ctx, s, p.path, o.Log)
		}
	}()
	err = s.Serve(ctx, l, f.listen)
	<-watching
	return err
}

// announce says where the server is, on standard output for programs, and how to use it.
func (f *serveFlags) announce(std stdio, o serve.Options, url string) {
	fmt.Fprintln(std.out, url)
	header := ""
	if o.APIKey != "" {
		header = fmt.Sprintf(" -H \"Authorization: Bearer $%s\"", f.keyEnv)
	}
	fmt.Fprintf(std.err, "serving %s; try: curl %s/v1/completions%s -d '{\"model\":%q,\"prompt\":[%d],\"max_tokens\":32}'\n", o.Model, url, header, o.Model, 1)
}

// follow serves every newer checkpoint of the run, until ctx ends. One that cannot be read, because
// the run has removed it meanwhile, is no harm: the next one can.
func (f *serveFlags) follow(ctx context.Context, s *serve.Server, serving string, log *slog.Logger) {
	tick := time.NewTicker(max(f.every, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		dir, err := trainer.LatestPolicy(f.watch)
		if err == nil && dir == serving {
			continue
		}
		if err == nil {
			err = s.Replace(ctx, engine.Artifact{Kind: engine.ArtifactModelDir, Path: dir}, versionOfCheckpoint(dir), dir)
		}
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				log.Warn("serve: the newest checkpoint cannot be served", "run", f.watch, "err", err)
			}
			continue
		}
		serving = dir
	}
}

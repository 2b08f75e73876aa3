package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pith/analysis/live"
	"pith/configs"
	"pith/rollout/stream"
	"pith/trainer"
)

func newWatchCommand(std stdio) *cobra.Command {
	var every time.Duration
	var web string
	var once, asJSON, stay bool
	cmd := &cobra.Command{
		Use:   "watch RUN",
		Short: "A live view of a run, in the terminal or in a browser",
		Long: "Show curves, held-out evaluations, who waits for whom, workers and the latest traces of a run while it\n" +
			"trains or after. Where the run listens (stream.listen or stream.url), its queues are shown too.",
		Args: argsBetween(1, 1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if every < 100*time.Millisecond {
				return usagef("--every %s is too often; 100ms is the least", every)
			}
			source, err := live.Open(args[0])
			if err != nil {
				return err
			}
			closeQueue := askQueue(cmd.Context(), args[0], source)
			defer closeQueue()
			switch {
			case asJSON:
				return writeJSON(std, source.Snapshot())
			case web != "":
				return serveWatch(cmd.Context(), std, source, web, every)
			case once || !isTerminal(std.out):
				_, err := fmt.Fprint(std.out, source.Snapshot().Text(terminalSize(std.out)))
				return err
			}
			return live.Terminal(cmd.Context(), source, every, stay, std.in, std.out)
		},
	}
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look")
	cmd.Flags().StringVar(&web, "http", "", "serve the view at this address, such as 127.0.0.1:8080 (port 0: any)")
	cmd.Flags().BoolVar(&once, "once", false, "print the view once and end; also where the output is no terminal")
	cmd.Flags().BoolVar(&stay, "stay", false, "keep the view open when the run has finished")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one snapshot as JSON")
	return cmd
}

func isTerminal(out any) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func terminalSize(out any) (width, height int) {
	if f, ok := out.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			return width, height
		}
	}
	return 100, 40
}

// askQueue lets the view ask the run's server for its queues, where the run's config names one. A
// server that does not answer is no error: the run may have ended.
func askQueue(ctx context.Context, dir string, source *live.Source) (closeQueue func()) {
	none := func() {}
	m, err := trainer.ReadManifest(dir)
	if err != nil {
		return none
	}
	joined, err := joinRun(ctx, dir, m.Config)
	if err != nil || joined == nil {
		return none
	}
	source.Ask = func() (live.Queue, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		s, err := joined.Stats(ctx)
		return live.Queue{Queued: s.Queued, Running: s.Running, Outcomes: s.Outcomes}, err
	}
	return func() { _ = joined.Close() }
}

// joinRun connects to the server of a run; nil where its config names none.
func joinRun(ctx context.Context, dir string, c configs.Config) (*stream.Stream, error) {
	if c.Stream.URL == "" {
		_, port, err := net.SplitHostPort(c.Stream.Listen)
		if err != nil || port == "0" {
			return nil, nil //nolint:nilerr // no address to ask at
		}
		c.Stream.URL, c.Stream.Listen = "nats://"+c.Stream.Listen, ""
	}
	s, err := trainer.StreamConfig(c, filepath.Join(dir, "stream"))
	if err != nil {
		return nil, err
	}
	s.Unavailable = time.Second
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return stream.Join(ctx, s)
}

func serveWatch(ctx context.Context, std stdio, source *live.Source, address string, every time.Duration) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("pith watch cannot listen on %s: %w; choose another with --http", address, err)
	}
	fmt.Fprintf(std.out, "http://%s/\n", listener.Addr())
	server := &http.Server{
		Handler: live.Handler(source, every), ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

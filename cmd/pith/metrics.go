package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pith/analysis/exporters"
	"pith/traces"
)

func newMetrics(std stdio) *cobra.Command {
	var to, out, address string
	cmd := &cobra.Command{
		Use:   "metrics RUN --to TARGET",
		Short: "Hand a run's measurements to TensorBoard, MLflow, W&B, Prometheus or OpenTelemetry",
		Long: "Write what the log holds in the form that a tracker reads; again, and only what is new is added.\n" +
			"--http serves Prometheus' /metrics from the log until interrupted.",
		Args: argsBetween(1, 1, "a run directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := traces.OpenRun(args[0])
			if err != nil {
				return err
			}
			if address != "" {
				return serveMetrics(cmd.Context(), std, run, address)
			}
			if to == "" {
				return usagef("pith metrics needs --to TARGET (%s) or --http ADDRESS", strings.Join(exporters.Names, ", "))
			}
			if out == "" {
				out = filepath.Join(args[0], "exports", to)
			}
			bad := unread{std: std}
			d, errs := exporters.Read(run)
			for _, err := range errs {
				bad.add(err)
			}
			target, err := exporters.Open(to, out, d)
			if err != nil {
				return usageError{err}
			}
			n, err := exporters.Export(d, target)
			if err != nil {
				return err
			}
			fmt.Fprintf(std.out, "%s: %d new rows, %s\n", to, n, out)
			return bad.last
		},
	}
	cmd.Flags().StringVar(&to, "to", "", strings.Join(exporters.Names, ", "))
	cmd.Flags().StringVar(&out, "out", "", "directory; default exports/TARGET in the run directory")
	cmd.Flags().StringVar(&address, "http", "", "address to serve Prometheus' /metrics at, for example localhost:9464")
	return cmd
}

func serveMetrics(ctx context.Context, std stdio, run *traces.Run, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return usageError{fmt.Errorf("--http: %w", err)}
	}
	fmt.Fprintf(std.err, "serving http://%s/metrics\n", listener.Addr())
	server := &http.Server{Handler: exporters.Handler(run), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // ends Serve
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

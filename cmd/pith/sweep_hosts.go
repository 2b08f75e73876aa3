package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"pith/configs"
	"pith/rollout/stream"
	"pith/trainer"
	"pith/trainer/sweep"
)

// server is how to reach a NATS server: credentials come from the stream section (PITH_STREAM__TOKEN
// …, --set stream.token=…).
func (f *sweepFlags) server(url, listen, store string) (stream.Config, error) {
	c, err := configs.Load(configs.Sources{Environ: os.Environ(), Set: f.set})
	if err != nil {
		return stream.Config{}, err
	}
	c.Stream.URL, c.Stream.Listen = url, listen
	return trainer.StreamConfig(c, store)
}

// offer hands the runs to other hosts, and makes some here where --parallel says so.
func (f *sweepFlags) offer(ctx context.Context, s *sweep.Sweep, plan *sweep.Plan, w *sweepWatch) (state sweep.State, err error) {
	url := f.nats
	if f.listen != "" {
		c, err := f.server("", f.listen, filepath.Join(f.out, "stream"))
		if err != nil {
			return s.State(), err
		}
		c.Run = "sweep " + plan.Spec.Name
		local, err := stream.Open(ctx, c)
		if err != nil {
			return s.State(), err
		}
		defer func() { err = errors.Join(err, local.Close()) }()
		url = local.URL()
	}
	c, err := f.server(url, "", "")
	if err != nil {
		return s.State(), err
	}
	q, err := sweep.NewQueue(ctx, c, plan.Spec.Name, f.out, len(plan.Runs))
	if err != nil {
		return s.State(), err
	}
	w.line.print("hosts can join: pith sweep --join " + url)
	helping, stop := context.WithCancel(ctx)
	helped := make(chan error, 1)
	if f.parallelSet {
		go func() {
			helped <- sweep.Take(helping, c, sweep.Child{}, sweep.TakeOptions{Sweep: plan.Spec.Name, Dir: f.out, Parallel: f.parallel, Threads: max(1, runtime.NumCPU()/f.parallel)})
		}()
	} else {
		helped <- nil
	}
	state, err = s.Execute(ctx, q, len(plan.Runs), w.events())
	w.line.clear()
	stop()
	if help := <-helped; help != nil && !errors.Is(help, context.Canceled) {
		err = errors.Join(err, help)
	}
	return state, errors.Join(err, q.Close(context.WithoutCancel(ctx), err == nil))
}

// take makes runs that another host offers, until the sweep is over.
func (f *sweepFlags) take(ctx context.Context) error {
	c, err := f.server(f.join, "", "")
	if err != nil {
		return err
	}
	if f.name == "" {
		offered, err := sweep.Offered(ctx, c)
		if err != nil {
			return err
		}
		switch len(offered) {
		case 0:
			return fmt.Errorf("%s offers no sweep; start one with pith sweep FILE --nats %s", f.join, f.join)
		case 1:
			f.name = offered[0]
		default:
			return usagef("%s offers several sweeps; choose one with --sweep: %s", f.join, strings.Join(offered, ", "))
		}
	}
	if f.out == "" {
		f.out = filepath.Join("runs", "sweeps", f.name)
	}
	line := newStatus(f.io)
	line.print(fmt.Sprintf("joined sweep %s, %d at a time", f.name, f.parallel))
	err = sweep.Take(ctx, c, sweep.Child{}, sweep.TakeOptions{
		Sweep: f.name, Dir: f.out, Parallel: f.parallel, Threads: max(1, runtime.NumCPU()/f.parallel), Note: line.print,
	})
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; the runs that were taken go to other hosts")
	}
	if err == nil {
		line.print("the sweep is over")
	}
	return err
}

package trainer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"pith/configs"
	"pith/datasets/families"
	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rewards/grade"
	"pith/rollout"
	"pith/rollout/strategy"
)

// WorkerParts are what a worker needs of a config, in this process or another: how to read and
// write text, the tools, the grader.
type WorkerParts struct {
	Tokens  tokenizer.Tokenizer
	Markers strategy.Markers
	Tools   []strategy.Tool
	Grader  grade.Grader
	Shape   model.Config // of the policy
}

func workerParts(f *families.Family, t tokenizer.Tokenizer, g grade.Grader) WorkerParts {
	w := WorkerParts{Tokens: t, Markers: strategy.Markers(f.Markers), Grader: g}
	var names []string
	for name := range f.Tools {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w.Tools = append(w.Tools, strategy.FuncTool(name, f.Tools[name]))
	}
	return w
}

// OpenWorkerParts builds them from a run's config.
func OpenWorkerParts(c configs.Config) (WorkerParts, error) {
	p, err := open(c)
	if err != nil {
		return WorkerParts{}, err
	}
	w := workerParts(p.family, p.tokenizer, p.grader)
	w.Shape = p.weights.Config
	return w, nil
}

// startWorkers runs the config's workers in this process. A worker that cannot go on ends the run
// through cancel. wait returns when all have ended.
func (t *Trainer) startWorkers(ctx context.Context, cancel context.CancelCauseFunc) (wait func() error) {
	var wg sync.WaitGroup
	parts := workerParts(t.parts.family, t.parts.tokenizer, t.parts.grader)
	for i := range t.config.Rollout.Workers {
		w := &rollout.Worker{
			Name: fmt.Sprintf("local-%d", i+1), Sampler: t.sampler, Queue: t.stream, Tokens: parts.Tokens, Markers: parts.Markers,
			Tools: parts.Tools, Grader: parts.Grader, Concurrency: t.config.Rollout.Concurrency, Log: t.log,
		}
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	return func() error {
		wg.Wait()
		if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}

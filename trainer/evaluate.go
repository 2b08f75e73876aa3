package trainer

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"pith/datasets"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

const (
	sampled = "sampled"
	greedy  = "greedy"
)

// due says how many problems an evaluation after a step has, 0 for none.
func (t *Trainer) due(step int64) int64 {
	e, last := t.config.Eval, t.last()
	n := int64(0)
	switch {
	case step == 0 || step == last:
		n = int64(e.FinalProblems)
	case e.Every > 0 && step%int64(e.Every) == 0:
		n = int64(e.Problems)
	}
	if all := int64(t.parts.family.Source.Len(datasets.HeldOut)); all > 0 {
		n = min(n, all)
	}
	return n
}

// evaluate measures the current policy on held-out problems, once for each way of decoding that is
// due and not yet in the log.
func (t *Trainer) evaluate(ctx context.Context, step int64) error {
	problems := t.due(step)
	if problems == 0 {
		return nil
	}
	temperature := t.config.Eval.Temperature
	if temperature == 0 {
		temperature = t.config.Rollout.Temperature
	}
	if err := t.evaluateAs(ctx, traces.Eval{Step: step, Decoding: sampled, Temperature: temperature, Problems: problems}); err != nil {
		return err
	}
	if !t.config.Eval.Greedy {
		return nil
	}
	return t.evaluateAs(ctx, traces.Eval{Step: step, Decoding: greedy, Problems: problems})
}

func (t *Trainer) evaluateAs(ctx context.Context, e traces.Eval) error {
	if slices.ContainsFunc(t.evals, func(done traces.Eval) bool { return done.Step == e.Step && done.Decoding == e.Decoding }) {
		return nil
	}
	start := time.Now()
	e.Policy = t.state.Policy.ID
	var tasks []*task.Task
	for i := range e.Problems {
		k, err := t.tasks.eval(i, e.Decoding, e.Temperature, t.state.Policy)
		if err != nil {
			return err
		}
		tasks = append(tasks, k)
	}
	if err := t.collector.release(ctx, tasks); err != nil {
		return err
	}
	what := fmt.Sprintf("evaluate step %d, %s", e.Step, e.Decoding)
	var rows []traces.Trace
	var held []*stream.Delivery
	for i, k := range tasks {
		b, err := t.collector.take(ctx, k.Group, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		rows, held = append(rows, b.rows()...), append(held, b.held...)
		t.events.progress(what, i+1, len(tasks))
	}
	for i := range rows {
		t.finish(&rows[i], e.Step)
		if rows[i].Status == "" {
			rows[i].Status = traces.Evaluated
		}
	}
	traces.Sort(rows)
	if err := traces.WriteSegment(filepath.Join(t.dir, traces.EvalsDir), traces.SegmentName(e.Step, e.Decoding), rows, t.meta); err != nil {
		return err
	}
	e = summariseEval(e, rows)
	t.evals = append(t.evals, e)
	if err := traces.WriteTable(t.dir, traces.EvalsFile, t.evals, t.meta); err != nil {
		return err
	}
	if err := t.stream.Commit(ctx, held); err != nil {
		return err
	}
	took := time.Since(start)
	t.evalSeconds += took.Seconds()
	if t.events.Eval != nil {
		t.events.Eval(e, took)
	}
	return nil
}

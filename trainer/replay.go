package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"pith/traces"
)

// restore loads what a resumed run has on disk: the newest checkpoint, the step and evaluation
// tables, and the ids of traces that are already in the log.
func (t *Trainer) restore() error {
	s, ok, err := loadCheckpoint(t.dir, t.learner)
	if err != nil {
		return err
	}
	if ok {
		t.state = s
		if err := t.parts.method.Restore(s.Method); err != nil {
			return err
		}
		if err := t.parts.schedules.restore(s.Controllers); err != nil {
			return err
		}
		if err := t.parts.chooser.restore(s.Curriculum); err != nil {
			return err
		}
		t.admission.consumed, t.admission.next, t.admission.step = s.Consumed, s.Consumed, s.Step+1
	}
	run, err := traces.OpenRun(t.dir)
	if err != nil {
		return err
	}
	for e, err := range run.Evals() {
		if err != nil {
			return err
		}
		t.evals = append(t.evals, e)
	}
	for row, err := range run.Steps() {
		if err != nil {
			return err
		}
		t.steps = append(t.steps, row)
	}
	type id struct {
		ID string `parquet:"id"`
	}
	// Only the newest segments can be unacknowledged.
	last := int64(len(t.steps))
	for row, err := range traces.Scan[id](run, traces.Filter{FromStep: last - 1}) {
		if err != nil {
			return err
		}
		t.stream.Durable(row.ID)
	}
	for row, err := range traces.Scan[id](run, traces.Filter{Set: traces.Evaluations, FromStep: last - 1}) {
		if err != nil {
			return err
		}
		if t.evaluated(row.ID) {
			t.stream.Durable(row.ID)
		}
	}
	return nil
}

// evaluated says that the evaluation to which a trace belongs is in evals.parquet.
func (t *Trainer) evaluated(traceID string) bool {
	for _, e := range t.evals {
		prefix := evalGroup(e.Step, e.Decoding, 0)
		prefix = prefix[:len(prefix)-len("000000")]
		if len(traceID) > len(prefix) && traceID[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

// replay goes through the steps that are in the log but not in the checkpoint again, from the log
// alone: the traces as they were logged, scored and learnt from once more. That what comes out is
// what was logged is checked.
func (t *Trainer) replay(ctx context.Context) error {
	for {
		step := t.state.Step + 1
		name := filepath.Join(t.dir, traces.TracesDir, traces.SegmentName(step, ""))
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) || step > int64(t.config.Run.Steps) {
			return nil
		} else if err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		if err := t.evaluateBeforeReplay(ctx); err != nil {
			return err
		}
		if err := t.replayStep(ctx, step); err != nil {
			return fmt.Errorf("replay step %d: %w", step, err)
		}
		if t.events.Replayed != nil {
			t.events.Replayed(step)
		}
	}
}

// evaluateBeforeReplay makes up for an evaluation that the kill interrupted, under the policy that
// it was of.
func (t *Trainer) evaluateBeforeReplay(ctx context.Context) error {
	if t.due(t.state.Step) == 0 || t.complete(t.state.Step) {
		return nil
	}
	if err := t.publish(ctx); err != nil {
		return err
	}
	return t.evaluate(ctx, t.state.Step)
}

// complete says that every evaluation due after a step is in the log.
func (t *Trainer) complete(step int64) bool {
	want, have := 1, 0
	if t.config.Eval.Greedy {
		want = 2
	}
	for _, e := range t.evals {
		if e.Step == step {
			have++
		}
	}
	return have >= want
}

// collectAgain goes through the groups of a logged step as collect did: the same groups are chosen
// and released at the same moments, and consumed as they were logged.
func (t *Trainer) collectAgain(groups [][]traces.Trace) (unmixed map[string]bool, err error) {
	unmixed = map[string]bool{}
	a := t.admission
	if a.want, err = t.parts.chooser.begin(); err != nil {
		return nil, err
	}
	for {
		if n := a.release(); n > 0 {
			if _, err := t.parts.chooser.choose(a.next, n); err != nil {
				return nil, err
			}
			a.released(n)
		}
		if a.full() {
			break
		}
		if len(groups) == 0 {
			return nil, fmt.Errorf("the log ends after %d groups of the step, %d kept: the config or the log has changed", a.examined, a.kept)
		}
		keep := !t.config.Rollout.DynamicSampling || mixed(groups[0])
		if !keep {
			unmixed[groups[0][0].Group] = true
		}
		a.consume(keep)
		groups = groups[1:]
	}
	if len(groups) > 0 {
		return nil, fmt.Errorf("the log has %d groups more than the step takes: the config or the log has changed", len(groups))
	}
	a.advance()
	a.next = a.consumed // what was ahead is released again, and no longer on the queue
	return unmixed, nil
}

func (t *Trainer) replayStep(ctx context.Context, step int64) error {
	run, err := traces.OpenRun(t.dir)
	if err != nil {
		return err
	}
	var rows []traces.Trace
	for row, err := range run.Traces(traces.Filter{FromStep: step, ToStep: step}) {
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if err := t.schedule(step); err != nil {
		return err
	}
	logged := make([]traces.Trace, len(rows))
	copy(logged, rows)
	for i := range rows {
		if rows[i].Status != traces.Failed && rows[i].Status != traces.DeadLettered {
			rows[i].Status, rows[i].StatusReason = "", ""
		}
	}
	first, groups := t.admission.consumed, groupsOf(rows)
	unmixed, err := t.collectAgain(groups)
	if err != nil {
		return err
	}
	kept, err := reward(t.parts.method, rows, unmixed, t.updateGroups())
	if err != nil {
		return err
	}
	t.parts.pairs.mark(rows)
	if err := t.parts.chooser.observe(first, groups, kept); err != nil {
		return err
	}
	for i := range rows {
		if rows[i].Reward != logged[i].Reward || rows[i].Advantage != logged[i].Advantage || rows[i].Status != logged[i].Status {
			return fmt.Errorf("trace %s scores %v and %v now, the log says %v and %v: the log or the code has changed", rows[i].ID, rows[i].Reward, rows[i].Advantage, logged[i].Reward, logged[i].Advantage)
		}
	}
	record, err := t.learn(ctx, step, rows)
	if err != nil {
		return err
	}
	t.parts.schedules.observe(record)
	for _, old := range t.steps {
		if old.Step == step && old.Digest != record.Digest {
			return fmt.Errorf("the policy after it has digest %.12s, the log says %.12s: the learner's arithmetic has changed", record.Digest, old.Digest)
		}
	}
	if err := t.record(record); err != nil {
		return err
	}
	return t.checkpoint(step)
}

package trainer

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"pith/policies/model"
	"pith/rollout/engine"
	"pith/traces"
)

// publish makes the current policy servable and announces it. Older ones are retired.
func (t *Trainer) publish(ctx context.Context) error {
	if t.artifact.Policy != t.state.Policy {
		var err error
		if t.artifact, err = t.learner.Export(ctx, t.state.Policy); err != nil {
			return err
		}
		t.state.Digest = t.artifact.Digest
	}
	if err := t.show(ctx, t.artifact); err != nil {
		return err
	}
	var bytes []byte
	if w, ok := t.artifact.Handle.(*model.Weights); ok && t.remote() {
		var err error
		if bytes, err = w.MarshalSafetensors(); err != nil {
			return fmt.Errorf("publish %s: %w", t.state.Policy.ID, err)
		}
	}
	if err := t.stream.Announce(ctx, t.state.Policy, bytes); err != nil {
		return err
	}
	if t.publisher == nil {
		return nil
	}
	live, err := t.publisher.Live(ctx)
	if err != nil {
		return fmt.Errorf("list policies: %w", err)
	}
	oldest := t.state.Policy.Step - int64(t.config.Rollout.MaxStaleness) - 1
	for _, p := range live {
		if p.Step >= oldest || !ours(p) {
			continue
		}
		if err := t.publisher.Retire(ctx, p); err != nil && !isGone(err) {
			return fmt.Errorf("retire %s: %w", p.ID, err)
		}
		if t.exporter != nil {
			if err := t.exporter.retire(p); err != nil {
				return fmt.Errorf("retire %s: %w", p.ID, err)
			}
		}
	}
	return nil
}

func isGone(err error) bool {
	class, ok := engine.ClassOf(err)
	return ok && class == engine.PolicyGone
}

// remote says that workers elsewhere may need the weights themselves: their engines are their own.
func (t *Trainer) remote() bool {
	return !t.config.Engine.Remote() && (t.config.Stream.Listen != "" || t.config.Stream.URL != "")
}

// commit makes a step durable, then acknowledges its messages: segment, step table, timings,
// checkpoint where one is due. A crash between any two of them is repaired by replay.
func (t *Trainer) commit(ctx context.Context, record traces.Step, b *batch, timing *traces.Timing, clock *stopwatch) error {
	traces.Sort(b.rows)
	if err := traces.WriteSegment(filepath.Join(t.dir, traces.TracesDir), traces.SegmentName(record.Step, ""), b.rows, t.meta); err != nil {
		return err
	}
	if err := t.stream.Commit(ctx, b.held); err != nil {
		return err
	}
	if err := t.record(record); err != nil {
		return err
	}
	if err := t.checkpoint(record.Step); err != nil {
		return err
	}
	clock.lap("commit")
	timing.Commit, timing.Total = clock.laps["commit"], clock.total()
	rows := append(b.timings, *timing)
	return traces.WriteTable(filepath.Join(t.dir, traces.TimingsDir), traces.SegmentName(record.Step, ""), rows, t.meta)
}

// record puts a step's row into steps.parquet, in place of an earlier one of the same step.
func (t *Trainer) record(s traces.Step) error {
	at := len(t.steps)
	for i := range t.steps {
		if t.steps[i].Step == s.Step {
			at = i
		}
	}
	t.steps = append(t.steps[:at], append([]traces.Step{s}, t.steps[min(at+1, len(t.steps)):]...)...)
	return traces.WriteTable(t.dir, traces.StepsFile, t.steps, t.meta)
}

func (t *Trainer) checkpoint(step int64) error {
	every := int64(t.config.Checkpoint.Every)
	if step%every != 0 && step != t.last() {
		return nil
	}
	var err error
	if t.state.Method, err = t.parts.method.State(); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", step, err)
	}
	if t.state.Controllers, err = t.parts.schedules.state(); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", step, err)
	}
	if t.state.Curriculum, err = t.parts.chooser.state(); err != nil {
		return fmt.Errorf("checkpoint of step %d: %w", step, err)
	}
	t.state.Consumed = t.admission.consumed
	vocabulary, _ := t.parts.tokenizer.(saver)
	return saveCheckpoint(t.dir, t.state, t.learner, vocabulary, t.config.Checkpoint.Keep)
}

// conclude notes the time of the last evaluation and folds the timings together when all is done.
func (t *Trainer) conclude() error {
	if t.evalSeconds > 0 {
		row := traces.Timing{Step: t.state.Step + 1, Eval: t.evalSeconds, Total: t.evalSeconds}
		if err := traces.WriteTable(filepath.Join(t.dir, traces.TimingsDir), traces.SegmentName(row.Step, ""), []traces.Timing{row}, t.meta); err != nil {
			return err
		}
	}
	if err := traces.CompactTimings(t.dir, t.meta); err != nil {
		return err
	}
	if t.events.Finished != nil {
		t.events.Finished(t.dir)
	}
	return nil
}

// Close ends the learner, the engine and the stream. It waits for their goroutines.
func (t *Trainer) Close() error {
	var errs []error
	if t.learner != nil {
		errs = append(errs, t.learner.Close())
	}
	if t.sampler != nil {
		errs = append(errs, t.sampler.Close())
	}
	if t.stream != nil {
		errs = append(errs, t.stream.Close())
	}
	return errors.Join(errs...)
}

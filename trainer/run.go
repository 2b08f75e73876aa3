package trainer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pith/rollout/engine"
	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

// Run trains until the last step, or until ctx ends; what was committed by then can be resumed.
// Call it once.
func (t *Trainer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wait := t.startWorkers(ctx, cancel)
	err := t.loop(ctx)
	cancel(nil)
	if worker := wait(); worker != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = worker
	}
	if err == nil && !t.Paused() {
		err = t.conclude()
	}
	return err
}

// Paused says that the run stands before its last step because it was asked to wait there.
func (t *Trainer) Paused() bool { return t.state.Step < t.last() }

// loop is the run: publish, evaluate, then step after step.
func (t *Trainer) loop(ctx context.Context) error {
	if err := t.replay(ctx); err != nil {
		return err
	}
	if err := t.publish(ctx); err != nil {
		return err
	}
	if err := t.agrees(ctx); err != nil {
		return err
	}
	if err := t.evaluate(ctx, t.state.Step); err != nil {
		return err
	}
	if err := t.tasks.known.refer(t.evals); err != nil {
		return err
	}
	t.idleBefore = t.idle(ctx)
	for last := t.last(); t.state.Step < last && (t.until == 0 || t.state.Step < t.until); last = t.last() {
		if err := t.step(ctx); err != nil {
			return fmt.Errorf("step %d: %w", t.state.Step+1, err)
		}
		if err := t.evaluate(ctx, t.state.Step); err != nil {
			return fmt.Errorf("evaluate after step %d: %w", t.state.Step, err)
		}
	}
	return nil
}

// step is one learner step: collect, judge, shape, learn, publish, commit.
func (t *Trainer) step(ctx context.Context) error {
	clock := newStopwatch()
	step := t.state.Step + 1
	if err := t.schedule(step); err != nil {
		return err
	}
	batch, err := t.collect(ctx, step)
	if err != nil {
		return err
	}
	clock.lap("collect")
	if err := t.compareToBase(ctx, batch.rows); err != nil {
		return err
	}
	kept, err := reward(t.parts.method, batch.rows, batch.unmixed, t.updateGroups())
	if err != nil {
		return err
	}
	t.parts.pairs.mark(batch.rows)
	if err := t.parts.chooser.observe(batch.first, groupsOf(batch.rows), kept); err != nil {
		return err
	}
	clock.lap("grade")
	record, err := t.learn(ctx, step, batch.rows)
	if err != nil {
		return err
	}
	t.parts.schedules.observe(record)
	clock.lap("learn")
	if err := t.publish(ctx); err != nil {
		return err
	}
	clock.lap("publish")
	now := t.idle(ctx)
	idle := now - t.idleBefore
	t.idleBefore = now
	timing := traces.Timing{
		Step: step, Grade: clock.laps["grade"] + batch.graded.Seconds(), Learn: clock.laps["learn"], Publish: clock.laps["publish"],
		TrainerWait: batch.waited.Seconds(), EngineIdle: idle.Seconds(), Eval: t.evalSeconds,
	}
	t.evalSeconds = 0
	if err := t.commit(ctx, record, batch, &timing, clock); err != nil {
		return err
	}
	if t.events.Step != nil {
		t.events.Step(record, timing)
	}
	return nil
}

// batch is what a step collected.
type batch struct {
	first   int64          // index of the first group
	rows    []traces.Trace // group by group in the order of the data
	timings []traces.Timing
	unmixed map[string]bool // groups that dynamic sampling did not keep
	held    []*stream.Delivery
	waited  time.Duration
	graded  time.Duration
}

// collect releases groups as admission allows and consumes them in order until the step is full.
func (t *Trainer) collect(ctx context.Context, step int64) (*batch, error) {
	out := &batch{first: t.admission.consumed, unmixed: map[string]bool{}}
	waited := t.collector.waited
	var err error
	if t.admission.want, err = t.parts.chooser.begin(); err != nil {
		return nil, err
	}
	for {
		if err := t.release(ctx, step); err != nil {
			return nil, err
		}
		if t.admission.full() {
			break
		}
		b, err := t.collector.take(ctx, groupName(t.admission.consumed), nil)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		rows := b.rows()
		for i := range rows {
			t.finish(&rows[i], step)
			if timing, ok := b.timings[rows[i].Sample]; ok {
				timing.Step, timing.ID = step, rows[i].ID
				out.timings = append(out.timings, timing)
			}
		}
		out.graded += time.Since(start)
		keep := !t.config.Rollout.DynamicSampling || mixed(rows)
		if !keep {
			out.unmixed[b.task.Group] = true
		}
		out.rows, out.held = append(out.rows, rows...), append(out.held, b.held...)
		t.admission.consume(keep)
		t.events.progress(fmt.Sprintf("step %d", step), int(t.admission.kept), int(t.admission.wanted()))
	}
	t.admission.advance()
	out.waited = t.collector.waited - waited
	return out, nil
}

// updateGroups bounds the groups of an update where more are generated than it takes; 0 = all.
func (t *Trainer) updateGroups() int {
	if t.parts.chooser.predictor == nil {
		return 0
	}
	return t.config.Rollout.PromptsPerStep
}

// release puts as many groups on the queue as admission allows.
func (t *Trainer) release(ctx context.Context, step int64) error {
	n := t.admission.release()
	if n == 0 {
		return nil
	}
	picks, err := t.parts.chooser.choose(t.admission.next, n)
	if err != nil {
		return err
	}
	var tasks []*task.Task
	for i := range n {
		k, err := t.tasks.train(t.admission.next+i, picks[i], step, t.state.Policy)
		if err != nil {
			return err
		}
		tasks = append(tasks, k)
	}
	t.admission.released(n)
	return t.collector.release(ctx, tasks)
}

// finish grades a trace and fills what the trainer knows of it.
func (t *Trainer) finish(x *traces.Trace, step int64) {
	x.Step = step
	judge(t.parts.grader, x)
	price(t.config.Prices, x)
	if len(x.Spans) > 0 && x.Split == "train" {
		x.Staleness = int32(step - 1 - x.Spans[0].Version)
	}
	if x.Status == "" && x.Finish == traces.FinishError {
		x.Status, x.StatusReason = traces.Failed, x.Error
	}
}

// learn improves the policy on the trained traces of a step and names the result.
func (t *Trainer) learn(ctx context.Context, step int64, rows []traces.Trace) (traces.Step, error) {
	record := summarise(step, rows)
	var trained []*traces.Trace
	for i := range rows {
		if rows[i].Status == traces.Trained {
			trained = append(trained, &rows[i])
		}
	}
	done, err := t.improver.improve(ctx, trained, t.parts.loss, t.rate, t.state.Policy.Step, t.state.Updates)
	if err != nil {
		return record, err
	}
	done.record(&record)
	t.state.Step = step
	t.state.Updates += done.updates
	t.state.Policy = engine.PolicyRef{ID: policyName(step), Step: step}
	if t.artifact, err = t.learner.Export(ctx, t.state.Policy); err != nil {
		return record, err
	}
	t.state.Digest = t.artifact.Digest
	record.Policy, record.Digest = t.state.Policy.ID, t.state.Digest
	return record, nil
}

func policyName(step int64) string { return fmt.Sprintf("policy-%06d", step) }

// stopwatch measures the parts of a step.
type stopwatch struct {
	start, last time.Time
	laps        map[string]float64
}

func newStopwatch() *stopwatch {
	now := time.Now()
	return &stopwatch{start: now, last: now, laps: map[string]float64{}}
}

func (s *stopwatch) lap(name string) {
	now := time.Now()
	s.laps[name] = now.Sub(s.last).Seconds()
	s.last = now
}

func (s *stopwatch) total() float64 { return time.Since(s.start).Seconds() }

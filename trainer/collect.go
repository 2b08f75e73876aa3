package trainer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"pith/rollout/stream"
	"pith/rollout/task"
	"pith/traces"
)

// bucket gathers the traces of one group until all have arrived, whatever their order and however
// often the stream delivers them.
type bucket struct {
	task    task.Task
	samples map[int32]*traces.Trace
	timings map[int32]traces.Timing
	held    []*stream.Delivery
}

func (b *bucket) complete() bool { return len(b.samples) == b.task.N }

// rows returns the traces in sample order.
func (b *bucket) rows() []traces.Trace {
	out := make([]traces.Trace, 0, len(b.samples))
	for i := range b.task.N {
		if t, ok := b.samples[int32(b.task.First+i)]; ok {
			out = append(out, *t)
		}
	}
	return out
}

// collector receives the traces of all released groups.
type collector struct {
	stream  *stream.Stream
	buckets map[string]*bucket
	// early holds what a killed trainer had received and not committed: it comes again before its
	// task is released again.
	early   map[string][]*stream.Delivery
	waited  time.Duration // total time in which nothing had arrived that was wanted
	stalled func(what string, waited time.Duration)
	after   time.Duration // when a wait counts as stalled
}

func newCollector(s *stream.Stream, stalled func(string, time.Duration)) *collector {
	return &collector{stream: s, buckets: map[string]*bucket{}, early: map[string][]*stream.Delivery{}, stalled: stalled, after: 30 * time.Second}
}

// release puts tasks on the queue and opens their buckets. A group is one task.
func (c *collector) release(ctx context.Context, tasks []*task.Task) error {
	for _, t := range tasks {
		c.expect(t)
	}
	if err := c.stream.Release(ctx, tasks); err != nil {
		return fmt.Errorf("release tasks: %w", err)
	}
	return nil
}

// expect opens the bucket of a task, with what has come for it already.
func (c *collector) expect(t *task.Task) {
	b := &bucket{task: *t, samples: map[int32]*traces.Trace{}, timings: map[int32]traces.Timing{}}
	c.buckets[t.Group] = b
	for _, d := range c.early[t.ID()] {
		b.file(d)
	}
	delete(c.early, t.ID())
}

// take waits until the group is complete and removes its bucket. progress, if not nil, is called
// after each arrival.
func (c *collector) take(ctx context.Context, group string, progress func()) (*bucket, error) {
	b := c.buckets[group]
	for !b.complete() {
		if err := c.receive(ctx, b); err != nil {
			return nil, fmt.Errorf("wait for %s: %w", b.missing(), err)
		}
		if progress != nil {
			progress()
		}
	}
	delete(c.buckets, group)
	return b, nil
}

// missing says what a bucket waits for.
func (b *bucket) missing() string {
	var gone []string
	for i := range b.task.N {
		if _, ok := b.samples[int32(b.task.First+i)]; !ok && len(gone) < 4 {
			gone = append(gone, b.task.TraceID(b.task.First+i))
		}
	}
	return fmt.Sprintf("group %s, %d of %d traces, missing %s", b.task.Group, len(b.samples), b.task.N, strings.Join(gone, " "))
}

// receive takes one delivery and files it.
func (c *collector) receive(ctx context.Context, wanted *bucket) error {
	start := time.Now()
	for reported := time.Duration(0); ; {
		wait, cancel := context.WithTimeout(ctx, c.after)
		d, err := c.stream.Collect(wait)
		cancel()
		if err == nil {
			c.waited += time.Since(start)
			c.file(d)
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if waited := time.Since(start); c.stalled != nil && waited > reported {
			c.stalled(wanted.missing(), waited)
			reported = 2 * waited
		}
	}
}

// file puts a delivery where it belongs.
func (c *collector) file(d *stream.Delivery) {
	group, _, _ := strings.Cut(d.Task, "/")
	if b := c.buckets[group]; b != nil && b.task.ID() == d.Task {
		b.file(d)
		return
	}
	c.early[d.Task] = append(c.early[d.Task], d)
}

// file takes a trace, or completes the bucket with records of what a dead letter has lost.
func (b *bucket) file(d *stream.Delivery) {
	b.held = append(b.held, d)
	if d.Dead == nil {
		b.samples[d.Trace.Sample] = d.Trace
		if d.Timing != nil {
			b.timings[d.Trace.Sample] = *d.Timing
		}
		return
	}
	for i := range b.task.N {
		sample := int32(b.task.First + i)
		id := b.task.TraceID(int(sample))
		if _, arrived := b.samples[sample]; arrived || d.Dead.Kind == stream.DeadTrace && d.Dead.TraceID != id {
			continue
		}
		b.samples[sample] = lost(&b.task, sample, d.Dead.Reason)
	}
}

// lost is the record of a released trace that never came.
func lost(t *task.Task, sample int32, why string) *traces.Trace {
	return &traces.Trace{
		Run: t.Run, Step: t.Step, Split: string(t.Split), Group: t.Group, ID: t.TraceID(int(sample)),
		Problem: t.Problem.ID, Sample: sample, Seed: t.Params.Seed, Dataset: t.Problem.Dataset,
		Level: int32(t.Problem.Level), Gold: t.Problem.Answer, PromptText: t.Problem.Prompt, PromptTokens: t.Prompt,
		Finish: traces.FinishError, Error: why, Temperature: t.Params.Temperature, Mode: "think",
		Reference: traces.Reference{Accuracy: t.Problem.ReferenceAccuracy, Tokens: t.Problem.ReferenceTokens, TokenBudget: int32(t.Problem.TokenBudget)},
		Verdict:   traces.NoScore, VerdictReason: "dead letter", Status: traces.DeadLettered, StatusReason: why,
	}
}

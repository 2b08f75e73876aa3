package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"pith/rewards/grade"
	"pith/rollout/engine"
	"pith/rollout/strategy"
	"pith/rollout/stream"
	"pith/traces"
)

// Queue is what a worker needs of a [stream.Stream].
type Queue interface {
	NextTask(ctx context.Context) (*stream.TaskDelivery, error)
	PublishTraces(ctx context.Context, outcomes []stream.Outcome) error
	Policies(ctx context.Context, f func(stream.Policy) error) error
	Weights(ctx context.Context, p stream.Policy) ([]byte, error)
}

// Worker runs tasks. Sampler, Queue and Tokens must be set; the zero value of everything else is
// usable. A worker may be run once.
type Worker struct {
	Name    string // for timings and logs only
	Sampler engine.Sampler
	Queue   Queue
	Tokens  strategy.Tokenizer
	Markers strategy.Markers
	Tools   []strategy.Tool
	Grader  grade.Grader // for strategies that grade as they sample

	// Load makes an announced policy servable by Sampler, from its bytes; Unload ends one. With Load
	// nil the engine has every announced policy already, as in the trainer's own process. Called by
	// one goroutine at a time.
	Load   func(ctx context.Context, p engine.PolicyRef, weights []byte) error
	Unload func(ctx context.Context, p engine.PolicyRef) error

	Concurrency int           // tasks at the same time. Default 1
	TaskTimeout time.Duration // of one try of one task, the wait for its policy not included. Default 30 minutes
	Backoff     Backoff
	Log         *slog.Logger // nil = none

	policies *policies
	caps     engine.SamplerCaps
	mu       sync.Mutex
	open     map[string]strategy.Strategy // by name and options
}

const (
	defaultTaskTimeout = 30 * time.Minute
	// panicLimit is how many deliveries of one task may panic before it is dead: one that panics
	// does so again.
	panicLimit = 2
	// returnPause is how long a task rests that could not be finished.
	returnPause = time.Second
)

// Run works until ctx ends, which is not an error, or something is wrong with the worker itself:
// a dead engine, a stream that cannot be reached, credentials that are refused. Tasks that are not
// finished then go back to the queue.
func (w *Worker) Run(ctx context.Context) error {
	if w.Log == nil {
		w.Log = slog.New(slog.DiscardHandler)
	}
	if w.TaskTimeout == 0 {
		w.TaskTimeout = defaultTaskTimeout
	}
	w.Backoff = w.Backoff.orDefault()
	w.open = map[string]strategy.Strategy{}
	w.policies = newPolicies(w)
	var err error
	if w.caps, err = w.Sampler.Caps(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("worker %s: what can the engine do: %w", w.Name, err)
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	run := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				stop(fmt.Errorf("worker %s: %w", w.Name, err))
			}
		})
	}
	run(w.policies.follow)
	for range max(1, w.Concurrency) {
		run(w.slot)
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, stream.ErrClosed) {
		return err
	}
	return nil
}

// slot runs one task after the other.
func (w *Worker) slot(ctx context.Context) error {
	for {
		d, err := w.Queue.NextTask(ctx)
		if err != nil {
			return err
		}
		if err := w.do(ctx, d); err != nil {
			return err
		}
	}
}

// do brings one delivery to an end. Its error is the worker's.
func (w *Worker) do(ctx context.Context, d *stream.TaskDelivery) error {
	id := d.Task.ID()
	outcomes, err := w.try(ctx, d)
	if err == nil {
		if err = w.Queue.PublishTraces(ctx, outcomes); err == nil {
			return d.Done(ctx)
		}
	}
	if ctx.Err() != nil {
		// The task is not to blame: it goes back at once.
		return errors.Join(d.Return(0), ctx.Err())
	}
	if reason := w.hopeless(d, err); reason != "" {
		w.Log.Error("worker: task is given up", "task", id, "reason", reason)
		return d.Bury(ctx, reason)
	}
	w.Log.Warn("worker: task goes back", "task", id, "delivery", d.Deliveries, "err", err)
	if fatal(err) {
		return errors.Join(err, d.Return(0))
	}
	return d.Return(returnPause)
}

// fatal says whether err is the worker's own trouble: no other task would fare better.
func fatal(err error) bool {
	class, isEngine := engine.ClassOf(err)
	_, streamed := errors.AsType[*stream.Error](err)
	_, broken := errors.AsType[*brokenError](err)
	return broken || (isEngine && class == engine.Fatal) || (streamed && !errors.Is(err, stream.ErrGone))
}

// brokenError says that this worker cannot go on.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// hopeless says why no other try of the task can succeed, or "".
func (w *Worker) hopeless(d *stream.TaskDelivery, err error) string {
	_, gone := errors.AsType[*goneError](err)
	_, cannot := errors.AsType[*cannotError](err)
	_, panicked := errors.AsType[*strategy.PanicError](err)
	class, isEngine := engine.ClassOf(err)
	if gone || cannot || (panicked && d.Deliveries >= panicLimit) || (isEngine && (class == engine.User || class == engine.Unsupported)) {
		return err.Error()
	}
	return ""
}

// cannotError says that the task asks for what this kind of worker cannot do.
type cannotError struct{ err error }

func (e *cannotError) Error() string { return e.err.Error() }
func (e *cannotError) Unwrap() error { return e.err }

// try runs the task's strategy once and returns what to store.
func (w *Worker) try(ctx context.Context, d *stream.TaskDelivery) (outcomes []stream.Outcome, err error) {
	t := d.Task
	defer func() {
		if p := recover(); p != nil {
			w.Log.Error("worker: panic", "task", t.ID(), "panic", p, "stack", string(debug.Stack()))
			outcomes, err = nil, &strategy.PanicError{Value: p}
		}
	}()
	s, err := w.strategy(t)
	if err != nil {
		return nil, &cannotError{err}
	}
	policy, release, err := w.policies.await(ctx, t)
	if err != nil {
		return nil, err
	}
	defer release()
	tryCtx, cancel := context.WithTimeoutCause(ctx, w.TaskTimeout, fmt.Errorf("task %s took longer than %v", t.ID(), w.TaskTimeout))
	defer cancel()
	rollouts, err := s.Run(tryCtx, &strategy.Env{
		Sampler: w.Sampler, Caps: w.caps, Policy: policy, Tokens: w.Tokens, Markers: w.Markers, Tools: w.Tools, Grader: w.Grader,
		Retry: w.Backoff.retry(t.Params.Seed, w.Log), Worker: w.Name, Released: d.Released,
	}, t)
	if err != nil {
		return nil, w.judge(ctx, tryCtx, err)
	}
	if len(rollouts) != t.N {
		return nil, &cannotError{fmt.Errorf("strategy %s returned %d rollouts for %d samples", t.Strategy, len(rollouts), t.N)}
	}
	for _, r := range rollouts {
		if err := traces.Validate(r.Trace); err != nil {
			return nil, &cannotError{fmt.Errorf("strategy %s: %w", t.Strategy, err)}
		}
		outcomes = append(outcomes, stream.Outcome{Task: t.ID(), Trace: r.Trace, Timing: r.Timing})
	}
	return outcomes, nil
}

// judge tells a task that took too long, and one that cannot be run here, from passing trouble.
func (w *Worker) judge(ctx, tryCtx context.Context, err error) error {
	if tryCtx.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("%w; last: %w", context.Cause(tryCtx), err)
	}
	_, isEngine := engine.ClassOf(err)
	_, panicked := errors.AsType[*strategy.PanicError](err)
	if isEngine || panicked || ctx.Err() != nil {
		return err
	}
	return &cannotError{err}
}

// strategy opens the task's strategy, once for all tasks with the same options.
func (w *Worker) strategy(t *Task) (strategy.Strategy, error) {
	key := t.Strategy + "\x00" + string(t.Options)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s, ok := w.open[key]; ok {
		return s, nil
	}
	s, err := strategy.New(t.Strategy, t.Options)
	if err == nil {
		w.open[key] = s
	}
	return s, err
}

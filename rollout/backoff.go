package rollout

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"pith/rollout/engine"
)

// Backoff says how engine errors that pass are waited out: the same request again after a pause
// that doubles, with jitter. The zero value is the default.
type Backoff struct {
	First    time.Duration // default 100 ms
	Longest  time.Duration // default 10 s
	Attempts int           // default 30: with the pauses above, about four minutes
}

func (b Backoff) orDefault() Backoff {
	if b.First == 0 {
		b.First = 100 * time.Millisecond
	}
	if b.Longest == 0 {
		b.Longest = 10 * time.Second
	}
	if b.Attempts == 0 {
		b.Attempts = 30
	}
	return b
}

// pause is how long to wait after the given attempt, from 1: between half of and the whole of
// First · 2^(attempt-1), at most Longest, or what the engine asked for where that is longer.
func (b Backoff) pause(attempt int, asked time.Duration, r *rand.Rand) time.Duration {
	d := b.Longest
	if shift := attempt - 1; shift < 30 {
		d = min(b.First<<shift, b.Longest)
	}
	return max(d/2+time.Duration(r.Int64N(int64(d/2)+1)), asked)
}

// retry is a [strategy.Env]'s Retry. Jitter comes from the task's seed and the request, so that
// tests repeat; nothing of it reaches a trace.
func (b Backoff) retry(seed uint64, log *slog.Logger) func(context.Context, string, func(context.Context) error) error {
	return func(ctx context.Context, op string, call func(context.Context) error) error {
		r := rand.New(rand.NewPCG(seed, fnv(op)))
		for attempt := 1; ; attempt++ {
			err := call(ctx)
			if err == nil || ctx.Err() != nil || attempt >= b.Attempts || !passing(err) {
				return err
			}
			pause := b.pause(attempt, asked(err), r)
			log.Warn("worker: engine error, trying again", "op", op, "attempt", attempt, "pause", pause, "err", err)
			select {
			case <-ctx.Done():
				return err
			case <-time.After(pause):
			}
		}
	}
}

// passing says whether the same request may succeed later. One for a policy that is gone may not:
// the task goes back and is tried with a policy that is there.
func passing(err error) bool {
	class, ok := engine.ClassOf(err)
	return ok && (class == engine.Transient || class == engine.Busy)
}

// fnv is the 64-bit FNV-1a hash.
func fnv(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// asked is the wait that the engine itself named.
func asked(err error) time.Duration {
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return e.Wait
	}
	return 0
}

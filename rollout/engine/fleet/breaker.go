package fleet

import "time"

// BreakerOptions tune a [Breaker]. The zero value is the default.
type BreakerOptions struct {
	Failures int           // in a row that open it. Default 3
	First    time.Duration // how long it stays open at first. Default 1 s
	Longest  time.Duration // doubling stops here. Default 60 s
}

func (o BreakerOptions) withDefaults() BreakerOptions {
	if o.Failures < 1 {
		o.Failures = 3
	}
	if o.First <= 0 {
		o.First = time.Second
	}
	if o.Longest < o.First {
		o.Longest = max(60*time.Second, o.First)
	}
	return o
}

// Breaker keeps calls away from a replica that fails. Closed, everything passes. After a number of
// failures in a row it opens for a while; then a single call, or a reading of its metrics, is the
// probe: it closes the breaker or opens it for twice as long. A plain state machine.
type Breaker struct {
	o       BreakerOptions
	failed  int // in a row
	opened  int // times in a row
	open    bool
	until   time.Duration
	probing bool
}

// NewBreaker is closed.
func NewBreaker(o BreakerOptions) *Breaker { return &Breaker{o: o.withDefaults()} }

// Ready says whether a call may pass at a moment.
func (b *Breaker) Ready(at time.Duration) bool {
	return !b.open || (at >= b.until && !b.probing)
}

// Probing says that the one call that passed an open breaker is under way.
func (b *Breaker) Probing() bool { return b.probing }

// Begin notes a call that passes. Call it where Ready was true.
func (b *Breaker) Begin() {
	if b.open {
		b.probing = true
	}
}

// Succeeded notes a call that the replica answered, with whatever answer.
func (b *Breaker) Succeeded() {
	b.failed, b.opened, b.open, b.probing = 0, 0, false, false
}

// Abandoned notes a call that ended for reasons that say nothing about the replica.
func (b *Breaker) Abandoned() { b.probing = false }

// Failed notes a call that the replica did not answer. jitter, from 0 to 1, spreads the probes of
// several fleets: the breaker stays open between a half of and the whole of the pause.
func (b *Breaker) Failed(at time.Duration, jitter float64) {
	b.failed++
	if b.open && !b.probing && at < b.until {
		return // a straggler from before it opened
	}
	if !b.probing && b.failed < b.o.Failures {
		return
	}
	pause := b.o.Longest
	if b.opened < 30 {
		pause = min(b.o.First<<b.opened, b.o.Longest)
	}
	pause = pause/2 + time.Duration(float64(pause/2)*min(max(jitter, 0), 1))
	b.opened++
	b.open, b.probing, b.until = true, false, at+pause
}

// Trip opens the breaker at once, as after an answer that no other call can better.
func (b *Breaker) Trip(at time.Duration, jitter float64) {
	b.failed = max(b.failed, b.o.Failures-1)
	b.Failed(at, jitter)
}

// Open says whether calls are kept away, but for probes.
func (b *Breaker) Open() bool { return b.open }

// wait is how long from a moment until an open breaker lets a probe pass; 0 where it does already.
func (b *Breaker) wait(at time.Duration) time.Duration {
	if !b.open {
		return 0
	}
	return max(0, b.until-at)
}

package fleet

import (
	"math"
	"time"
)

// ControllerOptions bound and tune a [Controller]. The zero value is the default: the thresholds of
// prime-rl's controller (its orchestrator/concurrency.py), which were found on vLLM.
type ControllerOptions struct {
	// Least, Start and Most are sequences in flight. Defaults 1, 32 and 1024.
	Least, Start, Most int
	// Grow multiplies the limit, once for each turnover (as many sequences ended as the limit allows),
	// while less than GrowBelow of the cache is used and the limit was what held work back.
	// Defaults 1.25 and 0.6.
	Grow, GrowBelow float64
	// Above TrimAbove of the cache the limit is cut to what would use TrimTo of it; above
	// CancelAbove the youngest calls beyond that are cancelled as well. Defaults 0.8, 0.7, 0.9.
	TrimAbove, TrimTo, CancelAbove float64
	// Cut multiplies the limit after a preemption, or when a queue has stood for QueueFor; CutHard
	// where that has not helped by the next judgement. Defaults 0.85, 0.5 and 10 s.
	Cut, CutHard float64
	QueueFor     time.Duration
	// Fresh is how long a reading permits growth, and how long an adverse judgement rests before the
	// next one. Default 15 s.
	Fresh time.Duration
	// After a publish the limit starts at SlowStart of what it was and doubles every SlowStep until it
	// is back: caches are cold and adapters are being loaded. Defaults 0.5 and 2 s.
	SlowStart float64
	SlowStep  time.Duration
}

func (o ControllerOptions) withDefaults() ControllerOptions {
	orInt := func(v *int, d int) {
		if *v < 1 {
			*v = d
		}
	}
	orFloat := func(v *float64, d float64) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&o.Least, 1)
	orInt(&o.Most, max(1024, o.Least))
	orInt(&o.Start, 32)
	o.Start = min(max(o.Start, o.Least), o.Most)
	orFloat(&o.Grow, 1.25)
	orFloat(&o.GrowBelow, 0.6)
	orFloat(&o.TrimAbove, 0.8)
	orFloat(&o.TrimTo, 0.7)
	orFloat(&o.CancelAbove, 0.9)
	orFloat(&o.Cut, 0.85)
	orFloat(&o.CutHard, 0.5)
	orTime(&o.QueueFor, 10*time.Second)
	orTime(&o.Fresh, 15*time.Second)
	orFloat(&o.SlowStart, 0.5)
	orTime(&o.SlowStep, 2*time.Second)
	return o
}

// Reading is what a [Controller] learns at one moment: the server's own metrics, and what the fleet
// knows. Times count from any fixed moment.
type Reading struct {
	At          time.Duration
	CacheUse    float64 // of the key-value cache, 0 to 1
	Waiting     int     // sequences that wait inside the server
	Preemptions int64   // so far; the server threw a sequence's cache away to make room
	InFlight    int     // sequences of ours on this replica
	Ended       int64   // sequences of ours that have ended here so far
	HeldBack    bool    // since the last reading, work waited that the limit kept away from here
}

// Decision is what follows from a reading.
type Decision struct {
	Limit  int    // sequences that may be in flight from now on
	Cancel int    // sequences, the youngest first, to take off the replica
	Reason string // of a change, for logs; "" where nothing changed
}

// Controller decides how many sequences one replica may have in flight. A fixed number is wrong in
// both directions: too few leave the processor idle, too many make the server throw caches away.
// It is a plain state machine: no clock, no goroutine, no client.
type Controller struct {
	o     ControllerOptions
	limit float64

	seen        bool
	at          time.Duration // of the last reading
	preemptions int64
	endedAt     int64 // Ended when the limit last grew
	queueSince  time.Duration
	queued      bool
	cutAt       time.Duration // of the last cut for a preemption or a queue
	cuts        int           // of those, in a row

	slowTarget float64 // > 0: the limit is on its way back to it
	slowAt     time.Duration
}

// NewController starts at o.Start.
func NewController(o ControllerOptions) *Controller {
	o = o.withDefaults()
	return &Controller{o: o, limit: float64(o.Start)}
}

// Limit is how many sequences may be in flight.
func (c *Controller) Limit() int { return int(math.Round(c.limit)) }

// Published says that weights changed at a moment: the limit falls and comes back step by step.
func (c *Controller) Published(at time.Duration) {
	if c.slowTarget == 0 {
		c.slowTarget = c.limit
	}
	c.slowAt = at
	c.set(c.slowTarget * c.o.SlowStart)
}

func (c *Controller) set(limit float64) {
	c.limit = min(max(limit, float64(c.o.Least)), float64(c.o.Most))
}

// Observe judges a reading. Readings come in order of time; one that is not later than the last
// changes nothing.
func (c *Controller) Observe(r Reading) Decision {
	if c.seen && r.At <= c.at {
		return Decision{Limit: c.Limit()}
	}
	stale := !c.seen || r.At-c.at > c.o.Fresh
	preempted := c.seen && r.Preemptions > c.preemptions
	c.watchQueue(r)
	if !c.seen {
		c.endedAt = r.Ended
	}
	c.seen, c.at, c.preemptions = true, r.At, r.Preemptions

	before := c.Limit()
	reason := ""
	switch {
	case r.CacheUse > c.o.TrimAbove:
		// What is in flight uses CacheUse; in proportion, this many would use TrimTo.
		c.adverse(min(c.limit, float64(max(r.InFlight, c.o.Least))*c.o.TrimTo/r.CacheUse), r)
		reason = "the cache is nearly full"
	case preempted:
		reason = c.cut(r, "the server preempted a sequence")
	case c.queued && r.At-c.queueSince >= c.o.QueueFor:
		reason = c.cut(r, "a queue has stood in the server")
	default:
		reason = c.rise(r, stale)
	}
	d := Decision{Limit: c.Limit()}
	if d.Limit != before {
		d.Reason = reason
	}
	if r.CacheUse > c.o.CancelAbove {
		d.Cancel = max(0, r.InFlight-d.Limit)
	}
	return d
}

// watchQueue notes since when sequences have been waiting inside the server.
func (c *Controller) watchQueue(r Reading) {
	switch {
	case r.Waiting == 0:
		c.queued = false
	case !c.queued:
		c.queued, c.queueSince = true, r.At
	}
}

// adverse lowers the limit; growth has to be earned anew.
func (c *Controller) adverse(limit float64, r Reading) {
	c.slowTarget = 0
	c.set(limit)
	c.endedAt = r.Ended
}

// cut lowers the limit once and rests; where the trouble is still there after the rest, it halves.
func (c *Controller) cut(r Reading, why string) string {
	if c.cuts > 0 && r.At-c.cutAt < c.o.Fresh {
		return ""
	}
	factor := c.o.Cut
	if c.cuts > 0 && r.At-c.cutAt < 2*c.o.Fresh+c.o.QueueFor {
		factor = c.o.CutHard
		why += " again"
	} else {
		c.cuts = 0
	}
	c.cuts++
	c.cutAt = r.At
	c.adverse(c.limit*factor, r)
	return why
}

// rise comes back from a slow start, or grows by a turnover.
func (c *Controller) rise(r Reading, stale bool) string {
	if c.slowTarget > 0 {
		for r.At-c.slowAt >= c.o.SlowStep && c.slowTarget > 0 {
			c.slowAt += c.o.SlowStep
			if c.limit*2 >= c.slowTarget {
				c.set(c.slowTarget)
				c.slowTarget = 0
				c.endedAt = r.Ended
				break
			}
			c.set(c.limit * 2)
		}
		return "slow start"
	}
	// A stale reading permits nothing: what happened in between is not known.
	if stale {
		c.endedAt = r.Ended
		return ""
	}
	if r.CacheUse >= c.o.GrowBelow || !r.HeldBack || r.Waiting > 0 || r.Ended-c.endedAt < int64(c.Limit()) {
		return ""
	}
	c.endedAt = r.Ended
	c.set(max(c.limit*c.o.Grow, c.limit+1))
	return "a turnover with room in the cache"
}

package sim

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
)

// Job is one sequence on a replica. The fields above the line are the caller's; those below are the
// replica's to write.
type Job struct {
	Prompt int // tokens to be read first, prefix included
	Length int // tokens to be drawn
	Owner  any // the caller's

	Submitted, Started, First, Ended float64 // seconds
	Drawn                            int     // tokens so far; complete once it has ended
	Failed                           bool    // the replica failed under it

	joined  int64 // the replica's step count when it joined, less what it had drawn
	ends    int64 // the step count at which it ends
	at      int   // in the heap of running jobs; -1: waiting or ended
	waiting bool
	order   int64
}

// Limits bound a replica.
type Limits struct {
	Slots       int // sequences decoded together
	CacheTokens int // 0 = no bound
}

// Faults make a replica stall and fail. Times are in seconds and exponentially distributed around
// their means; 0 = never.
type Faults struct {
	StallEvery float64 `mapstructure:"stall_every" yaml:"stall_every" json:"stall_every"`
	StallFor   float64 `mapstructure:"stall_for" yaml:"stall_for" json:"stall_for"`
	FailEvery  float64 `mapstructure:"fail_every" yaml:"fail_every" json:"fail_every"`
	DownFor    float64 `mapstructure:"down_for" yaml:"down_for" json:"down_for"`
}

// Replica is one server in virtual time. It is a plain state machine: Submit, Abort, Hold and Advance
// are called with times that never decrease. All running sequences gain a token in each step, so
// that a stretch of steps without an event is one piece of arithmetic.
type Replica struct {
	speed  Speed
	limits Limits
	faults Faults
	rng    *rand.Rand

	now     float64 // start of the step that is in progress; ≤ the caller's time
	steps   int64
	cached  int // tokens
	running running
	waiting []*Job
	fresh   []*Job // running, without a first token yet
	order   int64

	stallAt, failAt, upAt float64 // upAt: down until then

	// Counters, for metrics.
	Preemptions            int64
	PromptTokens, Output   int64
	Failures               int64
	Busy                   float64 // seconds with a sequence running
	SequenceSeconds        float64 // integral of running sequences over time
	PeakRunning, PeakCache int
}

// NewReplica is idle at time 0.
func NewReplica(s Speed, l Limits, f Faults, seed uint64) *Replica {
	r := &Replica{speed: s, limits: l, faults: f, rng: rand.New(rand.NewPCG(seed, 0x5ea1)), stallAt: math.Inf(1), failAt: math.Inf(1)}
	if r.limits.Slots < 1 {
		r.limits.Slots = math.MaxInt
	}
	r.stallAt = r.after(0, f.StallEvery)
	r.failAt = r.after(0, f.FailEvery)
	return r
}

// after is a random time after t.
func (r *Replica) after(t, mean float64) float64 {
	if mean <= 0 {
		return math.Inf(1)
	}
	return t + r.rng.ExpFloat64()*mean
}

// Running counts sequences that decode.
func (r *Replica) Running() int { return len(r.running) }

// Waiting counts sequences without a slot.
func (r *Replica) Waiting() int { return len(r.waiting) }

// Cache is the share of the cache in use, 0 where it is unbounded.
func (r *Replica) Cache() float64 {
	if r.limits.CacheTokens == 0 {
		return 0
	}
	return min(1, float64(r.cached)/float64(r.limits.CacheTokens))
}

// Down says whether the replica has failed and is not up again at a time.
func (r *Replica) Down(now float64) bool { return now < r.upAt }

// Submit adds a job and returns what ended before. A replica that is down does not take it: it has
// failed at once, and the result is false.
func (r *Replica) Submit(now float64, j *Job) (ended []*Job, ok bool) {
	ended = r.Advance(now)
	j.Submitted, j.at = now, -1
	if r.Down(now) {
		j.Failed, j.Ended = true, now
		return ended, false
	}
	if len(r.running) == 0 && len(r.waiting) == 0 {
		r.now = max(r.now, now)
	}
	if l := r.limits.CacheTokens; l > 0 { // the cache is the context: longer ones end there
		j.Length = max(1, min(j.Length, l-j.Prompt))
	}
	j.waiting = true
	j.order = r.order
	r.order++
	r.waiting = append(r.waiting, j)
	return ended, true
}

// Abort takes a job off, with what it has drawn by then. The result is what ended before.
func (r *Replica) Abort(now float64, j *Job) []*Job {
	ended := r.Advance(now)
	switch {
	case j.at >= 0:
		r.leave(j)
	case j.waiting:
		for i, w := range r.waiting {
			if w == j {
				r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
				break
			}
		}
		j.waiting = false
	default:
		return ended // it has ended
	}
	j.Ended = now
	return ended
}

// Hold stops all decoding for a while, as for an update of weights; with recompute the caches of
// running sequences are computed anew after it.
func (r *Replica) Hold(now, seconds float64, recompute bool) []*Job {
	ended := r.Advance(now)
	r.now = max(r.now, now) + seconds
	if recompute {
		r.now += float64(r.cached) * r.speed.PerPromptToken
	}
	return ended
}

// leave takes a running job off the batch and fixes what it has drawn.
func (r *Replica) leave(j *Job) {
	j.Drawn = int(r.steps - j.joined)
	r.cached -= j.Prompt + j.Drawn
	heap.Remove(&r.running, j.at)
	j.at = -1
	if j.First == 0 { // it left before its first token, and is its owner's now
		r.fresh = slices.DeleteFunc(r.fresh, func(x *Job) bool { return x == j })
	}
}

// Next is when something happens next, if nothing is submitted before: a sequence ends, a slot is
// filled, the replica stalls or fails. +Inf where nothing will.
func (r *Replica) Next() float64 {
	if len(r.running) == 0 && len(r.waiting) == 0 {
		return math.Inf(1)
	}
	next := min(r.failAt, r.now)
	if k := r.stretch(); k > 0 {
		next = r.now + r.speed.take(float64(k), float64(len(r.running)), float64(r.cached))
		if r.stallAt < next {
			next = r.stallAt
		}
		next = min(next, r.failAt)
	}
	return next
}

// stretch is how many steps pass before the batch changes; 0: it changes now.
func (r *Replica) stretch() int64 {
	if len(r.running) == 0 {
		return 0
	}
	k := r.running[0].ends - r.steps
	if l := r.limits.CacheTokens; l > 0 {
		k = min(k, int64((l-r.cached)/len(r.running)))
	}
	if len(r.waiting) > 0 && r.fits(r.waiting[0]) {
		k = min(k, 1)
	}
	return k
}

// fits says whether a job could join the batch.
func (r *Replica) fits(j *Job) bool {
	if len(r.running) >= r.limits.Slots {
		return false
	}
	// A token of room for everyone: one that would be preempted at once is not let in.
	l := r.limits.CacheTokens
	return l == 0 || len(r.running) == 0 || r.cached+j.Prompt+j.Drawn+len(r.running)+1 <= l
}

// Advance moves the replica to a time and returns the jobs that ended by then, in order. Those that
// a failure ended have Failed set.
func (r *Replica) Advance(now float64) (ended []*Job) {
	for {
		if fault := min(r.stallAt, r.failAt); fault <= now && r.reach(fault, &ended) {
			if r.failAt <= r.stallAt {
				ended = append(ended, r.fail()...)
			} else {
				if len(r.running) > 0 {
					r.now = max(r.now, r.stallAt) + r.rng.ExpFloat64()*r.faults.StallFor
				}
				r.stallAt = r.after(max(r.now, r.stallAt), r.faults.StallEvery)
			}
			continue
		}
		r.reach(now, &ended)
		return ended
	}
}

// rounding is how far apart two computations of one moment may be, relative to it.
const rounding = 1e-12

// reach runs all steps that end by a time. It returns true.
func (r *Replica) reach(now float64, ended *[]*Job) bool {
	for {
		if r.now <= now {
			r.admit(now)
		}
		if len(r.running) == 0 {
			if len(r.waiting) == 0 {
				r.now = max(r.now, now)
			}
			return true
		}
		k := r.stretch()
		if k <= 0 {
			r.preempt()
			continue
		}
		b := float64(len(r.running))
		fit := min(float64(k), r.speed.within(now-r.now+rounding*(1+now), b, float64(r.cached)))
		if fit < 1 {
			return true
		}
		took := r.speed.take(fit, b, float64(r.cached))
		first := r.now + r.speed.take(1, b, float64(r.cached))
		for _, j := range r.fresh {
			if j.First == 0 {
				j.First = first
			}
		}
		r.fresh = r.fresh[:0]
		r.now += took
		r.Busy += took
		r.SequenceSeconds += took * b
		r.steps += int64(fit)
		r.cached += int(fit) * len(r.running)
		r.Output += int64(fit) * int64(len(r.running))
		r.PeakCache = max(r.PeakCache, r.cached)
		for len(r.running) > 0 && r.running[0].ends <= r.steps {
			j := r.running[0]
			r.leave(j)
			j.Ended = r.now
			*ended = append(*ended, j)
		}
	}
}

// admit lets waiting jobs into the batch, oldest first, and reads their prompts.
func (r *Replica) admit(now float64) {
	for len(r.waiting) > 0 && r.fits(r.waiting[0]) && r.now <= now && !r.Down(r.now) {
		j := r.waiting[0]
		r.waiting[0] = nil
		r.waiting = r.waiting[1:]
		j.waiting = false
		r.now = max(r.now, j.Submitted)
		if j.Started == 0 {
			j.Started = r.now
		}
		read := j.Prompt + j.Drawn
		spent := float64(read) * r.speed.PerPromptToken
		r.now += spent
		r.Busy += spent
		r.PromptTokens += int64(read)
		r.cached += read
		j.joined = r.steps - int64(j.Drawn)
		j.ends = j.joined + int64(max(j.Length, 1))
		heap.Push(&r.running, j)
		r.fresh = append(r.fresh, j)
		r.PeakRunning = max(r.PeakRunning, len(r.running))
	}
}

// preempt throws the cache of the youngest sequence away; it is read anew when there is room.
func (r *Replica) preempt() {
	var youngest *Job
	for _, j := range r.running {
		if youngest == nil || j.order > youngest.order {
			youngest = j
		}
	}
	r.leave(youngest)
	youngest.waiting = true
	r.waiting = append([]*Job{youngest}, r.waiting...)
	r.Preemptions++
}

// fail ends everything on the replica and takes it down.
func (r *Replica) fail() []*Job {
	at := r.failAt
	var lost []*Job
	for len(r.running) > 0 {
		j := r.running[0]
		r.leave(j)
		lost = append(lost, j)
	}
	for _, j := range r.waiting {
		j.waiting = false
		lost = append(lost, j)
	}
	for _, j := range lost {
		j.Failed, j.Ended = true, at
	}
	r.waiting, r.cached = nil, 0
	r.Failures++
	r.upAt = r.after(at, r.faults.DownFor)
	if r.faults.DownFor <= 0 {
		r.upAt = at
	}
	r.now = max(r.now, r.upAt)
	r.failAt = r.after(r.upAt, r.faults.FailEvery)
	return lost
}

// running is a heap by the step at which jobs end.
type running []*Job

func (h running) Len() int { return len(h) }
func (h running) Less(i, j int) bool {
	if h[i].ends != h[j].ends {
		return h[i].ends < h[j].ends
	}
	return h[i].order < h[j].order
}
func (h running) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *running) Push(x any) { j := x.(*Job); j.at = len(*h); *h = append(*h, j) }
func (h *running) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return j
}

package trainer

// admission decides how many groups may be released and when a step is full. It is a pure state
// machine over counters. Groups are numbered from 0 in the order of the data and consumed in that
// order, so a group released while released − trained ≤ (maxStaleness+1)·perStep is trained on by a
// policy at most maxStaleness steps newer than the one that sampled it. Nothing is ever discarded
// for being late: throwing away late traces throws away long ones.
type admission struct {
	perStep      int64 // groups an update wants
	maxStaleness int64
	examineLimit int64 // groups a step may consume at most; perStep without dynamic sampling
	steps        int64 // learner steps of the run

	step     int64 // the step being collected, from 1
	want     int64 // groups that the current step collects, all of them kept; 0 = perStep kept ones
	next     int64 // index of the next group to release
	consumed int64 // index of the next group to consume
	kept     int64 // of the current step
	examined int64 // of the current step
}

// release returns how many further groups may be released now: those that the current step and
// the maxStaleness steps after it are sure to consume.
func (a *admission) release() int64 {
	outstanding := a.next - a.consumed
	ahead := min(a.maxStaleness, a.steps-a.step) // steps beyond the current one
	surely := min(a.wanted()-a.kept, a.limit()-a.examined)
	free := surely + ahead*a.perStep - outstanding
	return max(free, 0)
}

// released counts n groups as released.
func (a *admission) released(n int64) { a.next += n }

// consume counts one group as consumed, kept or not.
func (a *admission) consume(kept bool) {
	a.consumed++
	a.examined++
	if kept {
		a.kept++
	}
}

// full says that the current step has what it wants, or may look no further.
func (a *admission) full() bool { return a.kept >= a.wanted() || a.examined >= a.limit() }

// wanted is the number of kept groups that fill the current step.
func (a *admission) wanted() int64 {
	if a.want > 0 {
		return a.want
	}
	return a.perStep
}

// limit is the number of groups that the current step may consume.
func (a *admission) limit() int64 { return max(a.examineLimit, a.want) }

// advance begins the next step.
func (a *admission) advance() {
	a.step++
	a.want, a.kept, a.examined = 0, 0, 0
}

package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Order is in which order finished samples are trained on.
type Order string

const (
	// InOrder takes groups in the order of their release, as pith's trainer does: nothing overtakes,
	// so a run can be repeated, and a long group holds the later ones up.
	InOrder Order = "in_order"
	// Oldest takes the oldest of what is finished, as AReaL does (arXiv 2505.24298, section 4.1).
	Oldest Order = "oldest"
)

// PlanOptions describe a run to be planned: replicas that sample, a trainer that learns, and the rule
// by which work is admitted.
type PlanOptions struct {
	Replicas int
	Speed    Speed // of each
	Limits   Limits
	Faults   Faults

	Lengths   Lengths
	Prompt    int // tokens of a prompt
	MaxTokens int // of a response
	Groups    int // prompts of a step
	Samples   int // of a prompt
	Staleness int // -1 = without bound
	Order     Order
	InFlight  int // sequences at the same time, over all replicas; 0 = no bound but staleness

	TrainPerToken float64 // seconds of a step per token trained on, prompt included
	TrainFixed    float64 // seconds of a step beside that
	Delay         float64 // seconds from the end of a sample until it can be trained on: grading, transport
	Publish       float64 // seconds in which replicas stand still for new weights
	Recompute     bool    // running sequences go on with new weights: their cache is computed anew

	Steps  int // measured
	WarmUp int // steps before
	Seed   uint64
}

// Estimate is what a plan comes to, over the measured steps.
type Estimate struct {
	Staleness       int     `json:"staleness"` // the bound; -1 = none
	Replicas        int     `json:"replicas"`
	StepSeconds     float64 `json:"step_seconds"`
	TokensPerSecond float64 `json:"tokens_per_second"` // trained on, prompt included
	TrainerWait     float64 `json:"trainer_wait"`      // share of the time
	EngineIdle      float64 `json:"engine_idle"`       // share of replicas' time without a sequence
	Running         float64 `json:"running"`           // sequences per replica while it is busy, mean
	StalenessMean   float64 `json:"staleness_mean"`    // steps, over trained samples
	StalenessMost   int     `json:"staleness_most"`
	LengthMean      float64 `json:"length_mean"` // tokens of trained samples
	Truncated       float64 `json:"truncated"`   // share of them
	Failures        int64   `json:"failures"`    // of replicas
	Preemptions     int64   `json:"preemptions"`
}

func (o PlanOptions) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.Replicas > 0, "replicas is %d, must be at least 1", o.Replicas)
	check(o.Speed.Step > 0, "seconds of a decode step are %v, must be above 0", o.Speed.Step)
	check(o.Speed.PerSequence >= 0 && o.Speed.PerCachedToken >= 0 && o.Speed.PerPromptToken >= 0, "the speed has a negative part: %+v", o.Speed)
	check(o.Lengths != nil, "no distribution of lengths")
	check(o.MaxTokens > 0, "tokens of a response are %d, must be at least 1", o.MaxTokens)
	check(o.Groups > 0 && o.Samples > 0, "a step of %d prompts × %d samples is empty", o.Groups, o.Samples)
	check(o.Staleness >= -1, "staleness is %d; -1 is no bound", o.Staleness)
	check(o.Staleness >= 0 || o.InFlight > 0, "without a bound on staleness, sequences in flight must be bounded")
	check(o.Order == InOrder || o.Order == Oldest, "order %q is not known; valid: %s, %s", o.Order, InOrder, Oldest)
	check(o.TrainPerToken >= 0 && o.TrainFixed >= 0 && o.Publish >= 0 && o.Delay >= 0, "times must not be negative")
	check(o.Steps > 0, "steps to measure are %d, must be at least 1", o.Steps)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

// sample is one response on its way through a plan.
type sample struct {
	Job
	index   int64 // in the order of release
	version int   // of the weights when it was released
	cut     bool
	used    bool // trained on
}

// plan is the state of a simulation.
type plan struct {
	o        PlanOptions
	replicas []*Replica
	next     []float64 // of each replica
	now      float64

	version  int       // steps trained
	released int64     // samples
	flying   int       // samples on replicas
	retry    []*sample // lost with their replica

	delayed []*sample // finished, on their way to the trainer, in the order of ending
	window  []*sample // window[i] is the sample released as base+i, nil until it can be trained on
	base    int64     // everything released before has been trained on
	ready   int       // in the window

	training []*sample
	trained  float64 // when the step in progress ends; +Inf: none
	idleFrom float64 // trainer waits since then
}

// Plan simulates a run and measures it.
func Plan(o PlanOptions) (Estimate, error) {
	if o.Order == "" {
		o.Order = InOrder
	}
	if err := o.validate(); err != nil {
		return Estimate{}, err
	}
	p := &plan{o: o, trained: math.Inf(1)}
	for i := range o.Replicas {
		p.replicas = append(p.replicas, NewReplica(o.Speed, o.Limits, o.Faults, hash(o.Seed, uint64(i))))
		p.next = append(p.next, math.Inf(1))
	}
	return p.run()
}

// Whose event is next, where it is no replica's.
const (
	trainer = -1
	arrival = -2
)

// run moves from event to event until the last step is measured.
func (p *plan) run() (Estimate, error) {
	var m measure
	for p.version < p.o.WarmUp+p.o.Steps {
		if p.version == p.o.WarmUp && !m.on {
			m.begin(p)
		}
		p.release()
		p.train(&m)
		at := p.trained
		who := trainer
		if len(p.delayed) > 0 && p.delayed[0].Ended+p.o.Delay <= at {
			at, who = p.delayed[0].Ended+p.o.Delay, arrival
		}
		for i, t := range p.next {
			if t < at {
				at, who = t, i
			}
		}
		if math.IsInf(at, 1) {
			return Estimate{}, errors.New("plan: nothing is left to happen; this is a defect")
		}
		p.now = max(p.now, at)
		switch who {
		case trainer:
			p.publish(&m)
		case arrival:
			p.arrive(p.delayed[0])
			p.delayed = p.delayed[1:]
		default:
			p.take(who, p.replicas[who].Advance(p.now))
		}
	}
	return m.end(p), nil
}

// perStep is how many samples a step trains on.
func (p *plan) perStep() int64 { return int64(p.o.Groups) * int64(p.o.Samples) }

// release submits what admission allows: released ≤ (version + staleness + 1) × a step's samples,
// in whole groups. It is pith's rule and AReaL's.
func (p *plan) release() {
	for {
		for len(p.retry) > 0 {
			switch ok, down := p.submit(p.retry[0]); {
			case ok:
				p.retry = p.retry[1:]
			case down:
				return
			}
		}
		if p.o.Staleness >= 0 && p.released+int64(p.o.Samples) > int64(p.version+p.o.Staleness+1)*p.perStep() {
			return
		}
		if p.o.InFlight > 0 && p.flying+p.o.Samples > p.o.InFlight {
			return
		}
		for range p.o.Samples {
			u := unit(hash(p.o.Seed, 1, uint64(p.released)))
			length := p.o.Lengths.At(u)
			s := &sample{index: p.released, version: p.version, cut: length > p.o.MaxTokens}
			s.Prompt, s.Length, s.Owner = p.o.Prompt, min(length, p.o.MaxTokens), s
			p.released++
			if ok, _ := p.submit(s); !ok {
				p.retry = append(p.retry, s)
			}
		}
	}
}

// submit puts a sample on the replica with the least to do. It may find that one failing; down says
// that all are.
func (p *plan) submit(s *sample) (ok, down bool) {
	best := -1
	for i, r := range p.replicas {
		if r.Down(p.now) {
			continue
		}
		if best < 0 || r.Running()+r.Waiting() < p.replicas[best].Running()+p.replicas[best].Waiting() {
			best = i
		}
	}
	if best < 0 {
		for i, r := range p.replicas { // look again when the first is up
			if r.upAt > p.now && (best < 0 || r.upAt < p.replicas[best].upAt) {
				best = i
			}
		}
		p.next[best] = min(p.next[best], p.replicas[best].upAt)
		return false, true
	}
	r := p.replicas[best]
	s.Failed, s.Drawn = false, 0
	ended, ok := r.Submit(p.now, &s.Job)
	p.take(best, ended)
	if ok {
		p.flying++
	}
	p.next[best] = r.Next()
	return ok, false
}

// take notes what ended on a replica. What it lost is sampled again, as the same sample.
func (p *plan) take(i int, ended []*Job) {
	for _, j := range ended {
		s := j.Owner.(*sample)
		p.flying--
		if j.Failed {
			p.retry = append(p.retry, s)
			continue
		}
		if p.o.Delay > 0 {
			p.delay(s)
		} else {
			p.arrive(s)
		}
	}
	p.next[i] = p.replicas[i].Next()
}

// delay sends a sample on its way to the trainer. Replicas report in the order of events, so a
// sample is at most a few places from the end.
func (p *plan) delay(s *sample) {
	p.delayed = append(p.delayed, s)
	for i := len(p.delayed) - 1; i > 0 && p.delayed[i].Ended < p.delayed[i-1].Ended; i-- {
		p.delayed[i], p.delayed[i-1] = p.delayed[i-1], p.delayed[i]
	}
}

// arrive puts a sample where the trainer sees it.
func (p *plan) arrive(s *sample) {
	for int64(len(p.window)) <= s.index-p.base {
		p.window = append(p.window, nil)
	}
	p.window[s.index-p.base] = s
	p.ready++
}

// batch is what a step would train on now; nil where it has to wait.
func (p *plan) batch() []*sample {
	n := int(p.perStep())
	if p.ready < n {
		return nil
	}
	out := make([]*sample, 0, n)
	for _, s := range p.window {
		switch {
		case len(out) == n:
			return out
		case s == nil && p.o.Order == InOrder:
			return nil
		case s != nil && !s.used:
			out = append(out, s)
		}
	}
	if len(out) < n {
		return nil
	}
	return out
}

// train begins a step where its samples are there.
func (p *plan) train(m *measure) {
	if !math.IsInf(p.trained, 1) {
		return
	}
	p.training = p.batch()
	if p.training == nil {
		return
	}
	tokens := 0
	for _, s := range p.training {
		tokens += s.Prompt + s.Drawn
		s.used = true
	}
	p.ready -= len(p.training)
	old := 0
	for old < len(p.window) && p.window[old] != nil && p.window[old].used {
		old++
	}
	p.window = slices.Delete(p.window, 0, old)
	p.base += int64(old)
	m.waited += p.now - p.idleFrom
	p.trained = p.now + p.o.TrainFixed + float64(tokens)*p.o.TrainPerToken
}

// publish ends a step: new weights reach the replicas.
func (p *plan) publish(m *measure) {
	m.count(p)
	p.version++
	p.trained, p.idleFrom = math.Inf(1), p.now
	p.training = nil
	if p.o.Publish > 0 || p.o.Recompute {
		for i, r := range p.replicas {
			p.take(i, r.Hold(p.now, p.o.Publish, p.o.Recompute))
		}
	}
}

// measure is what is counted from the end of the warm-up on.
type measure struct {
	on                          bool
	from, waited, busy, running float64
	tokens, drawn               int64
	samples, cut, stale         int64
	most                        int
}

func (m *measure) begin(p *plan) {
	*m = measure{on: true, from: p.now}
	for _, r := range p.replicas {
		m.busy -= r.Busy
		m.running -= r.SequenceSeconds
	}
}

// count notes what a step trained on.
func (m *measure) count(p *plan) {
	for _, s := range p.training {
		m.tokens += int64(s.Prompt + s.Drawn)
		m.drawn += int64(s.Drawn)
		m.samples++
		stale := p.version - s.version
		m.stale += int64(stale)
		m.most = max(m.most, stale)
		if s.cut {
			m.cut++
		}
	}
}

func (m *measure) end(p *plan) Estimate {
	e := Estimate{Staleness: p.o.Staleness, Replicas: p.o.Replicas, StalenessMost: m.most}
	for _, r := range p.replicas {
		m.busy += r.Busy
		m.running += r.SequenceSeconds
		e.Failures += r.Failures
		e.Preemptions += r.Preemptions
	}
	took := p.now - m.from
	n := float64(m.samples)
	e.StepSeconds = took / float64(p.o.Steps)
	e.TokensPerSecond = float64(m.tokens) / took
	e.TrainerWait = m.waited / took
	e.EngineIdle = max(0, 1-m.busy/(took*float64(p.o.Replicas)))
	e.Running = m.running / max(m.busy, 1e-9)
	e.StalenessMean, e.LengthMean, e.Truncated = float64(m.stale)/n, float64(m.drawn)/n, float64(m.cut)/n
	return e
}

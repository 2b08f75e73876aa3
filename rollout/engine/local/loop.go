package local

import (
	"errors"
	"time"

	"pith/policies/model/generate"
)

var (
	errClosed    = errors.New("engine closed")
	errCancelled = errors.New("cancelled")
)

// loop owns the batch: it takes calls in, moves the batch by a step, and answers calls that have
// ended, until the engine closes.
func (e *Engine) loop(d *generate.Decoder) {
	defer close(e.stopped)
	calls := map[*generate.Job]*call{}
	streamed := map[*call]struct{}{}
	for {
		inbox, cancels, retired, closed := e.collect()
		for _, c := range inbox {
			c.submit(d, e)
			if c.job != nil {
				calls[c.job] = c
				if c.feed != nil {
					streamed[c] = struct{}{}
				}
			}
		}
		for _, c := range cancels {
			// It may have ended in the meantime, or have been refused.
			if c.job != nil && calls[c.job] != nil {
				c.err = errCancelled
				d.Cancel(c.job)
			}
		}
		for _, p := range retired {
			d.Forget(p)
		}
		if closed {
			for j, c := range calls {
				c.err = errClosed
				d.Cancel(j)
			}
		}
		if d.Idle() {
			e.report(d)
			if closed {
				return
			}
			<-e.wake
			continue
		}
		ended := d.Step()
		now := time.Now()
		e.report(d)
		for c := range streamed {
			c.feed.show(c.job.Sequences())
		}
		for _, j := range ended {
			c := calls[j]
			delete(calls, j)
			delete(streamed, c)
			c.ended = now
			e.answer(c)
		}
	}
}

// collect empties the inbox.
func (e *Engine) collect() (inbox, cancels []*call, retired []*generate.Policy, closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	inbox, cancels, retired, closed = e.inbox, e.cancels, e.retired, e.closed
	e.inbox, e.cancels, e.retired = nil, nil, nil
	return inbox, cancels, retired, closed
}

// submit puts the call into the batch, or answers it with why that is not possible.
func (c *call) submit(d *generate.Decoder, e *Engine) {
	params := params(c.req.Params)
	params.Logprobs = distributions[c.req.Kind]
	c.job, c.err = d.Submit(generate.Request{
		Policy: c.from.policy, Prompt: c.req.Prompt, Prefix: c.req.Prefix, N: c.req.N, First: c.req.First,
		Params: params,
		Notify: func(ev generate.Event) {
			switch ev {
			case generate.Started:
				c.started = time.Now()
			case generate.FirstToken:
				c.first = time.Now()
			}
		},
	})
	if c.err != nil {
		c.job = nil
		e.answer(c)
	}
}

// answer hands the call back to its caller.
func (e *Engine) answer(c *call) {
	e.mu.Lock()
	e.live -= c.req.N
	e.mu.Unlock()
	close(c.done)
}

// report refreshes the counters that Stats reads.
func (e *Engine) report(d *generate.Decoder) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.counts
	c.running, c.batch = d.Running(), d.Stats()
	switch idle := d.Idle(); {
	case idle && c.idleSince.IsZero():
		c.idleSince = now
	case !idle && !c.idleSince.IsZero():
		c.idle += now.Sub(c.idleSince)
		c.idleSince = time.Time{}
	}
}

package trainer

import (
	"time"

	"pith/traces"
)

// Events is what a run tells whoever watches. Every field may be nil; calls come from one
// goroutine, in order, and should return soon.
type Events struct {
	Started func(m Manifest, resumedAt int64)
	// Replayed is called for every committed step that a resumed run goes through again.
	Replayed func(step int64)
	// Progress is called while a step or an evaluation waits for traces: what is waited for, and how
	// many traces have arrived of how many.
	Progress func(what string, have, want int)
	// Stalled is called when nothing has arrived for a while, naming what is missing.
	Stalled  func(what string, waited time.Duration)
	Step     func(s traces.Step, t traces.Timing)
	Eval     func(e traces.Eval, took time.Duration)
	Finished func(dir string)
}

func (e *Events) progress(what string, have, want int) {
	if e.Progress != nil {
		e.Progress(what, have, want)
	}
}

package analysis

import (
	"cmp"
	"fmt"
	"slices"

	"pith/traces"
)

// seconds adds up what the steps and evaluations of a run have spent.
type seconds struct {
	steps                                        float64 // wall clock of all steps
	wait, grade, learn, publish, commit, evalsum float64
	idle                                         float64
}

func (d *runData) seconds() seconds { return secondsOf(d.clock) }

func secondsOf(clock []traces.Timing) seconds {
	var s seconds
	for _, t := range clock {
		s.steps += t.Total
		s.wait += t.TrainerWait
		s.grade += t.Grade
		s.learn += t.Learn
		s.publish += t.Publish
		s.commit += t.Commit
		s.idle += t.EngineIdle
		s.evalsum += t.Eval
	}
	return s
}

// share is a part of the steps' wall clock.
func (s seconds) share(part float64) float64 {
	if s.steps <= 0 {
		return 0
	}
	return min(max(part/s.steps, 0), 1)
}

// waits says in one sentence who waited for whom and which setting to change.
func (d *runData) waits() Waits {
	s := d.seconds()
	if s.steps <= 0 {
		return Waits{Sentence: "No timings are in the log, so nothing can be said about who waited for whom."}
	}
	w := Waits{Trainer: s.share(s.wait), Engine: s.share(s.idle)}
	said := fmt.Sprintf("Of %s in steps, the trainer spent %s waiting for traces and %s learning; the engine had nothing to decode for %s",
		duration(s.steps), percent(w.Trainer), percent(s.share(s.learn)), percent(w.Engine))
	w.Sentence = said + ": " + d.advice(s, w) + "."
	w.Windows = d.waitWindows()
	return w
}

// windows is into how many parts a run of at least twice as many steps is cut.
const windows = 4

// waitWindows says the same of consecutive parts of the run: what holds a run up changes as responses
// grow shorter.
func (d *runData) waitWindows() []WaitWindow {
	out := []WaitWindow{}
	var clock []traces.Timing
	for _, t := range d.clock {
		if t.Total > 0 && t.Learn > 0 { // the final evaluation has a row of its own
			clock = append(clock, t)
		}
	}
	slices.SortFunc(clock, func(a, b traces.Timing) int { return cmp.Compare(a.Step, b.Step) })
	if len(clock) < 2*windows {
		return out
	}
	for i := range windows {
		part := clock[i*len(clock)/windows : (i+1)*len(clock)/windows]
		s := secondsOf(part)
		w := Waits{Trainer: s.share(s.wait), Engine: s.share(s.idle)}
		out = append(out, WaitWindow{
			From: part[0].Step, To: part[len(part)-1].Step, Trainer: w.Trainer, Engine: w.Engine, Publish: s.share(s.publish),
			Sentence: fmt.Sprintf("Steps %d to %d, %s each: trainer waiting %s, engine idle %s, publishing %s; %s.", part[0].Step, part[len(part)-1].Step,
				duration(s.steps/float64(len(part))), percent(w.Trainer), percent(w.Engine), percent(s.share(s.publish)), d.advice(s, w)),
		})
	}
	return out
}

// advice names the bottleneck and the setting that moves it.
func (d *runData) advice(s seconds, w Waits) string {
	c := &d.manifest.Config
	local := c.Engine.Kind == "local" || c.Engine.Kind == ""
	overhead := s.share(s.grade + s.publish + s.commit)
	parts := []struct {
		name  string
		share float64
		knob  string
	}{
		{"grading", s.share(s.grade), "look for answers that run into the grader's deadline (verdict_reason in the traces)"},
		{"publishing policies", s.share(s.publish), "more optimiser steps a publication (loss.mini_batches) or a faster policy store (stream.policy_dir) would help"},
		{"committing to disk", s.share(s.commit), "a faster disk for the run directory or a larger checkpoint.every would help"},
	}
	slowest := slices.MaxFunc(parts, func(a, b struct {
		name  string
		share float64
		knob  string
	}) int {
		return cmp.Compare(a.share, b.share)
	})
	learning := s.share(s.learn)
	switch {
	case overhead > max(w.Trainer, learning):
		return fmt.Sprintf("most of it went to %s; %s", slowest.name, slowest.knob)
	case w.Trainer >= learning && c.Rollout.MaxStaleness == 0 && !local:
		return "sampling is the bottleneck and the two take turns; rollout.max_staleness: 1 lets the engine go on while the trainer learns"
	case w.Trainer >= learning && !local:
		return "sampling is the bottleneck; add engines, or raise engine.slots if they are not full"
	case w.Trainer >= learning:
		return "sampling is the bottleneck and shares its cores with learning; more cores, or a smaller rollout.max_tokens while responses are long, would help"
	case w.Engine > 0.2 && !local:
		return fmt.Sprintf("learning is the bottleneck and the engine idles on the staleness limit; rollout.max_staleness: %d lets it sample ahead", c.Rollout.MaxStaleness+1)
	case local:
		return "learning is the bottleneck and shares its cores with sampling; more cores, or fewer loss.epochs, would help"
	}
	return "learning is the bottleneck; a faster learner, or fewer loss.epochs, would help"
}

// duration writes seconds for readers.
func duration(s float64) string {
	switch {
	case s < 10:
		return fmt.Sprintf("%.1f s", s)
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	case s < 7200:
		return fmt.Sprintf("%.1f min", s/60)
	}
	return fmt.Sprintf("%.1f h", s/3600)
}

// percent writes a share for readers.
func percent(x float64) string {
	if x > 0 && x < 0.0095 {
		return fmt.Sprintf("%.1f\u00a0%%", x*100)
	}
	return fmt.Sprintf("%.0f\u00a0%%", x*100)
}

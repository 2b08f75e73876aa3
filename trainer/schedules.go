package trainer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pith/configs"
	"pith/policies/loss"
	"pith/rewards"
	"pith/traces"
	"pith/trainer/schedule"
)

// targets that a schedule can change; the two prefixes take any parameter below them.
const (
	targetRate        = "optimizer.learning_rate"
	targetTemperature = "rollout.temperature"
	targetMaxTokens   = "rollout.max_tokens"
	targetRewards     = "rewards.params."
	targetLoss        = "loss.params."
)

// scheduled is a number that changes over steps: by the step alone, or by what the run observes.
type scheduled struct {
	target string
	at     schedule.Schedule   // nil: by
	by     schedule.Controller // nil: at
	whole  bool                // the target counts something
}

// value is what holds for a step; a controller must have observed every step before it.
func (s *scheduled) value(step int64) float64 {
	var v float64
	if s.by != nil {
		v = s.by.Value()
	} else {
		v = s.at.At(step)
	}
	if s.whole {
		return float64(schedule.Floor(v))
	}
	return v
}

// openScheduled builds one entry of a config's schedule and checks that its target can be changed.
func openScheduled(c configs.Config, s configs.Schedule) (scheduled, error) {
	out := scheduled{target: s.Target}
	var err error
	if slices.Contains(schedule.Controllers(), s.Kind) {
		out.by, err = schedule.NewController(scheduleSpec(s))
	} else if slices.Contains(schedule.Kinds(), s.Kind) || s.Kind == "" {
		out.at, err = schedule.New(scheduleSpec(s))
	} else {
		err = fmt.Errorf("unknown kind %q; by the step alone: %s; by what the run observes: %s", s.Kind, strings.Join(schedule.Kinds(), ", "), strings.Join(schedule.Controllers(), ", "))
	}
	if err != nil {
		return out, err
	}
	out.whole, err = countable(c, s.Target)
	return out, err
}

// countable says whether a target takes whole numbers only; an error if it cannot be scheduled.
func countable(c configs.Config, target string) (bool, error) {
	switch name, isReward := strings.CutPrefix(target, targetRewards); {
	case target == targetRate, target == targetTemperature:
		return false, nil
	case target == targetMaxTokens:
		return true, nil
	case isReward:
		d, _ := rewards.Lookup(c.Rewards.Method)
		var valid []string
		for _, p := range d.Params {
			if p.Kind != "integer" && p.Kind != "number" {
				continue
			}
			if valid = append(valid, p.Key); p.Key == name {
				return p.Kind == "integer", nil
			}
		}
		return false, fmt.Errorf("target %q: method %s has no number of that name; it has %s", target, c.Rewards.Method, strings.Join(valid, ", "))
	}
	name, isLoss := strings.CutPrefix(target, targetLoss)
	if !isLoss {
		return false, fmt.Errorf("target %q cannot be scheduled; valid: %s, %s, %s, %sNAME, %sNAME", target, targetRate, targetTemperature, targetMaxTokens, targetRewards, targetLoss)
	}
	valid := lossNumbers(c.Loss.Kind)
	if valid == nil || slices.Contains(valid, name) { // nil: an unknown loss, which is said elsewhere
		return false, nil
	}
	return false, fmt.Errorf("target %q: loss %s has no number of that name; it has %s", target, c.Loss.Kind, strings.Join(valid, ", "))
}

// lossNumbers lists the parameters of a loss that are numbers; nil for an unknown loss.
func lossNumbers(kind string) []string {
	var out []string
	for _, d := range loss.Methods() {
		for _, p := range d.Params {
			if _, isNumber := p.Default.(float64); d.Name == kind && isNumber {
				out = append(out, p.Name)
			}
		}
	}
	return out
}

// schedules are all entries of a config.
type schedules []scheduled

// observe tells the controllers of a finished step.
func (all schedules) observe(s traces.Step) {
	for i := range all {
		if all[i].by != nil {
			all[i].by.Observe(schedule.Observation{Step: s.Step, Accuracy: s.Accuracy, KL: s.KL, Traces: s.Traces})
		}
	}
}

// rewards sets the parameters of the method for a step.
func (all schedules) rewards(step int64, m *rewards.Method) error {
	for i := range all {
		s := &all[i]
		if name, ok := strings.CutPrefix(s.target, targetRewards); ok {
			if err := m.Set(map[string]any{name: s.value(step)}); err != nil {
				return fmt.Errorf("schedule of %s at step %d: %w", s.target, step, err)
			}
		}
	}
	return nil
}

// loss builds the loss of a step; nil where no schedule changes it.
func (all schedules) loss(step int64, c configs.Loss) (loss.Fn, error) {
	params := maps.Clone(c.Params)
	if params == nil {
		params = map[string]any{}
	}
	changed := false
	for i := range all {
		if name, ok := strings.CutPrefix(all[i].target, targetLoss); ok {
			params[name], changed = all[i].value(step), true
		}
	}
	if !changed {
		return nil, nil
	}
	fn, _, err := loss.New(c.Kind, params)
	if err != nil {
		return nil, fmt.Errorf("schedule at step %d: %w", step, err)
	}
	return fn, nil
}

// state is that of the controllers by target; nil where there are none.
func (all schedules) state() (map[string]json.RawMessage, error) {
	var out map[string]json.RawMessage
	for i := range all {
		if all[i].by == nil {
			continue
		}
		text, err := all[i].by.State()
		if err != nil {
			return nil, fmt.Errorf("schedule of %s: %w", all[i].target, err)
		}
		if out == nil {
			out = map[string]json.RawMessage{}
		}
		out[all[i].target] = text
	}
	return out, nil
}

func (all schedules) restore(state map[string]json.RawMessage) error {
	for i := range all {
		if all[i].by == nil {
			continue
		}
		if err := all[i].by.Restore(state[all[i].target]); err != nil {
			return fmt.Errorf("schedule of %s: %w", all[i].target, err)
		}
	}
	return nil
}

// schedule sets every scheduled number for a step. Rollout settings apply to tasks released from
// then on.
func (t *Trainer) schedule(step int64) error {
	all := t.parts.schedules
	for i := range all {
		switch s := &all[i]; s.target {
		case targetRate:
			t.rate = s.value(step)
		case targetTemperature:
			t.tasks.config.Rollout.Temperature = s.value(step)
		case targetMaxTokens:
			t.tasks.config.Rollout.MaxTokens = int(s.value(step))
		}
	}
	if err := all.rewards(step, t.parts.method); err != nil {
		return err
	}
	fn, err := all.loss(step, t.config.Loss)
	if err == nil && fn != nil {
		t.parts.loss = fn
	}
	return err
}

// ReplaySchedules gives what scores a run again as it was trained: a function that sets the method's
// scheduled parameters for a step, to be called for every step in order. Controllers observe what
// the step table recorded. Targets in except stay as they are.
func ReplaySchedules(c configs.Config, run *traces.Run, except []string) (func(step int64, m *rewards.Method) error, error) {
	var all schedules
	for i, s := range c.Schedule {
		if !strings.HasPrefix(s.Target, targetRewards) || slices.Contains(except, s.Target) {
			continue
		}
		one, err := openScheduled(c, s)
		if err != nil {
			return nil, &configs.Error{Problems: []string{fmt.Sprintf("schedule[%d]: %v", i, err)}}
		}
		all = append(all, one)
	}
	var steps []traces.Step
	for row, err := range run.Steps() {
		if err != nil {
			return nil, err
		}
		steps = append(steps, row)
	}
	return func(step int64, m *rewards.Method) error {
		for len(steps) > 0 && steps[0].Step < step {
			all.observe(steps[0])
			steps = steps[1:]
		}
		return all.rewards(step, m)
	}, nil
}

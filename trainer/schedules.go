package trainer

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"pith/policies/loss"
)

// targets that a schedule can change; the two prefixes take any parameter below them.
const (
	targetRate        = "optimizer.learning_rate"
	targetTemperature = "rollout.temperature"
	targetMaxTokens   = "rollout.max_tokens"
	targetRewards     = "rewards.params."
	targetLoss        = "loss.params."
)

func checkTarget(path string) error {
	switch {
	case path == targetRate, path == targetTemperature, path == targetMaxTokens:
		return nil
	case strings.HasPrefix(path, targetRewards), strings.HasPrefix(path, targetLoss):
		return nil
	}
	return fmt.Errorf("%q cannot be scheduled; valid: %s, %s, %s, %sNAME, %sNAME", path, targetRate, targetTemperature, targetMaxTokens, targetRewards, targetLoss)
}

// schedule sets every scheduled number for a step. Rollout settings apply to tasks released from
// then on.
func (t *Trainer) schedule(step int64) error {
	lossParams := maps.Clone(t.config.Loss.Params)
	lossChanged := false
	for _, s := range t.parts.schedules {
		v := s.at.At(step)
		var err error
		switch {
		case s.target == targetRate:
			t.rate = v
		case s.target == targetTemperature:
			t.tasks.config.Rollout.Temperature = v
		case s.target == targetMaxTokens:
			t.tasks.config.Rollout.MaxTokens = int(math.Round(v))
		case strings.HasPrefix(s.target, targetRewards):
			err = t.parts.method.Set(map[string]any{strings.TrimPrefix(s.target, targetRewards): v})
		default:
			lossParams[strings.TrimPrefix(s.target, targetLoss)], lossChanged = v, true
		}
		if err != nil {
			return fmt.Errorf("schedule of %s at step %d: %w", s.target, step, err)
		}
	}
	if !lossChanged {
		return nil
	}
	fn, _, err := loss.New(t.config.Loss.Kind, lossParams)
	if err != nil {
		return fmt.Errorf("schedule at step %d: %w", step, err)
	}
	t.parts.loss = fn
	return nil
}

package trainer

import (
	"fmt"

	"pith/configs"
	"pith/rollout/engine/sim"
)

// SimulateOptions say which runs to plan beside each other.
type SimulateOptions struct {
	Staleness  []int // bounds to try; empty: the config's
	Processors int   // to be split between sampling and training; 0: engine.sim.replicas sample, one trains
	Samplers   []int // how many of them sample; empty: all splits in eighths, at least one each
	Steps      int   // measured; 0: 12
}

// Split is a plan for one way to use the processors.
type Split struct {
	Samplers int          `json:"samplers"`
	Trainers int          `json:"trainers"`
	Estimate sim.Estimate `json:"estimate"`
}

// Simulate plans a config's run on its simulated replicas (engine.sim), for every split and bound on
// staleness that is asked for. Nothing is opened or sampled. engine.sim.train_per_token is the time
// of one training processor; more of them are that much faster.
func Simulate(c configs.Config, o SimulateOptions) ([]Split, error) {
	lengths, err := simLengths(c.Engine.Sim)
	if err != nil {
		return nil, fmt.Errorf("engine.sim: %w", err)
	}
	if len(o.Staleness) == 0 {
		o.Staleness = []int{c.Rollout.MaxStaleness}
	}
	splits := o.Samplers
	switch {
	case o.Processors == 0:
		splits, o.Processors = []int{c.Engine.Sim.Replicas}, c.Engine.Sim.Replicas+1
	case o.Processors < 2:
		return nil, fmt.Errorf("%d processors cannot be split; give at least 2", o.Processors)
	case len(splits) == 0:
		for i := 1; i < 8; i++ {
			if n := o.Processors * i / 8; n >= 1 && n < o.Processors && (len(splits) == 0 || splits[len(splits)-1] != n) {
				splits = append(splits, n)
			}
		}
		if len(splits) == 0 {
			splits = []int{o.Processors / 2}
		}
	}
	var out []Split
	for _, samplers := range splits {
		if samplers < 1 || samplers >= o.Processors {
			return nil, fmt.Errorf("%d of %d processors cannot sample: at least one has to, and at least one has to train", samplers, o.Processors)
		}
		for _, staleness := range o.Staleness {
			e, err := sim.Plan(planOf(c, lengths, samplers, o.Processors-samplers, staleness, o.Steps))
			if err != nil {
				return nil, err
			}
			out = append(out, Split{Samplers: samplers, Trainers: o.Processors - samplers, Estimate: e})
		}
	}
	return out, nil
}

func planOf(c configs.Config, lengths sim.Lengths, samplers, trainers, staleness, steps int) sim.PlanOptions {
	s, r := c.Engine.Sim, c.Rollout
	if steps == 0 {
		steps = 12
	}
	o := sim.PlanOptions{
		Replicas: samplers, Speed: simSpeed(s), Limits: sim.Limits{Slots: c.Engine.Slots, CacheTokens: s.CacheTokens}, Faults: simFaults(s),
		Lengths: lengths, Prompt: s.Prompt, MaxTokens: r.MaxTokens, Groups: r.PromptsPerStep, Samples: r.SamplesPerPrompt,
		Staleness: staleness, Order: sim.InOrder, TrainPerToken: s.TrainPerToken / float64(trainers), TrainFixed: s.TrainFixed,
		Delay: s.Delay, Publish: s.Load, Steps: steps, WarmUp: max(4, staleness+2), Seed: c.Run.Seed,
	}
	if staleness < 0 {
		o.InFlight = samplers * c.Engine.MostInFlight
		o.WarmUp = 8
	}
	return o
}

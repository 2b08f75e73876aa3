package trainer

import (
	"cmp"
	"encoding/json"
	"fmt"

	"pith/configs"
	"pith/datasets"
	"pith/rollout/engine"
	"pith/rollout/task"
)

// groupName numbers a training group so that the order of names is the order of the data.
func groupName(index int64) string { return fmt.Sprintf("g%09d", index) }

// evalGroup names one problem of one evaluation.
func evalGroup(step int64, decoding string, index int64) string {
	return fmt.Sprintf("e%06d-%s-%06d", step, decoding, index)
}

// streamKey derives the key of a random stream from the run's seed and what it is for. It is the
// finaliser of SplitMix64 (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195, fig. 16) over
// a sum with odd multiples, so that neighbouring groups share nothing.
func streamKey(seed uint64, purpose, index uint64) uint64 {
	z := seed + 0x9e3779b97f4a7c15*(2*index+purpose+1)
	for range 2 {
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
	}
	return z
}

// What a random stream is for.
const (
	purposeTrain = 0
	purposeEval  = 1
)

// tasker makes tasks out of problems.
type tasker struct {
	config  configs.Config
	source  datasets.Source
	encode  func(string) ([]int32, error)
	stops   []int32
	options json.RawMessage
	// evalTokens is the limit of held-out responses, which no schedule of rollout.max_tokens moves.
	evalTokens int
	known      *beforehand
}

// newTasker makes the tasks of a config; held-out responses have eval.max_tokens, or the limit that
// rollout.max_tokens has before any schedule.
func newTasker(c configs.Config, p *parts) (*tasker, error) {
	options, err := strategyOptions(c)
	if err != nil {
		return nil, err
	}
	k := &tasker{
		config: c, source: p.family.Source, encode: p.tokenizer.Encode, options: options,
		evalTokens: cmp.Or(c.Eval.MaxTokens, c.Rollout.MaxTokens), known: newBeforehand(c, p.family.Budget),
	}
	k.stops = p.stops()
	return k, nil
}

func (k *tasker) make(split datasets.Split, index int64, group string) (*task.Task, error) {
	p, err := k.source.Problem(split, index)
	if err != nil {
		return nil, fmt.Errorf("problem %d of %s: %w", index, k.source.Name(), err)
	}
	k.known.add(&p, split, index)
	prompt, err := k.encode(p.Prompt)
	if err != nil {
		return nil, fmt.Errorf("problem %s of %s: %w", p.ID, k.source.Name(), err)
	}
	r := k.config.Rollout
	return &task.Task{
		Run: k.config.Run.Name, Split: split, Group: group, Problem: p, Prompt: prompt, N: r.SamplesPerPrompt,
		Strategy: r.Strategy, Options: k.options,
		Params: engine.Params{
			MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, TopK: r.TopK, MinP: r.MinP, StopTokens: k.stops,
		},
	}, nil
}

// train makes the task of a training group, released for a step under the current policy.
func (k *tasker) train(index int64, p pick, step int64, policy engine.PolicyRef) (*task.Task, error) {
	t, err := k.make(datasets.Train, p.Index, groupName(index))
	if err != nil {
		return nil, err
	}
	t.N = p.Samples
	t.Step, t.Policy, t.Exact = step, policy, k.config.Rollout.MaxStaleness == 0
	t.Params.Seed = streamKey(k.config.Run.Seed, purposeTrain, uint64(index))
	return t, nil
}

// eval makes the task of one held-out problem under exactly one policy. The random stream depends
// on the problem alone: evaluations of different policies are paired.
func (k *tasker) eval(index int64, decoding string, temperature float64, policy engine.PolicyRef) (*task.Task, error) {
	t, err := k.make(datasets.HeldOut, index, evalGroup(policy.Step, decoding, index))
	if err != nil {
		return nil, err
	}
	t.Step, t.Policy, t.Exact, t.N = policy.Step, policy, true, 1
	t.Params.Temperature, t.Params.TopP, t.Params.TopK, t.Params.MinP = temperature, 1, 0, 0
	t.Params.MaxTokens = k.evalTokens
	t.Params.Seed = streamKey(k.config.Run.Seed, purposeEval, uint64(index))
	return t, nil
}

package trainer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pith/configs"
	"pith/policies/model"
	"pith/policies/tokenizer"
	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
	"pith/rollout/engine/fleet"
	"pith/rollout/engine/local"
	"pith/rollout/engine/probe"
	"pith/rollout/engine/sim"
	"pith/rollout/engine/wire"
	"pith/trainer/learner"
)

// Engine is what a config's engine section names, opened: one engine in this process, or a fleet of
// servers or simulated replicas.
type Engine struct {
	engine.Sampler
	Publisher engine.Publisher // nil: weights cannot be published to it
	Observer  engine.Observer
	// Fleet is nil for the local engine.
	Fleet *fleet.Fleet
}

// OpenEngine opens the engine of a config for a policy of a shape, whose tokenizer is for servers that
// answer in text. Servers need not be up yet: they are asked when they are needed.
func OpenEngine(c configs.Config, shape model.Config, text tokenizer.Tokenizer, log *slog.Logger) (*Engine, error) {
	e := c.Engine
	most := shape.MaxContext
	if e.MaxContext > 0 {
		most = min(most, e.MaxContext)
	}
	if e.Kind == configs.EngineLocal {
		l := local.New(local.Options{Slots: e.Slots, MaxContext: most})
		return &Engine{Sampler: l, Publisher: l, Observer: l}, nil
	}
	var replicas []fleet.Replica
	var err error
	if e.Kind == configs.EngineSim {
		replicas, err = simulated(c, shape.VocabSize, most)
	} else {
		replicas, err = connect(e, shape.VocabSize, text)
	}
	var f *fleet.Fleet
	if err == nil {
		f, err = fleet.New(replicas, fleetOptions(e, log))
	}
	if err != nil {
		for _, r := range replicas {
			err = errors.Join(err, r.Sampler.Close())
		}
		return nil, &configs.Error{Problems: []string{"engine: " + err.Error()}}
	}
	out := &Engine{Sampler: f, Observer: f, Fleet: f}
	if e.Kind == configs.EngineSim || e.Publish != "none" {
		out.Publisher = f
	}
	return out, nil
}

func fleetOptions(e configs.Engine, log *slog.Logger) fleet.Options {
	call, _ := time.ParseDuration(e.CallTimeout) // validated
	publish, _ := time.ParseDuration(e.PublishTimeout)
	return fleet.Options{
		Controller:  fleet.ControllerOptions{Least: e.LeastInFlight, Start: e.StartInFlight, Most: e.MostInFlight},
		CallTimeout: call, PublishTimeout: publish, Attempts: e.Attempts, MaxWaiting: e.MaxWaiting, Quorum: e.Quorum, Log: log,
	}
}

// connect makes a replica for every URL. Nothing is sent yet.
func connect(e configs.Engine, vocab int, text tokenizer.Tokenizer) ([]fleet.Replica, error) {
	options, err := serverOptions(e, vocab)
	if err != nil {
		return nil, err
	}
	var out []fleet.Replica
	for _, o := range options {
		o.Tokenizer = text
		s, _, err := dialect.Open(context.Background(), e.Kind, o) // of a named kind: it asks nothing
		if err != nil {
			return out, err
		}
		name := strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(o.URL, "http://"), "https://"), "/")
		r := fleet.Replica{Name: name, Sampler: s, Observer: s}
		if e.Publish != "none" {
			r.Publisher, _ = s.(engine.Publisher)
			r.Fencer, _ = s.(engine.Fencer)
		}
		out = append(out, r)
	}
	return out, nil
}

// serverOptions are how each server is reached.
func serverOptions(e configs.Engine, vocab int) ([]wire.Options, error) {
	key, err := secret("engine.api_key_env", e.APIKeyEnv)
	if err != nil {
		return nil, err
	}
	admin, err := secret("engine.admin_key_env", e.AdminKeyEnv)
	if err != nil {
		return nil, err
	}
	publish, _ := time.ParseDuration(e.PublishTimeout) // validated
	o := wire.Options{
		Model: e.Model, APIKey: key, AdminKey: admin, Vocab: vocab, MaxContext: e.MaxContext, Stream: e.Stream,
		MaxInFlight: max(e.MostInFlight, 64), LoadTimeout: publish,
	}
	if e.Publish == "none" {
		o.Base = engine.PolicyRef{ID: policyName(0)} // what the servers serve is what is evaluated
	}
	var out []wire.Options
	for _, url := range e.URLs {
		o.URL = url
		out = append(out, o)
	}
	return out, nil
}

// probed asks every server what holds of it, and refuses one that lacks what the run needs.
func probed(ctx context.Context, c configs.Config, shape model.Config) ([]probe.Report, error) {
	if !c.Engine.Remote() {
		return nil, nil
	}
	options, err := serverOptions(c.Engine, shape.VocabSize)
	if err != nil {
		return nil, err
	}
	r := c.Rollout
	needs := probe.Needs{
		Train:   c.Run.Steps > 0,
		Params:  engine.Params{MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, TopK: r.TopK, MinP: r.MinP},
		Context: r.MaxTokens,
	}
	if r.Temperature != 1 && needs.Train {
		needs.Kind = engine.LogprobTempered
	}
	switch c.Engine.Publish {
	case "lora":
		needs.Publish = []engine.ArtifactKind{engine.ArtifactLoRADir}
	case "full":
		needs.Publish = []engine.ArtifactKind{engine.ArtifactModelDir}
	}
	out := make([]probe.Report, len(options))
	errs := make([]error, len(options))
	var wg sync.WaitGroup
	for i, o := range options {
		wg.Go(func() {
			if out[i], errs[i] = probe.Run(ctx, probe.Target{Options: o, Dialect: c.Engine.Kind}); errs[i] == nil {
				errs[i] = probe.Require(out[i], needs)
			}
			if errs[i] != nil {
				errs[i] = fmt.Errorf("engine.urls: %s: %w", o.URL, errs[i])
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// secret reads a key from the environment.
func secret(path, variable string) (string, error) {
	if variable == "" {
		return "", nil
	}
	key := os.Getenv(variable)
	if key == "" {
		return "", fmt.Errorf("%s: the environment variable %s is empty; set it, or leave the setting out", path, variable)
	}
	return key, nil
}

// simulated makes the replicas of a rehearsal.
func simulated(c configs.Config, vocab, maxContext int) ([]fleet.Replica, error) {
	s := c.Engine.Sim
	lengths, err := simLengths(s)
	if err != nil {
		return nil, err
	}
	var out []fleet.Replica
	for i := range s.Replicas {
		name := fmt.Sprintf("sim-%d", i+1)
		e, err := sim.New(sim.Options{
			Name: name, Speed: simSpeed(s), Faults: simFaults(s), Lengths: lengths, Vocab: vocab,
			Limits: sim.Limits{Slots: c.Engine.Slots, CacheTokens: s.CacheTokens}, Seed: c.Run.Seed + uint64(i), MaxContext: maxContext,
			LoadSeconds: s.Load, Pace: s.Pace, Partial: true, MaxPolicies: c.Rollout.MaxStaleness + 16,
		})
		if err != nil {
			return out, err
		}
		out = append(out, fleet.Replica{Name: name, Sampler: e, Publisher: e, Fencer: e, Observer: e})
	}
	return out, nil
}

func simSpeed(s configs.Sim) sim.Speed {
	return sim.Speed{Step: s.Step, PerSequence: s.PerSequence, PerCachedToken: s.PerCachedToken, PerPromptToken: s.PerPromptToken}
}

func simFaults(s configs.Sim) sim.Faults {
	return sim.Faults{StallEvery: s.StallEvery, StallFor: s.StallFor, FailEvery: s.FailEvery, DownFor: s.DownFor}
}

func simLengths(s configs.Sim) (sim.Lengths, error) {
	switch s.Lengths {
	case "geometric":
		return sim.Geometric{Mean: s.Median}, nil
	case "fixed":
		return sim.Fixed(s.Median), nil
	case "run":
		return sim.FromRun(s.Run)
	}
	return sim.LogNormal{Median: s.Median, Sigma: s.Sigma}, nil
}

// suits says what a run needs and its engine lacks.
func suits(c configs.Config, caps engine.SamplerCaps) error {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	r := c.Rollout
	train := c.Run.Steps > 0 && c.Engine.Kind != configs.EngineSim // a rehearsal learns nothing
	if train && !caps.Exact {
		bad("engine.kind: this %s server does not return exact token ids with log-probabilities, so nothing can be learnt from it; evaluate only (run.steps 0), or serve with another (see docs/engines.md)", c.Engine.Kind)
	}
	if !caps.StopTokens {
		bad("engine.kind: this %s server takes no stop tokens, so responses would never end", c.Engine.Kind)
	}
	if train && caps.LogprobKind != nil {
		p := engine.Params{MaxTokens: r.MaxTokens, Temperature: r.Temperature, TopP: r.TopP, TopK: r.TopK, MinP: r.MinP}
		switch kind := caps.LogprobKind(p); {
		case kind == engine.LogprobUnknown:
			bad("engine.kind: it is not known of which distribution this %s server's log-probabilities are; the learner cannot compare them", c.Engine.Kind)
		case kind == engine.LogprobRaw && r.Temperature != 1:
			bad("rollout.temperature: %v, but this %s server tells log-probabilities from before the temperature; set it to 1, or start vLLM with --logprobs-mode processed_logprobs", r.Temperature, c.Engine.Kind)
		}
	}
	if caps.MaxContext > 0 && r.MaxTokens >= caps.MaxContext {
		bad("rollout.max_tokens: %d does not fit the server's context of %d tokens beside a prompt", r.MaxTokens, caps.MaxContext)
	}
	if n := r.MaxStaleness + 2; c.Engine.Remote() && caps.ConcurrentPolicy > 1 && n > caps.ConcurrentPolicy {
		bad("rollout.max_staleness: %d keeps %d policies live, the server holds %d; lower it", r.MaxStaleness, n, caps.ConcurrentPolicy)
	}
	if len(problems) > 0 {
		return &configs.Error{Problems: problems}
	}
	return nil
}

// agreement bounds the mean difference, in nats, between a server's log-probabilities and those that
// the learner's arithmetic gives for the same tokens under the base policy. Servers in bfloat16 are
// within a few hundredths; another model, vocabulary or kind of log-probability is far off.
const agreement = 0.2

// agrees samples a little under the first policy and scores it with the weights that the learner
// has: the same model, the same token ids, the same kind of log-probability.
func (t *Trainer) agrees(ctx context.Context) error {
	if !t.config.Engine.Remote() || t.config.Run.Steps == 0 {
		return nil
	}
	k, err := t.tasks.eval(0, sampled, 1, t.state.Policy)
	if err != nil {
		return err
	}
	const tokens = 24
	res, err := t.sampler.Sample(ctx, engine.SampleRequest{
		ID: "agreement", Policy: t.state.Policy, Prompt: k.Prompt, N: 1,
		Params: engine.Params{MaxTokens: tokens, Temperature: 1, TopP: 1, Seed: t.config.Run.Seed},
	})
	if err != nil {
		return fmt.Errorf("engine: sample under the first policy: %w", err)
	}
	q := res.Seqs[0]
	scored, err := t.learner.Forward(ctx, []learner.Datum{{Tokens: slices.Concat(k.Prompt, q.Tokens), Temperature: 1, Tag: "agreement"}})
	if err != nil {
		return fmt.Errorf("engine: score what was sampled under the first policy: %w", err)
	}
	var sum mean
	for i, l := range q.Logprobs {
		d := float64(l) - float64(scored[0][len(k.Prompt)+i])
		sum.add(max(d, -d))
	}
	if d := sum.value(); !(d <= agreement) {
		return &configs.Error{Problems: []string{fmt.Sprintf(
			"engine.urls: under the base policy the server's log-probabilities are %.3f nats off the learner's on average (at most %v is allowed): is it serving policy.base (%s), with log-probabilities of the raw distribution?",
			d, agreement, t.config.Policy.Base)}}
	}
	t.log0().Info("engine: log-probabilities agree with the learner's", "mean difference", sum.value())
	return nil
}

// log0 is the log, or one that says nothing.
func (t *Trainer) log0() *slog.Logger { return cmp.Or(t.log, slog.New(slog.DiscardHandler)) }

package trainer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"pith/configs"
	"pith/datasets"
	"pith/policies/kernel"
	"pith/rollout/engine"
	"pith/rollout/strategy"
	"pith/traces"
)

// MeasureOptions say how a policy is measured outside of a run.
type MeasureOptions struct {
	Problems    int     // held-out problems, those that runs of the same seed and data evaluate on
	Samples     int     // responses to each
	Temperature float64 // 0 = greedy
	MaxTokens   int     // 0 = as the config evaluates
	Step        int64   // recorded: the learner step of the policy
	Progress    func(done, of int)
}

// Decoding names how the policy is decoded, as evaluations of a run do.
func (o MeasureOptions) Decoding() string {
	if o.Temperature == 0 {
		return greedy
	}
	return sampled
}

// Measure samples responses of the config's policy to held-out problems on the local engine, or of
// what the config's servers serve (policy.base then gives shape and tokenizer), with the config's
// strategy and grader, and judges them. Rows come in the order of the problems, sample by
// sample; with one sample and the same temperature they are those that a run logs as its evaluation.
func Measure(ctx context.Context, c configs.Config, o MeasureOptions) ([]traces.Trace, error) {
	if c.Engine.Remote() {
		c.Engine.Publish = "none" // what the servers serve is what is measured
	} else if c.Engine.Kind != configs.EngineLocal {
		return nil, fmt.Errorf("engine.kind: policies are measured on the local engine or on servers, not on %s; add --set engine.kind=local", c.Engine.Kind)
	}
	p, err := open(c)
	if err != nil {
		return nil, err
	}
	if c.Engine.Threads > 0 {
		kernel.SetThreads(c.Engine.Threads)
	}
	c.Eval.MaxTokens = cmp.Or(o.MaxTokens, c.Eval.MaxTokens)
	tasks, err := newTasker(c, p)
	if err != nil {
		return nil, err
	}
	s, err := strategy.New(c.Rollout.Strategy, tasks.options)
	if err != nil {
		return nil, err
	}
	e, err := OpenEngine(c, p.weights.Config, p.tokenizer, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { _ = e.Close() }()
	policy := engine.PolicyRef{ID: policyName(o.Step), Step: o.Step}
	if c.Engine.Remote() {
		policy = engine.PolicyRef{ID: policyName(0)} // the servers' own weights, whatever step they are of
	} else if _, err := e.Publisher.Publish(ctx, engine.Artifact{Policy: policy, Kind: engine.ArtifactMemory, Handle: p.weights}); err != nil {
		return nil, err
	}
	caps, err := e.Caps(ctx)
	if err != nil {
		return nil, err
	}
	if m := p.family.Markers; !caps.Exact && c.Engine.Remote() && m.EndThink != "" {
		return nil, fmt.Errorf("engine.kind: %s answers in text, which leaves out %q and what else structures an answer of data source %s; "+
			"use a server that returns token ids (vllm, sglang, llamacpp), or problems from a file", c.Engine.Kind, m.EndThink, c.Data.Source)
	}
	w := workerParts(p.family, p.tokenizer, p.grader)
	problems := o.Problems
	if all := p.family.Source.Len(datasets.HeldOut); all > 0 {
		problems = min(problems, all)
	}
	rows := make([][]traces.Trace, problems)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(c.Engine.Slots/max(o.Samples, 1), 1))
	var done atomic.Int64
	var said sync.Mutex
	for i := range problems {
		t, err := tasks.eval(int64(i), o.Decoding(), o.Temperature, policy)
		if err != nil {
			return nil, err
		}
		t.N = o.Samples
		group.Go(func() error {
			env := &strategy.Env{Sampler: e, Caps: caps, Policy: policy, Tokens: w.Tokens, Markers: w.Markers, Tools: w.Tools, Grader: w.Grader}
			rollouts, err := s.Run(ctx, env, t)
			if err != nil {
				return err
			}
			for _, r := range rollouts {
				x := *r.Trace
				judge(p.grader, &x)
				price(c.Prices, &x)
				x.Status = cmp.Or(x.Status, traces.Evaluated)
				rows[i] = append(rows[i], x)
			}
			if o.Progress != nil {
				said.Lock()
				defer said.Unlock()
				o.Progress(int(done.Add(1)), problems)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []traces.Trace
	for _, r := range rows {
		out = append(out, r...)
	}
	return out, nil
}

// WriteMeasurement writes measured rows as a run directory that holds one evaluation, for every
// command that reads runs. dir must not hold a run.
func WriteMeasurement(dir string, c configs.Config, o MeasureOptions, rows []traces.Trace) error {
	if _, err := os.Stat(filepath.Join(dir, traces.ManifestFile)); err == nil {
		return fmt.Errorf("%s: %w; choose another --out", dir, ErrExists)
	}
	p, err := open(c)
	if err != nil {
		return err
	}
	m := newManifest(c)
	m.Dataset, m.Data = p.family.Source.Name(), p.family.Source.Fingerprint()
	m.Base, m.Parameters = p.weights.Digest(), p.weights.Config.Parameters()
	evals := filepath.Join(dir, traces.EvalsDir)
	if err := os.MkdirAll(evals, 0o755); err != nil {
		return err
	}
	meta := map[string]string{"run": c.Run.Name, "manifest": m.Hash}
	traces.Sort(rows)
	if err := traces.WriteSegment(evals, traces.SegmentName(o.Step, o.Decoding()), rows, meta); err != nil {
		return err
	}
	e := summariseEval(traces.Eval{
		Step: o.Step, Policy: policyName(o.Step), Decoding: o.Decoding(), Temperature: o.Temperature, Problems: int64(len(groupsOf(rows))),
	}, rows)
	if err := traces.WriteTable(dir, traces.EvalsFile, []traces.Eval{e}, meta); err != nil {
		return err
	}
	return m.write(dir)
}

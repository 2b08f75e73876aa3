package trainer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"pith/configs"
	"pith/policies/kernel"
	"pith/rollout/engine"
	"pith/rollout/engine/fleet"
	"pith/rollout/stream"
	"pith/traces"
	"pith/trainer/learner"
	locallearner "pith/trainer/learner/local"
)

// Trainer is one run. Create it with [Open], call Run once, then Close.
type Trainer struct {
	config   configs.Config
	dir      string
	until    int64 // 0 = the end
	manifest Manifest
	meta     map[string]string // of every Parquet file
	events   Events
	log      *slog.Logger

	parts     *parts
	tasks     *tasker
	admission *admission
	improver  *improver
	rate      float64 // learning rate of the current step, before warm-up

	learner   learner.Learner
	sampler   engine.Sampler
	publisher engine.Publisher
	observer  engine.Observer
	fleet     *fleet.Fleet // nil: the engine is in this process
	exporter  *exporter    // nil: the engine takes weights from memory
	stream    *stream.Stream
	collector *collector
	artifact  engine.Artifact // of the current policy

	state       state
	steps       []traces.Step
	evals       []traces.Eval
	evalSeconds float64       // since the last committed step
	idleBefore  time.Duration // of the engine, up to the start of the step
}

// Options say where a run lives and who watches it.
type Options struct {
	Dir    string // run directory
	Resume bool   // go on with the run in Dir
	Until  int64  // pause after this step, to be resumed; 0 = run to the end
	Events Events
	Log    *slog.Logger // nil = none
}

// ErrExists says that the run directory holds a run already.
var ErrExists = errors.New("run directory exists")

// Open prepares a run: checks the config, makes or takes up the run directory, starts the engine
// and the stream. Nothing is sampled before Run.
func Open(ctx context.Context, c configs.Config, o Options) (_ *Trainer, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, err := open(c)
	if err != nil {
		return nil, err
	}
	if c.Engine.Threads > 0 {
		kernel.SetThreads(c.Engine.Threads)
	}
	t := &Trainer{config: c, dir: o.Dir, until: o.Until, events: o.Events, log: o.Log, parts: p, rate: c.Optimizer.LearningRate}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	t.manifest = newManifest(c)
	t.manifest.Dataset, t.manifest.Data = p.family.Source.Name(), p.family.Source.Fingerprint()
	t.manifest.Base, t.manifest.Parameters = p.weights.Digest(), p.weights.Config.Parameters()
	t.meta = map[string]string{"run": c.Run.Name, "manifest": t.manifest.Hash}
	if err := t.makeParts(ctx); err != nil {
		return nil, err
	}
	resumed, err := t.claim(o.Resume)
	if err != nil {
		return nil, err
	}
	if err := t.openStream(ctx, resumed); err != nil {
		return nil, err
	}
	t.collector = newCollector(t.stream, o.Events.Stalled)
	if resumed {
		if err := t.restore(); err != nil {
			return nil, err
		}
	}
	if t.events.Started != nil {
		t.events.Started(t.manifest, t.state.Step)
	}
	return t, nil
}

// makeParts starts the engine and the learner and builds the pure machinery around them.
func (t *Trainer) makeParts(ctx context.Context) error {
	c, p := t.config, t.parts
	e, err := OpenEngine(c, p.weights.Config, p.tokenizer, t.log0())
	if err != nil {
		return err
	}
	t.sampler, t.publisher, t.observer, t.fleet = e.Sampler, e.Publisher, e.Observer, e.Fleet
	caps, err := t.sampler.Caps(ctx)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	if err := suits(c, caps); err != nil {
		return err
	}
	t.manifest.Engine = caps
	if t.manifest.Probes, err = probed(ctx, c, p.weights.Config); err != nil {
		return err
	}
	if t.exporter, err = newExporter(c, p.weights, t.log0()); err != nil {
		return err
	}
	t.state.Policy = engine.PolicyRef{ID: policyName(0)}
	filler := columns{proximal: slices.Contains(p.columns, "proximal")}
	if p.needsReference() {
		// The learner improves the weights in place: the reference is a copy of them as they were.
		if filler.reference, err = locallearner.NewScorer(p.weights.Clone(), c.Learner.MicroBatchTokens); err != nil {
			return err
		}
	}
	o := c.Optimizer
	t.learner, err = locallearner.New(p.weights, t.state.Policy, locallearner.Options{
		AdamW:     locallearner.AdamWConfig{Beta1: o.Beta1, Beta2: o.Beta2, Eps: o.Eps, WeightDecay: o.WeightDecay, ClipNorm: o.ClipNorm},
		MaxTokens: c.Learner.MicroBatchTokens,
	})
	if err != nil {
		return err
	}
	constant := c.Loss.Constant
	if constant == 0 {
		constant = float64(c.Rollout.MaxTokens)
	}
	t.improver = &improver{
		learner: t.learner, aggregation: p.aggregation, constant: constant,
		epochs: c.Loss.Epochs, miniBatches: c.Loss.MiniBatches, warmup: int64(o.WarmupSteps),
		columns: filler, pairs: p.pairs,
	}
	r := c.Rollout
	limit := r.PromptsPerStep
	if r.DynamicSampling {
		limit *= r.DynamicLimit
	}
	t.admission = &admission{
		perStep: int64(r.PromptsPerStep), maxStaleness: int64(r.MaxStaleness), examineLimit: int64(limit), steps: int64(c.Run.Steps), step: 1,
	}
	t.tasks, err = newTasker(c, p)
	return err
}

// claim makes the run directory, or checks that the one that exists is this run.
func (t *Trainer) claim(resume bool) (resumed bool, err error) {
	old, err := ReadManifest(t.dir)
	_, missing := os.Stat(filepath.Join(t.dir, traces.ManifestFile))
	switch {
	case errors.Is(missing, fs.ErrNotExist):
		if entries, err := os.ReadDir(t.dir); err == nil && len(entries) > 0 {
			return false, fmt.Errorf("%s is not empty and not a run; choose another directory with --out: %w", t.dir, ErrExists)
		}
		if resume {
			return false, fmt.Errorf("nothing to resume: %s holds no run", t.dir)
		}
	case err != nil:
		return false, err
	case !resume:
		return false, fmt.Errorf("%s holds a run already; continue it with --resume, or choose another directory with --out: %w", t.dir, ErrExists)
	default:
		return true, old.compatible(t.manifest)
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return false, fmt.Errorf("run directory: %w", err)
	}
	text, err := t.config.WithoutSecrets().YAML()
	if err != nil {
		return false, err
	}
	if err := writeFileSync(filepath.Join(t.dir, "config.yaml"), text); err != nil {
		return false, fmt.Errorf("run directory: %w", err)
	}
	if err := t.manifest.write(t.dir); err != nil {
		return false, fmt.Errorf("run directory: %w", err)
	}
	return false, nil
}

// openStream starts or joins the server. A fresh run on a server elsewhere forgets what an older
// run of the same name left there.
func (t *Trainer) openStream(ctx context.Context, resumed bool) error {
	c, err := StreamConfig(t.config, filepath.Join(t.dir, "stream"))
	if err != nil {
		return err
	}
	c.Log = t.log
	// All traces that may be released and not committed: of the steps ahead, and of an evaluation.
	r := t.config.Rollout
	groups := int(max(t.admission.examineLimit, t.parts.chooser.mostGroups())) * (r.MaxStaleness + 2)
	c.MaxHeld = groups*r.SamplesPerPrompt + 2*max(t.config.Eval.FinalProblems, t.config.Eval.Problems) + 1024
	if t.stream, err = stream.Open(ctx, c); err != nil {
		return err
	}
	if resumed || c.URL == "" {
		return nil
	}
	if err := t.stream.Purge(ctx); err != nil {
		return err
	}
	if err := t.stream.Close(); err != nil {
		return err
	}
	t.stream, err = stream.Open(ctx, c)
	return err
}

// StreamConfig is the stream of a run as its config says, with the embedded store in storeDir.
func StreamConfig(c configs.Config, storeDir string) (stream.Config, error) {
	s := stream.Default(c.Run.Name, storeDir)
	wait, err := time.ParseDuration(c.Stream.AckWait)
	if err != nil {
		return s, &configs.Error{Problems: []string{"stream.ack_wait: " + err.Error()}}
	}
	s.URL, s.Listen, s.Sync = c.Stream.URL, c.Stream.Listen, stream.Sync(c.Stream.Sync)
	if s.URL != "" {
		s.StoreDir = ""
	}
	s.TLS = stream.TLS{CA: c.Stream.CA, Cert: c.Stream.Cert, Key: c.Stream.Key}
	s.Auth = stream.Auth{User: c.Stream.User, Password: c.Stream.Password, Token: c.Stream.Token, Creds: c.Stream.Credentials, NKey: c.Stream.NKey}
	s.AllowInsecure, s.AckWait, s.MaxDeliver, s.PolicyDir = c.Stream.AllowInsecure, wait, c.Stream.MaxDeliver, c.Stream.PolicyDir
	if err := s.Validate(); err != nil {
		return s, &configs.Error{Problems: []string{"stream: " + err.Error()}}
	}
	return s, nil
}

// URL is where workers of other processes find the stream; "" where they cannot.
func (t *Trainer) URL() string { return t.stream.URL() }

// idle is how long the engine has had no sequence to work on since it started.
func (t *Trainer) idle(ctx context.Context) time.Duration {
	stats, err := t.observer.Stats(ctx)
	if err != nil || len(stats) == 0 {
		return 0
	}
	var total time.Duration
	for _, s := range stats {
		total += s.Idle
	}
	return total / time.Duration(len(stats))
}

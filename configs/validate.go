package configs

import (
	"regexp"
	"time"
)

var runName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$`)

// Validate checks every value and every combination that can be judged without opening a file,
// and reports all violations in one [Error]. Names of methods, losses, strategies, sources and
// graders are checked where their tables are (trainer).
func (c Config) Validate() error {
	var k checker
	if !runName.MatchString(c.Run.Name) {
		k.bad("run.name", "%q cannot name a directory; use letters, digits, dot, dash and underscore, at most 80", c.Run.Name)
	}
	atLeast(&k, "run.steps", c.Run.Steps, 0)
	within(&k, "run.stop_gain", c.Run.StopGain, 0, 1)
	if c.Run.StopGain > 0 && c.Rollout.MaxStaleness > 0 {
		k.bad("run.stop_gain", "needs rollout.max_staleness: 0; groups that were sampled ahead would be lost where the run stops")
	}
	if c.Run.StopGain > 0 && c.Eval.Every == 0 {
		k.bad("run.stop_gain", "reads the evaluations during the run, and eval.every is 0; set it to a few steps")
	}
	if c.Policy.Base == "" {
		k.bad("policy.base", "is empty; give a Hugging Face directory or builtin:NAME")
	}
	c.validateEngine(&k)
	oneOf(&k, "learner.kind", c.Learner.Kind, "local")
	atLeast(&k, "learner.micro_batch_tokens", c.Learner.MicroBatchTokens, 1)
	c.validateRollout(&k)
	c.validateData(&k)
	oneOf(&k, "rewards.profile", c.Rewards.Profile, "paper", "released_code")
	within(&k, "rewards.kl.coef", c.Rewards.KL.Coef, 0, 1000)
	oneOf(&k, "rewards.kl.kind", c.Rewards.KL.Kind, "k1", "k2", "k3")
	c.validateUpdate(&k)
	c.validateStream(&k)
	oneOf(&k, "log.level", c.Log.Level, "debug", "info", "warn", "error")
	atLeast(&k, "eval.every", c.Eval.Every, 0)
	atLeast(&k, "eval.problems", c.Eval.Problems, 1)
	atLeast(&k, "eval.final_problems", c.Eval.FinalProblems, 1)
	within(&k, "eval.temperature", c.Eval.Temperature, 0, 10)
	atLeast(&k, "eval.max_tokens", c.Eval.MaxTokens, 0)
	atLeast(&k, "checkpoint.every", c.Checkpoint.Every, 1)
	atLeast(&k, "checkpoint.keep", c.Checkpoint.Keep, 1)
	atLeast(&k, "prices.prompt_per_million", c.Prices.PromptPerMillion, 0)
	atLeast(&k, "prices.completion_per_million", c.Prices.CompletionPerMillion, 0)
	atLeast(&k, "prices.tool_call", c.Prices.ToolCall, 0)
	atLeast(&k, "prices.per_hour", c.Prices.PerHour, 0)
	atLeast(&k, "prices.watts", c.Prices.Watts, 0)
	atLeast(&k, "prices.per_kwh", c.Prices.PerKWh, 0)
	return k.err()
}

func (c Config) validateRollout(k *checker) {
	r := c.Rollout
	atLeast(k, "rollout.prompts_per_step", r.PromptsPerStep, 1)
	atLeast(k, "rollout.samples_per_prompt", r.SamplesPerPrompt, 1)
	atLeast(k, "rollout.max_tokens", r.MaxTokens, 1)
	if !(r.Temperature > 0 && r.Temperature <= 10) {
		k.bad("rollout.temperature", "%v is out of range; must be above 0 (a greedy policy cannot be improved from its own samples) and at most 10", r.Temperature)
	}
	if !(r.TopP > 0 && r.TopP <= 1) {
		k.bad("rollout.top_p", "%v is out of range; must be above 0 and at most 1 (1 = off)", r.TopP)
	}
	atLeast(k, "rollout.top_k", r.TopK, 0)
	within(k, "rollout.min_p", r.MinP, 0, 1)
	if r.TopP < 1 || r.TopK > 0 || r.MinP > 0 {
		k.bad("rollout", "top_p, top_k and min_p must be off (1, 0, 0) for training on the local learner: it recomputes log-probabilities of the unfiltered distribution")
	}
	atLeast(k, "rollout.max_staleness", r.MaxStaleness, 0)
	atLeast(k, "rollout.dynamic_limit", r.DynamicLimit, 1)
	atLeast(k, "rollout.workers", r.Workers, 0)
	if r.Workers == 0 && c.Stream.URL == "" && c.Stream.Listen == "" {
		k.bad("rollout.workers", "0 needs workers elsewhere; set stream.listen or stream.url so that pith worker can join, or workers to 1")
	}
	atLeast(k, "rollout.concurrency", r.Concurrency, 1)
	if r.DynamicSampling && r.SamplesPerPrompt < 2 {
		k.bad("rollout.dynamic_sampling", "needs samples_per_prompt of at least 2: a group of one is never mixed")
	}
}

func (c Config) validateData(k *checker) {
	d := c.Data
	oneOf(k, "data.reference", d.Reference, "none", "evaluation")
	oneOf(k, "data.curriculum.kind", d.Curriculum.Kind, "none", "dot", "cures", "window", "levels")
	if d.Curriculum.Kind == "none" && len(d.Curriculum.Params) > 0 {
		k.bad("data.curriculum.params", "are given, but there is no curriculum; set data.curriculum.kind")
	}
	if d.Curriculum.Kind == "dot" && c.Rollout.DynamicSampling {
		k.bad("data.curriculum", "dot generates more groups than it needs at once, rollout.dynamic_sampling draws again until there are enough; use one of them")
	}
	if b := d.TokenBudget; b.Max != 0 || b.Min != 0 {
		atLeast(k, "data.token_budget.min", b.Min, 1)
		atLeast(k, "data.token_budget.max", b.Max, b.Min)
	}
}

func (c Config) validateUpdate(k *checker) {
	atLeast(k, "loss.constant", c.Loss.Constant, 0)
	atLeast(k, "loss.epochs", c.Loss.Epochs, 1)
	atLeast(k, "loss.mini_batches", c.Loss.MiniBatches, 1)
	if c.Loss.MiniBatches > c.Rollout.PromptsPerStep {
		k.bad("loss.mini_batches", "%d is more than rollout.prompts_per_step (%d); groups stay whole, so at most one mini-batch each", c.Loss.MiniBatches, c.Rollout.PromptsPerStep)
	}
	o := c.Optimizer
	within(k, "optimizer.learning_rate", o.LearningRate, 0, 1)
	within(k, "optimizer.beta1", o.Beta1, 0, 0.999999)
	within(k, "optimizer.beta2", o.Beta2, 0, 0.999999)
	if !(o.Eps > 0) {
		k.bad("optimizer.eps", "%v must be above 0", o.Eps)
	}
	within(k, "optimizer.weight_decay", o.WeightDecay, 0, 10)
	atLeast(k, "optimizer.clip_norm", o.ClipNorm, 0)
	atLeast(k, "optimizer.warmup_steps", o.WarmupSteps, 0)
}

func (c Config) validateStream(k *checker) {
	oneOf(k, "stream.sync", c.Stream.Sync, "interval", "always")
	if d, err := time.ParseDuration(c.Stream.AckWait); err != nil || d < time.Second {
		k.bad("stream.ack_wait", "%q is not a duration of at least 1s, such as 60s", c.Stream.AckWait)
	}
	atLeast(k, "stream.max_deliver", c.Stream.MaxDeliver, 1)
	if c.Stream.URL != "" && c.Stream.Listen != "" {
		k.bad("stream", "url (a server elsewhere) and listen (the server of this process) exclude each other; set one")
	}
	if (c.Stream.Cert == "") != (c.Stream.Key == "") {
		k.bad("stream", "cert and key belong together; set both or none")
	}
}

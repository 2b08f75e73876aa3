// Package configs turns YAML, environment variables and command-line settings into one validated
// [Config]. Decoding is strict: an unknown key, a fraction where a whole number belongs, a value
// out of range or a combination that cannot work is an error that names the key's path and says
// what would be valid, and all violations are reported at once.
//
// Presets and method files are YAML, embedded in the binary, beside the base policies that they
// name. What lives elsewhere: what the settings do (trainer, rollout, rewards, policies).
package configs

// Config is a whole run. Every field is documented where it stands; Default gives the vetted
// setting of each, and presets hold only what differs.
type Config struct {
	Run        Run        `mapstructure:"run" yaml:"run"`
	Policy     Policy     `mapstructure:"policy" yaml:"policy"`
	Engine     Engine     `mapstructure:"engine" yaml:"engine"`
	Learner    Learner    `mapstructure:"learner" yaml:"learner"`
	Rollout    Rollout    `mapstructure:"rollout" yaml:"rollout"`
	Data       Data       `mapstructure:"data" yaml:"data"`
	Rewards    Rewards    `mapstructure:"rewards" yaml:"rewards"`
	Advantage  Advantage  `mapstructure:"advantage" yaml:"advantage"`
	Loss       Loss       `mapstructure:"loss" yaml:"loss"`
	Optimizer  Optimizer  `mapstructure:"optimizer" yaml:"optimizer"`
	Schedule   []Schedule `mapstructure:"schedule" yaml:"schedule"`
	Stream     Stream     `mapstructure:"stream" yaml:"stream"`
	Log        Log        `mapstructure:"log" yaml:"log"`
	Eval       Eval       `mapstructure:"eval" yaml:"eval"`
	Checkpoint Checkpoint `mapstructure:"checkpoint" yaml:"checkpoint"`
	Prices     Prices     `mapstructure:"prices" yaml:"prices"`
}

// Run names a run and says how long it is.
type Run struct {
	Name  string `mapstructure:"name" yaml:"name"`   // recorded in every trace; also the directory under runs/
	Seed  uint64 `mapstructure:"seed" yaml:"seed"`   // of problems, sampling and everything else
	Steps int    `mapstructure:"steps" yaml:"steps"` // learner steps
	// StopGain ends the run early, one step after the first evaluation from which on a learning curve
	// fitted to the held-out accuracies promises less than this share; 0 = never. 0.01 is a point.
	StopGain float64 `mapstructure:"stop_gain" yaml:"stop_gain"`
}

// Policy is what is trained.
type Policy struct {
	// Base is a Hugging Face directory, or builtin:NAME for a policy that ships with pith.
	Base string `mapstructure:"base" yaml:"base"`
}

// Learner improves the policy.
type Learner struct {
	Kind             string `mapstructure:"kind" yaml:"kind"`                             // local
	MicroBatchTokens int    `mapstructure:"micro_batch_tokens" yaml:"micro_batch_tokens"` // tokens in memory at once; the result does not depend on how a batch is split beyond rounding
}

// Rollout says how problems become traces.
type Rollout struct {
	Strategy         string         `mapstructure:"strategy" yaml:"strategy"` // single, anytime, modes, tools, turns, refine, forced, hints; see rollout/strategy
	Params           map[string]any `mapstructure:"params" yaml:"params"`     // of the strategy
	PromptsPerStep   int            `mapstructure:"prompts_per_step" yaml:"prompts_per_step"`
	SamplesPerPrompt int            `mapstructure:"samples_per_prompt" yaml:"samples_per_prompt"` // group size
	MaxTokens        int            `mapstructure:"max_tokens" yaml:"max_tokens"`                 // sampled tokens a response may have
	Temperature      float64        `mapstructure:"temperature" yaml:"temperature"`
	TopP             float64        `mapstructure:"top_p" yaml:"top_p"` // 1 = off
	TopK             int            `mapstructure:"top_k" yaml:"top_k"` // 0 = off
	MinP             float64        `mapstructure:"min_p" yaml:"min_p"` // 0 = off
	// MaxStaleness bounds the learner steps between the policy that sampled a trace and the update
	// that uses it. 0 is synchronous and deterministic.
	MaxStaleness int `mapstructure:"max_staleness" yaml:"max_staleness"`
	// DynamicSampling draws further groups until prompts_per_step of them are mixed (some right,
	// some wrong), examining at most DynamicLimit × prompts_per_step (DAPO, arXiv 2503.14476, 3.2).
	DynamicSampling bool `mapstructure:"dynamic_sampling" yaml:"dynamic_sampling"`
	DynamicLimit    int  `mapstructure:"dynamic_limit" yaml:"dynamic_limit"`
	Workers         int  `mapstructure:"workers" yaml:"workers"`         // in this process; more can join with pith worker
	Concurrency     int  `mapstructure:"concurrency" yaml:"concurrency"` // tasks in flight for each worker
}

// Data is where problems come from.
type Data struct {
	Source string         `mapstructure:"source" yaml:"source"` // a generated family, or file
	Params map[string]any `mapstructure:"params" yaml:"params"` // of the family, or path and field mapping of the file
	Grader string         `mapstructure:"grader" yaml:"grader"`
	Grade  map[string]any `mapstructure:"grade" yaml:"grade"` // parameters of the grader
	// Curriculum chooses among the problems of the source, or how many groups of them are sampled.
	Curriculum Curriculum `mapstructure:"curriculum" yaml:"curriculum"`
	// Reference is where the reference accuracy and length of a problem come from if the source
	// gives none: none, or evaluation, those of its level in the evaluation of the base policy.
	Reference string `mapstructure:"reference" yaml:"reference"`
	// TokenBudget asks for a length of the response where the source does not.
	TokenBudget TokenBudget `mapstructure:"token_budget" yaml:"token_budget"`
}

// Curriculum decides which problems are sampled next and how many; see package datasets/curriculum
// and docs/methods.md for the parameters of each kind.
type Curriculum struct {
	Kind   string         `mapstructure:"kind" yaml:"kind"` // none, dot, cures, window, levels
	Params map[string]any `mapstructure:"params" yaml:"params"`
}

// TokenBudget gives each problem a budget, uniform in Min … Max and a function of run.seed and the
// problem's place in the data.
type TokenBudget struct {
	Min int `mapstructure:"min" yaml:"min"` // tokens
	Max int `mapstructure:"max" yaml:"max"` // 0 = no budget
	// Prompt is put at the end of the prompt, with {tokens} replaced. A generated family says it in
	// its own words.
	Prompt string `mapstructure:"prompt" yaml:"prompt"`
}

// Rewards selects a method and its parameters.
type Rewards struct {
	Method  string         `mapstructure:"method" yaml:"method"`
	Profile string         `mapstructure:"profile" yaml:"profile"` // paper, released_code
	Params  map[string]any `mapstructure:"params" yaml:"params"`
	// AllowInversions lists methods that may rank a success below a failure of its group, or
	// reward a failure for being short. Training refuses them otherwise.
	AllowInversions []string `mapstructure:"allow_inversions" yaml:"allow_inversions"`
	// KL takes the divergence from the frozen base policy out of the reward, whatever the method; a
	// penalty in the loss is loss.params.kl_coef.
	KL RewardKL `mapstructure:"kl" yaml:"kl"`
}

// RewardKL is a term -coef · Σ k(log π - log π_base) over the tokens of a response.
type RewardKL struct {
	Coef float64 `mapstructure:"coef" yaml:"coef"` // 0 = off
	Kind string  `mapstructure:"kind" yaml:"kind"` // estimator: k1, k2, k3
}

// Advantage overrides the method's estimator; empty means the method's own.
type Advantage struct {
	Kind   string         `mapstructure:"kind" yaml:"kind"`
	Params map[string]any `mapstructure:"params" yaml:"params"`
}

// Loss is the policy-gradient loss of an update.
type Loss struct {
	Kind        string         `mapstructure:"kind" yaml:"kind"`
	Params      map[string]any `mapstructure:"params" yaml:"params"`
	Aggregation string         `mapstructure:"aggregation" yaml:"aggregation"`
	Constant    float64        `mapstructure:"constant" yaml:"constant"`         // normaliser of aggregation dr_grpo; 0 = rollout.max_tokens
	Epochs      int            `mapstructure:"epochs" yaml:"epochs"`             // passes over a step's traces
	MiniBatches int            `mapstructure:"mini_batches" yaml:"mini_batches"` // optimiser steps an epoch; groups stay whole
	// Pairs says which responses of a group are preferred to which, for losses that compare: rule
	// (shortest_longest, right_wrong, best_worst), per_group, ratio, wrong, above, gap; see package
	// policies/preference. With kind sft the preferred ones are imitated.
	Pairs map[string]any `mapstructure:"pairs" yaml:"pairs,omitempty"`
}

// Optimizer is AdamW with global-norm clipping.
type Optimizer struct {
	LearningRate float64 `mapstructure:"learning_rate" yaml:"learning_rate"`
	Beta1        float64 `mapstructure:"beta1" yaml:"beta1"`
	Beta2        float64 `mapstructure:"beta2" yaml:"beta2"`
	Eps          float64 `mapstructure:"eps" yaml:"eps"`
	WeightDecay  float64 `mapstructure:"weight_decay" yaml:"weight_decay"` // decoupled, matrices only
	ClipNorm     float64 `mapstructure:"clip_norm" yaml:"clip_norm"`       // 0 = off
	WarmupSteps  int     `mapstructure:"warmup_steps" yaml:"warmup_steps"` // optimiser steps of linear warm-up
}

// Schedule changes one number over learner steps.
type Schedule struct {
	Target string         `mapstructure:"target" yaml:"target"` // a key path, such as rewards.params.limit
	Kind   string         `mapstructure:"kind" yaml:"kind"`
	Params map[string]any `mapstructure:"params" yaml:"params"`
}

// Stream is the NATS JetStream between workers and trainer.
type Stream struct {
	URL           string `mapstructure:"url" yaml:"url"`       // empty: a server inside this process, with its store in the run directory
	Listen        string `mapstructure:"listen" yaml:"listen"` // host:port for other processes to join the embedded server; empty: none
	User          string `mapstructure:"user" yaml:"user"`
	Password      string `mapstructure:"password" yaml:"password"`
	Token         string `mapstructure:"token" yaml:"token"`
	Credentials   string `mapstructure:"credentials" yaml:"credentials"` // a .creds file
	NKey          string `mapstructure:"nkey" yaml:"nkey"`               // an nkey seed file
	CA            string `mapstructure:"ca" yaml:"ca"`
	Cert          string `mapstructure:"cert" yaml:"cert"`
	Key           string `mapstructure:"key" yaml:"key"`
	AllowInsecure bool   `mapstructure:"allow_insecure" yaml:"allow_insecure"` // permits an address beyond loopback without credentials
	Sync          string `mapstructure:"sync" yaml:"sync"`                     // interval, always: when the store is flushed to disk
	AckWait       string `mapstructure:"ack_wait" yaml:"ack_wait"`             // a task unheard of for this long is given to another worker
	MaxDeliver    int    `mapstructure:"max_deliver" yaml:"max_deliver"`       // deliveries before a message is dead
	PolicyDir     string `mapstructure:"policy_dir" yaml:"policy_dir"`         // shared directory for policies; empty: the object store
}

// Log says what is written beside the trace log.
type Log struct {
	Level  string `mapstructure:"level" yaml:"level"`   // debug, info, warn, error
	Report bool   `mapstructure:"report" yaml:"report"` // write report.html and figures at the end
}

// Eval measures the policy on held-out problems.
type Eval struct {
	Every         int     `mapstructure:"every" yaml:"every"`                   // learner steps; 0 = only before and after
	Problems      int     `mapstructure:"problems" yaml:"problems"`             // between
	FinalProblems int     `mapstructure:"final_problems" yaml:"final_problems"` // before the first and after the last step
	Greedy        bool    `mapstructure:"greedy" yaml:"greedy"`                 // also decode at temperature 0
	Temperature   float64 `mapstructure:"temperature" yaml:"temperature"`       // of the sampled evaluation; 0 = the rollout's
	MaxTokens     int     `mapstructure:"max_tokens" yaml:"max_tokens"`         // 0 = the rollout's
}

// Checkpoint says how often the learner's state is saved and how many are kept.
type Checkpoint struct {
	Every int `mapstructure:"every" yaml:"every"` // learner steps
	Keep  int `mapstructure:"keep" yaml:"keep"`
}

// Prices turn tokens and time into money; all 0 by default.
type Prices struct {
	PromptPerMillion     float64 `mapstructure:"prompt_per_million" yaml:"prompt_per_million"`
	CompletionPerMillion float64 `mapstructure:"completion_per_million" yaml:"completion_per_million"`
	ToolCall             float64 `mapstructure:"tool_call" yaml:"tool_call"`
	PerHour              float64 `mapstructure:"per_hour" yaml:"per_hour"` // of the machine
	Watts                float64 `mapstructure:"watts" yaml:"watts"`       // that it draws
	PerKWh               float64 `mapstructure:"per_kwh" yaml:"per_kwh"`   // of electricity, where per_hour does not hold it
}

// Default is the vetted setting of every field, for the local engine on the generated task.
func Default() Config {
	return Config{
		Run:     Run{Name: "run", Seed: 1, Steps: 40},
		Policy:  Policy{Base: "builtin:clock"},
		Engine:  defaultEngine(),
		Learner: Learner{Kind: "local", MicroBatchTokens: 16384},
		Rollout: Rollout{
			Strategy: "single", PromptsPerStep: 16, SamplesPerPrompt: 12, MaxTokens: 200,
			Temperature: 1, TopP: 1, DynamicLimit: 3, Workers: 1, Concurrency: 256,
		},
		Data:    Data{Source: "clock", Grader: "exact", Curriculum: Curriculum{Kind: "none"}, Reference: "none"},
		Rewards: Rewards{Method: "grpo", Profile: "paper", KL: RewardKL{Kind: "k1"}},
		Loss: Loss{
			Kind: "ppo", Params: map[string]any{"clip_low": 0.2, "clip_high": 0.28},
			Aggregation: "token_mean", Epochs: 1, MiniBatches: 2,
		},
		Optimizer: Optimizer{
			LearningRate: 3e-4, Beta1: 0.9, Beta2: 0.98, Eps: 1e-8, ClipNorm: 1, WarmupSteps: 5,
		},
		Stream:     Stream{Sync: "interval", AckWait: "60s", MaxDeliver: 5},
		Log:        Log{Level: "info", Report: true},
		Eval:       Eval{Every: 10, Problems: 200, FinalProblems: 1000, Greedy: true},
		Checkpoint: Checkpoint{Every: 5, Keep: 2},
	}
}

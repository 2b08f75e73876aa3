package configs

import (
	"net/url"
	"slices"
	"time"
)

// Engine samples tokens: in this process, on inference servers, or nowhere (a simulation).
type Engine struct {
	Kind       string `mapstructure:"kind" yaml:"kind"`               // local, vllm, sglang, llamacpp, openai, sim
	Slots      int    `mapstructure:"slots" yaml:"slots"`             // local, sim: sequences decoded together
	MaxContext int    `mapstructure:"max_context" yaml:"max_context"` // tokens; 0 = the model's
	Threads    int    `mapstructure:"threads" yaml:"threads"`         // cores for engine and learner; 0 = all. Never changes results

	// Of servers. Several URLs are replicas that serve the same model.
	URLs        []string `mapstructure:"urls" yaml:"urls"`
	Model       string   `mapstructure:"model" yaml:"model"`                 // the server's name for the base weights; empty: what it says
	APIKeyEnv   string   `mapstructure:"api_key_env" yaml:"api_key_env"`     // environment variable that holds the key; never written to a run
	AdminKeyEnv string   `mapstructure:"admin_key_env" yaml:"admin_key_env"` // of the key for calls that change weights; empty: the same
	// Publish says how new weights reach the servers: lora (the difference to the base, as an adapter
	// under a name of its own for each step), full (a model directory) or none (evaluation only).
	Publish    string `mapstructure:"publish" yaml:"publish"`
	PublishDir string `mapstructure:"publish_dir" yaml:"publish_dir"` // directory that the servers see under the same path
	LoRARank   int    `mapstructure:"lora_rank" yaml:"lora_rank"`     // of published adapters
	Stream     bool   `mapstructure:"stream" yaml:"stream"`           // take tokens as they are drawn, to keep them when a call breaks off

	// Of fleets: bounds on sequences in flight on each replica, which adapt to its metrics between
	// them, and on repeating. See docs/fleet.md.
	LeastInFlight  int    `mapstructure:"least_in_flight" yaml:"least_in_flight"`
	StartInFlight  int    `mapstructure:"start_in_flight" yaml:"start_in_flight"`
	MostInFlight   int    `mapstructure:"most_in_flight" yaml:"most_in_flight"`
	MaxWaiting     int    `mapstructure:"max_waiting" yaml:"max_waiting"`         // calls that may wait for room; more are told to come back
	CallTimeout    string `mapstructure:"call_timeout" yaml:"call_timeout"`       // of one attempt; 0s = none
	PublishTimeout string `mapstructure:"publish_timeout" yaml:"publish_timeout"` // of one publish on one replica
	Attempts       int    `mapstructure:"attempts" yaml:"attempts"`               // of one request
	Quorum         int    `mapstructure:"quorum" yaml:"quorum"`                   // replicas that must take a publish; the others catch up

	Sim Sim `mapstructure:"sim" yaml:"sim"`
}

// Sim describes simulated replicas and, for plans, a simulated trainer. Times are in seconds.
type Sim struct {
	Replicas       int     `mapstructure:"replicas" yaml:"replicas"`
	Lengths        string  `mapstructure:"lengths" yaml:"lengths"` // lognormal, geometric, fixed, run
	Median         float64 `mapstructure:"median" yaml:"median"`   // tokens: of lognormal; the mean of geometric; the length of fixed
	Sigma          float64 `mapstructure:"sigma" yaml:"sigma"`     // of lognormal
	Run            string  `mapstructure:"run" yaml:"run"`         // run directory whose lengths are drawn from
	Prompt         int     `mapstructure:"prompt" yaml:"prompt"`   // tokens of a prompt, in plans
	Step           float64 `mapstructure:"step" yaml:"step"`       // of decoding, beside what follows
	PerSequence    float64 `mapstructure:"per_sequence" yaml:"per_sequence"`
	PerCachedToken float64 `mapstructure:"per_cached_token" yaml:"per_cached_token"`
	PerPromptToken float64 `mapstructure:"per_prompt_token" yaml:"per_prompt_token"`
	CacheTokens    int     `mapstructure:"cache_tokens" yaml:"cache_tokens"` // 0 = no bound
	StallEvery     float64 `mapstructure:"stall_every" yaml:"stall_every"`   // 0 = never
	StallFor       float64 `mapstructure:"stall_for" yaml:"stall_for"`
	FailEvery      float64 `mapstructure:"fail_every" yaml:"fail_every"` // 0 = never
	DownFor        float64 `mapstructure:"down_for" yaml:"down_for"`
	Load           float64 `mapstructure:"load" yaml:"load"`                       // in which decoding stands still for new weights
	Pace           float64 `mapstructure:"pace" yaml:"pace"`                       // simulated seconds in a second; 0 = wait for nothing
	Delay          float64 `mapstructure:"delay" yaml:"delay"`                     // from the end of a sample until it can be trained on, in plans
	TrainPerToken  float64 `mapstructure:"train_per_token" yaml:"train_per_token"` // in plans
	TrainFixed     float64 `mapstructure:"train_fixed" yaml:"train_fixed"`         // of a step beside that, in plans
}

// Kinds of engine.
const (
	EngineLocal = "local"
	EngineSim   = "sim"
)

// servers are the kinds that are reached by URL, and whether weights can be published to them.
var servers = map[string]bool{"vllm": true, "sglang": true, "llamacpp": false, "openai": false}

// Remote says that the engine is one or more servers.
func (e Engine) Remote() bool {
	_, ok := servers[e.Kind]
	return ok
}

func defaultEngine() Engine {
	return Engine{
		Kind: EngineLocal, Slots: 256, Publish: "none", LoRARank: 32,
		LeastInFlight: 1, StartInFlight: 64, MostInFlight: 1024, MaxWaiting: 65536,
		CallTimeout: "10m", PublishTimeout: "15m", Attempts: 8, Quorum: 1,
		// About a 1.5 B model on one H800; see docs/simulator.md.
		Sim: Sim{
			Replicas: 1, Lengths: "lognormal", Median: 600, Sigma: 0.8, Prompt: 150,
			Step: 5.5e-3, PerSequence: 5.2e-6, PerCachedToken: 1.4e-8, PerPromptToken: 5.2e-6,
			TrainPerToken: 4e-5,
		},
	}
}

// identity is the part of the engine that can change what a synchronous run computes.
func (e Engine) identity() Engine {
	out := Engine{Kind: e.Kind, MaxContext: e.MaxContext, Publish: e.Publish, Model: e.Model}
	if e.Publish == "lora" {
		out.LoRARank = e.LoRARank
	}
	if e.Kind == EngineSim {
		out.Sim = Sim{Lengths: e.Sim.Lengths, Median: e.Sim.Median, Sigma: e.Sim.Sigma, Run: e.Sim.Run}
	}
	return out
}

func (c Config) validateEngine(k *checker) {
	e := c.Engine
	oneOf(k, "engine.kind", e.Kind, "local", "vllm", "sglang", "llamacpp", "openai", "sim")
	atLeast(k, "engine.slots", e.Slots, 1)
	atLeast(k, "engine.max_context", e.MaxContext, 0)
	atLeast(k, "engine.threads", e.Threads, 0)
	oneOf(k, "engine.publish", e.Publish, "none", "lora", "full")
	atLeast(k, "engine.lora_rank", e.LoRARank, 1)
	atLeast(k, "engine.least_in_flight", e.LeastInFlight, 1)
	if e.StartInFlight < e.LeastInFlight || e.MostInFlight < e.StartInFlight {
		k.bad("engine", "least_in_flight (%d), start_in_flight (%d) and most_in_flight (%d) must rise", e.LeastInFlight, e.StartInFlight, e.MostInFlight)
	}
	atLeast(k, "engine.max_waiting", e.MaxWaiting, 1)
	duration(k, "engine.call_timeout", e.CallTimeout)
	duration(k, "engine.publish_timeout", e.PublishTimeout)
	atLeast(k, "engine.attempts", e.Attempts, 1)
	atLeast(k, "engine.quorum", e.Quorum, 1)
	if e.Remote() {
		c.validateServers(k)
	} else if len(e.URLs) > 0 || e.Publish != "none" {
		k.bad("engine", "urls and publish are for servers; kind is %s: set kind to vllm, sglang, llamacpp or openai, or leave them out", e.Kind)
	}
	e.Sim.validate(k, e.Kind == EngineSim)
}

func (c Config) validateServers(k *checker) {
	e := c.Engine
	if len(e.URLs) == 0 {
		k.bad("engine.urls", "is empty; kind %s needs the URL of each server, such as [http://127.0.0.1:8000]", e.Kind)
	}
	for i, text := range e.URLs {
		u, err := url.Parse(text)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
			k.bad("engine.urls", "%q is no URL of a server, such as http://127.0.0.1:8000", text)
		case slices.Index(e.URLs, text) != i:
			k.bad("engine.urls", "%s is there twice; give each replica once", text)
		}
	}
	if e.Quorum > len(e.URLs) && len(e.URLs) > 0 {
		k.bad("engine.quorum", "%d is more than there are servers (%d)", e.Quorum, len(e.URLs))
	}
	switch {
	case e.Publish == "none" && c.Run.Steps > 0:
		k.bad("engine.publish", "is none, so the servers would never see what the learner learns; set it to lora or full with publish_dir, or run.steps to 0 to evaluate only")
	case e.Publish != "none" && !servers[e.Kind]:
		k.bad("engine.publish", "servers of kind %s take no weights while they run; set it to none and run.steps to 0 (they can be evaluated with), or use vllm or sglang", e.Kind)
	case e.Publish != "none" && e.PublishDir == "":
		k.bad("engine.publish_dir", "is empty; give a directory that pith can write and the servers can read under the same path")
	}
}

func (s Sim) validate(k *checker, used bool) {
	oneOf(k, "engine.sim.lengths", s.Lengths, "lognormal", "geometric", "fixed", "run")
	atLeast(k, "engine.sim.replicas", s.Replicas, 1)
	atLeast(k, "engine.sim.prompt", s.Prompt, 0)
	atLeast(k, "engine.sim.cache_tokens", s.CacheTokens, 0)
	if !(s.Median >= 1) {
		k.bad("engine.sim.median", "%v is too small; must be at least 1 token", s.Median)
	}
	within(k, "engine.sim.sigma", s.Sigma, 0, 5)
	if !(s.Step > 0) {
		k.bad("engine.sim.step", "%v must be above 0 seconds", s.Step)
	}
	atLeast(k, "engine.sim.per_sequence", s.PerSequence, 0)
	atLeast(k, "engine.sim.per_cached_token", s.PerCachedToken, 0)
	atLeast(k, "engine.sim.per_prompt_token", s.PerPromptToken, 0)
	atLeast(k, "engine.sim.stall_every", s.StallEvery, 0)
	atLeast(k, "engine.sim.stall_for", s.StallFor, 0)
	atLeast(k, "engine.sim.fail_every", s.FailEvery, 0)
	atLeast(k, "engine.sim.down_for", s.DownFor, 0)
	atLeast(k, "engine.sim.load", s.Load, 0)
	atLeast(k, "engine.sim.pace", s.Pace, 0)
	atLeast(k, "engine.sim.delay", s.Delay, 0)
	atLeast(k, "engine.sim.train_per_token", s.TrainPerToken, 0)
	atLeast(k, "engine.sim.train_fixed", s.TrainFixed, 0)
	if used && s.Lengths == "run" && s.Run == "" {
		k.bad("engine.sim.run", "is empty; lengths: run needs the directory of a run")
	}
}

func duration(k *checker, path, text string) {
	if d, err := time.ParseDuration(text); err != nil || d < 0 {
		k.bad(path, "%q is not a duration, such as 10m", text)
	}
}

package probe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pith/rollout/engine"
	"pith/rollout/engine/dialect"
)

// Needs is what a run wants of a server. The zero value wants nothing but an answer.
type Needs struct {
	// Train: the server's own token ids with log-probabilities of a known distribution.
	Train bool
	// Params are the run's sampling parameters.
	Params engine.Params
	// Kind is the distribution whose log-probabilities the learner computes again; LogprobUnknown takes
	// any that is known.
	Kind engine.LogprobKind
	// Publish lists kinds of artifact, one of which the server has to take. Empty: weights do not change.
	Publish []engine.ArtifactKind
	// Policies is how many have to be live at a time, 0 or 1: one.
	Policies int
	// Context is the longest prompt and response together.
	Context int
	// Scores: log-probabilities of given tokens.
	Scores bool
	// Partial: a cancelled call keeps its tokens.
	Partial bool
	// Versions: the server itself says which policy drew a token.
	Versions bool
}

// lack is one thing that is missing, and how to start the server with it.
type lack struct{ what, remedy string }

// Require says what a run needs and the server lacks, and what to start it with instead; nil where it
// lacks nothing.
func Require(r Report, n Needs) error {
	var lacks []lack
	add := func(key, format string, args ...any) {
		remedy := remedies[r.Dialect][key]
		if remedy == "" {
			remedy = remedies[""][key]
		}
		lacks = append(lacks, lack{fmt.Sprintf(format, args...), remedy})
	}
	caps := r.Caps
	if n.Train {
		if !caps.Exact {
			add("exact", "training needs the server's own token ids and log-probabilities")
		}
		got := kindOf(caps, n.Params)
		want := n.Kind
		plain := n.Params.Temperature == 1 && n.Params.TopP == 1 && n.Params.TopK == 0 && n.Params.MinP == 0
		switch {
		case caps.Exact && got == engine.LogprobUnknown:
			add("kind", "it could not be told of which distribution the log-probabilities are")
		case caps.Exact && want != engine.LogprobUnknown && got != want && !plain:
			add("kind", "the learner recomputes %s log-probabilities, the server gives %s ones at temperature %v, top-p %v, top-k %d",
				kindNames[want], kindNames[got], n.Params.Temperature, n.Params.TopP, n.Params.TopK)
		}
		for _, res := range r.Results {
			if res.Status == Fails && caps.Exact {
				add("probe", "probe %d failed (%s): %s", res.Number, res.Name, res.Detail)
			}
		}
	}
	if len(n.Publish) > 0 && !slices.ContainsFunc(n.Publish, func(k engine.ArtifactKind) bool { return slices.Contains(r.Accepts, artifactNames[k]) }) {
		var names []string
		for _, k := range n.Publish {
			names = append(names, artifactNames[k])
		}
		add("publish", "the run publishes weights as %s, the server takes %s", strings.Join(names, " or "), list(r.Accepts))
	}
	if n.Policies > caps.ConcurrentPolicy {
		add("policies", "%d policies have to be live at a time, the server holds %d", n.Policies, caps.ConcurrentPolicy)
	}
	if n.Context > 0 && caps.MaxContext > 0 && n.Context > caps.MaxContext {
		add("context", "prompts and responses reach %d tokens, the server's context is %d", n.Context, caps.MaxContext)
	}
	if len(n.Params.StopTokens) > 0 && !caps.StopTokens {
		add("stop", "the run has stop tokens, the server cannot be told any")
	}
	if n.Params.MinTokens > 0 && !caps.MinTokens {
		add("min", "the run has a least length of %d, the server cannot keep to one", n.Params.MinTokens)
	}
	if n.Scores && !caps.PromptLogprobs {
		add("scores", "the run scores given tokens, the server cannot")
	}
	if n.Partial && !caps.PartialOnAbort {
		add("partial", "cancelled calls have to keep their tokens, and do not")
	}
	if n.Versions && !caps.PerTokenVersion {
		add("versions", "the server does not say which weights drew which token")
	}
	errs := make([]error, len(lacks))
	for i, l := range lacks {
		errs[i] = fmt.Errorf("%s (%s): %s; %s", r.URL, r.Dialect, l.what, l.remedy)
	}
	return errors.Join(errs...)
}

func kindOf(caps engine.SamplerCaps, p engine.Params) engine.LogprobKind {
	if caps.LogprobKind == nil { // a report that was read back
		return engine.LogprobUnknown
	}
	return caps.LogprobKind(p)
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " and ")
}

// remedies say, by dialect and lack, what to start a server with; those of "" are for all.
var remedies = map[string]map[string]string{
	"": {
		"exact":    "use vLLM, SGLang, llama-server or pith serve",
		"kind":     "sample at temperature 1 without filters",
		"probe":    "see what the server's log says, and probe again",
		"publish":  "use vLLM, SGLang or pith serve",
		"policies": "use a server that loads adapters, or set max_staleness to 0",
		"context":  "start the server with a longer context, or lower the limits of the run",
		"stop":     "use vLLM, SGLang or pith serve",
		"min":      "set min_tokens to 0",
		"scores":   "use vLLM, SGLang or pith serve",
		"partial":  "stream",
		"versions": "a run may take asserted versions instead, and says so",
	},
	dialect.VLLM: {
		"exact":    "start vLLM with --enable-scale-out",
		"kind":     "start vLLM with --logprobs-mode processed_logprobs, or sample at temperature 1 without filters",
		"publish":  "start vLLM with --enable-lora --max-lora-rank R and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, or with VLLM_SERVER_DEV_MODE=1 for whole models",
		"policies": "start vLLM with --enable-lora --max-loras N and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
		"context":  "start vLLM with --max-model-len N",
		"partial":  "set the engine to stream",
		"versions": "start a vLLM of 0.32 or later with --enable-scale-out",
	},
	dialect.SGLang: {
		"kind":     "sample at temperature 1 without filters",
		"publish":  "start SGLang with --enable-lora --max-lora-rank R --lora-target-modules all",
		"policies": "start SGLang with --enable-lora --max-loras-per-batch N",
		"context":  "start SGLang with --context-length N",
	},
	dialect.LlamaCPP: {
		"exact":   "use a build of llama-server with return_tokens",
		"publish": "llama-server holds one file for as long as it runs: use it for evaluation, and vLLM, SGLang or pith serve for training",
		"context": "start llama-server with -c N, which is divided among the --parallel slots",
		"partial": "set the engine to stream",
	},
}

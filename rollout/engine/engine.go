// Package engine is the seam between rollouts and whatever samples tokens: the in-process engine
// (engine/local) or an inference server. It defines the Sampler, Publisher, Fencer and Observer
// interfaces, capabilities as data, and errors by class. Implementations live in packages below
// and pass one conformance suite (engine/enginetest).
//
// A policy is an immutable value with an id. Publish makes one servable, Retire ends it, and every
// sampled token points at one through a span. Token ids and log-probabilities are the engine's
// own; nothing is ever re-tokenised or repaired.
package engine

import (
	"context"
	"time"
)

// PolicyRef names one immutable set of weights. Step is the learner step that produced it, 0 for
// the base policy.
type PolicyRef struct {
	ID   string `json:"id"`
	Step int64  `json:"step"`
}

// ArtifactKind says in which form a Learner hands a policy over.
type ArtifactKind uint8

const (
	ArtifactMemory   ArtifactKind = iota // in-process handle
	ArtifactModelDir                     // Hugging Face directory
	ArtifactLoRADir                      // PEFT directory on storage the sampler can read
	ArtifactSession                      // a training server's sampling session
)

// Artifact is what a Learner hands over and a Publisher consumes.
type Artifact struct {
	Policy PolicyRef
	Kind   ArtifactKind
	Path   string // directory or session id
	Digest string // hex SHA-256 over the tensors, where the learner can give one
	Handle any    // ArtifactMemory only; *model.Weights for the local engine
}

// LogprobKind says of which distribution a log-probability is.
type LogprobKind uint8

const (
	LogprobUnknown   LogprobKind = iota
	LogprobRaw                   // the model's, before temperature
	LogprobTempered              // after temperature, before filters
	LogprobProcessed             // the distribution actually drawn from
)

// Params are the sampling parameters. All of them are always sent to a server; none is left to
// its defaults.
type Params struct {
	MaxTokens   int     `json:"max_tokens"` // required, > 0; counts Prefix
	MinTokens   int     `json:"min_tokens"`
	Temperature float64 `json:"temperature"` // 0 = greedy; log-probabilities are then of temperature 1
	TopP        float64 `json:"top_p"`       // 1 = off
	TopK        int     `json:"top_k"`       // 0 = off
	MinP        float64 `json:"min_p"`       // 0 = off
	StopTokens  []int32 `json:"stop_tokens"` // explicit, with EOS if it should stop
	Seed        uint64  `json:"seed"`        // key of the random stream
}

// SampleRequest asks for N continuations of Prompt. Sample i draws the token at absolute position
// p (counted from the first prompt token) from the counter-based stream keyed by (Params.Seed,
// First+i, p), so it depends neither on its batch nor on how a response was cut into calls.
type SampleRequest struct {
	ID      string // unique; used for abort, dedupe and logs
	Policy  PolicyRef
	Prompt  []int32
	Prefix  []int32 // already sampled tokens to continue from; part of the sequence, not returned
	N       int
	First   int // index of the first sample
	Params  Params
	Kind    LogprobKind   // wanted; LogprobUnknown = the engine's own choice. Sequence.Kind says what came
	Timeout time.Duration // 0 = none
}

// Finish is why an engine stopped a sequence.
type Finish uint8

const (
	FinishStop    Finish = iota // a stop token, which is the last element of Tokens
	FinishLength                // MaxTokens or context
	FinishAborted               // cancelled; Tokens holds what was produced
)

// Span says that Tokens[Start:End) were drawn from Policy.
type Span struct {
	Policy     PolicyRef
	Start, End int
	Asserted   bool // false: the server said so; true: inferred from our own fencing
}

// Sequence is one sampled continuation. Logprobs and Entropies have len(Tokens), every entry
// finite; Entropies is nil where the engine cannot give them.
type Sequence struct {
	Tokens    []int32
	Logprobs  []float32
	Entropies []float32 // nats
	Kind      LogprobKind
	Finish    Finish
	Spans     []Span // cover Tokens exactly
}

// SampleResult answers one request; Seqs has N entries in sample order.
type SampleResult struct {
	Seqs         []Sequence
	PromptTokens int
	CachedTokens int
	Server       string // which replica
	Queue        time.Duration
	FirstToken   time.Duration
	Run          time.Duration
}

// SamplerCaps is what a sampler can do, as data, so that the scheduler is a function of it rather
// than of engine names.
type SamplerCaps struct {
	LogprobKind      func(Params) LogprobKind `json:"-"`
	Exact            bool                     `json:"exact"` // ids and log-probabilities are the engine's own
	MaxContext       int                      `json:"max_context"`
	MaxN             int                      `json:"max_n"`
	PromptLogprobs   bool                     `json:"prompt_logprobs"`
	Seeded           bool                     `json:"seeded"`    // equal seeds give equal samples
	Resumable        bool                     `json:"resumable"` // to the bit, whatever the batch and however cut into calls
	StopTokens       bool                     `json:"stop_tokens"`
	MinTokens        bool                     `json:"min_tokens"` // stop tokens can be forbidden at first
	PartialOnAbort   bool                     `json:"partial_on_abort"`
	PerTokenVersion  bool                     `json:"per_token_version"`
	ConcurrentPolicy int                      `json:"concurrent_policies"` // 1 = must fence
	Kernel           string                   `json:"kernel,omitempty"`    // arithmetic of the local engine
}

// Sampler is safe for concurrent use. Cancelling ctx aborts the request where that is possible.
type Sampler interface {
	Caps(ctx context.Context) (SamplerCaps, error)
	Sample(ctx context.Context, r SampleRequest) (SampleResult, error)
	// Score returns log p(tokens[i] | tokens[:i]) for each sequence, NaN at 0.
	// An [Error] of class Unsupported where absent.
	Score(ctx context.Context, p PolicyRef, tokens [][]int32) ([][]float32, LogprobKind, error)
	Close() error
}

// Piece is what one sample has grown by. Logprobs has len(Tokens).
type Piece struct {
	Sample   int // index within the call
	Tokens   []int32
	Logprobs []float32
}

// Streamer is a Sampler that hands tokens over as they are drawn.
type Streamer interface {
	// Stream is Sample, and calls emit, on the caller's goroutine, with what has been drawn since the
	// last call: every token of the result once, in order within its sample. A slow emit delays
	// nobody else. The pieces are the callee's to keep.
	Stream(ctx context.Context, r SampleRequest, emit func([]Piece)) (SampleResult, error)
}

// Publisher is the control plane of the same engines: all replicas, or none.
type Publisher interface {
	Accepts() []ArtifactKind
	Publish(ctx context.Context, a Artifact) (PolicyRef, error) // returns when every replica can serve it
	Live(ctx context.Context) ([]PolicyRef, error)              // asked from the servers, not remembered
	Retire(ctx context.Context, p PolicyRef) error
}

// FenceMode says what happens to running requests while weights change in place.
type FenceMode uint8

const (
	FenceDrain  FenceMode = iota // let them finish
	FenceAbort                   // return them partial
	FenceFreeze                  // keep them; they continue on the next weights
)

// Fencer is implemented where weights change under running requests.
type Fencer interface {
	Pause(ctx context.Context, m FenceMode) error
	Resume(ctx context.Context) error
	ResetCache(ctx context.Context) error
}

// Stats is a snapshot of one replica.
type Stats struct {
	Healthy          bool
	Running, Waiting int // sequences
	CacheUse         float64
	PromptTokens     int64
	OutputTokens     int64
	Idle             time.Duration // total time with no sequence running
	Raw              map[string]float64
}

// Observer reports one Stats per replica.
type Observer interface {
	Stats(ctx context.Context) ([]Stats, error)
}

// Package loss holds the policy-gradient and preference losses as pure functions of
// log-probabilities: value and gradient with respect to each token's log-probability, so that any
// learner can use them. No I/O, no goroutine, no clock.
//
// The canonical form is a token sum: loss = Σ_t Weight_t · ℓ_t, where Weight already holds the
// train mask and the aggregation's normaliser ([Aggregate]). A learner multiplies GradLogProb into
// its own backward pass; sequence-level losses spread their gradient over the tokens themselves.
//
// What lives here: the losses and their registry ([New], [Methods]), the aggregations, the KL
// estimators, and the corrections for data that another policy, or another implementation of the
// same policy, has sampled. What does not: advantages (policies/advantage) and the backward pass
// (trainer/learner). The package may be imported by trainer, analysis and cmd.
//
// # Which losses may be split
//
// A learner that cannot hold a whole update runs it in parts. That changes nothing where the loss
// has [ScopeToken] or [ScopeSequence] and parts end at sequence borders: values, metrics and
// gradients simply add, because Weight was computed over the whole update beforehand. Losses with
// [ScopeGroup] need their groups whole, those with [ScopeBatch] everything at once; such a learner
// makes a forward pass for all log-probabilities, calls Eval once, and feeds the gradients to its
// parts. [Separable] answers the question for any Fn.
//
// # Numbers
//
// Sums run in float64 in token order, so that a result depends on nothing but the input. Log-ratios
// are clamped before they are exponentiated (default ±20, as verl does), and the gradient beyond the
// clamp is 0, as a clamp's is. Gradients too large for float32 saturate. No finite input gives NaN
// or infinity; an input that is not finite is refused by name.
package loss

// Batch is the tokens of one optimiser update, sequences end to end ("this token" alignment:
// entry t speaks of token t). All per-token slices have the same length; optional ones may be nil.
// Sequence i is [Offsets[i], Offsets[i+1]). Tokens of weight 0 are never read.
type Batch struct {
	Offsets   []int32   // len = sequences + 1
	LogProbs  []float32 // log π_θ(token), natural log
	Behavior  []float32 // log of the policy that sampled, as the sampler gave it
	Proximal  []float32 // optional: log-probabilities of the policy at the start of the step (decoupled PPO, corrections)
	Reference []float32 // optional: log-probabilities of a fixed reference policy (KL, DPO)
	Advantage []float32 // DPO: > 0 marks the chosen sequence, < 0 the rejected one
	Weight    []float32 // 0 = not trained; else mask × normaliser
	Entropy   []float32 // optional: nats, of π_θ at the token's position
	Group     []int32   // optional, per sequence: group index (preference losses, group aggregations)
}

// Result is filled by a Fn into slices that the caller owns (len = tokens). Slices that are too
// short are replaced, so that the zero Result works and reusing one allocates nothing. A Result
// must not be used by two goroutines at once.
type Result struct {
	Value       float64
	GradLogProb []float32 // dValue / dLogProbs
	GradEntropy []float32 // dValue / dEntropy; nil if the loss has no entropy term
	Metrics     Metrics

	work *workspace
}

// Metrics are sums over trained tokens unless said otherwise; a caller adds them over updates
// with Add.
type Metrics struct {
	Tokens   float64 // trained tokens
	ClipLow  float64 // tokens whose gradient the lower bound removed
	ClipHigh float64 // … the upper bound
	KL       float64 // Σ k3(behaviour ‖ current) = exp(Δ) - 1 - Δ with Δ = log π_θ - log π_b: unbiased, as the tokens come from π_b
	Entropy  float64 // Σ nats; 0 where the batch has no entropies
	RatioMax float64 // largest ratio to the denominator of the loss; a max, not a sum

	ClipDual float64 // tokens whose gradient the dual clip removed (PPO)
	Rejected float64 // tokens that a correction or a rejection rule left without weight
	Selected float64 // tokens that KL-Cov penalised or Clip-Cov silenced
	RefKL    float64 // Σ of the KL term's estimator, before its coefficient
}

// Add adds the metrics of another part or update.
func (m *Metrics) Add(o Metrics) {
	m.Tokens += o.Tokens
	m.ClipLow += o.ClipLow
	m.ClipHigh += o.ClipHigh
	m.KL += o.KL
	m.Entropy += o.Entropy
	m.RatioMax = max(m.RatioMax, o.RatioMax)
	m.ClipDual += o.ClipDual
	m.Rejected += o.Rejected
	m.Selected += o.Selected
	m.RefKL += o.RefKL
}

// Fn is a loss. Eval writes into out and keeps no reference to b. Deterministic; safe for
// concurrent use with different Results.
type Fn interface {
	Eval(b *Batch, out *Result) error
}

// Scope is the smallest unit whose tokens depend on each other. A batch may be cut between units.
type Scope string

const (
	ScopeToken    Scope = "token"    // every token stands alone
	ScopeSequence Scope = "sequence" // tokens of a sequence share a ratio
	ScopeGroup    Scope = "group"    // sequences of a group are compared
	ScopeBatch    Scope = "batch"    // statistics over the whole update
)

// widest returns the larger of two scopes.
func widest(a, b Scope) Scope {
	rank := func(s Scope) int {
		switch s {
		case ScopeToken:
			return 0
		case ScopeSequence:
			return 1
		case ScopeGroup:
			return 2
		}
		return 3
	}
	if rank(a) >= rank(b) {
		return a
	}
	return b
}

// Separable reports whether a batch may be cut between any two sequences without changing the sum
// of values, metrics and gradients. A Fn says so with a method Separable() bool; one without it is
// taken not to be.
func Separable(fn Fn) bool {
	s, ok := fn.(interface{ Separable() bool })
	return ok && s.Separable()
}

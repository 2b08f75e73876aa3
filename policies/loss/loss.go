// Package loss holds the policy-gradient and preference losses as pure functions of
// log-probabilities: value and gradient with respect to each token's log-probability, so that any
// learner can use them. No I/O, no goroutine, no clock.
//
// The canonical form is a token sum: loss = Σ_t Weight_t · ℓ_t, where Weight already holds the
// train mask and the aggregation's normaliser. A learner multiplies GradLogProb into its own
// backward pass.
package loss

// Batch is the tokens of one optimiser update, sequences end to end ("this token" alignment:
// entry t speaks of token t). All slices have the same length; optional ones may be nil.
// Sequence i is [Offsets[i], Offsets[i+1]).
type Batch struct {
	Offsets   []int32   // len = sequences + 1
	LogProbs  []float32 // log π_θ(token), natural log
	Behavior  []float32 // log of the policy that sampled, as the sampler gave it
	Proximal  []float32 // optional: log-probabilities of the policy at the start of the step (decoupled PPO)
	Reference []float32 // optional: log-probabilities of a fixed reference policy (KL)
	Advantage []float32
	Weight    []float32 // 0 = not trained; else mask × normaliser
	Entropy   []float32 // optional: nats, of π_θ at the token's position
	Group     []int32   // optional, per sequence: group index (preference losses, group aggregations)
}

// Result is filled by a Fn into slices that the caller owns (len = tokens).
type Result struct {
	Value       float64
	GradLogProb []float32 // dValue / dLogProbs
	GradEntropy []float32 // dValue / dEntropy; nil if the loss has no entropy term
	Metrics     Metrics
}

// Metrics are sums over trained tokens unless said otherwise; a caller adds them over updates.
type Metrics struct {
	Tokens   float64 // trained tokens
	ClipLow  float64 // tokens whose gradient the lower bound removed
	ClipHigh float64 // … the upper bound
	KL       float64 // Σ k3(behaviour ‖ current): exp(-Δ) - 1 + Δ with Δ = log π_θ - log π_b … see kl.go
	Entropy  float64 // Σ nats
	RatioMax float64 // max, not a sum
}

// Fn is a loss. Eval writes into out and keeps no reference to b or out. Deterministic.
type Fn interface {
	Eval(b *Batch, out *Result) error
}

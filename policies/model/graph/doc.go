// Package graph is the learner's view of a policy: the transformer of package model as a Gorgonia
// expression graph over a packed batch of sequences, with the project's own fused operations, run
// forwards and backwards by Gorgonia's TapeMachine.
//
// What lives here: the operations ([Batch] in, log-probabilities and gradients out) and the
// [Machine] that wires them. What does not: losses (policies/loss), optimisers and micro-batches
// (trainer/learner/local), decoding with a cache (policies/model/generate). The packages of
// trainer may import it.
//
// # The graph
//
// Nodes are embedding, RMSNorm, linear (with optional bias and fused residual addition), causal
// attention with rotary embedding (grouped queries, optional q/k norm), SwiGLU, and the head: final
// projection, log-probabilities, entropy and the loss over the whole packed batch. Each is a
// gorgonia.SDOp whose SymDiff yields one backward node; gorgonia.Grad assembles the backward pass.
//
// # Rules the operations keep
//
//   - An operation owns its result; nothing is allocated per run. Shapes are capacities: a machine
//     is built once for up to C tokens, and a run touches only the rows that its batch has.
//   - Parameters and their gradients are views into two flat vectors. The backward nodes add into
//     the gradient vector, so gradients accumulate over runs until the caller clears them; the
//     gradient nodes' values are those views. Where two nodes share a parameter (tied embeddings),
//     each has its own accumulator and [Machine.Gradients] joins them in a fixed order.
//   - Every sum runs in an order that depends on the batch alone: matrix products sequentially
//     along the inner dimension, parameter gradients token after token or sequence after sequence.
//     Results are therefore the same bits for any number of threads, and the gradient of a batch
//     cut between sequences is the same as that of the whole.
//   - No [tokens, tokens] tensor exists. Attention keeps a logarithm of a sum per row and head and
//     recomputes the rest, a block of queries at a time (the idea of FlashAttention, Dao et al.
//     2022, arXiv 2205.14135, section 3). No [tokens, vocabulary] tensor exists either: the head
//     works in chunks of rows and recomputes logits when it goes back.
//
// # Two precisions
//
// Everything is generic over float32 and float64. float32 runs on package kernel and is what
// trains; float64 runs on plain loops and exists so that gradients can be compared with central
// differences. Only the leaves in arith.go differ.
package graph

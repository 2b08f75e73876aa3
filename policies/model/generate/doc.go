// Package generate samples from a policy: weights packed once, a paged cache of keys and values, a
// batch that sequences join and leave at any step, and log-probabilities of given sequences.
//
// What lives here: [Policy] (read-only packed weights), [Decoder] (the batch), [Policy.Score], the
// draw itself ([Params]) and a memory estimate. What does not: goroutines, clocks, queues of
// callers and policies by name; those are in rollout/engine/local.
//
// # The same bits for the same sample
//
// Every row of a batch is computed by kernels whose order of summation does not depend on the
// other rows, on the number of rows or on the number of threads: a matrix product is one chain
// per element, attention of one row runs over its own positions in order. A row is therefore the
// same to the bit whether its token came from a prompt that is read in (prefill), from the step
// before (decode), from a continuation call, or from [Policy.Score]. The random number of the
// token at absolute position p of sample i is a function of (seed, i, p). Together: a sample
// never depends on its batch, on the number of cores, or on how it was cut into calls.
//
// # How a step is computed
//
// One step moves every running sequence by a token. Its rows are cut into blocks, and each block
// goes through the whole network, the draw included, on one core without meeting another, so
// that activations stay in that core's cache and there is one synchronisation a step. Where only
// one block is to be had (one sequence, or one long prompt), the products and the attention
// inside it are shared by the cores instead.
package generate

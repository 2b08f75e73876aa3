// Package serve puts an engine behind HTTP, in the dialects of three inference servers: vLLM's
// (completions, token-in-token-out generate, tokenizer, adapters, pause and weight reload), SGLang's
// (/generate and its control calls) and llama-server's (/completion). It is what `pith serve` runs,
// what other tools can be pointed at, and what the adapters of those servers are tested against. The
// design also names Tinker's dialect: it is not served, because no client of it was at hand to check
// one with.
//
// What lives here: the wire forms, admission and back-pressure, the fence around weight changes,
// names of policies and their versions. What does not: sampling (any engine.Sampler), publishing
// (any engine.Publisher), tokens and text (policies/tokenizer). It may be imported by cmd and by
// tests of adapters.
//
// A policy behind a name is immutable. Loading weights publishes a new one and moves the name; the
// requests that run finish on the policy they began with, unless they were frozen by a pause, after
// which they continue on what the name then means, and the spans in the answer say so. Numbers are
// printed so that a client gets the engine's float32 back to the bit.
package serve

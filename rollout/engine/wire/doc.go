// Package wire is what the HTTP adapters of inference servers share: a client with bounds on
// connections, bodies and time, errors by class, a reader of answers that builds no trees, a reader
// of event streams, and the part of sampling that is the same for every server: one request a
// sample, derived seeds, checked sequences, and an account of every one of them.
//
// What lives here does not know a server's fields; those are in the packages vllm, sglang, llamacpp
// and openai beside it, which are the only ones to import it. Nothing here tries again: repeating a
// request that failed can make answers shorter on average, and that judgement is the fleet's.
package wire

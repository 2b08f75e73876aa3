// Package sim is a simulated inference engine: replicas with continuous batching, decode speed that
// depends on the batch, prefill, a bounded key-value cache, stalls and failures, as a discrete-event
// model in virtual time.
//
// It has two users. [Engine] is a Sampler, Publisher, Fencer and Observer whose tokens are synthetic
// but whose lengths, delays and faults are a real server's in kind, for continuous integration and
// for rehearsing a large run on a laptop. [Plan] runs replicas and a trainer together without any
// clock at all, to choose staleness and the split of processors before renting them.
//
// Nothing that is drawn depends on time: how long sample i of a request is follows from its seed, as
// on a seeded server, so that what a rehearsal logs can be repeated.
package sim

// Package fleet puts several replicas of an engine behind one Sampler, Publisher, Fencer and
// Observer.
//
// What decides is pure and tested without a client: how many sequences a replica may have in
// flight ([Controller]), whether it is asked at all ([Breaker]), which one a request goes to
// ([choose]), and what becomes of a request that failed ([verdict]). What acts is small: a call
// goes to a replica, comes back, and is judged; one goroutine per replica reads its metrics and
// brings it up to date.
//
// Nothing here may change how long answers are. A failed request is sent again as it was, with its
// seed, where the engine honours seeds; it goes on from the tokens that were drawn, where the
// engine returns them; otherwise it is given up and counted ([ErrLost]), because drawing anew until
// something survives prefers what survives: the short. Timeouts, crashes and aborts hit long
// answers first.
//
// The same request on another replica is the same sample only where replicas have the same
// arithmetic. Replicas of one fleet are taken to be alike: same model, same server, same options.
package fleet

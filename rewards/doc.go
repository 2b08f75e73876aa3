// Package rewards holds every efficient-reasoning method behind one interface: a graded group of
// traces goes in, and each trace comes back with its reward terms, their total, its advantage and
// whether the method keeps it.
//
//	method, err := rewards.New("dler", rewards.Options{Params: map[string]any{"limit": 4000}})
//	results, err := method.Score(batch) // pure: same state, same batch, same results
//	method.Observe(batch)               // afterwards, once a step: advances what the method remembers
//
// A method is data: a [Description], a struct of tagged parameters (package rewards/params), and
// small functions over one group. One file holds one method; methods.go is the explicit table of
// all of them. From that table come config keys, strict decoding, documentation and the property
// tests. docs/adding-a-method.md walks through an example.
//
// What lives here: reward terms, their composition, filters, evolving state, and the wiring to an
// estimator of policies/advantage. What does not: whether an answer is right (rewards/grade), the
// losses, the file formats of `pith score` (rewards/score) and the check for inversions
// (rewards/lint). Nothing here does I/O, starts a goroutine or reads a clock.
//
// Conventions that hold for every method: correctness, format, truncation, length, tool calls,
// modes, turns, budgets and prices are separate inputs; truncation is the engine's finish reason;
// a trace without a score takes no part in any statistic or state, has advantage 0 and is dropped;
// filters read raw correctness; ties are broken by input order.
package rewards

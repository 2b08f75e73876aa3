// Package strategy turns a task into traces: how a problem is sampled. A strategy drives any
// [engine.Sampler] and decides what is asked of it, what the environment inserts and what is
// recorded; it never judges (the grader does, later), never re-tokenises what the policy wrote,
// and keeps no state.
//
// The strategies are in one explicit table ([Names], [New]), each with documented options that are
// decoded strictly:
//
//   - single: one response per sample;
//   - anytime: the same, and how good the answer would be at each of several thinking budgets;
//   - tools: calls in the response are executed and their results inserted.
//
// What the traces promise: tokens and log-probabilities are the engine's own; every token is in
// one segment that says what it is and whether it may be trained on; the delimiter that ends
// thinking belongs to the thinking (stopping is a decision of the thought); what the environment
// inserted has log-probability 0, no span and no training. A sample that the engine fails for
// good becomes a failed trace with the length that it had, never a fresh one.
package strategy

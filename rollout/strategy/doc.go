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
//   - modes: some samples of a group are forced into each of several ways to answer;
//   - tools: calls in the response are executed and their results inserted;
//   - turns: several turns, each a thought and an answer, until two agree;
//   - refine: a draft, and answers that improve on it or compress it;
//   - forced: thinking held between two bounds, as s1 does at test time;
//   - hints: a hint in the question or at the start of the response, such as a token budget.
//
// [Check] says before a run what a strategy lacks here.
//
// What the traces promise: tokens and log-probabilities are the engine's own; every token is in
// one segment that says what it is and whether it may be trained on; the delimiter that ends
// thinking belongs to the thinking (stopping is a decision of the thought); what the environment
// inserted has log-probability 0, no span and no training; what a strategy drew in the policy's
// place has the log-probability of that draw and may be trained on. Only a problem's prompt is
// ever written anew, with a hint in it, and the trace holds the prompt that was asked. A response
// of several turns has the range of each; the verdict is the last one's. A sample that the engine fails for
// good becomes a failed trace with the length that it had, never a fresh one.
package strategy

// Package hacking looks for the ways in which a policy satisfies a length reward without reasoning
// better: answers without reasoning, reasoning moved to where the rule does not count it (behind the
// delimiter, into tool arguments), repetition, answers written down before they are worked out,
// another language, and reward terms that have stopped saying anything.
//
// [Inspect] judges one response by fixed rules with stated thresholds; a [Watch] adds responses up by
// step and compares late training with the start. A flag is a reason to read the examples, not a
// verdict: a policy that has learnt to answer easy problems at once is flagged too.
//
// Everything is pure and deterministic. Reading logs and showing flags is analysis.
package hacking

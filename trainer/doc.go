// Package trainer is the loop of a run: admit groups of problems, collect their traces, grade and
// score them, improve the policy, publish it, commit the log, evaluate, and come back from a kill
// with the same bytes.
//
// The trace log is the truth. A step is committed when its segment is durable; only then are its
// messages acknowledged. A resumed run loads the last checkpoint, replays the committed segments
// after it through the learner, and goes on. Nothing here depends on the order in which traces
// arrive: groups are consumed in the order of their index, which also bounds staleness exactly.
//
// What lives elsewhere: sampling (rollout), judging and shaping (rewards), losses and advantages
// (policies), the optimiser (trainer/learner), reports (analysis).
package trainer

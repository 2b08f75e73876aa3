// Package rollout runs tasks: a [Worker] takes them from the stream, waits for the policy that
// they want, has their strategy sample them, stores the traces and only then lets the task go.
//
// The same worker runs inside the trainer's process and, as `pith worker`, on any machine that
// reaches the stream. What it does to a trace never depends on which worker did it, on how many
// there are, or on how often a task was tried: traces hold no attempt, no name and no time.
//
// What lives beside it: task (the unit of work), strategy (how a problem is sampled), engine (what
// samples tokens) and stream (how tasks and traces travel).
package rollout

import "pith/rollout/task"

// Task is the unit of work; see package task.
type Task = task.Task

// Package stream carries rollouts between the trainer and its workers over NATS JetStream: a work
// queue of tasks, a queue of outcomes (traces and dead letters), and announcements of policies
// with their weights.
//
// The trainer calls [Open], which starts a server inside the process unless a URL is given;
// workers in other processes call [Join]. Everything is named by the run, so that several runs
// share one server.
//
// What it promises. A task or trace that was accepted is delivered until it is acknowledged, over
// any number of crashes of any process. Nothing counts twice: message ids are deterministic (the
// server drops a repeat within its window, and [Stream.Collect] drops what is held or has been
// acknowledged already). A trace is acknowledged by its receiver only after it is durable
// elsewhere ([Stream.Commit]). What cannot be delivered or decoded becomes a [DeadLetter], which
// is an outcome like any other: nothing hangs because a message was bad. Every wait returns with
// its context and says what it waited for.
//
// What it does not do: run tasks (package rollout), judge or store traces.
package stream

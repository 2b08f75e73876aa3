// Package live shows a run while it trains: the same snapshot of the log, in a terminal ([Terminal])
// and in a browser ([Handler], over server-sent events).
//
// A snapshot is made from what has been committed to the run directory and, where the run's NATS
// server can be reached, from its queues. Nothing here writes to the run or slows it down, and a run
// that has ended is shown just as well. The page carries everything it needs: no network beyond the
// handler's own.
//
// What lives elsewhere: the report at the end (analysis), the stream (rollout/stream).
package live

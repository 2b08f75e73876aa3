// Package traces is the ground that everything else in pith stands on: the record of one sampled
// reasoning trace, its wire form on the stream, its Parquet schema, and the writer and reader of
// the trace log.
//
// What lives here: plain records ([Trace], [Step], [Eval], [Timing]), their validation, and file
// formats. What does not: how a trace is sampled (rollout), judged (rewards) or learnt from
// (policies, trainer). Every package may import traces; traces imports none of them.
//
// Three rules hold for every record. Columns are only ever added, never renamed or retyped.
// Nothing read from a clock is stored outside [Timing], so that the other files of a synchronous
// run can be reproduced to the byte. Correctness ([Trace.Verdict]) and shaping ([Trace.Reward])
// are separate columns, and filters, curricula and plots read the former.
package traces

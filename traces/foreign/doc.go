// Package foreign turns logs that other programs wrote into run directories, and run directories
// into plain files, so that scoring and reports work on traces that pith never sampled.
//
// [Import] reads JSON lines or Parquet, one record at a time, through a table of field names
// ([Formats]; any of them can be overridden), and writes ordinary segments, steps.parquet and
// evals.parquet. One step is in memory, never the log. What such a log does not say stays unknown:
// a trace without token ids carries lengths only, marked as reported by its source or as estimated by
// a stated rule ([traces.LengthSource]); the manifest of the run records the rule, the fields and how
// verdicts came about. A record that cannot be used is an error naming file, line and field.
//
// [Export] writes traces as groups (the input of pith score), JSON lines, CSV or one Parquet file.
//
// The field names of TRL, verl and prime-rl are from notes and memory: no log that those programs wrote was
// at hand to check them against, and the fixtures are written by hand.
//
// What does not live here: judging answers. A caller may pass a grader in.
package foreign

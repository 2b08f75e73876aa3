// Package score is the engine of `pith score`: it reads recorded groups, gives them to one or more
// methods of package rewards, and writes what each trace would have earned.
//
// [Reader] decodes the JSON-lines contract strictly and names line, group, trace and field in every
// error; [Lines] scores them as one training batch, a group at a time unless the method needs the
// whole batch; [Compare] sets several methods beside each other; [Replay] recomputes a run's own
// rewards and advantages from its trace log, step by step, and says whether they are the recorded
// ones.
//
// What lives elsewhere: the methods (rewards), the command (cmd/pith).
package score

package analysis

import (
	"fmt"
	"slices"
	"strings"

	"pith/traces"
)

// ledger counts the training traces of the log one by one. It is an [Observer].
type ledger struct {
	rows, twice, unknown                           int64
	trained, filtered, failed, deadLettered, noSco int64
	groups                                         map[string]int64
	group                                          string // that of the last row, and its count so far
	inGroup                                        int64
	ids                                            []uint64 // hashes; a collision among a billion has odds of 3 %
}

// Columns implements [Observer].
func (*ledger) Columns() []string { return []string{"id", "group", "verdict", "status"} }

// Observe implements [Observer].
func (l *ledger) Observe(b *traces.Batch) {
	for i := range b.Rows {
		t := &b.Rows[i]
		l.rows++
		l.ids = append(l.ids, hash(t.ID))
		if t.Group != l.group || l.inGroup == 0 {
			l.closeGroup()
			l.group = t.Group
		}
		l.inGroup++
		switch t.Status {
		case traces.Trained:
			l.trained++
		case traces.Filtered:
			l.filtered++
		case traces.Failed:
			l.failed++
		case traces.DeadLettered:
			l.deadLettered++
		default:
			l.unknown++
		}
		if t.Verdict == traces.NoScore {
			l.noSco++
		}
	}
}

// closeGroup counts the rows of the group that has just ended: those of a group stand together, so
// the map is asked once for each.
func (l *ledger) closeGroup() {
	if l.inGroup == 0 {
		return
	}
	if l.groups == nil {
		l.groups = map[string]int64{}
	}
	l.groups[strings.Clone(l.group)] += l.inGroup
	l.inGroup = 0
}

// finish looks for ids that came twice.
func (l *ledger) finish() {
	l.closeGroup()
	slices.Sort(l.ids)
	for i := 1; i < len(l.ids); i++ {
		if l.ids[i] == l.ids[i-1] {
			l.twice++
		}
	}
	l.ids = nil
}

// hash is FNV-1a of 64 bits.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// balance turns the counts into the accounting and lists what does not add up.
func (d *runData) balance() (Accounting, []string) {
	l := &d.ledger
	a := Accounting{
		Released: l.rows, Trained: l.trained, Filtered: l.filtered, Failed: l.failed, DeadLettered: l.deadLettered,
		NoScore: l.noSco, Groups: int64(len(l.groups)),
	}
	var problems []string
	bad := func(format string, args ...any) {
		problems = append(problems, "accounting: "+fmt.Sprintf(format, args...))
	}
	if sum := a.Trained + a.Filtered + a.Failed + a.DeadLettered; sum != a.Released {
		bad("%d traces were released, but trained %d + filtered %d + failed %d + dead-lettered %d = %d; %d have no outcome",
			a.Released, a.Trained, a.Filtered, a.Failed, a.DeadLettered, sum, l.unknown)
	}
	if l.twice > 0 {
		bad("%d traces are in the log more than once", l.twice)
	}
	var s Accounting
	for _, step := range d.steps {
		s.Released += step.Traces
		s.Trained += step.Trained
		s.Filtered += step.Filtered
		s.Failed += step.Failed
		s.DeadLettered += step.DeadLetter
	}
	for _, c := range []struct {
		what       string
		steps, log int64
	}{
		{"released", s.Released, a.Released}, {"trained", s.Trained, a.Trained}, {"filtered", s.Filtered, a.Filtered},
		{"failed", s.Failed, a.Failed}, {"dead-lettered", s.DeadLettered, a.DeadLettered},
	} {
		if c.steps != c.log {
			bad("%s says %d %s, the traces themselves %d", traces.StepsFile, c.steps, c.what, c.log)
		}
	}
	if size := int64(d.manifest.Config.Rollout.SamplesPerPrompt); size > 0 {
		incomplete := 0
		for _, n := range l.groups {
			if n != size {
				incomplete++
			}
		}
		if incomplete > 0 {
			bad("%d of %d groups do not have the %d traces that were released for each", incomplete, len(l.groups), size)
		}
	}
	if first, last, ok := numbered(l.groups); ok && last-first+1 != int64(len(l.groups)) {
		bad("%d groups are numbered from %d to %d; %d are missing", len(l.groups), first, last, last-first+1-int64(len(l.groups)))
	}
	a.Exact = len(problems) == 0
	return a, problems
}

// numbered returns the range of group numbers where all groups have one (g000000012).
func numbered(groups map[string]int64) (first, last int64, ok bool) {
	first = -1
	for name := range groups {
		var n int64
		var rest string
		if count, _ := fmt.Sscanf(name, "g%d%s", &n, &rest); count != 1 {
			return 0, 0, false
		}
		if first < 0 || n < first {
			first = n
		}
		last = max(last, n)
	}
	return first, last, first >= 0
}

package score

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"pith/rewards"
	"pith/traces"
)

// RunSteps yields the training traces of a run, one learner step at a time, each step sorted as in
// the log. Memory holds one step.
func RunSteps(run *traces.Run) iter.Seq2[[]traces.Trace, error] {
	return func(yield func([]traces.Trace, error) bool) {
		var rows []traces.Trace
		for row, err := range run.Traces(traces.Filter{}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(rows) > 0 && rows[0].Step != row.Step {
				if !yield(rows, nil) {
					return
				}
				rows = nil
			}
			rows = append(rows, row)
		}
		if len(rows) > 0 {
			yield(rows, nil)
		}
	}
}

// RunBatches yields the training batches of a run step by step, as [CompareBatches] takes them.
func RunBatches(run *traces.Run) iter.Seq2[[]rewards.Group, error] {
	return func(yield func([]rewards.Group, error) bool) {
		for rows, err := range RunSteps(run) {
			if !yield(batchOf(rows), err) || err != nil {
				return
			}
		}
	}
}

// batchOf rebuilds the batch that a step was scored on. Groups that training filtered without
// asking the method, which show by having no reward terms, were not part of it.
func batchOf(rows []traces.Trace) []rewards.Group {
	filtered, scored := map[string]bool{}, map[string]bool{}
	for i := range rows {
		filtered[rows[i].Group] = filtered[rows[i].Group] || rows[i].Status == traces.Filtered
		scored[rows[i].Group] = scored[rows[i].Group] || len(rows[i].Terms) > 0
	}
	return slices.DeleteFunc(rewards.GroupsFromTraces(rows), func(g rewards.Group) bool { return filtered[g.ID] && !scored[g.ID] })
}

// ReplayOptions say what the log alone does not: how parameters changed over the run.
type ReplayOptions struct {
	// Prepare is called before a step is scored, for schedules to set the method's parameters; nil
	// for none.
	Prepare func(step int64, m *rewards.Method) error
	// Out takes a line per trace, as for recorded groups; nil for none.
	Out io.Writer
}

// Difference is a recorded value that the replay does not reproduce.
type Difference struct {
	Step  int64  `json:"step"`
	Group string `json:"group"`
	Trace string `json:"trace"`
	Field string `json:"field"` // reward, reward_terms, advantage, token_advantages, status
	Got   string `json:"got"`
	Want  string `json:"want"` // as recorded
}

// String is one line for a person.
func (d *Difference) String() string {
	return fmt.Sprintf("step %d: group %q: trace %q: %s is %s, recorded was %s", d.Step, d.Group, d.Trace, d.Field, d.Got, d.Want)
}

// Replayed is the outcome of a replay.
type Replayed struct {
	Steps     int64       `json:"steps"`
	Traces    int64       `json:"traces"`
	Different int64       `json:"different"` // traces with any difference
	First     *Difference `json:"first,omitempty"`
}

// Replay recomputes the rewards and advantages of a run from its trace log, step by step, letting
// the method observe each step after it was scored, as training does. The comparison is exact, to
// the last bit.
func Replay(run *traces.Run, m *rewards.Method, o ReplayOptions) (*Replayed, error) {
	out := &Replayed{}
	var w *Writer
	if o.Out != nil {
		w = NewWriter(o.Out)
	}
	var results [][]rewards.Result
	for rows, err := range RunSteps(run) {
		if err != nil {
			return nil, err
		}
		step := rows[0].Step
		if o.Prepare != nil {
			if err := o.Prepare(step, m); err != nil {
				return nil, fmt.Errorf("step %d: %w", step, err)
			}
		}
		groups := batchOf(rows)
		if results, err = m.ScoreInto(groups, results); err != nil {
			return nil, fmt.Errorf("step %d: %w", step, err)
		}
		m.Observe(groups)
		recorded := make(map[string]*traces.Trace, len(rows))
		for i := range rows {
			recorded[rows[i].ID] = &rows[i]
		}
		out.Steps++
		out.Traces += int64(len(rows))
		for i := range groups {
			for j := range groups[i].Samples {
				if d := differs(recorded[groups[i].Samples[j].ID], &results[i][j]); d != nil {
					out.Different++
					if out.First == nil {
						out.First = d
					}
				}
			}
			if w != nil {
				if err := w.Group(&groups[i], results[i]); err != nil {
					return nil, err
				}
			}
		}
	}
	if w != nil {
		return out, w.Flush()
	}
	return out, nil
}

// differs gives the first difference between a recorded trace and its recomputed result.
func differs(t *traces.Trace, r *rewards.Result) *Difference {
	d := func(field string, got, want any) *Difference {
		return &Difference{Step: t.Step, Group: t.Group, Trace: t.ID, Field: field, Got: fmt.Sprint(got), Want: fmt.Sprint(want)}
	}
	switch {
	case t.Status == traces.Failed || t.Status == traces.DeadLettered:
		return nil // no reward was ever computed
	case r.Reward != t.Reward:
		return d("reward", r.Reward, t.Reward)
	case !slices.Equal(r.Terms, t.Terms):
		return d("reward_terms", r.Terms, t.Terms)
	case r.Advantage != t.Advantage:
		return d("advantage", r.Advantage, t.Advantage)
	case !slices.Equal(r.TokenAdvantages, t.TokenAdvantages):
		return d("token_advantages", r.TokenAdvantages, t.TokenAdvantages)
	case t.Status == traces.Trained && r.Dropped:
		return d("status", "dropped ("+r.Reason+")", t.Status)
	case t.Status == traces.Filtered && !r.Dropped && !strings.HasPrefix(t.StatusReason, rewards.ReasonPairs):
		return d("status", "kept", t.Status)
	}
	return nil
}

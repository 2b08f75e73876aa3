package trainer

import (
	"fmt"
	"slices"

	"pith/configs"
	"pith/datasets/curriculum"
	"pith/rewards"
	"pith/rewards/grade"
	"pith/traces"
)

// judge grades a trace in place. A trace that failed has no score.
func judge(g grade.Grader, t *traces.Trace) {
	if t.Finish == traces.FinishError || t.Status == traces.DeadLettered {
		t.Verdict, t.VerdictReason = traces.NoScore, "no response"
		return
	}
	response := t.Text
	if n := len(t.TurnRanges); n > 0 { // the last turn is the answer; those before it are drafts
		response = response[t.TurnRanges[n-1].TextStart:]
	}
	v := g.Grade(t.Gold, response)
	t.Verdict, t.Extracted, t.VerdictReason, t.Formatted = traces.Verdict(v.Outcome), v.Extracted, v.Reason, v.Formatted
}

// mixed says that the scored traces of a group are neither all right nor all wrong. It reads raw
// correctness, never the shaped reward.
func mixed(group []traces.Trace) bool {
	return curriculum.Judge(outcome(group), false) == curriculum.Mixed
}

// outcome counts the verdicts of a group.
func outcome(group []traces.Trace) curriculum.Outcome {
	var o curriculum.Outcome
	for i := range group {
		switch group[i].Verdict {
		case traces.Right:
			o.Right++
		case traces.Wrong:
			o.Wrong++
		default:
			o.NoScore++
		}
	}
	return o
}

// groupsOf cuts rows that stand group by group.
func groupsOf(rows []traces.Trace) [][]traces.Trace {
	var out [][]traces.Trace
	for from := 0; from < len(rows); {
		to := from + 1
		for to < len(rows) && rows[to].Group == rows[from].Group {
			to++
		}
		out = append(out, rows[from:to])
		from = to
	}
	return out
}

// reasonFull is why a group that survived the filters was not trained on.
const reasonFull = rewards.ReasonSampling + "the update is full"

// reward scores one step's traces in place, group by group as they stand, and lets the method
// observe them. Groups listed in unmixed were not kept by dynamic sampling; the rest is the training
// batch. Of the groups that the method keeps, the first atMost are trained on; 0 is all. kept counts
// those that it keeps. Failed traces take no part.
func reward(m *rewards.Method, rows []traces.Trace, unmixed map[string]bool, atMost int) (kept int, err error) {
	groups := rewards.GroupsFromTraces(rows)
	var batch []rewards.Group
	for _, g := range groups {
		if !unmixed[g.ID] {
			batch = append(batch, g)
		}
	}
	results, err := m.Score(batch)
	if err != nil {
		return 0, fmt.Errorf("score with method %s: %w", m.Name(), err)
	}
	surplus := false
	for i := range batch {
		if !slices.ContainsFunc(results[i], func(r rewards.Result) bool { return !r.Dropped }) {
			continue
		}
		if kept++; atMost > 0 && kept > atMost {
			batch[i].Excluded, surplus = reasonFull, true
		}
	}
	if surplus { // an estimator may look at the whole batch
		if results, err = m.Score(batch); err != nil {
			return 0, fmt.Errorf("score with method %s: %w", m.Name(), err)
		}
	}
	byID := make(map[string]*rewards.Result, len(rows))
	for i, g := range batch {
		for j := range g.Samples {
			byID[g.Samples[j].ID] = &results[i][j]
		}
	}
	m.Observe(batch)
	for i := range rows {
		t := &rows[i]
		if t.Status == traces.Failed || t.Status == traces.DeadLettered {
			continue
		}
		r := byID[t.ID]
		if r == nil {
			t.Status, t.StatusReason = traces.Filtered, "group not mixed"
			continue
		}
		t.Reward, t.Terms, t.Advantage, t.TokenAdvantages = r.Reward, r.Terms, r.Advantage, r.TokenAdvantages
		t.Status, t.StatusReason = traces.Trained, r.Reason
		if r.Dropped {
			t.Status = traces.Filtered
		}
	}
	return kept, nil
}

// price fills the prices of a trace.
func price(p configs.Prices, t *traces.Trace) {
	t.PromptPrice = float64(len(t.PromptTokens)) * p.PromptPerMillion / 1e6
	t.CompletionPrice = float64(t.LengthTokens) * p.CompletionPerMillion / 1e6
	if p.ToolCall == 0 {
		return // a tool's own price, if it has one, stands
	}
	for i := range t.ToolCalls {
		t.ToolCalls[i].Price = p.ToolCall
	}
}

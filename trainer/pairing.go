package trainer

import (
	"errors"
	"fmt"
	"slices"

	"pith/configs"
	"pith/policies/loss"
	"pith/policies/preference"
	"pith/rewards"
	"pith/rewards/params"
	"pith/traces"
)

// pairing makes the preference data of a step: which responses are preferred to which.
type pairing struct {
	rule *preference.Rule
	// imitate: only the preferred responses are learnt from, by a supervised loss.
	imitate bool
}

// openPairing reads loss.pairs; nil where the loss compares no responses.
func openPairing(c configs.Config) (*pairing, error) {
	_, d, _ := loss.New(c.Loss.Kind, c.Loss.Params)
	if d.Name == "" { // what is wrong with it is said where the loss is opened
		return nil, nil
	}
	compares, imitates := slices.Contains(d.Needs, "group"), c.Loss.Kind == "sft"
	if !compares && (c.Loss.Pairs == nil || !imitates) {
		if c.Loss.Pairs != nil {
			return nil, fmt.Errorf("loss %s compares no pairs; set loss.kind to dpo, or to sft to imitate the preferred responses, or leave it out", c.Loss.Kind)
		}
		return nil, nil
	}
	p := &pairing{rule: &preference.Rule{}, imitate: imitates}
	params.SetDefaults(p.rule, params.Paper)
	if err := params.Decode(p.rule, c.Loss.Pairs, ""); err != nil {
		return nil, err
	}
	if c.Loss.Params["confidence"] == "advantage" {
		return nil, errors.New("loss.params.confidence advantage takes the confidence of a pair from visit counts of a tree search, which no strategy makes; set it to fixed, with label_smoothing for a conservative loss")
	}
	if c.Rollout.SamplesPerPrompt < 2 {
		return nil, errors.New("pairs need rollout.samples_per_prompt of at least 2")
	}
	return p, nil
}

// couple is a pair of traces.
type couple struct{ chosen, rejected *traces.Trace }

// couples makes the pairs of one group from the traces that the method trains on.
func (p *pairing) couples(group []*traces.Trace) []couple {
	var trained []*traces.Trace
	var responses []preference.Response
	for _, t := range group {
		if t.Status == traces.Trained {
			trained = append(trained, t)
			responses = append(responses, preference.Response{
				Right: t.Verdict == traces.Right, Wrong: t.Verdict == traces.Wrong, Tokens: int(t.LengthTokens), Reward: t.Reward,
			})
		}
	}
	var out []couple
	for _, x := range p.rule.Pairs(responses) {
		out = append(out, couple{trained[x.Chosen], trained[x.Rejected]})
	}
	return out
}

// mark takes the traces that are in no pair out of the update, and says why. p may be nil.
func (p *pairing) mark(rows []traces.Trace) {
	if p == nil {
		return
	}
	for _, group := range groupsOf(rows) {
		pointers := make([]*traces.Trace, len(group))
		for i := range group {
			pointers[i] = &group[i]
		}
		role := map[*traces.Trace]string{}
		for _, c := range p.couples(pointers) {
			role[c.chosen] = "chosen"
			if !p.imitate {
				role[c.rejected] = "rejected"
			}
		}
		for _, t := range pointers {
			switch {
			case t.Status != traces.Trained:
			case role[t] == "":
				t.Status, t.StatusReason = traces.Filtered, rewards.ReasonPairs+"neither preferred to another nor worse than one"
			default:
				t.StatusReason = role[t]
			}
		}
	}
}

// lay lines a mini-batch up pair by pair, each a group of its own, with 1 for the chosen response
// and -1 for the rejected one in place of an advantage. A response in several pairs stands there
// several times.
func (p *pairing) lay(part []*traces.Trace) (rows []*traces.Trace, group []int32, advantage []float32) {
	for from := 0; from < len(part); {
		to := from + 1
		for to < len(part) && part[to].Group == part[from].Group {
			to++
		}
		if p.imitate {
			for _, t := range part[from:to] {
				rows, group, advantage = append(rows, t), append(group, int32(len(group))), append(advantage, 1)
			}
			from = to
			continue
		}
		for _, c := range p.couples(part[from:to]) {
			pair := int32(len(group) / 2)
			rows = append(rows, c.chosen, c.rejected)
			group = append(group, pair, pair)
			advantage = append(advantage, 1, -1)
		}
		from = to
	}
	return rows, group, advantage
}

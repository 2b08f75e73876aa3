package trainer

import (
	"errors"
	"strconv"
	"strings"

	"pith/configs"
	"pith/datasets"
	"pith/datasets/rng"
	"pith/traces"
)

// beforehand gives problems what a method wants to know of them before they are sampled and their
// source does not say: a token budget, and how a reference policy does on them. What the source says
// stands.
type beforehand struct {
	seed   uint64
	budget configs.TokenBudget
	say    func(prompt string, tokens int) string // nil: budget.Prompt at the end
	wanted bool                                   // a reference is asked for

	levels  map[int]reference
	overall reference
}

// reference is how the base policy does: mean accuracy and length.
type reference struct{ accuracy, tokens float64 }

func newBeforehand(c configs.Config, say func(string, int) string) *beforehand {
	return &beforehand{seed: c.Run.Seed, budget: c.Data.TokenBudget, say: say, wanted: c.Data.Reference == "evaluation"}
}

// refer takes the references of each level from the sampled evaluation of the base policy. That it
// is an evaluation of other problems is what a generated family has to offer: it never repeats one.
func (b *beforehand) refer(evals []traces.Eval) error {
	if !b.wanted {
		return nil
	}
	for _, e := range evals {
		if e.Step != 0 || e.Decoding != sampled {
			continue
		}
		b.overall, b.levels = reference{e.Accuracy, e.TokensMean}, map[int]reference{}
		for _, l := range e.Levels {
			b.levels[int(l.Level)] = reference{l.Accuracy, l.Tokens}
		}
		return nil
	}
	return errors.New("data.reference: the run has no evaluation of its base policy to take references from")
}

// add fills in what p lacks.
func (b *beforehand) add(p *datasets.Problem, split datasets.Split, index int64) {
	if b.budget.Max > 0 && p.TokenBudget == 0 {
		r := rng.New(b.seed, rng.Text("token budget"), rng.Text(string(split)), uint64(index))
		p.TokenBudget = b.budget.Min + r.IntN(b.budget.Max-b.budget.Min+1)
		if b.say != nil {
			p.Prompt = b.say(p.Prompt, p.TokenBudget)
		} else {
			p.Prompt += strings.ReplaceAll(b.budget.Prompt, "{tokens}", strconv.Itoa(p.TokenBudget))
		}
	}
	if b.levels == nil || split != datasets.Train {
		return
	}
	known, ok := b.levels[p.Level]
	if !ok {
		known = b.overall
	}
	if p.ReferenceAccuracy == nil {
		accuracy := known.accuracy
		p.ReferenceAccuracy = &accuracy
	}
	if p.ReferenceTokens == 0 {
		p.ReferenceTokens = max(known.tokens, 1)
	}
}

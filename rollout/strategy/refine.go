package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"pith/rollout/task"
)

// refineOptions are the options of the refine strategy.
type refineOptions struct {
	Rounds      int    `json:"rounds"`
	DraftTokens int    `json:"draft_tokens"`
	Open        string `json:"open"`
	TrainDraft  bool   `json:"train_draft"`
}

func refineDefaults() refineOptions {
	return refineOptions{Rounds: 1, Open: "{think}", TrainDraft: true}
}

func refineDocs() []Option {
	d := refineDefaults()
	return []Option{
		{"rounds", d.Rounds, "refinements after the draft; the last one is the answer"},
		{"draft_tokens", d.DraftTokens, "the draft, and every refinement but the last, is cut after so many sampled tokens; 0: only the response has a limit"},
		{"open", d.Open, "text between a draft and its refinement, kept from the loss: an instruction to improve or to compress; markers as {think}"},
		{"train_draft", d.TrainDraft, "drafts are trained on too; false: only the last refinement"},
	}
}

// refine samples a draft and then refinements of it, each seeing all that came before: sequential
// refinement, the case of one draft a round of PDR (arXiv 2510.01123), which trains a model on the
// very operator that it is used with. draft_tokens is the bound of its workspace. Parallel drafts
// that are distilled into a workspace of their own are not offered: their samples would not be one
// sequence, and what a trace holds is what its log-probabilities were computed on.
type refine struct{ o refineOptions }

func openRefine(options json.RawMessage) (Strategy, error) {
	o := refineDefaults()
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	var errs []error
	if o.Rounds < 1 || o.Rounds > 1000 {
		errs = append(errs, fmt.Errorf("rounds is %d, must be 1 to 1000", o.Rounds))
	}
	if o.DraftTokens < 0 {
		errs = append(errs, fmt.Errorf("draft_tokens is %d, must be 0 or more", o.DraftTokens))
	}
	if o.Open == "" {
		errs = append(errs, errors.New("open is empty, must be what stands between a draft and its refinement"))
	}
	return refine{o}, errors.Join(errs...)
}

// ready implements readier.
func (s refine) ready(env *Env) error {
	_, err := env.write("opening of a refinement", s.o.Open, values{})
	return err
}

func (s refine) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	opener, err := env.write("opening of a refinement", s.o.Open, values{limit: t.Params.MaxTokens})
	if err != nil {
		return nil, fmt.Errorf("strategy refine: %w", err)
	}
	rs := newResponses(env, t)
	if err := advance(ctx, env, rs, t.Params, s.o.DraftTokens); err != nil {
		return nil, err
	}
	for _, r := range rs {
		r.endPart()
	}
	live := rs
	for round := 1; round <= s.o.Rounds && len(live) > 0; round++ {
		limit := s.o.DraftTokens
		if round == s.o.Rounds {
			limit = 0
		}
		all := func(*response) bool { return true }
		if live, err = again(ctx, env, live, opener, t.Params, limit, all); err != nil {
			return nil, err
		}
	}
	if !s.o.TrainDraft {
		for _, r := range rs {
			r.freeze()
		}
	}
	return rollouts(rs), nil
}

// freeze keeps all turns but the last from the loss.
func (r *response) freeze() {
	if len(r.parts) < 2 {
		return
	}
	start, _ := r.turn(len(r.parts) - 1)
	for i := range r.segments {
		if r.segments[i].End <= start {
			r.segments[i].Train = false
		}
	}
}

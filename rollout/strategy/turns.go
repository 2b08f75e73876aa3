package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pith/rollout/task"
)

// When a response of several turns is over.
const (
	untilAgree = "agree"
	untilMax   = "max"
)

// turnsOptions are the options of the turns strategy.
type turnsOptions struct {
	MaxTurns   int    `json:"max_turns"`
	TurnTokens int    `json:"turn_tokens"`
	Open       string `json:"open"`
	Until      string `json:"until"`
	Grade      bool   `json:"grade"`
}

func turnsDefaults() turnsOptions {
	return turnsOptions{MaxTurns: 3, Open: "{think}", Until: untilAgree, Grade: true}
}

func turnsDocs() []Option {
	d := turnsDefaults()
	return []Option{
		{"max_turns", d.MaxTurns, "most turns of a response"},
		{"turn_tokens", d.TurnTokens, "a turn is cut after so many sampled tokens, and the next one begins; 0: only the response has a limit"},
		{"open", d.Open, "text that opens a further turn, kept from the loss; markers as {think}"},
		{"until", d.Until, "agree: the response ends when two turns in a row give the same answer; max: always max_turns"},
		{"grade", d.Grade, "the answer of each turn is graded and its score recorded"},
	}
}

// turns samples a response as a sequence of turns, each one thought and one candidate answer, so
// that whoever reads may stop at any of them (MinD, arXiv 2505.19788). When a turn has ended, the
// environment opens the next, until two turns in a row agree or there have been enough; the policy
// ends a response sooner by being sure sooner. All turns are trained on, each with its range in the
// record; the last one's answer is the response's.
type turns struct{ o turnsOptions }

func openTurns(options json.RawMessage) (Strategy, error) {
	o := turnsDefaults()
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	var errs []error
	if o.MaxTurns < 1 || o.MaxTurns > 1000 {
		errs = append(errs, fmt.Errorf("max_turns is %d, must be 1 to 1000", o.MaxTurns))
	}
	if o.TurnTokens < 0 {
		errs = append(errs, fmt.Errorf("turn_tokens is %d, must be 0 or more", o.TurnTokens))
	}
	if o.Open == "" {
		errs = append(errs, errors.New("open is empty, must be what opens a turn"))
	}
	if o.Until != untilAgree && o.Until != untilMax {
		errs = append(errs, fmt.Errorf("until is %q, must be %s or %s", o.Until, untilAgree, untilMax))
	}
	return turns{o}, errors.Join(errs...)
}

// ready implements readier.
func (s turns) ready(env *Env) error {
	if s.o.Grade && env.Grader == nil {
		return errors.New("to grade each turn it needs a grader on the worker; give it one, or set grade to false")
	}
	_, err := env.write("opening of a turn", s.o.Open, values{})
	return err
}

func (s turns) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	if s.o.Grade && env.Grader == nil {
		return nil, fmt.Errorf("strategy turns: %w", s.ready(env))
	}
	opener, err := env.write("opening of a turn", s.o.Open, values{limit: t.Params.MaxTokens})
	if err != nil {
		return nil, fmt.Errorf("strategy turns: %w", err)
	}
	rs := newResponses(env, t)
	if err := advance(ctx, env, rs, t.Params, s.o.TurnTokens); err != nil {
		return nil, err
	}
	for _, r := range rs {
		r.endPart()
	}
	live := rs
	for turn := 1; turn < s.o.MaxTurns && len(live) > 0; turn++ {
		if live, err = again(ctx, env, live, opener, t.Params, s.o.TurnTokens, s.wants); err != nil {
			return nil, err
		}
	}
	if s.o.Grade {
		for _, r := range rs {
			r.gradeParts()
		}
	}
	return rollouts(rs), nil
}

// wants says that a response has another turn: its last two turns have not both given the same
// answer. It compares tokens and judges nothing.
func (s turns) wants(r *response) bool {
	n := len(r.parts)
	if s.o.Until == untilMax || n < 2 {
		return true
	}
	latest, ok := r.answer(n - 1)
	earlier, okToo := r.answer(n - 2)
	return !ok || !okToo || !slices.Equal(latest, earlier)
}

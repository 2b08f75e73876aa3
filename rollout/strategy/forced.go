package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"pith/rollout/task"
	"pith/traces"
)

// forcedOptions are the options of the forced strategy.
type forcedOptions struct {
	Budget int    `json:"budget"`
	Ignore int    `json:"ignore"`
	Wait   string `json:"wait"`
	Answer string `json:"answer"`
}

func forcedDefaults() forcedOptions { return forcedOptions{Ignore: 1, Wait: "Wait"} }

func forcedDocs() []Option {
	d := forcedDefaults()
	return []Option{
		{"budget", d.Budget, "thinking tokens after which the answer is forced; 0: none"},
		{"ignore", d.Ignore, "how often an end of thinking is taken back and the thought made to go on, while budget is left"},
		{"wait", d.Wait, "text that makes it go on; kept from the loss; markers as {think}"},
		{"answer", d.Answer, "text after a forced end of thinking that begins the answer"},
	}
}

// forced holds the thinking between two bounds (budget forcing, s1, arXiv 2501.19393). At most: when
// the budget is used up, the end of thinking is inserted and the answer forced. At least: when the
// policy ends its thinking too soon, its delimiter is taken back and a text put in its place, at most
// ignore times while budget is left. A delimiter that was taken back is no part of the trace; what was
// inserted counts neither towards the budget nor towards the limit.
type forced struct{ o forcedOptions }

func openForced(options json.RawMessage) (Strategy, error) {
	o := forcedDefaults()
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	var errs []error
	if o.Budget < 0 {
		errs = append(errs, fmt.Errorf("budget is %d, must be 0 or more", o.Budget))
	}
	if o.Ignore < 0 || o.Ignore > 1000 {
		errs = append(errs, fmt.Errorf("ignore is %d, must be 0 to 1000", o.Ignore))
	}
	if o.Budget == 0 && o.Ignore == 0 {
		errs = append(errs, errors.New("budget and ignore are both 0, so that nothing is forced; set one of them, or use strategy single"))
	}
	if o.Ignore > 0 && o.Wait == "" {
		errs = append(errs, errors.New("wait is empty, must be what makes a thought go on"))
	}
	return forced{o}, errors.Join(errs...)
}

// forcing is what the strategy inserts, as tokens.
type forcing struct {
	end          int32
	wait, ending []int32
}

func (s forced) forcing(env *Env) (f forcing, err error) {
	if f.end, err = env.marker("end of thinking", env.Markers.EndThink); err != nil {
		return f, err
	}
	if s.o.Ignore > 0 {
		if f.wait, err = env.write("wait", s.o.Wait, values{}); err != nil {
			return f, err
		}
	}
	if cut := env.optional(env.Markers.Cut); cut >= 0 {
		f.ending = append(f.ending, cut)
	}
	answer, err := env.write("answer", s.o.Answer, values{})
	f.ending = append(append(f.ending, f.end), answer...)
	return f, err
}

// ready implements readier.
func (s forced) ready(env *Env) error {
	_, err := s.forcing(env)
	return err
}

func (s forced) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	f, err := s.forcing(env)
	if err != nil {
		return nil, fmt.Errorf("strategy forced: %w", err)
	}
	rs := newResponses(env, t)
	thinking := t.Params
	thinking.StopTokens = append(slices.Clone(thinking.StopTokens), f.end)
	if err := advance(ctx, env, rs, thinking, s.o.Budget); err != nil {
		return nil, err
	}
	err = each(rs, func(r *response) error {
		one := []*response{r}
		for ignored := 0; ; ignored++ {
			if r.err != nil || len(r.tokens) == 0 {
				return nil //nolint:nilerr // the trace holds it
			}
			ended := r.finish == traces.FinishStop && r.tokens[len(r.tokens)-1] == f.end
			left := s.o.Budget - r.sampled // of the budget, the delimiter apart
			if ended {
				left++
			}
			switch {
			case ended && ignored < s.o.Ignore && (s.o.Budget == 0 || left > 0):
				r.retract()
				r.insert(traces.Injected, f.wait)
				if err := advance(ctx, env, one, thinking, max(left, 0)); err != nil {
					return err
				}
				continue
			case ended:
			case r.finish == traces.FinishLength && r.thinking && r.sampled < t.Params.MaxTokens:
				r.insert(traces.Injected, f.ending)
			default: // an end without an end of thinking, or the limit of the response
				return nil
			}
			if r.sampled == t.Params.MaxTokens {
				r.finish = traces.FinishLength
				return nil
			}
			return advance(ctx, env, one, t.Params, 0)
		}
	})
	if err != nil {
		return nil, err
	}
	return rollouts(rs), nil
}

// retract takes back the last sampled token, which ended the thinking.
func (r *response) retract() {
	n := len(r.tokens) - 1
	r.tokens, r.logprobs = r.tokens[:n], r.logprobs[:n]
	r.sampled--
	if r.lastEntropy != nil {
		r.entropy -= *r.lastEntropy
		r.entropyN--
		r.lastEntropy = nil
	}
	if last := len(r.segments) - 1; r.segments[last].Start == int32(n) {
		r.segments = r.segments[:last]
	} else {
		r.segments[last].End = int32(n)
	}
	if last := len(r.spans) - 1; r.spans[last].Start == int32(n) {
		r.spans = r.spans[:last]
	} else {
		r.spans[last].End = int32(n)
	}
	r.thinking = true
}

package strategy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"pith/datasets"
	"pith/rollout/task"
	"pith/traces"
)

// The ways to answer that methods know, and the one in which nothing is forced.
var modeNames = []string{"think", "no-think", "instant", "reasoning", "agentic"}

const modeFree = "free"

// modeOptions say how one mode is forced.
type modeOptions struct {
	Name   string  `json:"name"`
	Share  float64 `json:"share"`
	Prefix string  `json:"prefix"`
	Prompt string  `json:"prompt"`
	Tools  bool    `json:"tools"`
}

// modesOptions are the options of the modes strategy.
type modesOptions struct {
	Modes       []modeOptions `json:"modes"`
	TrainPrefix bool          `json:"train_prefix"`
	HeldOut     string        `json:"held_out"`
	toolsOptions
}

func modesDefaults() modesOptions {
	return modesOptions{
		Modes:       []modeOptions{{Name: "no-think", Share: 1, Prefix: "{end_think}"}, {Name: "think", Share: 1}},
		TrainPrefix: true, HeldOut: modeFree, toolsOptions: toolsDefaults(),
	}
}

func modesDocs() []Option {
	d := modesDefaults()
	return append([]Option{
		{"modes", d.Modes, "name (think, no-think, instant, reasoning, agentic, or free: nothing forced), share of the samples relative to the others (1), prefix that begins the response, prompt text put into the question, tools: calls are executed. Texts may hold {think}, {end_think}, {call} and other markers"},
		{"train_prefix", d.TrainPrefix, "the first token of a prefix is trained with the mode's share as its sampling probability (AdaptThink); false: it is inserted and masked (A2FM)"},
		{"held_out", d.HeldOut, "mode in which held-out problems are answered"},
	}, toolsDocs()...)
}

// modes forces some samples of a group into each of several ways to answer, so that all of them are
// explored: AdaptThink (arXiv 2505.13417) forces half into no thinking, A2FM (arXiv 2510.12838)
// some into each of instant, reasoning and agentic and leaves others free; Thinkless, ARM and large
// hybrid-reasoning models do the same with their own prefixes.
//
// Which sample gets which mode is a function of its index alone: at every length of the group the
// counts are as near the shares as whole numbers can be. The trace's mode is what the response
// shows, not what was intended: a sample that was left to itself and ended its thought at once did
// not think.
//
// A trained prefix is a draw from the strategy's own distribution over modes, so its recorded
// log-probability is that of the mode's share, and 0 from the second token on; a policy-gradient
// loss then learns to choose the mode (AdaptThink's π_IS). A masked one is injected text.
type modes struct{ o modesOptions }

func openModes(options json.RawMessage) (Strategy, error) {
	o := modesDefaults()
	defaults := o.Modes
	o.Modes = nil // a list is replaced, not merged
	if err := decode(options, &o); err != nil {
		return nil, err
	}
	if o.Modes == nil {
		o.Modes = defaults
	}
	for i := range o.Modes {
		if o.Modes[i].Share == 0 {
			o.Modes[i].Share = 1
		}
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Modes) == 0 {
		bad("modes is empty, must name at least one")
	}
	for i, m := range o.Modes {
		if m.Name != modeFree && !slices.Contains(modeNames, m.Name) {
			bad("modes[%d].name is %q, must be one of %s, %s", i, m.Name, strings.Join(modeNames, ", "), modeFree)
		}
		if !(m.Share > 0 && m.Share <= 1e6) {
			bad("modes[%d].share is %v, must be above 0", i, m.Share)
		}
		if m.Name == modeFree && m.Prefix+m.Prompt != "" {
			bad("modes[%d] is free and forces something; leave prefix and prompt out", i)
		}
		if slices.ContainsFunc(o.Modes[:i], func(x modeOptions) bool { return x.Name == m.Name }) {
			bad("modes[%d].name is %q a second time", i, m.Name)
		}
		if m.Prefix != "" && slices.ContainsFunc(o.Modes[:i], func(x modeOptions) bool { return x.Prefix == m.Prefix }) {
			bad("modes[%d].prefix is that of another mode, so that they could not be told apart", i)
		}
	}
	if o.HeldOut != modeFree && o.find(o.HeldOut) < 0 {
		bad("held_out is %q, must be %s or one of modes", o.HeldOut, modeFree)
	}
	errs = append(errs, o.toolsOptions.validate()...)
	return modes{o}, errors.Join(errs...)
}

func (o *modesOptions) find(name string) int {
	return slices.IndexFunc(o.Modes, func(m modeOptions) bool { return m.Name == name })
}

// usesTools says whether any mode executes calls.
func (o *modesOptions) usesTools() bool {
	return slices.ContainsFunc(o.Modes, func(m modeOptions) bool { return m.Tools })
}

// assign gives the mode of sample i: the one that is furthest behind its share of the first i+1
// samples, the earlier among equals.
func (o *modesOptions) assign(i int) int {
	total := 0.0
	for _, m := range o.Modes {
		total += m.Share
	}
	given := make([]int, len(o.Modes))
	chosen := 0
	for n := range i + 1 {
		chosen = 0
		behind := math.Inf(-1)
		for k, m := range o.Modes {
			if d := m.Share/total*float64(n+1) - float64(given[k]); d > behind+1e-9 {
				chosen, behind = k, d
			}
		}
		given[chosen]++
	}
	return chosen
}

// prefixes are the modes' prefixes as tokens.
func (s modes) prefixes(env *Env) ([][]int32, error) {
	out := make([][]int32, len(s.o.Modes))
	for i, m := range s.o.Modes {
		var err error
		if out[i], err = env.write(fmt.Sprintf("prefix of mode %s", m.Name), m.Prefix, values{}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ready implements readier.
func (s modes) ready(env *Env) error {
	if _, err := s.prefixes(env); err != nil {
		return err
	}
	for _, m := range s.o.Modes {
		if _, err := env.write(fmt.Sprintf("prompt of mode %s", m.Name), m.Prompt, values{}); err != nil {
			return err
		}
		if m.Tools {
			if _, err := callMarkersOf(env); err != nil {
				return fmt.Errorf("mode %s executes calls: %w", m.Name, err)
			}
		}
	}
	return nil
}

func (s modes) Run(ctx context.Context, env *Env, t *task.Task) ([]Rollout, error) {
	fail := func(err error) ([]Rollout, error) { return nil, fmt.Errorf("strategy modes: %w", err) }
	prefixes, err := s.prefixes(env)
	if err != nil {
		return fail(err)
	}
	var markers callMarkers
	if s.o.usesTools() {
		if markers, err = callMarkersOf(env); err != nil {
			return fail(err)
		}
	}
	total := 0.0
	for _, m := range s.o.Modes {
		total += m.Share
	}
	rs := newResponses(env, t)
	var plain, withTools []*response
	intended := make([]int, len(rs))
	for i, r := range rs {
		k := s.o.assign(r.sample)
		if t.Split == datasets.HeldOut {
			k = s.o.find(s.o.HeldOut)
		}
		intended[i] = k
		free := k < 0 || s.o.Modes[k].Name == modeFree
		if !free {
			m := s.o.Modes[k]
			if err := r.ask("prompt of mode "+m.Name, m.Prompt, values{}); err != nil {
				return fail(err)
			}
			if s.o.TrainPrefix {
				r.force(prefixes[k], math.Log(m.Share/total))
			} else {
				r.insert(traces.Injected, prefixes[k])
			}
			if r.sampled >= t.Params.MaxTokens {
				return fail(fmt.Errorf("the prefix of mode %s has %d tokens, and max_tokens is %d", m.Name, len(prefixes[k]), t.Params.MaxTokens))
			}
		}
		// A free response may use whatever some mode may use.
		if free && s.o.usesTools() || !free && s.o.Modes[k].Tools {
			withTools = append(withTools, r)
		} else {
			plain = append(plain, r)
		}
	}
	if err := s.sample(ctx, env, t, plain, withTools, markers); err != nil {
		return nil, err
	}
	for i, r := range rs {
		r.modeName = s.shown(r, intended[i], prefixes)
	}
	return rollouts(rs), nil
}

func (s modes) sample(ctx context.Context, env *Env, t *task.Task, plain, withTools []*response, m callMarkers) error {
	if err := advance(ctx, env, plain, t.Params, 0); err != nil || len(withTools) == 0 {
		return err
	}
	params, executor := toolParams(t.Params, m), tools{s.o.toolsOptions}
	if err := advance(ctx, env, withTools, params, 0); err != nil {
		return err
	}
	return executor.finish(ctx, env, withTools, params, m)
}

// shown is the mode that a response is in: that of the prefix that it begins with; else that of
// its tools; else the one that was intended, or the first that has no prefix of its own.
func (s modes) shown(r *response, intended int, prefixes [][]int32) string {
	bare := ""
	for k, m := range s.o.Modes {
		n := len(prefixes[k])
		switch {
		case m.Name == modeFree:
		case n > 0 && len(r.tokens) >= n && slices.Equal(r.tokens[:n], prefixes[k]):
			return m.Name
		case n == 0 && !m.Tools && m.Prompt == "" && bare == "":
			bare = m.Name
		}
	}
	forced := intended >= 0 && s.o.Modes[intended].Name != modeFree
	if len(r.calls) > 0 {
		for _, m := range s.o.Modes {
			if m.Tools && m.Name != modeFree {
				return m.Name
			}
		}
	}
	switch {
	case forced:
		return s.o.Modes[intended].Name
	case bare != "":
		return bare
	}
	return "" // what the tokens say
}

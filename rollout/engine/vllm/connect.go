package vllm

import (
	"context"
	"fmt"
	"strings"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// features are what a server was found to have.
type features struct {
	version    string
	pith       bool   // it is `pith serve`
	base       string // name of the weights it was started with
	root       string // where those came from
	maxContext int
	generate   bool // tokens in, tokens out
	ids        bool // completions return token ids
	versions   bool // answers say which weights drew which token
	lora       bool // adapters can be loaded
	dev        bool // weights can be replaced in place
}

// exact says whether the server returns its own ids and log-probabilities.
func (f *features) exact() bool { return f.generate || f.ids }

// connect asks the server what it has, unless that is known.
func (e *Engine) connect(ctx context.Context) (*features, error) {
	e.connecting.Lock()
	defer e.connecting.Unlock()
	e.mu.Lock()
	has := e.has
	e.mu.Unlock()
	if has != nil {
		return has, e.client.Closed("connect")
	}
	has = &features{}
	models, err := e.models(ctx)
	if err != nil {
		return nil, err
	}
	base, err := wire.PickBase(models, e.o.Model)
	if err != nil {
		return nil, err
	}
	has.base, has.root, has.maxContext = base.ID, base.Root, base.MaxContext
	if e.o.MaxContext > 0 {
		has.maxContext = e.o.MaxContext
	}
	if err := e.versionOf(ctx, has); err != nil {
		return nil, err
	}
	if err := e.findSampling(ctx, has); err != nil {
		return nil, err
	}
	if has.lora, err = e.client.There(ctx, wire.Request{Path: "/v1/load_lora_adapter", Body: []byte("{}"), Admin: true}); err != nil {
		return nil, err
	}
	label := ""
	if label, has.dev, err = e.label(ctx); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.has = has
	if e.current.ID == "" {
		e.current, e.path = e.started(has), has.root
		if has.dev && label != unlabelled {
			e.current, e.path = wire.RefOf(label), ""
		}
	}
	return has, nil
}

// models lists what the server has, and remembers its adapters.
func (e *Engine) models(ctx context.Context) ([]wire.Card, error) {
	all, err := e.client.Models(ctx)
	if err != nil {
		return nil, err
	}
	adapters := map[string]string{}
	for _, c := range all {
		if c.Parent != "" {
			adapters[c.ID] = c.Root
		}
	}
	e.mu.Lock()
	e.adapters = adapters
	e.mu.Unlock()
	return all, nil
}

// versionOf asks for the version, which a server need not have.
func (e *Engine) versionOf(ctx context.Context, has *features) error {
	err := e.client.Do(ctx, wire.Request{Op: "version", Path: "/version", Limit: e.wait()}, func(body []byte) error {
		s := wire.NewScanner(body)
		s.Fields(func(key []byte) {
			if string(key) == "version" && s.Kind() == '"' {
				has.version = s.Text()
			}
		})
		return nil
	})
	has.pith = strings.Contains(has.version, "pith")
	return wire.Optional(err)
}

// findSampling tries both ways to sample with one token each.
func (e *Engine) findSampling(ctx context.Context, has *features) error {
	r := engine.SampleRequest{ID: "pith-probe", Prompt: []int32{1}, N: 1, Params: engine.Params{MaxTokens: 1, Temperature: 1, TopP: 1}}
	has.generate = true
	a, err := e.ask(ctx, "try /inference/v1/generate", has, has.base, r, 0)
	if err == nil {
		has.versions = a.versioned
		return nil
	}
	has.generate = false
	if class, _ := engine.ClassOf(err); class != engine.Unsupported && class != engine.PolicyGone && class != engine.Malformed {
		return err
	}
	a, err = e.ask(ctx, "try /v1/completions", has, has.base, r, 0)
	has.ids = err == nil && len(a.tokens) == len(a.logprobs) && len(a.tokens) > 0
	has.versions = has.ids && a.versioned
	if class, _ := engine.ClassOf(err); err != nil && class != engine.Malformed {
		return fmt.Errorf("neither way to sample works: %w", err)
	}
	return nil
}

// Labels of weights. A server says "default" until it is told otherwise.
const (
	unlabelled = "default"
	torn       = "torn"
)

// label asks for the version of the base weights, and whether they can be replaced.
func (e *Engine) label(ctx context.Context) (string, bool, error) {
	label := unlabelled
	err := e.client.Do(ctx, wire.Request{Op: "weight version", Path: "/weight_info", Limit: e.wait(), Admin: true}, func(body []byte) error {
		s := wire.NewScanner(body)
		s.Fields(func(key []byte) {
			if string(key) == "weight_version" && s.Kind() == '"' {
				label = s.Text()
			}
		})
		return nil
	})
	if err == nil {
		return label, true, nil
	}
	if err := wire.Optional(err); err != nil {
		return "", false, err
	}
	// Older servers can be paused and reloaded but have no label.
	paused, err := e.client.There(ctx, wire.Request{Path: "/is_paused", Admin: true})
	return label, paused, err
}

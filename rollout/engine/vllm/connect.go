package vllm

import (
	"context"
	"fmt"
	"slices"
	"strconv"
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
	base, err := pickBase(models, e.o.Model)
	if err != nil {
		return nil, err
	}
	has.base, has.root, has.maxContext = base.id, base.root, base.maxContext
	if e.o.MaxContext > 0 {
		has.maxContext = e.o.MaxContext
	}
	if err := e.versionOf(ctx, has); err != nil {
		return nil, err
	}
	if err := e.findSampling(ctx, has); err != nil {
		return nil, err
	}
	if has.lora, err = e.there(ctx, wire.Request{Path: "/v1/load_lora_adapter", Body: []byte("{}"), Admin: true}); err != nil {
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
			e.current, e.path = refOf(label), ""
		}
	}
	return has, nil
}

// card is an entry of /v1/models.
type card struct {
	id, root, parent string
	maxContext       int
}

func (e *Engine) models(ctx context.Context) ([]card, error) {
	var all []card
	err := e.client.Do(ctx, wire.Request{Op: "list models", Path: "/v1/models", Limit: e.wait()}, func(body []byte) error {
		s := wire.NewScanner(body)
		s.Fields(func(key []byte) {
			if string(key) != "data" {
				return
			}
			s.Items(func() {
				var c card
				s.Fields(func(key []byte) {
					switch string(key) {
					case "id":
						c.id = s.Text()
					case "root":
						c.root = s.Text()
					case "parent":
						c.parent = s.Text()
					case "max_model_len":
						c.maxContext = int(s.Int())
					}
				})
				all = append(all, c)
			})
		})
		if err := s.End(); err != nil {
			return wire.Malformed("list models", "%v", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	adapters := map[string]string{}
	for _, c := range all {
		if c.parent != "" {
			adapters[c.id] = c.root
		}
	}
	e.mu.Lock()
	e.adapters = adapters
	e.mu.Unlock()
	return all, nil
}

// pickBase finds the weights that the server was started with.
func pickBase(models []card, name string) (card, error) {
	i := slices.IndexFunc(models, func(c card) bool { return c.parent == "" && (name == "" || c.id == name) })
	if i >= 0 {
		return models[i], nil
	}
	var ids []string
	for _, c := range models {
		ids = append(ids, c.id)
	}
	return card{}, wire.Refused("connect", "the server has no model %q; it has %s", name, strings.Join(ids, ", "))
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
	return optional(err)
}

// optional lets pass that a server lacks something.
func optional(err error) error {
	switch class, _ := engine.ClassOf(err); {
	case err == nil, class == engine.Unsupported, class == engine.PolicyGone, class == engine.User:
		return nil
	}
	return err
}

// there says whether a route exists, by a request that cannot succeed on it.
func (e *Engine) there(ctx context.Context, r wire.Request) (bool, error) {
	r.Op, r.Limit = "look for "+r.Path, e.wait()
	err := e.client.Do(ctx, r, nil)
	class, _ := engine.ClassOf(err)
	switch {
	case err == nil || class == engine.User:
		return true, nil
	case class == engine.Unsupported || class == engine.PolicyGone:
		return false, nil
	}
	return false, err
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
	if err := optional(err); err != nil {
		return "", false, err
	}
	// Older servers can be paused and reloaded but have no label.
	paused, err := e.there(ctx, wire.Request{Path: "/is_paused", Admin: true})
	return label, paused, err
}

// labelOf writes a policy as a version label, refOf reads it.
func labelOf(p engine.PolicyRef) string { return p.ID + ":" + strconv.FormatInt(p.Step, 10) }

func refOf(label string) engine.PolicyRef {
	if at := strings.LastIndexByte(label, ':'); at > 0 {
		if step, err := strconv.ParseInt(label[at+1:], 10, 64); err == nil {
			return engine.PolicyRef{ID: label[:at], Step: step}
		}
	}
	return engine.PolicyRef{ID: label}
}

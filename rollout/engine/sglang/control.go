package sglang

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pith/rollout/engine"
	"pith/rollout/engine/wire"
)

// Accepts lists the kinds of artifact that Publish takes: those that the server was found to take, or
// all that this adapter knows before it has been asked.
func (e *Engine) Accepts() []engine.ArtifactKind {
	e.mu.Lock()
	has := e.has
	e.mu.Unlock()
	var kinds []engine.ArtifactKind
	if has == nil || has.reload || has.pith && has.lora {
		kinds = append(kinds, engine.ArtifactModelDir)
	}
	if has == nil || has.lora {
		kinds = append(kinds, engine.ArtifactLoRADir)
	}
	return kinds
}

// Publish makes a policy servable under its id. The directory must be visible to the server under
// the same path. An adapter is loaded beside the others; a whole model replaces the base weights.
func (e *Engine) Publish(ctx context.Context, a engine.Artifact) (engine.PolicyRef, error) {
	op := fmt.Sprintf("publish %q", a.Policy.ID)
	none := engine.PolicyRef{}
	if err := wire.CheckArtifact(op, a); err != nil {
		return none, err
	}
	has, err := e.connect(ctx)
	if err != nil {
		return none, err
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	switch {
	case a.Kind == engine.ArtifactLoRADir && has.lora, a.Kind == engine.ArtifactModelDir && has.lora && has.pith:
		return e.load(ctx, op, a)
	case a.Kind == engine.ArtifactModelDir:
		return e.replace(ctx, op, has, a)
	case a.Kind == engine.ArtifactLoRADir:
		return none, wire.Missing(op, "this server loads no adapters; start SGLang with --enable-lora --max-lora-rank R --lora-target-modules all")
	}
	return none, wire.Missing(op, "SGLang takes adapter and model directories, not artifacts of kind %d", a.Kind)
}

// result is what SGLang's control calls answer.
type result struct {
	ok      bool
	message string
	loaded  map[string]string // adapters, where they are listed
}

// control makes a call of the control plane. SGLang says how it went in the body, and gives every
// failure status 400.
func (e *Engine) control(ctx context.Context, op, path string, body []byte, limit bool) (result, error) {
	r := result{ok: true}
	req := wire.Request{Op: op, Path: path, Body: body, Admin: true, Limit: e.o.ControlTimeout}
	if limit {
		req.Limit = e.o.LoadTimeout
	}
	err := e.client.Do(ctx, req, func(body []byte) error {
		s := wire.NewScanner(body)
		if s.Kind() != '{' {
			return nil
		}
		s.Fields(func(key []byte) {
			switch string(key) {
			case "success":
				r.ok = s.Bool()
			case "message", "error_message":
				if s.Kind() == '"' {
					r.message = s.Text()
				}
			case "loaded_adapters":
				r.loaded = map[string]string{}
				s.Fields(func(key []byte) {
					name := string(key)
					r.loaded[name] = ""
					if s.Kind() == '"' {
						r.loaded[name] = s.Text()
					}
				})
			}
		})
		return nil
	})
	if err == nil && !r.ok {
		err = wire.Refused(op, "the server says: %s", r.message)
	}
	return r, err
}

// load adds an adapter under the policy's id.
func (e *Engine) load(ctx context.Context, op string, a engine.Artifact) (engine.PolicyRef, error) {
	e.mu.Lock()
	path, there := e.adapters[a.Policy.ID]
	ref := e.refs[a.Policy.ID]
	base := a.Policy.ID == e.current.ID
	e.mu.Unlock()
	switch {
	case there && (path == a.Path || path == "") && (ref == a.Policy || ref.ID == ""):
		e.mu.Lock()
		e.adapters[a.Policy.ID], e.refs[a.Policy.ID] = a.Path, a.Policy
		e.mu.Unlock()
		return a.Policy, nil
	case there || base:
		return engine.PolicyRef{}, wire.Refused(op, "other weights, from %q, are live under this id; a policy is immutable, publish under a new one", path)
	}
	var b wire.Body
	b.Text("lora_name", a.Policy.ID)
	b.Text("lora_path", a.Path)
	_, err := e.control(ctx, op, "/load_lora_adapter", b.Bytes(), true)
	if err != nil && strings.Contains(err.Error(), "already") { // another process was faster, or other weights
		if at, ok := e.listed(ctx, a.Policy.ID); ok && (at == a.Path || at == "") {
			err = nil
		}
	}
	if err != nil {
		return engine.PolicyRef{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.adapters[a.Policy.ID], e.refs[a.Policy.ID] = a.Path, a.Policy
	delete(e.retired, a.Policy.ID)
	return a.Policy, nil
}

// listed says whether the server lists an adapter, and from where.
func (e *Engine) listed(ctx context.Context, id string) (string, bool) {
	models, err := e.client.Models(ctx)
	if err != nil {
		return "", false
	}
	for _, c := range models {
		if c.ID == id && c.Parent != "" {
			return c.Root, true
		}
	}
	return "", false
}

// replace reads a whole model in place of the base weights. SGLang waits for the requests that run,
// and goes back to the old weights where the new ones cannot be read.
func (e *Engine) replace(ctx context.Context, op string, has *features, a engine.Artifact) (engine.PolicyRef, error) {
	e.mu.Lock()
	current, path := e.current, e.path
	e.mu.Unlock()
	switch {
	case current.ID == a.Policy.ID && (path == "" || path == a.Path) && (current.Step == a.Policy.Step || current.Step == 0):
		e.adopt(a.Policy, a.Path, "")
		return a.Policy, nil
	case current.ID == a.Policy.ID:
		return engine.PolicyRef{}, wire.Refused(op, "other weights, from %s, are live under this id; a policy is immutable, publish under a new one", path)
	case path == a.Path && current == e.started(has): // the server was started with it
		e.adopt(a.Policy, a.Path, "")
		return a.Policy, e.setLabel(ctx, op, wire.LabelOf(a.Policy))
	case !has.reload:
		return engine.PolicyRef{}, wire.Missing(op, "this server reads no weights from disk")
	}
	var b wire.Body
	b.Text("model_path", a.Path)
	b.Text("weight_version", wire.LabelOf(a.Policy))
	b.Bool("abort_all_requests", false)
	b.Bool("flush_cache", true)
	_, err := e.control(ctx, op, "/update_weights_from_disk", b.Bytes(), true)
	if err == nil {
		e.adopt(a.Policy, a.Path, current.ID)
		return a.Policy, nil
	}
	if failed, ok := errors.AsType[*engine.Error](err); ok && (failed.Status > 0 || failed.Class == engine.User) {
		return engine.PolicyRef{}, err // it answered: the old weights are in place
	}
	// No answer: the update may have happened, or half of it.
	after := context.WithoutCancel(ctx)
	if label, err := e.info(after, &features{}); err == nil && label == wire.LabelOf(a.Policy) {
		e.adopt(a.Policy, a.Path, current.ID)
		return a.Policy, nil
	}
	e.adopt(engine.PolicyRef{ID: torn}, "", current.ID)
	return engine.PolicyRef{}, errors.Join(err, e.setLabel(after, op, torn))
}

// adopt makes a policy what the base weights are. path is "" where it is not known.
func (e *Engine) adopt(p engine.PolicyRef, path, before string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if before != "" && before != p.ID {
		e.replaced[before] = true
	}
	delete(e.retired, p.ID)
	delete(e.replaced, p.ID)
	e.current, e.path, e.refs[p.ID] = p, path, p
}

func (e *Engine) setLabel(ctx context.Context, op, label string) error {
	var b wire.Body
	b.Text("new_version", label)
	b.Bool("abort_all_requests", false)
	_, err := e.control(ctx, op, "/update_weight_version", b.Bytes(), false)
	return wire.Optional(err) // older servers have no label
}

// resolve finds the server's name for a policy: "" for the base weights, or an adapter's.
func (e *Engine) resolve(ctx context.Context, op string, has *features, ref engine.PolicyRef) (string, error) {
	if name, ok := e.lookUp(ref); ok {
		return name, nil
	}
	e.mu.Lock()
	retired := e.retired[ref.ID]
	e.mu.Unlock()
	if retired {
		return "", wire.Gone(op, ref, "it was retired")
	}
	// Somebody else may have published it.
	if err := e.refresh(ctx, has); err != nil {
		return "", err
	}
	if name, ok := e.lookUp(ref); ok {
		return name, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return "", wire.Gone(op, ref, fmt.Sprintf("the server's weights are %q", e.current.ID))
}

// forget drops an adapter that the server says it does not have: it was started anew, or others
// unloaded it.
func (e *Engine) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.adapters, id)
}

// refresh asks the server for its adapters and the label of its weights. A server that has listed
// adapters before has lost those that it does not list any more; older ones list none.
func (e *Engine) refresh(ctx context.Context, has *features) error {
	e.mu.Lock()
	remembered := slices.Collect(maps.Keys(e.adapters))
	e.mu.Unlock()
	models, err := e.client.Models(ctx)
	if err != nil {
		return err
	}
	label, err := e.info(ctx, &features{})
	if err != nil {
		return err
	}
	if now := wire.RefOf(label); has.label && label != unlabelled {
		e.mu.Lock()
		before := e.current.ID
		e.mu.Unlock()
		if now.ID != before {
			e.adopt(now, "", before)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	there := map[string]bool{}
	for _, c := range models {
		if c.Parent == "" {
			continue
		}
		e.lists, there[c.ID] = true, true
		if _, ok := e.adapters[c.ID]; !ok {
			e.adapters[c.ID] = c.Root
		}
	}
	for _, id := range remembered {
		if e.lists && !there[id] {
			delete(e.adapters, id)
		}
	}
	return nil
}

func (e *Engine) lookUp(ref engine.PolicyRef) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.retired[ref.ID] || ref.ID == torn {
		return "", false
	}
	if ref.ID == e.current.ID {
		return "", true
	}
	_, ok := e.adapters[ref.ID]
	return ref.ID, ok
}

// Live asks the server for its policies. The step of one that was published elsewhere is read from
// its label or the digits at the end of its name. Servers that do not list their adapters are known
// by what was loaded here.
func (e *Engine) Live(ctx context.Context) ([]engine.PolicyRef, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.refresh(ctx, has); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var refs []engine.PolicyRef
	if e.current.ID != torn && !e.retired[e.current.ID] {
		refs = append(refs, e.current)
	}
	for id := range e.adapters {
		ref, ok := e.refs[id]
		if !ok {
			ref = engine.PolicyRef{ID: id, Step: wire.StepOf(id)}
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b engine.PolicyRef) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.ID, b.ID))
	})
	return refs, nil
}

// Retire unloads an adapter. The base weights cannot be unloaded, and are not sampled any more; a
// policy that others replaced in place is gone already.
func (e *Engine) Retire(ctx context.Context, p engine.PolicyRef) error {
	op := fmt.Sprintf("retire %q", p.ID)
	has, err := e.connect(ctx)
	if err != nil {
		return err
	}
	e.changing.Lock()
	defer e.changing.Unlock()
	e.mu.Lock()
	base, replaced := p.ID == e.current.ID, e.replaced[p.ID]
	if base {
		e.retired[p.ID] = true
	}
	e.mu.Unlock()
	if base || replaced {
		return nil
	}
	if !has.lora {
		return wire.Gone(op, p, "the server holds one policy, another one")
	}
	var b wire.Body
	b.Text("lora_name", p.ID)
	if _, err := e.control(ctx, op, "/unload_lora_adapter", b.Bytes(), false); err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.adapters, p.ID)
	delete(e.refs, p.ID)
	e.retired[p.ID] = true
	e.mu.Unlock()
	return nil
}

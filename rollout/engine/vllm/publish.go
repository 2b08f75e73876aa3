package vllm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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
	if has == nil || has.dev || has.pith && has.lora {
		kinds = append(kinds, engine.ArtifactModelDir)
	}
	if has == nil || has.lora {
		kinds = append(kinds, engine.ArtifactLoRADir)
	}
	return kinds
}

// Publish makes a policy servable under its id. The directory must be visible to the server under
// the same path. An adapter is loaded beside the others; a whole model replaces the base weights,
// with the server paused around it, unless it is the directory that the server was started with.
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
	case a.Kind == engine.ArtifactLoRADir:
		return none, wire.Missing(op, "this server loads no adapters; start vLLM with --enable-lora --max-lora-rank R and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True")
	case a.Kind == engine.ArtifactModelDir:
		return e.replace(ctx, op, has, a)
	}
	return none, wire.Missing(op, "vLLM takes adapter and model directories, not artifacts of kind %d", a.Kind)
}

// load adds an adapter under the policy's id.
func (e *Engine) load(ctx context.Context, op string, a engine.Artifact) (engine.PolicyRef, error) {
	if ref, done, err := e.loaded(ctx, op, a); done || err != nil {
		return ref, err
	}
	var b wire.Body
	b.Text("lora_name", a.Policy.ID)
	b.Text("lora_path", a.Path)
	err := e.client.Do(ctx, wire.Request{Op: op, Path: "/v1/load_lora_adapter", Body: b.Bytes(), Admin: true, Limit: e.o.LoadTimeout}, nil)
	if failed, ok := errors.AsType[*engine.Error](err); ok && failed.Status == http.StatusBadRequest && strings.Contains(failed.Msg, "already been loaded") {
		if ref, done, err := e.loaded(ctx, op, a); done || err != nil { // somebody else was faster
			return ref, err
		}
	}
	if err != nil {
		return engine.PolicyRef{}, err
	}
	// The server's list is what requests are looked up in; an adapter that is not there is not live.
	ref, done, err := e.loaded(ctx, op, a)
	if err == nil && !done {
		err = &engine.Error{Class: engine.Transient, Op: op, Msg: "the server said it loaded the adapter, but does not list it"}
	}
	return ref, err
}

// loaded says whether the server lists the policy, from the artifact's directory.
func (e *Engine) loaded(ctx context.Context, op string, a engine.Artifact) (engine.PolicyRef, bool, error) {
	if _, err := e.models(ctx); err != nil {
		return engine.PolicyRef{}, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	path, there := e.adapters[a.Policy.ID]
	ref, ours := e.refs[a.Policy.ID]
	switch {
	case !there && a.Policy.ID == e.current.ID:
		return engine.PolicyRef{}, false, wire.Refused(op, "the base weights are live under this id; a policy is immutable, publish under a new one")
	case !there:
		return engine.PolicyRef{}, false, nil
	case path != a.Path || ours && ref != a.Policy:
		return engine.PolicyRef{}, false, wire.Refused(op, "other weights, from %s, are live under this id; a policy is immutable, publish under a new one", path)
	}
	e.refs[a.Policy.ID] = a.Policy
	delete(e.retired, a.Policy.ID)
	return a.Policy, true, nil
}

// replace reads a whole model in place of the base weights.
func (e *Engine) replace(ctx context.Context, op string, has *features, a engine.Artifact) (engine.PolicyRef, error) {
	e.mu.Lock()
	current, path := e.current, e.path
	e.mu.Unlock()
	switch {
	case current.ID == a.Policy.ID && (path == "" || path == a.Path) && (current.Step == a.Policy.Step || current.Step == 0):
		e.adopt(a.Policy, a.Path, "") // it is live, or was published by somebody else
		return a.Policy, nil
	case current.ID == a.Policy.ID:
		return engine.PolicyRef{}, wire.Refused(op, "other weights, from %s, are live under this id; a policy is immutable, publish under a new one", path)
	case path == a.Path && path == has.root && current == e.started(has):
		e.adopt(a.Policy, a.Path, "") // the server was started with it
		if has.dev {
			return a.Policy, e.setLabel(ctx, op, wire.LabelOf(a.Policy))
		}
		return a.Policy, nil
	case !has.dev:
		return engine.PolicyRef{}, wire.Missing(op, "this server replaces no weights; start vLLM with VLLM_SERVER_DEV_MODE=1, or publish adapters")
	}
	if err := e.Pause(ctx, engine.FenceDrain); err != nil {
		return engine.PolicyRef{}, err
	}
	err := e.reload(ctx, op, a)
	if err == nil {
		err = e.setLabel(ctx, op, wire.LabelOf(a.Policy))
	}
	if err == nil {
		err = e.ResetCache(ctx)
	}
	if err != nil {
		e.tear(ctx, op)
		return engine.PolicyRef{}, errors.Join(err, e.Resume(context.WithoutCancel(ctx)))
	}
	e.adopt(a.Policy, a.Path, current.ID)
	return a.Policy, e.Resume(ctx)
}

// reload has every worker of the server read the directory.
func (e *Engine) reload(ctx context.Context, op string, a engine.Artifact) error {
	var b wire.Body
	b.Text("method", "reload_weights")
	b.Object("kwargs", func(b *wire.Body) { b.Text("weights_path", a.Path) })
	err := e.client.Do(ctx, wire.Request{Op: op, Path: "/collective_rpc", Body: b.Bytes(), Admin: true, Limit: e.o.LoadTimeout}, nil)
	if class, _ := engine.ClassOf(err); class != engine.Unsupported && class != engine.PolicyGone {
		return err
	}
	// A server with a weight-transfer engine that reads from disk.
	steps := []struct{ path, body string }{
		{"/start_weight_update", "{}"},
		{"/update_weights", `{"update_info":{"path":` + strconv.Quote(a.Path) + `}}`},
		{"/finish_weight_update", `{"weight_version":` + strconv.Quote(wire.LabelOf(a.Policy)) + `}`},
	}
	for _, s := range steps {
		if err := e.client.Do(ctx, wire.Request{Op: op, Path: s.path, Body: []byte(s.body), Admin: true, Limit: e.o.LoadTimeout}, nil); err != nil {
			return err
		}
	}
	return nil
}

// started is the policy that the server's own weights are until somebody names them.
func (e *Engine) started(has *features) engine.PolicyRef {
	if e.o.Base.ID != "" {
		return e.o.Base
	}
	return engine.PolicyRef{ID: has.base}
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

// tear marks the base weights as of no policy: some workers may have read the new ones.
func (e *Engine) tear(ctx context.Context, op string) {
	e.mu.Lock()
	e.replaced[e.current.ID] = true
	e.current, e.path = engine.PolicyRef{ID: torn}, ""
	e.mu.Unlock()
	_ = e.setLabel(context.WithoutCancel(ctx), op, torn) // so that other clients see it too, where it can be said
}

func (e *Engine) setLabel(ctx context.Context, op, label string) error {
	var b wire.Body
	b.Text("new_version", label)
	err := e.client.Do(ctx, wire.Request{Op: op, Path: "/update_weight_version", Body: b.Bytes(), Admin: true, Limit: e.wait()}, nil)
	return wire.Optional(err) // older servers have no label
}

// resolve finds the server's name for a policy: the base, or an adapter of that name.
func (e *Engine) resolve(ctx context.Context, op string, has *features, ref engine.PolicyRef) (string, error) {
	if name, ok := e.lookUp(has, ref); ok {
		return name, nil
	}
	e.mu.Lock()
	retired := e.retired[ref.ID]
	e.mu.Unlock()
	if retired {
		return "", wire.Gone(op, ref, "it was retired")
	}
	// Somebody else may have published it.
	if has.lora {
		if _, err := e.models(ctx); err != nil {
			return "", err
		}
	}
	if has.dev {
		label, _, err := e.label(ctx)
		if err != nil {
			return "", err
		}
		if label != unlabelled {
			if now := wire.RefOf(label); now.ID != e.base().ID {
				e.adopt(now, "", e.base().ID)
			}
		}
	}
	if name, ok := e.lookUp(has, ref); ok {
		return name, nil
	}
	if e.base().ID == torn {
		return "", wire.Gone(op, ref, "a change of weights failed half-way")
	}
	return "", wire.Gone(op, ref, fmt.Sprintf("the server's weights are %q", e.base().ID))
}

func (e *Engine) base() engine.PolicyRef {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.current
}

func (e *Engine) lookUp(has *features, ref engine.PolicyRef) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.retired[ref.ID] || ref.ID == torn {
		return "", false
	}
	if ref.ID == e.current.ID {
		return has.base, true
	}
	_, ok := e.adapters[ref.ID]
	return ref.ID, ok
}

// Live asks the server for its policies. The step of one that was published elsewhere is read from
// its label or the digits at the end of its name.
func (e *Engine) Live(ctx context.Context) ([]engine.PolicyRef, error) {
	has, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	models, err := e.models(ctx)
	if err != nil {
		return nil, err
	}
	if has.dev {
		if label, _, err := e.label(ctx); err != nil {
			return nil, err
		} else if now := wire.RefOf(label); label != unlabelled && now.ID != e.base().ID {
			e.adopt(now, "", e.base().ID)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var refs []engine.PolicyRef
	if e.current.ID != torn && !e.retired[e.current.ID] {
		refs = append(refs, e.current)
	}
	for _, c := range models {
		if c.Parent == "" {
			continue
		}
		ref, ok := e.refs[c.ID]
		if !ok {
			ref = engine.PolicyRef{ID: c.ID, Step: wire.StepOf(c.ID)}
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
	if err := e.client.Do(ctx, wire.Request{Op: op, Path: "/v1/unload_lora_adapter", Body: b.Bytes(), Admin: true, Limit: e.wait()}, nil); err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.adapters, p.ID)
	delete(e.refs, p.ID)
	e.retired[p.ID] = true
	e.mu.Unlock()
	return nil
}
